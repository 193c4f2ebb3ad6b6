"""The `hooks` of a settings file, as Claude Code reads it: which entries are ours, what would be refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

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
    rest = without(hooks, lambda entry: not is_ours(entry))
    found = {event: [group for group in groups if group["hooks"]] for event, groups in rest.items()}
    return {event: groups for event, groups in found.items() if groups}


def joined(hooks: dict[str, Any], more: dict[str, list[Group]]) -> dict[str, Any]:
    """Return `hooks` with our groups after those that are there."""
    return hooks | {event: [*hooks.get(event, []), *groups] for event, groups in more.items() if groups}


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


def problems(hooks: Any) -> list[str]:
    """Return what Claude Code would refuse in a `hooks` object, each with its place."""
    if not isinstance(hooks, dict):
        return ['"hooks" must be an object']
    found = []
    for event, groups in hooks.items():
        if not isinstance(groups, list):
            found.append(f"{event} must be a list of groups")
            continue
        for at, group in enumerate(groups):
            found += [f"{event}[{at}]{why}" for why in _group_problems(group)]
    return found


def _group_problems(group: Any) -> Iterator[str]:
    entries = group.get("hooks") if isinstance(group, dict) else None
    if not isinstance(entries, list):
        yield ' must be {"matcher": text, "hooks": [...]}'
        return
    if not isinstance(group.get("matcher"), str | None):
        yield ".matcher must be a text"
    for number, entry in enumerate(entries):
        why = _entry_problem(entry)
        if why:
            yield f".hooks[{number}]: {why}"


def _entry_problem(entry: Any) -> str:
    kind = entry.get("type") if isinstance(entry, dict) else None
    if kind not in NEEDED:
        return f"its type must be one of {', '.join(NEEDED)}, not {kind!r}"
    missing = [key for key in NEEDED[kind] if not isinstance(entry.get(key), str)]
    if missing:
        return f"{missing[0]!r} is missing"
    if not is_timeout(entry.get("timeout")):
        return "timeout must be a number of seconds above 0"
    if entry.get("onFailure") not in (None, "continue", "block"):
        return 'onFailure must be "continue" or "block"'
    return ""
