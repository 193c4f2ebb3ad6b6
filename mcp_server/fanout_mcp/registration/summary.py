"""What a change adds and takes out, in a line each: what somebody reads before the diff, or instead of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

from fanout_hooks.entries import MARK
from fanout_hooks.hooks_object import is_ours
from fanout_mcp.counted import counted
from fanout_mcp.registration.plan import Change
from fanout_mcp.types import Json

LONGEST: Final = 100
"""Of a value of somebody else's."""


def of(change: Change) -> list[str]:
    """Return a line for each thing that comes, goes or changes."""
    if not change.is_json:
        return [_text(change)]
    before, after = (json.loads(text) if text else {} for text in (change.before, change.after))
    return list(_changes((), before, after))


def _text(change: Change) -> str:
    old, new = ((text or "").splitlines() for text in (change.before, change.after))
    if change.before is None:
        return f"+ a new file of {counted(len(new), 'line')}"
    if change.after is None:
        return f"- the file, {counted(len(old), 'line')}"
    come, go = (len([line for line in one if line not in other]) for one, other in ((new, old), (old, new)))
    return f"~ {counted(come, 'line')} instead of {go}" if go else f"+ {counted(come, 'line')}"


def _changes(keys: tuple[str, ...], before: Json, after: Json) -> Iterator[str]:
    if isinstance(before, list) and isinstance(after, list):
        yield from (_said("-", keys, item) for item in before if item not in after)
        yield from (_said("+", keys, item) for item in after if item not in before)
        return
    for key in [*before, *(key for key in after if key not in before)]:
        old, new = before.get(key), after.get(key)
        inner = (*keys, key)
        if old == new and (key in before) == (key in after):
            continue
        if _is_opened(old, new):
            empty: Json = [] if isinstance(old if new is None else new, list) else {}
            yield from _changes(inner, empty if old is None else old, empty if new is None else new)
        else:
            yield from [_said("-", inner, old)] if key in before else []
            yield from [_said("+", inner, new)] if key in after else []


def _is_opened(old: Json, new: Json) -> bool:
    """Whether what is inside is worth more than the whole: not of a thing that stands for itself."""
    there = [one for one in (old, new) if one is not None]
    if all(isinstance(one, list) for one in there):
        return True
    return all(
        isinstance(one, dict) and all(isinstance(value, dict | list) for value in one.values())
        for one in there
    )


def _said(sign: str, keys: tuple[str, ...], value: Json) -> str:
    name = ".".join(keys)
    if isinstance(value, dict) and isinstance(value.get("hooks"), list):
        matcher = f" [{value['matcher']}]" if value.get("matcher") else ""
        return f"{sign} {name}{matcher}: {', '.join(map(_entry, value['hooks']))}"
    if isinstance(value, dict) and isinstance(value.get("command"), str):
        return f"{sign} {name}: {_short(' '.join([value['command'], *map(str, value.get('args', []))]))}"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"{sign} {name}: {_short(text)}"


def _entry(entry: Json) -> str:
    if not isinstance(entry, dict):
        return _short(json.dumps(entry))
    if entry.get("type") == "mcp_tool":
        return f"a call of the server {entry.get('server')}"
    command = str(entry.get("command", ""))
    if is_ours(entry) and command.startswith(MARK):
        return "a line of sh for when the server isn't there"
    return _short(command or str(entry.get("url") or entry.get("type")))


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
