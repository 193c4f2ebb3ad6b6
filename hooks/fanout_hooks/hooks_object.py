"""The `hooks` of a settings file, as Claude Code reads it: which entries are ours, what would be refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from fanout_hooks.client import events
from fanout_hooks.config import is_timeout
from fanout_hooks.entries import MARK, PLUGIN_SERVER, SERVER, TOOL, Group


def is_ours(entry: Any) -> bool:
    """Say whether an entry of a settings file was put there by fanout."""
    if not isinstance(entry, dict):
        return False
    if entry.get("type") == "mcp_tool":
        return entry.get("server") in (SERVER, PLUGIN_SERVER) and entry.get("tool") == TOOL
    return str(entry.get("command", "")).startswith(MARK)


def each(hooks: Any) -> Iterator[tuple[str, Group, dict[str, Any]]]:
    """Yield (event, group, entry) of a settings file's `hooks`, leaving out what isn't of that form."""
    for event, groups in hooks.items() if isinstance(hooks, dict) else ():
        for group in groups if isinstance(groups, list) else ():
            entries = group.get("hooks") if isinstance(group, dict) else None
            for entry in entries if isinstance(entries, list) else ():
                if isinstance(entry, dict):
                    yield event, group, entry


def without(hooks: dict[str, Any], is_out: Callable[[Any], bool]) -> dict[str, Any]:
    """Return `hooks` less the entries for which `is_out(entry)`; groups and events left empty go too."""
    kept: dict[str, Any] = {}
    for event, groups in hooks.items():
        left = []
        for group in groups if isinstance(groups, list) else []:
            own = group.get("hooks") if isinstance(group, dict) else None
            if not isinstance(own, list) or not any(is_out(entry) for entry in own):
                left.append(group)
            elif rest := [entry for entry in own if not is_out(entry)]:
                left.append({**group, "hooks": rest})
        if left or not isinstance(groups, list) or not groups:
            kept[event] = left if isinstance(groups, list) else groups
    return kept


def without_ours(hooks: dict[str, Any]) -> dict[str, Any]:
    """Return `hooks` less everything that fanout ever put there."""
    return without(hooks, is_ours)


def only_ours(hooks: dict[str, Any]) -> dict[str, Any]:
    """Return `hooks` less everything but ours; a group without entries is nobody's."""
    found: dict[str, Any] = {}
    for event, group, _ in each(hooks):
        kept = {**group, "hooks": [entry for entry in group["hooks"] if is_ours(entry)]}
        if kept["hooks"] and kept not in found.setdefault(event, []):
            found[event].append(kept)
    return {event: groups for event, groups in found.items() if groups}


def joined(hooks: dict[str, Any], more: dict[str, list[Group]]) -> dict[str, Any]:
    """Return `hooks` with our groups after those that are there."""
    there = {event: groups for event in more if isinstance(groups := hooks.get(event), list)}
    return hooks | {event: [*there.get(event, []), *groups] for event, groups in more.items() if groups}


def replaced(
    hooks: dict[str, Any], is_own: Callable[[Any], bool], made: dict[str, list[Group]]
) -> dict[str, Any]:
    """Return `hooks` with these groups for the owned ones; unchanged, their order too, if they are there."""
    there = without(hooks, lambda entry: not is_own(entry))
    if {event: groups for event, groups in there.items() if groups} == made:
        return hooks
    return joined(without(hooks, is_own), made)


# --- checking -----------------------------------------------------------------------------------------------

NEEDED = {
    "command": ("command",),
    "http": ("url",),
    "mcp_tool": ("server", "tool"),
    "prompt": ("prompt",),
    "agent": ("prompt",),
}
TEXT, SWITCH, TEXTS = "a text", "true or false", "a list of texts"
FORMS = {
    "if": TEXT,
    "statusMessage": TEXT,
    "rewakeMessage": TEXT,
    "rewakeSummary": TEXT,
    "model": TEXT,
    "once": SWITCH,
    "async": SWITCH,
    "asyncRewake": SWITCH,
    "holdsTools": SWITCH,
    "continueOnBlock": SWITCH,
    "args": TEXTS,
    "allowedEnvVars": TEXTS,
}
"""What the client wants of the keys that an entry may leave out; `null` is not leaving out."""
_OF = {
    TEXT: lambda value: isinstance(value, str),
    SWITCH: lambda value: isinstance(value, bool),
    TEXTS: lambda value: isinstance(value, list) and all(isinstance(one, str) for one in value),
}
_DEPTH = 3


def problems(hooks: Any) -> list[str]:
    """Return what makes Claude Code drop the whole settings file, each with its place.

    That is how it treats a bad entry of the events whose hooks guard what the file permits.
    """
    if not isinstance(hooks, dict):
        return ['"hooks" must be an object']
    found = []
    for event, groups in hooks.items():
        if event in events.STRICT and groups is not None:
            found += list(_bad(event, groups))
        elif event not in events.BY_NAME and _holds_guards(groups):
            found.append(f"{event} is not an event, and holds hooks that may guard something")
    return found


def ignored(hooks: dict[str, Any]) -> list[str]:
    """Return what Claude Code leaves out of a `hooks` object while it reads the rest."""
    found = [f"{event} is not an event" for event in hooks if event not in events.BY_NAME]
    for event, groups in hooks.items():
        if event in events.BY_NAME and event not in events.STRICT:
            found += list(_bad(event, groups))
    return found


def _bad(event: str, groups: Any) -> Iterator[str]:
    if not isinstance(groups, list):
        yield f"{event} must be a list of groups"
        return
    for at, group in enumerate(groups):
        where = f"{event}[{at}]"
        entries = group.get("hooks") if isinstance(group, dict) else None
        if not isinstance(entries, list):
            yield f'{where} must be {{"matcher": text, "hooks": [...]}}'
            continue
        if why := group_problem(group):
            yield f"{where}{why}"
        for number, entry in enumerate(entries):
            if why := entry_problem(entry):
                yield f"{where}.hooks[{number}]: {why}"


def group_problem(group: dict[str, Any]) -> str:
    """Return why Claude Code doesn't take a group, or ""."""
    return "" if isinstance(group.get("matcher", ""), str) else ".matcher must be a text"


def entry_problem(entry: Any) -> str:
    """Return why Claude Code doesn't take an entry, or ""."""
    kind = entry.get("type") if isinstance(entry, dict) else None
    if not isinstance(kind, str) or kind not in NEEDED:
        return f"its type must be one of {', '.join(NEEDED)}, not {kind!r}"
    missing = [key for key in NEEDED[kind] if not isinstance(entry.get(key), str)]
    if missing:
        return f"{missing[0]!r} is missing"
    for key, form in FORMS.items():
        if key in entry and not _OF[form](entry[key]):
            return f"{key} must be {form}"
    if "timeout" in entry and (entry["timeout"] is None or not is_timeout(entry["timeout"])):
        return "timeout must be a number of seconds above 0"
    if kind != "mcp_tool" and entry.get("onFailure", "continue") not in ("continue", "block"):
        return 'onFailure must be "continue" or "block"'
    if entry.get("shell", "bash") not in ("bash", "powershell"):
        return 'shell must be "bash" or "powershell"'
    headers = entry.get("headers", {})
    if not isinstance(headers, dict) or not all(isinstance(value, str) for value in headers.values()):
        return "headers must be an object of texts"
    return ""


def _holds_guards(value: Any, depth: int = _DEPTH) -> bool:
    """Say whether something out of place holds hooks of an event whose bad entries drop the file."""
    if isinstance(value, list):
        return depth > 0 and any(_holds_guards(one, depth - 1) for one in value)
    if not isinstance(value, dict):
        return False
    if any(value.get(event) for event in events.STRICT):
        return True
    return depth > 0 and any(_holds_guards(one, depth - 1) for one in value.values())
