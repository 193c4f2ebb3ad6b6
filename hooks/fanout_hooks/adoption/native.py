"""Sort the entries of a settings file: hooks that fanout can run, those only the client can, and our own.

Pure: `hooks` objects in, `hooks` objects out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from fanout_hooks.adoption import entries
from fanout_hooks.client import config, events, places

BY_CLIENT = "Claude Code itself sends http hooks, faster than a process could, and by its policy"
"""Its lists of addresses and variables, its proxies and its sandbox decide what leaves the machine."""

Hooks = dict[str, Any]


class StaysNative(NamedTuple):
    """A hook that stays in the settings file, and why ("": it could be adopted)."""

    event: str
    name: str
    why: str


def why_native(event: str, group: entries.Group, entry: dict[str, Any]) -> str:
    """Return why a hook stays in settings.json, or ""."""
    if why := events.why_native(event):
        return why
    if why := entries.group_problem(group).lstrip(".") or entries.entry_problem(entry):
        return f"Claude Code ignores it: {why}"
    if entry.get("type") in config.NATIVE_TYPES:
        return f"only Claude Code itself runs {entry['type']} hooks"
    if entry.get("type") == "http":
        return BY_CLIENT if events.of(event).runs_http else "Claude Code sends no http hooks at this event"
    asked = [key for key in config.NATIVE_KEYS if entry.get(key)]
    if asked:
        return f"only Claude Code itself can do what {' and '.join(asked)} ask{'s' * (len(asked) == 1)} for"
    return config.why_bad(entry) or config.why_unmatched(event, group.get("matcher") or "")


def runnable(hooks: Hooks) -> Hooks:
    taken: Hooks = {}
    for event, group, entry in entries.each(hooks):
        if entries.is_ours(entry) or why_native(event, group, entry):
            continue
        groups = taken.setdefault(event, [])
        own = {key: value for key, value in group.items() if key != "hooks"}
        if groups and {key: value for key, value in groups[-1].items() if key != "hooks"} == own:
            groups[-1]["hooks"].append(entry)
        else:
            groups.append({**own, "hooks": [entry]})
    return taken


def left(hooks: Hooks, reasons: Mapping[int, str]) -> Iterator[StaysNative]:
    """Yield the hooks that stay in the settings; `reasons` are more, by the entry's id()."""
    for event, group, entry in entries.each(hooks):
        if not entries.is_ours(entry):
            has_words = entry.get("command") or entry.get("url")
            name = config.short_name(entry, group) if has_words else str(entry.get("type"))
            yield StaysNative(event, name, why_native(event, group, entry) or reasons.get(id(entry), ""))


def owned_by(scope: str) -> Callable[[Any], bool]:
    begins = (f"{places.MARK}{scope};", f"{places.MARK}{scope} guard;")

    def is_owned(entry: Any) -> bool:
        if not entries.is_ours(entry):
            return False
        given = entry.get("input")
        if isinstance(given, dict):
            return bool(given.get("fanout_scopes") == scope)
        return str(entry.get("command", "")).startswith(begins)

    return is_owned


def is_adopted(hooks: Hooks, scope: str) -> bool:
    """Say whether entries of ours lead from here to the scope's hooks.json."""
    return any(map(owned_by(scope), (entry for _, _, entry in entries.each(hooks))))


def plain_entry(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key not in config.OUR_KEYS}


def plain(hooks: Hooks) -> Hooks:
    return changed(hooks, lambda _, entry: plain_entry(entry))


def still_there(known: Hooks, present: Hooks) -> Hooks:
    """Return the hooks of a hooks.json that no entry leads to, as far as the settings have them, too."""
    there = [(event, group.get("matcher"), entry) for event, group, entry in entries.each(present)]
    gone = [
        entry
        for event, group, entry in entries.each(known)
        if (event, group.get("matcher"), plain_entry(entry)) not in there
    ]
    return entries.less(known, gone)


def with_new(known: Hooks, taken: Hooks) -> Hooks:
    there = [(event, group.get("matcher"), plain_entry(entry)) for event, group, entry in entries.each(known)]
    old = [
        entry for event, group, entry in entries.each(taken) if (event, group.get("matcher"), entry) in there
    ]
    # What was to block when it fails is a guard.
    more = changed(
        entries.less(taken, old),
        lambda event, entry: {**entry, "guard": True} if is_guard(event, entry) else entry,
    )
    return entries.joined(known, more)


def changed(hooks: Hooks, change: Callable[[str, dict[str, Any]], dict[str, Any]]) -> Hooks:
    return {
        event: [{**group, "hooks": [change(event, entry) for entry in group["hooks"]]} for group in groups]
        for event, groups in hooks.items()
    }


def is_guard(event: str, entry: dict[str, Any]) -> bool:
    return entry.get("onFailure") == "block" and events.of(event).heeds_on_failure


def with_guards_named(hooks: Hooks, called: Sequence[str]) -> Hooks:
    """Return `hooks` with each guard's name written out: its entry asks for it, and originals.py by it."""
    name_of = {id(entry): name for (_, _, entry), name in zip(entries.each(hooks), called, strict=True)}
    return changed(
        hooks, lambda _, entry: {**entry, "name": name_of[id(entry)]} if entry.get("guard") else entry
    )


def names(hooks: Hooks) -> list[str]:
    return [
        f"{event}: {entry.get('name') or config.short_name(entry, group)}"
        for event, group, entry in entries.each(hooks)
    ]
