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
               folder (launch.py). Where that file isn't, fanout is not installed, and the original hooks run.
    plugin     the script by CLAUDE_PLUGIN_ROOT, the interpreter from the state folder, else `python3`.

If the script is gone, a guard denies and everything else goes on, and both say what to do: python itself
would end with 2 there, and block every event.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from fanout_hooks import config
from fanout_hooks import event as events
from fanout_hooks.launch import Launch

TOOL = "run_hooks"
SERVER = "fanout"
PLUGIN_SERVER = "plugin:fanout:fanout"
MARK = ": fanout "
"""Our commands begin so (`:` does nothing): for people who read the file, and to tell them from others."""

STATE = 's="${FANOUT_STATE_DIR:-${XDG_STATE_HOME:-$HOME/.local/state}/fanout}/hooks"'
"""memory.state_folder in the shell's words: the session's environment decides, not that of the install."""
LOOK = (
    'k="${CLAUDE_CODE_MESSAGING_SOCKET##*/}"; '
    'if read -r p <"$s/alive/server-${k:-pid-$CLAUDE_PID}%s" && kill -0 "$p"; then exit 0; fi 2>/dev/null'
)
ORIGINALS = (
    'o="$CLAUDE_PROJECT_DIR/.claude/fanout/originals.py"; '
    'if [ ! -e "$s/launch" ] && [ -r "$o" ]; then exec python3 "$o" %s; fi'
)
FROM_STATE = '{ read -r p && read -r m; } <"$s/launch"'
FROM_PLUGIN = 'read -r p <"$s/launch" 2>/dev/null; m="$CLAUDE_PLUGIN_ROOT/hooks/run.py"'
START = '[ -x "$p" ] || p=python3; if [ -r "$m" ]; then exec "$p" -I -S "$m" cold %s; fi'
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
        groups = [_group(event, plain, to)] if plain else []
        made[event] = groups + [_guard(event, hook, to) for hook in own if hook.guard]
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


def _group(event: str, hooks: Sequence[config.Hook], to: Registration) -> Group:
    timeout = timeout_of(event, hooks)
    entries = []
    if to.server and event in events.WARM_EVENTS:
        entries.append(call(to.server, events.mcp_input(event, (to.scope,)), timeout))
    look = LOOK % kind_of(to.server) if event in events.WARM_EVENTS else ""
    words = f"--scopes {to.scope}"
    line = shell(to.scope, [look, *_found(to, event)], words, _advice(to))
    entries.append(command(line, timeout))
    return matched(event, [hook.matcher for hook in hooks], entries)


def _guard(event: str, hook: config.Hook, to: Registration) -> Group:
    words = f"--scopes {to.scope} --only {shlex.quote(hook.name)}"
    found = _found(to, f"{event} {shlex.quote(hook.name)}")
    line = shell(f"{to.scope} guard", found, words, _advice(to), exit_when_gone=2)
    entry = command(line, timeout_of(event, [hook])) | {"onFailure": "block"}
    return matched(event, [hook.matcher], [entry])


def _found(to: Registration, originals: str) -> list[str]:
    if to.launch is None:
        return [ORIGINALS % originals, FROM_STATE]
    return [f"p={shlex.quote(to.launch.python)}; m={shlex.quote(to.launch.script)}"]


def _advice(to: Registration) -> str:
    return f"fanout-hooks restore --scope {to.scope}"


def call(server: str, given: dict[str, str], timeout: float) -> dict[str, Any]:
    return {"type": "mcp_tool", "server": server, "tool": TOOL, "input": given, "timeout": timeout}


def command(line: str, timeout: float) -> dict[str, Any]:
    return {"type": "command", "command": line, "timeout": timeout}


def shell(title: str, steps: Iterable[str], words: str, advice: str, exit_when_gone: int = 1) -> str:
    """Return the line of `sh` that starts `cold WORDS`, after `steps` that look and find us."""
    last = [START % words, GONE % (advice, exit_when_gone)]
    return "; ".join([MARK + title, STATE, *filter(None, steps), *last])


def kind_of(server: str) -> str:
    """Return how a server's mark ends: two of one client may run, and only its own will be asked."""
    return "@plugin" if server == PLUGIN_SERVER else ""


def timeout_of(event: str, hooks: Sequence[config.Hook]) -> float:
    """Return what the client allows the entry: the hooks' own limits come first, even two in a row."""
    longest = max(hook.timeout_s for hook in hooks)
    if event == "SessionEnd":
        return min(longest + SESSION_END_MARGIN_S, MAX_SESSION_END_S)
    return longest * min(len(hooks), 2) + MARGIN_S


# --- matchers -----------------------------------------------------------------------------------------------


def matched(event: str, matchers: Iterable[str], entries: list[dict[str, Any]]) -> Group:
    """Return a group that fires whenever one of the matchers does."""
    matcher = union(matchers) if event in config.MATCHED_FIELD else ""
    return ({"matcher": matcher} if matcher else {}) | {"hooks": entries}


_PLAIN = re.compile(r"[A-Za-z0-9_|, ]+")


def union(matchers: Iterable[str]) -> str:
    """Return a matcher that matches whatever one of these does; "" matches all."""
    own = list(dict.fromkeys(matchers))
    if any(one in {"", "*"} for one in own):
        return ""
    words: dict[str, None] = {}
    patterns = []
    for one in own:
        if _PLAIN.fullmatch(one):
            words |= dict.fromkeys(word.strip() for word in re.split(r"[|,]", one))
        else:
            patterns.append(one)
    if not patterns:
        return "|".join(words)
    # In a pattern the client knows no aliases, and plain words are no longer exact.
    if words.keys() & {"Agent", "Task"}:
        words |= {"Agent": None, "Task": None}
    exact = [f"^(?:{'|'.join(words)})$"] if words else []
    return "|".join(exact + [f"(?:{pattern})" for pattern in patterns])
