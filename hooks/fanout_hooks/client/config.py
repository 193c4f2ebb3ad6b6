"""The form of `hooks.json`, the file of the hooks that fanout runs: read, and checked by name.

The form is that of Claude Code's settings, so that a hook moves over and back unchanged:

    {"version": 1,
     "hooks": {"PreToolUse": [{"matcher": "Bash",
                               "hooks": [{"type": "command", "command": "python3 guard.py", "timeout": 9}]}]}}

A hook may carry keys of ours beside the client's (`OUR_KEYS`; docs/hooks.md says what they mean).

Rules:
1. A file counts only for the scope whose settings file registered it; which scopes did, the entry itself says
   (`scopes` below). A repository's hooks.json alone starts nothing.
2. A bad hook costs itself alone; what is wrong is said with its place and name. One that blocks when it fails
   counts as failed.
3. Order is configuration order: scopes as given, then events' groups, then hooks, as written.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from fanout_hooks.client import events, files, matchers

SCOPES = ("user", "local", "shared")
VERSION = 1
MAX_TIMEOUT_S = 1e9
"""Thirty years: above any slip of the pen (milliseconds, say), below what a clock or a `poll` can't count."""
MAX_REASON = 1000
"""Characters that a hook which stands in for a bad one says of it."""
PROJECT = "${CLAUDE_PROJECT_DIR}"
MAX_BYTES = 8 << 20
NATIVE_TYPES = ("prompt", "agent", "mcp_tool")
NATIVE_KEYS = ("if", "async", "asyncRewake", "once", "shell", "holdsTools", "cloud")
"""A hook with one of these stays in settings.json: only the client can do what they ask for."""
TEXT, SWITCH, TEXTS = "a text", "true or false", "a list of texts"
OUR_KEYS = {
    "name": TEXT,
    "reads": TEXTS,
    "writes": TEXTS,
    "resources": TEXTS,
    "after": TEXTS,
    "isolate": SWITCH,
    "guard": SWITCH,
}
"""What hooks.json may say of a hook beyond what settings.json does."""


class Hook(NamedTuple):
    name: str
    event: str
    scope: str
    matcher: str = ""
    command: str = ""
    args: tuple[str, ...] | None = None
    """Exec form when not None: no shell."""
    timeout_s: float = events.DEFAULT_TIMEOUT_S
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    isolate: bool = False
    guard: bool = False
    on_failure: str = "continue"
    status: str = ""
    """What the client shows while it runs, where its owner said."""

    @property
    def identity(self) -> tuple[object, ...]:
        """The client runs hooks with equal identity once an event."""
        return (self.command, self.args)


class Config(NamedTuple):
    hooks: tuple[Hook, ...] = ()
    problems: tuple[str, ...] = ()


def path_of(scope: str, project: str, claude: str) -> str:
    """Return where a scope's file lies; `claude` is the user's folder (client/places.py)."""
    if scope == "user":
        return os.path.join(claude, "fanout", "hooks.json")
    name = "hooks.local.json" if scope == "local" else "hooks.json"
    return os.path.join(project, ".claude", "fanout", name)


def load(scopes: Iterable[str], project: str, claude: str) -> Config:
    """Read the files of the registered scopes; a missing or broken one is a problem, never an exception."""
    hooks: list[Hook] = []
    problems: list[str] = []
    for scope in scopes:
        if scope not in SCOPES:
            problems.append(f"unknown scope {scope!r}; there are {', '.join(SCOPES)}")
            continue
        path = path_of(scope, project, claude)
        try:
            found = parse(_read(path), scope)
        except (OSError, ValueError) as error:
            problems.append(f"{path}: {getattr(error, 'strerror', None) or error}")
            continue
        hooks.extend(_placed(hook, project) for hook in found.hooks)
        problems.extend(f"{path}: {problem}" for problem in found.problems)
    return named(hooks, problems)


def _placed(hook: Hook, project: str) -> Hook:
    """Fill in the one variable that the client fills into exec form, where no shell does."""
    if hook.args is None:
        return hook
    command, *args = (word.replace(PROJECT, project) for word in (hook.command, *hook.args))
    return hook._replace(command=command, args=tuple(args))


def _read(path: str) -> Any:
    raw = files.read(path, MAX_BYTES, follow=True)
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not valid JSON: {error}") from None


def parse(data: Any, scope: str) -> Config:
    """Turn the content of a hooks.json (or the `hooks` of a settings file) into hooks."""
    hooks: list[Hook] = []
    problems: list[str] = []
    held = data.get("hooks") if isinstance(data, dict) else None
    if not isinstance(held, dict):
        return Config((), ('there is no "hooks" object',))
    for where, event, group, entry in _entries(held, problems):
        matcher = group.get("matcher") or ""
        problem = events.why_native(event) or why_bad(entry) or why_unmatched(event, matcher)
        if problem:
            problems.append(f"{where}: {problem}")
            hooks.extend(_failing(entry, event, group, scope, problems[-1]))
            continue
        hooks.append(_hook(entry, event, group, scope))
    return Config(tuple(hooks), tuple(problems))


def _failing(
    entry: dict[str, Any], event: str, group: dict[str, Any], scope: str, problem: str
) -> Iterator[Hook]:
    """Yield what stands in for a bad hook that is to block when it fails: a command that says why, and fails.

    Its name stays taken, too: a guard's entry asks by name, and must not reach the next hook of that name.
    """
    if events.why_native(event):
        return
    known = {key: entry.get(key) for key in ("name", "command", "url", "guard", "onFailure")}
    args = entry.get("args")
    hook = _hook({**known, "args": args if isinstance(args, list) else None}, event, group, scope)
    is_unmatched = bool(why_unmatched(event, hook.matcher))
    # Only a guard has an entry of its own, for which the client itself reads the matcher: any other hook
    # with a matcher that is not read here would block every call of the event.
    if hook.on_failure != "block" or (is_unmatched and not hook.guard):
        return
    yield hook._replace(
        matcher="" if is_unmatched else hook.matcher,
        command="/bin/sh",
        args=("-c", 'printf "%s\\n" "$1" >&2; exit 1', "sh", problem[:MAX_REASON]),
        # One that only says `"guard": 1` was never registered as a guard: it fails with the others.
        guard=entry.get("guard") is True,
    )


def _entries(
    held: dict[str, Any], problems: list[str]
) -> Iterator[tuple[str, str, dict[str, Any], dict[str, Any]]]:
    for event, groups in held.items():
        if not isinstance(groups, list):
            problems.append(f"{event}: must be a list of groups")
            continue
        for at, group in enumerate(groups):
            where = f"{event}[{at}]"
            entries = group.get("hooks") if isinstance(group, dict) else None
            matcher = group.get("matcher") if isinstance(group, dict) else None
            if not isinstance(entries, list) or not isinstance(matcher, str | None):
                problems.append(f'{where}: must be {{"matcher": text, "hooks": [...]}}')
                continue
            for number, entry in enumerate(entries):
                if isinstance(entry, dict):
                    yield f"{where}.hooks[{number}]", event, group, entry
                else:
                    problems.append(f"{where}.hooks[{number}]: must be an object")


def why_bad(entry: dict[str, Any]) -> str:
    kind = entry.get("type", "command")
    if kind != "command":
        return f"type {kind!r} can't be run by fanout; it belongs into settings.json"
    if any(entry.get(key) for key in NATIVE_KEYS):
        return f"{', '.join(key for key in NATIVE_KEYS if entry.get(key))} only works in settings.json"
    if not isinstance(entry.get("command"), str) or not entry["command"].strip():
        return "'command' is missing"
    if not is_timeout(entry.get("timeout"), MAX_TIMEOUT_S):
        return f"timeout must be a number of seconds above 0, and at most {MAX_TIMEOUT_S:.0e}"
    forms = {"args": TEXTS, **OUR_KEYS}
    # In a hooks.json null is the same as a list that is left out.
    return misformed(
        entry, {key: form for key, form in forms.items() if form != TEXTS or entry.get(key) is not None}
    )


def misformed(entry: dict[str, Any], forms: Mapping[str, str]) -> str:
    """Return which of the keys that an entry may leave out has another form, or ""; null is one."""
    for key in filter(entry.__contains__, forms):
        value, form = entry[key], forms[key]
        is_list = isinstance(value, list) and all(isinstance(one, str) for one in value)
        if not (is_list if form == TEXTS else isinstance(value, bool if form == SWITCH else str)):
            return f"{key} must be {form}"
    return ""


def why_unmatched(event: str, matcher: str) -> str:
    row = events.of(event)
    why = matchers.why_unread(matcher, lists_names=row.lists_names) if row.matches else ""
    return f"its matcher {matcher!r} is not read here as Claude Code reads it ({why})" if why else ""


def is_timeout(value: object, at_most: float = float("inf")) -> bool:
    """Say whether a hook may have this as its `timeout`: none, or seconds."""
    if value is None:
        return True
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= at_most


def _hook(entry: dict[str, Any], event: str, group: dict[str, Any], scope: str) -> Hook:
    args, blocks = entry.get("args"), entry.get("guard") or entry.get("onFailure") == "block"
    return Hook(
        name=str(entry.get("name") or short_name(entry, group)),
        event=event,
        scope=scope,
        matcher=group.get("matcher") or "",
        command=str(entry["command"]),
        args=None if args is None else tuple(args),
        timeout_s=float(entry.get("timeout") or events.of(event).timeout_s),
        reads=tuple(entry.get("reads") or ()),
        writes=tuple(entry.get("writes") or ()),
        resources=tuple(entry.get("resources") or ()),
        after=tuple(entry.get("after") or ()),
        isolate=bool(entry.get("isolate")),
        guard=bool(entry.get("guard")),
        on_failure="block" if blocks and events.of(event).heeds_on_failure else "continue",
        status=str(entry.get("statusMessage") or ""),
    )


SCRIPTS = "py|sh|bash|js|mjs|ts|rb|pl"
_SCRIPT = re.compile(rf"([^\s\"'/=]{{1,255}})\.(?:{SCRIPTS})\b")


_ASSIGNED = re.compile(r"""[A-Za-z_]\w*=(?:"?\$\(\s*|`\s*|(?:"[^"]*"|'[^']*'|[^\s;&|()`]*)[\s;&|]*)""")
"""A variable's value is not the name of a hook; the command that makes the value is."""
_NOT_NAMES = ("if", "while", "until", "exec", "env", "time", "then", "do", "!", "[", "[[", "{", "(", "set")
MAX_NAME = 60


def short_name(entry: dict[str, Any], group: dict[str, Any] | None = None) -> str:
    """Return what to call a hook without a name: its script, its group's name, else its first program."""
    words = " ".join([str(entry.get("command") or ""), *map(str, entry.get("args") or ())])
    if entry.get("url"):
        words = str(entry["url"]).partition("://")[2] or str(entry["url"])
        return words.partition("?")[0][:MAX_NAME]
    script = _SCRIPT.search(words)
    if script:
        return script.group(1)
    for key in ("id", "description"):
        called = (group or {}).get(key)
        if isinstance(called, str) and called.strip():
            return " ".join(called.split())[:MAX_NAME]
    while assigned := _ASSIGNED.match(words.lstrip()):
        words = words.lstrip()[assigned.end() :]
    programs = [word for word in re.split(r"[\s;&|()`]+", words) if word and word not in _NOT_NAMES]
    return os.path.basename((programs or ["hook"])[0].strip("\"'"))[:MAX_NAME] or "hook"


def named(hooks: list[Hook], problems: list[str]) -> Config:
    """Make names unique within an event, and report what `after` names in vain or in a circle."""
    written = {(hook.event, hook.name) for hook in hooks}
    named: list[Hook] = []
    taken: set[tuple[str, str]] = set()
    for hook in hooks:
        name, number = hook.name, 1
        # A guard's name is in its entry: a number that is counted again must not lead there.
        while (hook.event, name) in taken or (number > 1 and (hook.event, name) in written):
            number += 1
            name = f"{hook.name}-{number}"
        taken.add((hook.event, name))
        named.append(hook if number == 1 else hook._replace(name=name))
    for event in dict.fromkeys(hook.event for hook in named):
        problems.extend(f"{event}: {problem}" for problem in after_problems(named, event))
    return Config(tuple(named), tuple(problems))


def after_problems(hooks: Iterable[Hook], event: str) -> list[str]:
    own = {hook.name: hook for hook in hooks if hook.event == event}
    problems = [
        f'"{hook.name}" says after "{name}", and there is no hook of that name'
        for hook in own.values()
        for name in hook.after
        if name not in own
    ]
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        if name in trail:
            circle = " -> ".join([*trail[trail.index(name) :], name])
            problems.append(f"`after` goes in a circle: {circle}")
            return
        if name in done or name not in own:
            return
        done.add(name)
        for earlier in own[name].after:
            visit(earlier, (*trail, name))

    for name in own:
        visit(name, ())
    return problems
