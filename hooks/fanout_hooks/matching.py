"""Which hooks an event runs: matchers as the client reads them, and the choice by them.

    is_match(matcher, value)    whether a group is meant
    union(matchers)             one matcher for several groups
    choose(held, event)         the hooks of an event, in order

The tables and rules are the client's own, as seen.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from fanout_hooks.config import Config, Hook

MATCHED_FIELD = {
    "PreToolUse": "tool_name",
    "PostToolUse": "tool_name",
    "PostToolUseFailure": "tool_name",
    "PermissionRequest": "tool_name",
    "PermissionDenied": "tool_name",
    "SessionStart": "source",
    "SessionEnd": "reason",
    "Setup": "trigger",
    "PreCompact": "trigger",
    "PostCompact": "trigger",
    "SubagentStart": "agent_type",
    "SubagentStop": "agent_type",
    "Notification": "notification_type",
    "ConfigChange": "source",
    "UserPromptExpansion": "command_name",
    "InstructionsLoaded": "load_reason",
    "StopFailure": "error",
}
_PLAIN = re.compile(r"[A-Za-z0-9_|, ]+")
_ALIASES = {"Agent": ("Agent", "Task"), "Task": ("Agent", "Task")}


def words_of(matcher: str) -> list[str]:
    """Return the words of a matcher that is nothing but words, which the client takes exactly; else none."""
    return [word.strip() for word in re.split(r"[|,]", matcher)] if _PLAIN.fullmatch(matcher) else []


def is_match(matcher: str, value: str) -> bool:
    """Match as the client does: plain words are exact, anything else is a pattern searched for."""
    if matcher in {"", "*"}:
        return True
    values = _ALIASES.get(value, (value,))
    words = words_of(matcher)
    if words:
        return any(word in values for word in words)
    try:
        pattern = re.compile(matcher)
    except re.error:
        return False
    return any(pattern.search(one) for one in values)


def union(matchers: Iterable[str]) -> str:
    """Return a matcher that matches whatever one of these does; "" matches all."""
    own = list(dict.fromkeys(matchers))
    if any(one in {"", "*"} for one in own):
        return ""
    words: dict[str, None] = {}
    patterns = []
    for one in own:
        plain = words_of(one)
        words |= dict.fromkeys(plain)
        if not plain:
            patterns.append(one)
    if not patterns:
        return "|".join(words)
    # In a pattern the client knows no aliases, and plain words are no longer exact.
    if words.keys() & {"Agent", "Task"}:
        words |= {"Agent": None, "Task": None}
    exact = [f"^(?:{'|'.join(words)})$"] if words else []
    return "|".join(exact + [f"(?:{pattern})" for pattern in patterns])


class NoSuchGuard(LookupError):
    """The entry of a guard leads to none: it can't be run, so it denies."""


def must_have(held: Config, event: dict[str, Any], name: str) -> None:
    """Raise NoSuchGuard when an event has no hook of this name, whatever it matches."""
    if not any(hook.name == name and hook.event == event.get("hook_event_name") for hook in held.hooks):
        why = "; ".join(held.problems) or "hooks.json has none of that name"
        raise NoSuchGuard(f"the guard {name!r} can't run: {why}. `fanout-hooks check` tells more")


def choose(held: Config, event: dict[str, Any], only: str = "") -> list[Hook]:
    """Return the hooks of an event in order; identical ones once, guards only where they are asked for."""
    name = str(event.get("hook_event_name", ""))
    value = event.get(MATCHED_FIELD.get(name, ""))
    seen: set[tuple[object, ...]] = set()
    chosen: list[Hook] = []
    for hook in held.hooks:
        if hook.event != name or hook.identity in seen:
            continue
        if (hook.name != only) if only else hook.guard:
            continue
        if name in MATCHED_FIELD and not is_match(hook.matcher, str(value or "")):
            continue
        seen.add(hook.identity)
        chosen.append(hook)
    return chosen
