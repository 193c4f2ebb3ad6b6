"""What Claude Code does at each hook event: ONE table, from which everything else about events is derived.

A test reads the shipped client and fails when it knows an event or a field that the table lacks.
adoption/originals.py is written with a copy of the table, so this module imports nothing but typing and stays
readable for Python 3.7.

The form of `fields`: `name:form`, in the client's order, after those of COMMON. Forms: `s` text, `n` number,
`b` true or false, `j` an object or list, `v` what a tool returned. That may be text, an object or a list, and
only the tool's name tells them apart where text looks like JSON. Fields after `?` are left out by the client
when it has none. A field named twice is as its last mention says.
"""

from __future__ import annotations

from typing import NamedTuple

COMMON = (
    "session_id:s transcript_path:s cwd:s ? prompt_id:s permission_mode:s agent_id:s agent_type:s effort:j"
)
TOOL = "tool_name:s tool_input:j tool_use_id:s ? mcp_server:j"
TASK = "task_id:s task_subject:s ? task_description:s teammate_name:s team_name:s"
MODEL = (
    "from_model:s to_model:s requested_model:s source:s context_tokens:n prompt_cache_warm:b cache_ttl:s"
    " estimated_cache_write_usd:n pricing:s"
)
DEFAULT_TIMEOUT_S = 600.0


class Event(NamedTuple):
    """One event of Claude Code, and how fanout serves it."""

    name: str
    fields: str
    matches: str = ""
    """The field that a group's matcher meets; without one the client ignores matchers."""
    way: str = "warm"
    """`warm`: by a call to the server, too. `cold`: by a command alone. Else: why hooks stay native."""
    objects: str = ""
    """`permission` or `request` in hookSpecificOutput, `decision` at the top, "" by exit code 2 alone."""
    stdout: str = ""
    """What plain output is: `context` for Claude, `text` that is handed on as it is, "" nothing."""
    timeout_s: float = DEFAULT_TIMEOUT_S
    """What the client gives a hook that names no time."""
    heeds_on_failure: bool = True
    """Whether `onFailure: "block"` blocks."""
    is_strict: bool = False
    """Whether one bad entry makes the client drop the whole settings file."""
    lists_names: bool = True
    """Whether a matcher of words may use commas, blanks and hyphens; else `|` alone."""
    runs_http: bool = True


NO_CALL = "cold"
"""The client has no mcp_tool hooks there, or the hook needs CLAUDE_ENV_FILE."""
ONLY_EXIT = "cold"
"""Only exit code 2 can object there, and only a command has one."""

EVENTS: tuple[Event, ...] = (
    Event("PreToolUse", TOOL, "tool_name", objects="permission", is_strict=True),
    Event("PostToolUse", TOOL + " tool_response:v duration_ms:n", "tool_name", objects="decision"),
    Event(
        "PostToolUseFailure", TOOL + " error:s is_interrupt:b duration_ms:n", "tool_name", objects="decision"
    ),
    Event("PostToolBatch", "tool_calls:j", objects="decision"),
    Event("Notification", "message:s ? title:s notification_type:s", "notification_type"),
    Event(
        "UserPromptSubmit",
        "prompt:s ? source:s session_title:s",
        objects="decision",
        stdout="context",
        timeout_s=30.0,
    ),
    Event(
        "UserPromptExpansion",
        "expansion_type:s command_name:s command_args:s command_source:s prompt:s",
        "command_name",
        objects="decision",
        stdout="context",
    ),
    Event(
        "SessionStart",
        "source:s ? agent_type:s model:s session_title:s seconds_since_last_response:n context_tokens:n"
        " prompt_cache_likely_expired:b estimated_cache_write_usd:n",
        "source",
        NO_CALL,
        stdout="context",
        runs_http=False,
    ),
    Event("SessionEnd", "reason:s", "reason", NO_CALL, timeout_s=1.5),
    Event(
        "Stop",
        "stop_hook_active:b ? last_assistant_message:s background_tasks:j session_crons:j",
        objects="decision",
        heeds_on_failure=False,
    ),
    Event("StopFailure", "error:s ? error_details:s last_assistant_message:s", "error", lists_names=False),
    Event("SubagentStart", "agent_id:s agent_type:s", "agent_type"),
    Event(
        "SubagentStop",
        "agent_id:s agent_type:s stop_hook_active:b agent_transcript_path:s"
        " ? last_assistant_message:s background_tasks:j session_crons:j",
        "agent_type",
        objects="decision",
        heeds_on_failure=False,
    ),
    Event("PreCompact", "trigger:s custom_instructions:s", "trigger", objects="decision", stdout="text"),
    Event("PostCompact", "trigger:s compact_summary:s", "trigger"),
    Event("PreModelSwitch", MODEL, "to_model", "fanout has not seen this event in a real session"),
    Event("PostModelSwitch", MODEL, "to_model", "fanout has not seen this event in a real session"),
    Event(
        "PermissionRequest",
        "tool_name:s tool_input:j"
        " ? tool_use_id:s permission_suggestions:j mcp_server:j tool_kind:s mcp_skill:j",
        "tool_name",
        objects="request",
        is_strict=True,
    ),
    Event("PermissionDenied", "tool_name:s tool_input:j tool_use_id:s ? reason:s mcp_server:j", "tool_name"),
    Event("Setup", "trigger:s", "trigger", NO_CALL, runs_http=False),
    Event("TeammateIdle", "teammate_name:s ? team_name:s", "", ONLY_EXIT, heeds_on_failure=False),
    Event("TaskCreated", TASK, "", ONLY_EXIT),
    Event("TaskCompleted", TASK, "", ONLY_EXIT, heeds_on_failure=False),
    Event(
        "Elicitation",
        "mcp_server_name:s message:s ? mode:s url:s elicitation_id:s requested_schema:j",
        "mcp_server_name",
        "only Claude Code itself can hand on what these hooks answer",
    ),
    Event(
        "ElicitationResult",
        "mcp_server_name:s ? elicitation_id:s mode:s action:s content:j",
        "mcp_server_name",
        "only Claude Code itself can hand on what these hooks answer",
    ),
    Event("ConfigChange", "source:s ? file_path:s", "source", objects="decision"),
    Event(
        "WorktreeCreate", "name:s", "", "its output is the path of a worktree, which only one hook can make"
    ),
    Event("WorktreeRemove", "worktree_path:s", "", "it undoes what WorktreeCreate made, and stays beside it"),
    Event(
        "InstructionsLoaded",
        "file_path:s memory_type:s load_reason:s ? globs:j trigger_file_path:s parent_file_path:s",
        "load_reason",
    ),
    Event("CwdChanged", "old_cwd:s new_cwd:s", "", NO_CALL),
    Event(
        "FileChanged",
        "file_path:s event:s",
        "file_path",
        "Claude Code itself watches the files that its matcher names",
        lists_names=False,
    ),
    Event(
        "DirectoryAdded", "directory:s source:s", "source", "fanout has not seen this event in a real session"
    ),
    Event("MessageDisplay", "turn_id:s message_id:s index:n final:b delta:s"),
    Event(
        "PreSkillShellCommand",
        "tool_name:s tool_input:j tool_use_id:s command_name:s ? command_source:s invoked_by:s",
        "tool_name",
        objects="permission",
        is_strict=True,
    ),
)
BY_NAME: dict[str, Event] = {event.name: event for event in EVENTS}
UNKNOWN = Event("", "", way="Claude Code knows no event of this name")
WARM = frozenset(event.name for event in EVENTS if event.way == "warm")
COLD = frozenset(event.name for event in EVENTS if event.way == "cold")
STRICT = frozenset(event.name for event in EVENTS if event.is_strict)


def of(name: str) -> Event:
    """Return an event's row; a name that the client doesn't know has one that keeps its hooks native."""
    return BY_NAME.get(name, UNKNOWN)


def why_native(name: str) -> str:
    way = of(name).way
    return "" if way in ("warm", "cold") else way
