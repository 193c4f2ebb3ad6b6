"""One answer from many hooks, as Claude Code reads it.

Rules, all of them here:
1. deny > defer > ask > allow. Every hook that says the strongest thing has its reason in the answer, named
   when there are several (the client itself would show only the last to finish).
2. Exit code 2 objects, with stderr as its reason, whatever else the hook printed; any other code but 0 is a
   failure that changes nothing, unless the hook says onFailure: "block".
3. Output that starts with "{" must be one JSON object, on any exit code. Garbage costs that hook its say, and
   the user sees it.
4. Context is joined in configuration order and kept below the client's bound; what is beyond goes to a file.
5. A hook whose first line is {"async": true} has no verdict, whatever its exit code; its context counts.
6. Rewritten inputs are changes against the original; changes of different fields are joined, different
   changes of one field are refused by name.

Pure: what the hooks left in, the answer out.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from fanout_hooks.client import events, files
from fanout_hooks.client.hook_input import limit_of

# --- The context of an event's hooks, joined in their order and kept below the client's bound. --------------
# Lengths are counted as the client counts them, in UTF-16 units: an emoji is two.

CONTEXT_UNITS = 9_500
"""The client puts context above 10,000 characters (UTF-16 units) into a file and shows 2 kB of it."""


def joined(parts: Sequence[tuple[str, str]]) -> tuple[str, str]:
    """Return the context that fits, and the whole when it doesn't."""
    whole = "\n".join(text for _, text in parts)
    if _units(whole) <= CONTEXT_UNITS:
        return whole, ""
    kept: list[str] = []
    room = CONTEXT_UNITS - 400
    for name, text in parts:
        size = _units(text)
        if size + 1 > room:
            shown = min(room, 2000)
            cut = f"[{name}: {size} characters] {text}".encode("utf-16-le", "surrogatepass")[: shown * 2 - 2]
            kept.append(cut.decode("utf-16-le", "ignore"))
            room -= shown
        else:
            kept.append(text)
            room -= size + 1
        if room <= 60:
            break
    return "\n".join(kept), "\n\n".join(f"## {name}\n{text}" for name, text in parts)


def _units(text: str) -> int:
    """Return a text's length as the client counts it: an emoji is two."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


# --- One answer from all hooks ------------------------------------------------------------------------------

STRENGTH = ("deny", "defer", "ask", "allow")
UNDERSTOOD = (
    "hookEventName permissionDecision permissionDecisionReason additionalContext updatedInput"
).split()
"""What an Opinion has of hookSpecificOutput in its own fields."""


class HookResult(NamedTuple):
    name: str
    exit: int
    stdout: str
    stderr: str = ""
    timed_out: bool = False
    on_failure: str = "continue"


class Opinion(NamedTuple):
    name: str
    decision: str = ""
    """deny, defer, ask, allow; deny also stands for block."""
    reason: str = ""
    context: str = ""
    updated: dict[str, Any] | None = None
    message: str = ""
    stop: bool = False
    stop_reason: str = ""
    quiet: bool = False
    text: str = ""
    others: dict[str, Any] = {}  # noqa: RUF012 - never mutated
    problem: str = ""
    note: dict[str, Any] = {}  # noqa: RUF012 - as above
    """For the log alone."""


class Decision(NamedTuple):
    """What goes back to the client, and what didn't fit into it."""

    stdout: str
    exit: int = 0
    stderr: str = ""
    overflow: str = ""


def understand(left: HookResult, event: str) -> Opinion:
    said, opinion = left.stdout.strip(), Opinion(left.name)
    if said.startswith("{") and not left.timed_out:
        line, _, later = said.partition("\n")
        if limit_of(line) is not None:
            return _said_later(left.name, later.strip(), event)
    if said.startswith("{"):
        opinion = _from_json(left.name, said, event)
    elif left.exit == 0 and said:
        if events.of(event).stdout == "context":
            opinion = opinion._replace(context=left.stdout.rstrip("\n"))
        elif events.of(event).stdout == "text":
            # The client appends plain output there to its own instructions: it is handed on as it is.
            opinion = opinion._replace(text=left.stdout)
    if left.timed_out or left.exit not in (0, 2) or opinion.problem:
        return _failed(left, opinion)
    if left.exit == 2 and opinion.decision != "deny":
        return opinion._replace(
            decision="deny", reason=left.stderr.strip() or "No stderr output", updated=None
        )
    return opinion


def _said_later(name: str, said: str, event: str) -> Opinion:
    """Read what a hook printed after the line that let the client go on: it has no verdict any more."""
    opinion = _from_json(name, said, event) if said.startswith("{") else Opinion(name)
    return Opinion(name, context=opinion.context, message=opinion.message)


def _failed(left: HookResult, opinion: Opinion) -> Opinion:
    if left.timed_out:
        opinion = Opinion(left.name, problem="was cut at its time limit")
    if left.on_failure != "block" or opinion.decision == "deny":
        return opinion
    how = "timed out" if left.timed_out else "failed"
    return opinion._replace(
        decision="deny", reason=f'{how}; blocking because onFailure is "block"\n{left.stderr.strip()}'.strip()
    )


def _from_json(name: str, said: str, event: str) -> Opinion:
    try:
        data = json.loads(said)
    except (ValueError, RecursionError):
        return Opinion(name, problem="printed something that starts like JSON and isn't")
    specific = data.get("hookSpecificOutput")
    if specific is not None and (not isinstance(specific, dict) or specific.get("hookEventName") != event):
        return Opinion(name, problem=f'has a hookSpecificOutput without "hookEventName": "{event}"')
    own: dict[str, Any] = specific or {}
    decision, reason, problem = _decision(data, own, event)
    if problem:
        return Opinion(name, problem=problem)
    updated = own.get("updatedInput")
    others = {key: value for key, value in own.items() if key not in UNDERSTOOD}
    if event == "PermissionRequest" and decision:
        others.pop("decision", None)
        if decision == "allow":
            others["decision"] = own["decision"]
    return Opinion(
        name,
        decision,
        reason,
        _text(own.get("additionalContext")),
        updated if isinstance(updated, dict) else None,
        _text(data.get("systemMessage")),
        stop=data.get("continue") is False,
        stop_reason=_text(data.get("stopReason")),
        quiet=data.get("suppressOutput") is True,
        others=others,
    )


def _decision(data: dict[str, Any], own: dict[str, Any], event: str) -> tuple[str, str, str]:
    """Return decision, reason and what is wrong with them."""
    if event == "PermissionRequest":
        given = own.get("decision")
        if given is None:
            return "", "", ""
        if not isinstance(given, dict) or given.get("behavior") not in ("allow", "deny"):
            return "", "", "has a decision without a behavior of allow or deny"
        return given["behavior"], _text(given.get("message")), ""
    given = own.get("permissionDecision")
    if given is not None:
        if given not in STRENGTH:
            return "", "", f"has an unknown permissionDecision {given!r}"
        return given, _text(own.get("permissionDecisionReason")), ""
    legacy = data.get("decision")
    if legacy is None:
        return "", "", ""
    if legacy not in ("block", "approve"):
        return "", "", f"has an unknown decision {legacy!r}"
    allowed = "allow" if events.of(event).objects == "permission" else ""
    return "deny" if legacy == "block" else allowed, _text(data.get("reason")), ""


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


# --- How single answers are joined --------------------------------------------------------------------------


def decide(event: dict[str, Any], opinions: Sequence[Opinion], notes: Sequence[str] = ()) -> Decision:
    """Join what the hooks of an event say into one answer. `notes` are for the user's eyes."""
    name = str(event.get("hook_event_name", ""))
    updated, quarrel = _joined_input(event.get("tool_input"), opinions)
    if quarrel:
        opinions = [*opinions, Opinion("fanout", "deny", quarrel)]
    strongest = next((one for one in STRENGTH if any(own.decision == one for own in opinions)), "")
    reason = _joined_reasons([own for own in opinions if own.decision == strongest]) if strongest else ""
    said, overflow = joined([(own.name, own.context) for own in opinions if own.context])
    problems = [f"fanout: the hook {own.name} {own.problem}" for own in opinions if own.problem]
    messages = (
        [own.message for own in opinions if own.message] + problems + [f"fanout: {note}" for note in notes]
    )
    answer: dict[str, Any] = {}
    specific: dict[str, Any] = {}
    for own in opinions:
        specific.update(own.others)
    exit_code = 0
    if strongest:
        exit_code = _say(name, strongest, reason, answer, specific, messages)
    if updated is not None and strongest != "deny":
        specific["updatedInput"] = updated
    if said:
        specific["additionalContext"] = said
    if specific:
        answer["hookSpecificOutput"] = {"hookEventName": name, **specific}
    if any(own.stop for own in opinions):
        answer["continue"] = False
        stops = [own.stop_reason for own in opinions if own.stop and own.stop_reason]
        answer |= {"stopReason": "\n".join(stops)} if stops else {}
    if messages:
        answer["systemMessage"] = "\n".join(messages)
    if any(own.quiet for own in opinions):
        answer["suppressOutput"] = True
    text = "".join(own.text for own in opinions)
    stdout = json.dumps(answer, ensure_ascii=True, separators=(",", ":")) if answer else (text or "{}")
    return Decision(stdout, exit_code, reason if exit_code else "", overflow)


def _say(
    event: str,
    strongest: str,
    reason: str,
    answer: dict[str, Any],
    specific: dict[str, Any],
    messages: list[str],
) -> int:
    """Put a decision into the form that this event has for it; return the exit code that goes with it."""
    how = events.of(event).objects
    if how == "permission":
        specific["permissionDecision"] = strongest
        specific |= {"permissionDecisionReason": reason} if reason else {}
    elif how == "request":
        if strongest == "deny":
            specific["decision"] = {"behavior": "deny", "message": reason}
    elif strongest == "deny" and how == "decision":
        answer |= {"decision": "block", "reason": reason}
    elif strongest == "deny":
        # Only an exit code can object here, and only a command entry has one; the user reads it either way.
        messages.append(reason)
        return 2
    return 0


def _joined_reasons(denials: Sequence[Opinion]) -> str:
    with_words = [own for own in denials if own.reason]
    if len(denials) < 2:
        return with_words[0].reason if with_words else ""
    return "\n".join(f"{own.name}: {own.reason or own.decision}" for own in denials)


_ABSENT = object()


def _joined_input(original: Any, opinions: Sequence[Opinion]) -> tuple[dict[str, Any] | None, str]:
    """Join rewritten inputs field by field; return the joined one, or the quarrel."""
    writers = [own for own in opinions if own.updated is not None]
    if not writers:
        return None, ""
    before = original if isinstance(original, dict) else {}
    joined: dict[str, Any] = dict(before)
    changed_by: dict[str, tuple[str, Any]] = {}
    for own in writers:
        after = own.updated or {}
        for key in [*before, *(key for key in after if key not in before)]:
            value = after.get(key, _ABSENT)
            if key in before and value == before[key]:
                continue
            if key in changed_by and changed_by[key][1] != value:
                return None, (
                    f'the hooks "{changed_by[key][0]}" and "{own.name}" rewrite "{key}" in different ways; '
                    "let one of them do it"
                )
            changed_by[key] = (own.name, value)
            if value is _ABSENT:
                joined.pop(key, None)
            else:
                joined[key] = value
    return joined, ""


# --- Context longer than the client shows -------------------------------------------------------------------

KEEP_CONTEXT_S = 24 * 3600


def kept_whole(decision: Decision, project: str) -> Decision:
    """Put the context that doesn't fit into a file of the project's state, for a day, and name it."""
    try:
        folder = files.folder_in(project, ".claude", "fanout", "cache")
        path = os.path.join(folder, f"context-{time.time_ns():x}.txt")
        files.replace(path, decision.overflow.encode("utf-8", "replace"))
        _sweep(folder)
    except OSError:
        return decision
    answer = json.loads(decision.stdout)
    own = answer["hookSpecificOutput"]
    own["additionalContext"] += f"\n[The hooks said more than fits here; all of it is in {path}]"
    return decision._replace(stdout=json.dumps(answer, ensure_ascii=True, separators=(",", ":")))


def _sweep(folder: str) -> None:
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        with contextlib.suppress(OSError):  # another event sweeps, too
            if name.startswith("context-") and time.time() - os.lstat(path).st_mtime > KEEP_CONTEXT_S:
                os.unlink(path)
