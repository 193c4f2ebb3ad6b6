"""One hook event: what a hook reads on stdin, whichever way the event came to us.

Cold, the client writes the event to our stdin and the hooks get those very bytes. Warm, it comes as the
arguments of an `mcp_tool` call, for which the client has no "everything" variable: each field is asked for by
name, objects arrive as JSON text and missing fields as "". So `from_input(mcp_input(event))` gives a hook the
same object as native stdin would.

Which fields an event has, and in which form, is in client/events.py.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from fanout_hooks.client import events, files


class Field(NamedTuple):
    name: str
    form: str
    optional: bool


def fields_of(event: str) -> list[Field]:
    found: dict[str, Field] = {}
    for part in (events.COMMON, "hook_event_name:s", events.of(event).fields):
        optional = False
        for word in part.split():
            if word == "?":
                optional = True
                continue
            name, _, form = word.partition(":")
            found[name] = Field(name, form, optional)
    return list(found.values())


def mcp_input(event: str, scopes: tuple[str, ...]) -> dict[str, str]:
    """Return the `input` of the mcp_tool entry for an event, to be written into settings."""
    return {"fanout_scopes": " ".join(scopes)} | {
        field.name: "${" + field.name + "}" for field in fields_of(event)
    }


def from_input(arguments: dict[str, Any]) -> dict[str, Any]:
    event: dict[str, Any] = {}
    for name, form, optional in fields_of(str(arguments.get("hook_event_name", ""))):
        given = arguments.get(name, "")
        if given == "" and (optional or form not in "sv"):
            continue
        event[name] = _value(given, form, str(arguments.get("tool_name", "")))
    return event


def _value(given: Any, form: str, tool: str) -> Any:
    if form == "s" or not isinstance(given, str):
        return given
    if form == "v" and not given.startswith("[" if tool.startswith("mcp__") else ("{", "[")):
        return given
    try:
        value = json.loads(given)
    except (ValueError, RecursionError):
        return given
    return value if form != "v" or _is_returned(value, tool) else given


def _is_returned(value: Any, tool: str) -> bool:
    """Say whether a tool can have returned a value, and not text that looks like it.

    Seen in Claude Code 2.1.330: its own tools return objects; a server's tool a list of content blocks, or
    the JSON of its structured content as text.
    """
    if not tool.startswith("mcp__"):
        return True
    return isinstance(value, list) and all(isinstance(one, dict) and "type" in one for one in value)


def to_stdin(event: dict[str, Any]) -> bytes:
    """Return the bytes that a native hook would read: one line of compact JSON."""
    text = json.dumps(event, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "replace") + b"\n"  # a lone surrogate is what the client, too, sends as "?"


def from_stdin(raw: bytes) -> dict[str, Any] | None:
    """Read an event as the client writes it; None when it is none."""
    try:
        event = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) and isinstance(event.get("hook_event_name"), str) else None


IDENTIFYING = (
    "session_id hook_event_name prompt_id tool_use_id agent_id message_id index prompt message trigger "
    "source file_path stop_hook_active last_assistant_message command_args compact_summary error"
).split()


def claim_name(event: dict[str, Any], scopes: str, part: str = "") -> str:
    """Return the same short name for one event whichever way it came: two ways must not both run it.

    `part` is what of the event is claimed, when it isn't the whole.
    """
    calls = event.get("tool_calls")
    calls = calls if isinstance(calls, list) else []
    ids = [call.get("tool_use_id") for call in calls if isinstance(call, dict)]
    parts = [event.get(name) or "" for name in IDENTIFYING]
    text = json.dumps([scopes, part, parts, ids], sort_keys=True)
    return files.digest(text).hex()


# --- Hooks that work on while the turn goes on: they say so in their first line, {"async": true}. -----------
# Natively the client stops waiting at that line, ignores the hook's verdict, and hands on with the next
# request what context else it printed. Here, too, nothing waits from that line on, and the hook is left alone
# for as long as it asks for, else for its own limit; its locks are free from then on. What it prints later
# is lost, unless it had ended before anybody looked.

LOOK_S = 0.05
"""How often a running hook's output is looked at: most have ended by then."""
HEAD = 4096
"""The line lies within so many bytes."""


def asked_for(printed: bytes) -> float | None:
    """Return what a running hook's first line asks for; a line that isn't whole asks for nothing yet."""
    line, newline, _ = printed.partition(b"\n")
    return limit_of(line.decode("utf-8", "replace")) if newline else None


def limit_of(line: str) -> float | None:
    """Return for how many seconds a line asks to be left alone, 0 when it doesn't say; None: no such line."""
    if not line.lstrip().startswith("{"):
        return None
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if said.get("async") is not True:
        return None
    milliseconds = said.get("asyncTimeout")
    is_number = isinstance(milliseconds, int | float) and 0 < milliseconds < 1e12
    return milliseconds / 1000 if is_number else 0.0
