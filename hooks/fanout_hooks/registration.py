"""The log and the gate, for users without hooks of their own: what `fanout install` and the plugin register.

    with_log_and_gate(hooks, server="fanout", mode="on")  -> the `hooks` of a settings file with our groups
    without_log_and_gate(hooks)                              -> the same without them; adopted hooks stay
    log_and_gate_entries(server="fanout", mode="on")      -> {"PreToolUse": [group, ...], ...}
    plugin_hooks()                                           -> the content of hooks/hooks.json

All pure. settings.py reads and writes the file, json_text.py puts `hooks` into its text and shows the change.

Nothing runs twice where the plugin is on and the settings hold the same: the plugin's entries say where they
come from, and stand down (registered.py). Where two settings files do, the first to come runs the event.
"""

from __future__ import annotations

import shlex
from typing import Any

from fanout_hooks import entries, gate, hooks_object
from fanout_hooks import event as inputs
from fanout_hooks.entries import PLUGIN_SERVER, SERVER, Group
from fanout_hooks.launch import Launch

MODE = "on"
"""Which mode counts is read at every event (gate_mode.py): a change of it needs no new entries."""
EVENTS = gate.ENTRIES | {"PostToolUse": ""}
"""Event -> matcher. PostToolUse sees every tool: the first one of a day writes the report."""
TIMEOUT_S = 30.0
"""For a server that is starting; the gate itself waits a quarter of a second."""


def log_and_gate_entries(
    server: str = SERVER, mode: str = MODE, launch: Launch | None = None
) -> dict[str, list[Group]]:
    """Return our groups by event; our own process is started as `launch` says, else as this one was."""
    own = launch or Launch.own()
    found = f"p={shlex.quote(own.python)}; m={shlex.quote(own.script)}"
    given = {"fanout_gate": mode}
    return _groups(server, given, found, f"--gate {shlex.quote(mode)}", "fanout uninstall")


def plugin_hooks() -> dict[str, Any]:
    """Return what the plugin registers: the same, with its own paths, standing down beside the settings'."""
    given = {"fanout_gate": MODE, "fanout_from": "plugin"}
    words = f"--gate {MODE} --from plugin"
    groups = _groups(PLUGIN_SERVER, given, entries.FROM_PLUGIN, words, "claude plugin uninstall fanout")
    return {"description": "The hook log, its daily report, and the sequential-agent gate", "hooks": groups}


def _groups(
    server: str, given: dict[str, str], found: str, words: str, advice: str
) -> dict[str, list[Group]]:
    look, gone = entries.LOOK % (entries.kind_of(server), ""), entries.GONE % (advice, 1)
    line = entries.shell("gate", look, found, entries.START % words, gone)
    return {
        event: entries.matched(
            event,
            [matcher],
            [
                entries.call(server, inputs.mcp_input(event, ()) | given, TIMEOUT_S),
                entries.command(line, TIMEOUT_S),
            ],
        )
        for event, matcher in EVENTS.items()
    }


def with_log_and_gate(
    hooks: dict[str, Any], server: str = SERVER, mode: str = MODE, launch: Launch | None = None
) -> dict[str, Any]:
    """Return `hooks` with our groups, whatever version of them was there before."""
    return hooks_object.joined(without_log_and_gate(hooks), log_and_gate_entries(server, mode, launch))


def without_log_and_gate(hooks: dict[str, Any]) -> dict[str, Any]:
    """Return `hooks` less the log and the gate."""
    return hooks_object.without(hooks, lambda entry: hooks_object.is_ours(entry) and is_log_and_gate(entry))


def is_log_and_gate(entry: dict[str, Any]) -> bool:
    """Say whether one of our entries is the log's and the gate's, not a scope's hooks."""
    given = entry.get("input")
    if isinstance(given, dict):
        return "fanout_gate" in given
    return str(entry.get("command", "")).startswith(entries.MARK + "gate")


def registered_twice(files: dict[str, dict[str, Any]]) -> list[str]:
    """Return the settings files that register the gate when several do: one is enough (claims.py)."""
    holders = [
        path
        for path, hooks in files.items()
        if any(
            hooks_object.is_ours(entry) and is_log_and_gate(entry) for _, _, entry in hooks_object.each(hooks)
        )
    ]
    return holders if len(holders) > 1 else []
