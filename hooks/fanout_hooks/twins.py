"""A hook that several scopes hold runs once an event, as the client runs equal hooks of several files once.

Each scope's settings file has an entry of its own, so each comes with the event for itself, and no one knows
which others will: a file may be left out (`--setting-sources`) or not be trusted. So nobody steps back for
what another could do. Whoever comes first with a hook that other scopes' hooks.json hold, too, leaves a claim
of it (claims.py), and those who find the claim leave that hook out. A hooks.json that nothing registers never
makes a claim, so it can't take a hook from anybody.

Guards are run by each scope that has them: one that is run twice denies twice, one that is left out could let
something through.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

from fanout_hooks import claims, config
from fanout_hooks import event as events
from fanout_hooks.config import Hook

_Held = frozenset[tuple[object, ...]]
_held: dict[tuple[str, str], tuple[tuple[int, ...], _Held]] = {}
"""What the hooks.json of a project and scope was read to hold, and the state that the file was in."""


def left_to_us(
    hooks: Sequence[Hook], event: dict[str, Any], project: str, claude: str, where: str
) -> list[Hook]:
    """Return those of an event's hooks that no other scope has taken. `where`: the folder of claims."""
    scopes = {hook.scope for hook in hooks if not hook.guard}
    if not scopes:
        return list(hooks)
    others = [scope for scope in config.SCOPES if scope not in scopes]
    elsewhere = frozenset[tuple[object, ...]]().union(*(_of(scope, project, claude) for scope in others))
    return [hook for hook in hooks if _key(hook) not in elsewhere or _is_first(hook, event, where)]


def _is_first(hook: Hook, event: dict[str, Any], where: str) -> bool:
    name = events.claim_name(event, "twin", json.dumps(hook.identity))
    return claims.claim(where, name, f"scope {hook.scope}")


def _of(scope: str, project: str, claude: str) -> _Held:
    path = config.path_of(scope, project, claude)
    try:
        about = os.stat(path)
    except OSError:
        return frozenset()
    state = (about.st_mtime_ns, about.st_size, about.st_ino)
    known = _held.get((path, project))
    if known is None or known[0] != state:
        found = config.load((scope,), project, claude).hooks
        known = _held[path, project] = (state, frozenset(_key(hook) for hook in found if not hook.guard))
    return known[1]


def _key(hook: Hook) -> tuple[object, ...]:
    return (hook.event, hook.guard, *hook.identity)
