"""Changes the `hooks` in the text of a settings file group by group: what stays keeps its bytes."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from fanout_hooks import json_edit, json_text

KEY = "hooks"


class Edited(NamedTuple):
    """A settings file's text, and whether all that stays in its `hooks` has the bytes that it had."""

    text: str
    is_exact: bool


def with_hooks(text: str, wanted: dict[str, Any]) -> Edited:
    """Return the text with these hooks: groups cut out, others put in behind; without any, no `hooks`.

    Groups that changed inside, or whose order did, can't be had so: then all of `hooks` is written anew. An
    event with an empty list says nothing, and stays.
    """
    edited = text
    for event, groups in json.loads(text).get(KEY, {}).items():
        edited = _cut(edited, event, groups, wanted.get(event))
    for event, groups in wanted.items():
        there = json.loads(edited).get(KEY, {}).get(event, [])
        for group in _more(groups, there):
            edited = json_edit.with_item(edited, (KEY, event), group)
    made = json.loads(edited).get(KEY, {})
    if _filled(made) == _filled(wanted):
        return Edited(edited if made else json_text.with_value(edited, KEY, None), is_exact=True)
    return Edited(json_text.with_value(text, KEY, wanted or None), is_exact=False)


def _filled(hooks: dict[str, Any]) -> dict[str, Any]:
    return {event: groups for event, groups in hooks.items() if groups != []}


def _cut(text: str, event: str, groups: Any, wanted: Any) -> str:
    """Cut the groups of an event that aren't wanted, and an event that isn't."""
    if wanted is None:
        return text if groups == [] else json_edit.without(text, (KEY, event))
    if not isinstance(groups, list) or not isinstance(wanted, list):
        return text
    for number in reversed(range(len(groups))):
        if groups[number] not in wanted:
            text = json_edit.without(text, (KEY, event, number))
    return text


def _more(groups: Any, there: Any) -> list[Any]:
    if not isinstance(groups, list) or not isinstance(there, list):
        return []
    return [group for group in groups if group not in there]
