"""What we add to somebody's JSON file, and how exactly that is taken out again.

Rules:
1. An addition is one value under a key, or one item of a list. What is there already is not added, and so
   not taken out either: a rule that the user wrote stays.
2. Objects and lists that had to be made for it are noted, and go with it when they are empty then.
3. Taking out looks for the value itself, so whatever the user changed around it stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import deepcopy
from typing import Any

from pydantic import BaseModel

from fanout_mcp.errors import InvalidInput
from fanout_mcp.types import Json

Keys = tuple[str, ...]


class Addition(BaseModel, frozen=True):
    """One value of ours: under the last key, or (`is_item`) in the list that is under it."""

    keys: Keys
    value: Any
    is_item: bool = False


class Made(BaseModel, frozen=True):
    """What was really added."""

    additions: tuple[Addition, ...] = ()
    containers: tuple[Keys, ...] = ()

    def __add__(self, other: Made) -> Made:
        return Made(additions=self.additions + other.additions, containers=self.containers + other.containers)

    def split(self, wanted: Iterable[Addition]) -> tuple[Made, Made]:
        """Return what is still wanted, with the containers, and what isn't any more."""
        stays = list(wanted)
        kept = tuple(one for one in self.additions if one in stays)
        gone = tuple(one for one in self.additions if one not in stays)
        return Made(additions=kept, containers=self.containers), Made(additions=gone)


def add(data: Json, wanted: Sequence[Addition]) -> tuple[Json, Made]:
    """Return the data with the additions, and what was added. Raises InvalidInput where one can't be."""
    data = deepcopy(data)
    made: list[Addition] = []
    containers: list[Keys] = []
    for one in wanted:
        holder = data
        for depth, key in enumerate(one.keys[:-1], 1):
            holder = _inside(holder, key, one.keys[:depth], {}, containers)
        last = one.keys[-1]
        if one.is_item:
            items = _inside(holder, last, one.keys, [], containers)
            if one.value not in items:
                items.append(deepcopy(one.value))
                made.append(one)
        elif last not in holder:
            holder[last] = deepcopy(one.value)
            made.append(one)
        elif holder[last] != one.value:
            raise InvalidInput(f"{'.'.join(one.keys)} is already there and isn't ours; remove or rename it.")
    return data, Made(additions=tuple(made), containers=tuple(containers))


def _inside(holder: Json, key: str, keys: Keys, empty: Json, containers: list[Keys]) -> Json:
    if key not in holder:
        holder[key] = empty
        containers.append(keys)
    if not isinstance(holder[key], type(empty)):
        kind = "a list" if isinstance(empty, list) else "an object"
        raise InvalidInput(f"{'.'.join(keys)} should be {kind}; mend it first.")
    return holder[key]


def take_out(data: Json, made: Made) -> Json:
    """Return the data without what was added; what the user has removed or changed since is left alone."""
    data = deepcopy(data)
    for one in made.additions:
        holder = _find(data, one.keys if one.is_item else one.keys[:-1])
        if one.is_item and isinstance(holder, list) and one.value in holder:
            holder.remove(one.value)
        elif not one.is_item and isinstance(holder, dict) and _is_ours(holder.get(one.keys[-1]), one.value):
            del holder[one.keys[-1]]
    for keys in sorted(made.containers, key=len, reverse=True):
        holder = _find(data, keys[:-1])
        if isinstance(holder, dict) and holder.get(keys[-1]) in ({}, []):
            del holder[keys[-1]]
    return data


def _is_ours(now: Json, value: Json) -> bool:
    """An object that the user has only added to (a timeout, say) is still ours."""
    if isinstance(now, dict) and isinstance(value, dict):
        return all(key in now and now[key] == part for key, part in value.items())
    return bool(now == value)


def _find(data: Json, keys: Keys) -> Json:
    for key in keys:
        if not isinstance(data, dict) or key not in data:
            return None
        data = data[key]
    return data
