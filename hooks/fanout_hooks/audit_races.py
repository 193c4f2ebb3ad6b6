"""Hooks that race: natively all hooks of an event run at once, and events of parallel calls do too.

Two rules, and what is no race by them:

1. Two hooks of one event, whose matchers can both match, touch one file, and one of them replaces it: what
   the other reads or wrote is lost or half. Two that only append, or only read, spoil nothing.
2. One hook reads a file and writes it back, on an event that comes several times at once (a message with
   several calls, sub-agents): of two updates one is lost. Tools that change files run one after another.

Hooks that take a lock are left alone, and so are adopted ones among themselves: fanout keeps those apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import combinations

from fanout_hooks.audit import Observation
from fanout_hooks.audit_hooks import Found

AT_ONCE = frozenset({"PreToolUse", "PostToolUse", "PostToolUseFailure", "SubagentStart", "SubagentStop"})
ONE_AT_A_TIME = frozenset({"Edit", "MultiEdit", "NotebookEdit", "Write"})
"""The client runs these one after another, their hooks included."""
WORDS = re.compile(r"[\w|, -]*")
ADVICE = (
    "Adopt them (fanout-hooks adopt): hooks that touch one file then wait for one another. Or lock the file."
)


def races(hooks: Iterable[Found]) -> list[Observation]:
    """Return every race of a project's hooks, each file of each event once."""
    every = [hook for hook in hooks if not hook.touches.locks]
    together = list(_of_one_event(every))
    known = {(hook.event, file) for hooks_, file, _ in together for hook in hooks_}
    found = [observation for _, _, observation in together]
    return [*found, *_of_events_at_once(every, known)]


def _of_one_event(hooks: list[Found]) -> Iterator[tuple[list[Found], str, Observation]]:
    meeting: dict[tuple[str, str], list[Found]] = {}
    for one, other in combinations(hooks, 2):
        if one.event == other.event and not _is_kept_apart(one, other):
            for file in _spoilt(one, other):
                known = meeting.setdefault((one.event, file), [])
                known += [hook for hook in (one, other) if hook not in known]
    for (event, file), group in meeting.items():
        writers = [hook.shown for hook in group if file in hook.touches.writes]
        what = (
            f"{event}: {_listed(group)} touch {file} at once ({', '.join(dict.fromkeys(writers))} writes it)"
        )
        yield group, file, _observation(what, group)


def _is_kept_apart(one: Found, other: Found) -> bool:
    same = (one.command, one.script) == (other.command, other.script)  # the client runs equal hooks once
    return same or (one.is_adopted and other.is_adopted) or not can_meet(one.matcher, other.matcher)


def _spoilt(one: Found, other: Found) -> list[str]:
    mine, theirs = one.touches, other.touches
    spoilt = mine.replaces & (theirs.reads | theirs.writes) | theirs.replaces & (mine.reads | mine.writes)
    return sorted(spoilt)


def _of_events_at_once(hooks: list[Found], known: set[tuple[str, str]]) -> Iterator[Observation]:
    seen: set[tuple[str, str]] = set()
    for hook in hooks:
        if hook.is_adopted or hook.event not in AT_ONCE or not _comes_at_once(hook):
            continue
        for file in sorted(hook.touches.reads & hook.touches.replaces):
            key = (hook.script or hook.command, file)
            if key not in seen and (hook.event, file) not in known:
                seen.add(key)
                what = (
                    f"{hook.event}: {hook.shown} reads {file} and writes it back; events at once lose updates"
                )
                yield _observation(what, [hook])


def _comes_at_once(hook: Found) -> bool:
    tools = _tools(hook.matcher)
    return not hook.event.endswith("ToolUse") or tools is None or not tools <= ONE_AT_A_TIME


def can_meet(one: str, other: str) -> bool:
    """Say whether two matchers can match one event; patterns are taken to."""
    mine, theirs = _tools(one), _tools(other)
    return mine is None or theirs is None or bool(mine & theirs)


def _tools(matcher: str) -> frozenset[str] | None:
    """Return the names that a matcher lists, None when it is a pattern or matches everything."""
    names = frozenset(name.strip() for name in re.split(r"[|,]", matcher))
    return names if matcher and WORDS.fullmatch(matcher) and "" not in names else None


def _observation(what: str, hooks: list[Found]) -> Observation:
    is_known = all(hook.is_learned for hook in hooks)
    return Observation(
        "racing hooks",
        hooks[0].place,
        what,
        0.0,
        measured=False,
        basis="seen while they ran" if is_known else "a guess from the hooks' source text",
        advice=ADVICE,
    )


def _listed(hooks: list[Found]) -> str:
    return ", ".join(dict.fromkeys(hook.shown for hook in hooks))
