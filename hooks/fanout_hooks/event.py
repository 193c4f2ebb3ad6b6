"""One hook event: what a hook reads on stdin, whichever way the event came to us.

Cold, the client writes the event to our stdin and the hooks get those very bytes. Warm, it comes as the
arguments of an `mcp_tool` call, for which the client has no "everything" variable: each field is asked for by
name, objects arrive as JSON text and missing fields as "". FIELDS says what each event has, so that
`from_input(mcp_input(event))` gives a hook the same object as native stdin would.

A field's form: `s` text, `n` number, `b` true or false, `j` an object or list, `v` what a tool returned. That
may be text, an object or a list, and only the tool's name tells them apart where text looks like JSON.

Fields after `?` are left out when they arrive empty; the others are always there. A field named twice is as
said last.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

COMMON = (
    "session_id:s transcript_path:s cwd:s ? prompt_id:s permission_mode:s agent_id:s agent_type:s effort:j"
)
TOOL = "tool_name:s tool_input:j tool_use_id:s ? mcp_server:j"
FIELDS: dict[str, str] = {
    "PreToolUse": TOOL,
    "PostToolUse": TOOL + " tool_response:v duration_ms:n",
    "PostToolUseFailure": TOOL + " error:s is_interrupt:b duration_ms:n",
    "PostToolBatch": "tool_calls:j",
    "PermissionRequest": "tool_name:s tool_input:j ? tool_use_id:s permission_suggestions:j mcp_server:j",
    "PermissionDenied": "tool_name:s tool_input:j tool_use_id:s ? reason:s mcp_server:j",
    "UserPromptSubmit": "prompt:s ? source:s",
    "UserPromptExpansion": "expansion_type:s command_name:s command_args:s command_source:s prompt:s",
    "Notification": "message:s ? title:s notification_type:s",
    "Stop": "stop_hook_active:b ? last_assistant_message:s background_tasks:j session_crons:j",
    "StopFailure": "error:s ? error_details:s last_assistant_message:s",
    "SubagentStart": "agent_id:s agent_type:s",
    "SubagentStop": "agent_id:s agent_type:s stop_hook_active:b agent_transcript_path:s"
    " ? last_assistant_message:s background_tasks:j session_crons:j",
    "PreCompact": "trigger:s custom_instructions:s",
    "PostCompact": "trigger:s compact_summary:s",
    "InstructionsLoaded": "file_path:s memory_type:s load_reason:s"
    " ? globs:j trigger_file_path:s parent_file_path:s",
    "ConfigChange": "source:s ? file_path:s",
    "MessageDisplay": "turn_id:s message_id:s index:n final:b delta:s",
    "TaskCreated": "task_id:s task_subject:s ? task_description:s teammate_name:s team_name:s",
    "TaskCompleted": "task_id:s task_subject:s ? task_description:s teammate_name:s team_name:s",
    "TeammateIdle": "teammate_name:s ? team_name:s",
}
WARM_EVENTS = frozenset(FIELDS) - {"TaskCreated", "TaskCompleted", "TeammateIdle"}
"""Events that an mcp_tool entry may serve; on the three left out only exit code 2 can object."""
COLD_EVENTS = frozenset({"SessionStart", "SessionEnd", "Setup", "CwdChanged", "FileChanged"}) | (
    frozenset(FIELDS) - WARM_EVENTS
)
"""Events whose entry is a command: the client has no mcp_tool there, or CLAUDE_ENV_FILE is needed."""

MAX_BYTES = 128 << 20


class Field(NamedTuple):
    name: str
    form: str
    optional: bool


def fields_of(event: str) -> list[Field]:
    """Return the fields of an event, in the client's order."""
    found: dict[str, Field] = {}
    for part in (COMMON, "hook_event_name:s", FIELDS.get(event, "")):
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
    """Rebuild the event from the arguments of an mcp_tool call."""
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
    "session_id",
    "hook_event_name",
    "prompt_id",
    "tool_use_id",
    "agent_id",
    "message_id",
    "index",
    "prompt",
    "message",
    "trigger",
    "source",
    "file_path",
    "stop_hook_active",
    "last_assistant_message",
    "command_args",
    "compact_summary",
    "error",
)


def claim_name(event: dict[str, Any], scopes: str, part: str = "") -> str:
    """Return the same short name for one event whichever way it came: two ways must not both run it.

    `part` is what of the event is claimed, when it isn't the whole.
    """
    import hashlib

    calls = event.get("tool_calls")
    ids = (
        [call.get("tool_use_id") for call in calls if isinstance(call, dict)]
        if isinstance(calls, list)
        else []
    )
    parts = [event.get(name) or "" for name in IDENTIFYING]
    text = json.dumps([scopes, part, parts, ids], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
