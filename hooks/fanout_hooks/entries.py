"""What fanout puts into a settings file for an event: a call to the server, and a line of `sh` beside it.

Theory of operation. The client starts both entries of a group at once:

    mcp_tool   asks the running server (warm). Every field of the event is listed, for the client has no
               variable that holds them all.
    sentinel   about 1 ms: looks whether this client's server is there (claims.py says how), and otherwise
               becomes the cold path: no server, or one not approved, starting or dead, loses nothing.

Events without mcp_tool (event.COLD_EVENTS) have the second only, without the look. A guard has an entry of
its own with `onFailure: "block"`, always cold: it denies at worst, and no server is needed for it.

How the line finds our own process:

    own        interpreter and script by their real paths: a version manager's shim costs more than all the
               rest. If the interpreter is gone, `python3` is tried.
    committed  no path of one machine may stand in a committed file: both are read from the user's state
               folder (launch.py).
    plugin     the script by CLAUDE_PLUGIN_ROOT, the interpreter from the state folder, else `python3`.

Where fanout isn't (a teammate's machine, or it was removed without `restore`), the hooks run all the same, by
originals.py beside their hooks.json. Without even that, a guard denies, everything else goes on, and both say
what to do: `python gone.py` would end with 2, and block every event.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from fanout_hooks import config
from fanout_hooks import event as inputs
from fanout_hooks.client import events
from fanout_hooks.launch import Launch
from fanout_hooks.matching import groups_of

TOOL = "run_hooks"
SERVER = "fanout"
PLUGIN_SERVER = "plugin:fanout:fanout"
MARK = ": fanout "
"""Our commands begin so (`:` does nothing): for people who read the file, and to tell them from others."""

SHOWN = "fanout hooks"
"""What Claude Code calls our line while it runs, in transcripts, and to Claude when it blocks a Stop."""

STATE = 's="${FANOUT_STATE_DIR:-${XDG_STATE_HOME:-$HOME/.local/state}/fanout}/hooks"'
"""memory.state_folder in the shell's words: the session's environment decides, not that of the install."""
LOOK = (
    'w=%s; if %s:; then for k in "${CLAUDE_CODE_MESSAGING_SOCKET##*/}" "pid-$CLAUDE_PID"; do '
    'if read -r p <"$s/alive/server-$k$w" && kill -0 "$p"; then '
    'z=; read -r _ _ z _ <"/proc/$p/stat"; [ "$z" = Z ] || exit 0; fi; done; fi 2>/dev/null'
)
"""A server that was killed can be signalled until the client has buried it: Z, where the system tells."""
IS_CALLED = 'read -r w <"$CLAUDE_PROJECT_DIR/.claude/fanout/state/warm" && '
"""In a committed file: whether this user's own settings hold the call, and to which server."""
FROM_STATE = 'p=; m=; { read -r p && read -r m; } 2>/dev/null <"$s/launch"'
FROM_PLUGIN = 'p=; read -r p 2>/dev/null <"$s/launch"; m="$CLAUDE_PLUGIN_ROOT/hooks/run.py"'
START = '[ -x "$p" ] || p=python3; if [ -r "$m" ]; then exec "$p" -I -S "$m" cold %s; fi'
ORIGINALS = 'o="%s/originals.py"; if [ -r "$o" ]; then exec python3 "$o" %s; fi'
FOLDERS = {
    "user": ("${CLAUDE_CONFIG_DIR:-$HOME/.claude}/fanout", "hooks.json"),
    "local": ("$CLAUDE_PROJECT_DIR/.claude/fanout/state", "../hooks.local.json"),
    "shared": ("$CLAUDE_PROJECT_DIR/.claude/fanout", "hooks.json"),
}
"""Where originals.py lies (place.py), and the hooks.json from there."""
GONE = "echo \"fanout is not at '$m' any more; install it again, or take it out: %s\" >&2; exit %d"

MARGIN_S = 1.0
SESSION_END_MARGIN_S = 0.5
MAX_SESSION_END_S = 60.0

Group = dict[str, Any]


class Registration(NamedTuple):
    """Whose hooks an entry runs, and how it reaches us."""

    scope: str
    """One of config.SCOPES."""
    launch: Launch | None
    """None in a committed file."""
    server: str = SERVER
    """The server's name in Claude Code; "" for the cold path alone."""


def adopted(hooks: Sequence[config.Hook], to: Registration) -> dict[str, list[Group]]:
    """Return the groups that run these hooks, by event."""
    made: dict[str, list[Group]] = {}
    for event in dict.fromkeys(hook.event for hook in hooks):
        own = [hook for hook in hooks if hook.event == event]
        plain = [hook for hook in own if not hook.guard]
        made[event] = _groups(event, plain, to) if plain else []
        for hook in own:
            made[event] += _guard(event, hook, to) if hook.guard else []
    return made


def calls_only(groups: dict[str, list[Group]]) -> dict[str, list[Group]]:
    """Return the calls to the server alone, for a file beside the one that holds the sentinels."""
    return _only(groups, "mcp_tool")


def sentinels_only(groups: dict[str, list[Group]]) -> dict[str, list[Group]]:
    """Return what needs no server: in a committed file a missing one would be an error at each event."""
    return _only(groups, "command")


def _only(groups: dict[str, list[Group]], kind: str) -> dict[str, list[Group]]:
    found = {
        event: [
            {**group, "hooks": kept}
            for group in own
            if (kept := [entry for entry in group["hooks"] if entry["type"] == kind])
        ]
        for event, own in groups.items()
    }
    return {event: own for event, own in found.items() if own}


def _groups(event: str, hooks: Sequence[config.Hook], to: Registration) -> list[Group]:
    timeout = timeout_of(event, hooks)
    entries = []
    is_warm = event in events.WARM
    if to.server and is_warm:
        entries.append(call(to.server, inputs.mcp_input(event, (to.scope,)), timeout))
    look = _look(to) if is_warm else ""
    entries.append(command(_line(to, look), timeout) | {"statusMessage": shown(hooks)})
    return matched(event, [hook.matcher for hook in hooks], entries)


def _look(to: Registration) -> str:
    if to.launch is None:
        return LOOK % ("", IS_CALLED)
    # Without a call there is no server that could answer, whatever runs.
    return LOOK % (kind_of(to.server), "") if to.server else ""


def _guard(event: str, hook: config.Hook, to: Registration) -> list[Group]:
    entry = command(
        _line(to, "", hook.name, is_heeded=events.of(event).heeds_on_failure), timeout_of(event, [hook])
    )
    entry |= {"statusMessage": shown([hook]), "onFailure": "block"}
    return matched(event, [hook.matcher], [entry])


def shown(hooks: Sequence[config.Hook]) -> str:
    """Return what the client shows while our line runs: what the hooks themselves ask for, else our name."""
    own = list(dict.fromkeys(hook.status for hook in hooks if hook.status))
    return "; ".join(own) or SHOWN


def _line(to: Registration, look: str, guard: str = "", *, is_heeded: bool = True) -> str:
    found = FROM_STATE
    if to.launch is not None:
        found = f"p={shlex.quote(to.launch.python)}; m={shlex.quote(to.launch.script)}"
    only = f" --only {shlex.quote(guard)}" if guard else ""
    folder, file = FOLDERS[to.scope]
    return shell(
        f"{to.scope} guard" if guard else to.scope,
        look,
        found,
        START % f"--scopes {to.scope}{only}",
        ORIGINALS % (folder, f"{file} {shlex.quote(guard)}" if guard else file),
        GONE % (f"fanout-hooks restore --scope {to.scope}", 2 if guard and is_heeded else 1),
    )


def call(server: str, given: dict[str, str], timeout: float) -> dict[str, Any]:
    return {"type": "mcp_tool", "server": server, "tool": TOOL, "input": given, "timeout": timeout}


def command(line: str, timeout: float) -> dict[str, Any]:
    return {"type": "command", "command": line, "timeout": timeout}


def shell(title: str, *steps: str) -> str:
    """Return a line of `sh` that begins with our mark and the state folder."""
    return "; ".join([MARK + title, STATE, *filter(None, steps)])


def kind_of(server: str) -> str:
    """Return how a server's mark ends: two of one client may run, and only its own will be asked."""
    return "@plugin" if server == PLUGIN_SERVER else ""


def timeout_of(event: str, hooks: Sequence[config.Hook]) -> float:
    """Return what the client allows the entry: the hooks' own limits come first, even all in a row."""
    limits = sum(hook.timeout_s for hook in hooks)
    if event == "SessionEnd":
        return min(limits + SESSION_END_MARGIN_S, MAX_SESSION_END_S)
    return limits + MARGIN_S


# --- matchers -----------------------------------------------------------------------------------------------


def matched(event: str, matchers: Iterable[str], entries: list[dict[str, Any]]) -> list[Group]:
    """Return groups that fire whenever one of the matchers does; the client runs equal entries once."""
    return [
        ({"matcher": matcher} if matcher else {}) | {"hooks": entries}
        for matcher in groups_of(event, matchers)
    ]
