"""Which hooks an event runs, by the client's own rules (client/matchers.py).

choose(held, event)              the hooks of an event, each with the tool's name under which it is meant
groups_of(event, matchers)       the matchers of the groups that together fire whenever one of these does
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from fanout_hooks.client import events, hook_input, matchers
from fanout_hooks.client.config import Config, Hook
from fanout_hooks.run import claims


def groups_of(event: str, wanted: Iterable[str]) -> list[str]:
    """Return the matchers of as many groups as it takes to fire on exactly the calls that one of these means.

    The client runs equal entries of several groups once, so each pattern keeps its own group: the client
    itself reads it, and what is wrong with one never touches another. Lists of names become one.
    """
    row = events.of(event)
    own = list(dict.fromkeys(wanted)) if row.matches else [""]
    if any(one in {"", "*"} for one in own):
        return [""]
    names: dict[str, None] = {}
    patterns = []
    for one in own:
        words = matchers.words_of(one, lists_names=row.lists_names)
        if words is None:
            patterns.append(one)
        else:
            names |= dict.fromkeys(words)
    return (["|".join(names)] if names else []) + patterns


class NoSuchGuard(LookupError):
    """The entry of a guard leads to none: it can't be run, so it denies."""


def must_have(held: Config, event: dict[str, Any], name: str) -> None:
    """Raise NoSuchGuard when an event has no hook of this name, whatever it matches."""
    if not any(hook.name == name and hook.event == event.get("hook_event_name") for hook in held.hooks):
        why = "; ".join(held.problems) or "hooks.json has none of that name"
        raise NoSuchGuard(f"the guard {name!r} can't run: {why}. `fanout-hooks check` reports more")


def choose(held: Config, event: dict[str, Any], only: str = "") -> dict[Hook, str]:
    """Return the hooks of an event in order, each with the name under which it is meant.

    Identical ones are in it once, guards only where they are asked for.
    """
    name = str(event.get("hook_event_name", ""))
    row = events.of(name)
    value = event.get(row.matches) if row.matches else None
    met = None if value is None else str(value)
    chosen: dict[tuple[object, ...], tuple[Hook, str]] = {}
    for hook in held.hooks:
        if hook.event != name or ((hook.name != only) if only else hook.guard):
            continue
        first, known = chosen.get(hook.identity, (hook, None))
        if known in (met, "*") and known is not None:
            continue
        seen = matchers.meets(
            hook.matcher, name, met, lists_names=row.lists_names, given=event.get("tool_input")
        )
        # A hook that is meant both by its own name and as another's stand-in is shown the call as it is.
        if seen and (known is None or seen in {met, "*"}):
            chosen[hook.identity] = (first, seen)
    return dict(chosen.values())


# --- Hooks that several scopes hold -------------------------------------------------------------------------
# It runs once an event, as the client runs equal hooks of several files once. Each scope's entry comes with
# the event for itself, and can't know which others will: a settings file may be left out
# (`--setting-sources`) or not be trusted. So the first one to come with a hook that other scopes' hooks.json
# hold, too, leaves a claim of it (claims.py), and those that find the claim leave that hook out. A hooks.json
# that nothing registers never makes a claim, so it can't take a hook from another.
#
# Guards are run by each scope that has them: one that is run twice denies twice, one that is left out could
# let something through.


def left_to_us(
    hooks: Sequence[Hook], event: dict[str, Any], elsewhere: Iterable[Hook], where: str
) -> list[Hook]:
    """Return those of an event's hooks that no other scope has taken. `where`: the folder of claims."""
    twins = {_key(hook) for hook in elsewhere if not hook.guard}
    return [hook for hook in hooks if _key(hook) not in twins or _is_first(hook, event, where)]


def _is_first(hook: Hook, event: dict[str, Any], where: str) -> bool:
    name = hook_input.claim_name(event, "twin", json.dumps(hook.identity))
    return claims.claim(where, name, f"scope {hook.scope}")


def _key(hook: Hook) -> tuple[object, ...]:
    return (hook.event, hook.guard, *hook.identity)
