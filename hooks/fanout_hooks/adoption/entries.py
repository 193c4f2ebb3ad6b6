"""The entries that fanout writes into a settings file: a call to the server, and a line of `sh` beside it.

Theory of operation. The client starts both entries of a group at once:

    mcp_tool   asks the running server (warm). Every field of the event is listed, for the client has no
               variable that holds them all.
    sentinel   about 1 ms: looks whether this client's server is there (run/claims.py says how), and otherwise
               becomes the cold path: no server, or one not approved, starting or dead, loses nothing.

Events without mcp_tool (events.COLD) have the second only, without the look. A guard has an entry of
its own with `onFailure: "block"`, always cold: it denies at worst, and no server is needed for it.

How the line finds our own process:

    own        interpreter and script by their real paths: a version manager's shim costs more than all the
               rest. If the interpreter is gone, `python3` is tried.
    committed  no path of one machine may stand in a committed file: the line starts `run`, a committed file
               that one can read and review, and both are read from the user's state folder (launch.py).
    plugin     the script by CLAUDE_PLUGIN_ROOT, the interpreter from the state folder, else `python3`.

Where fanout isn't (a teammate's machine, or it was removed without `restore`), the hooks run all the same, by
originals.py beside their hooks.json. Without even that, a guard denies, everything else goes on, and both say
what to do: `python gone.py` would end with 2, and block every event.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from fanout_hooks.client import config, events
from fanout_hooks.client import hook_input as inputs
from fanout_hooks.client.config import SWITCH, TEXT, TEXTS, is_timeout
from fanout_hooks.client.places import MARK, PLUGIN_SERVER, SERVER, SHOWN, TOOL
from fanout_hooks.gate import gate
from fanout_hooks.run.choose import groups_of
from fanout_hooks.run.launch import Launch

_STATE = (
    's="${FANOUT_STATE_DIR:-${XDG_STATE_HOME:-$HOME/.local/state}/fanout}/hooks"',
    'case "$s" in [!/]*|/proc/*|/dev/*|*/../*|*/./*|"${CLAUDE_PROJECT_DIR:-/none}"/*)',
    's="$HOME/.local/state/fanout/hooks";; esac',
)
STATE = f"{_STATE[0]}; {_STATE[1]} {_STATE[2]}"
"""home.state_folder in the shell's words: the session's environment decides, not that of the install, but
never for a folder that the project can hold."""
LOOK = (
    'w=%s; if %s:; then for k in "${CLAUDE_CODE_MESSAGING_SOCKET##*/}" "pid-$CLAUDE_PID"; do '
    'if read -r p <"$s/alive/server-$k$w" && kill -0 "$p"; then '
    'z=; read -r _ _ z _ <"/proc/$p/stat"; [ "$z" = Z ] || exit 0; fi; done; fi 2>/dev/null'
)
"""A server that was killed can be signalled until the client has reaped it: Z, where the system says."""
IS_CALLED = 'read -r w <"$CLAUDE_PROJECT_DIR/.claude/fanout/state/warm" && '
"""In a committed file: whether this user's own settings hold the call, and to which server."""
FROM_STATE = 'p=; m=; { read -r p && read -r m; } 2>/dev/null <"$s/launch"'
FROM_PLUGIN = 'p=; read -r p 2>/dev/null <"$s/launch"; m="$CLAUDE_PLUGIN_ROOT/hooks/run.py"'
START = '[ -x "$p" ] || p=python3; if [ -r "$m" ]; then exec "$p" -I -S "$m" cold %s; fi'
ORIGINALS = 'o="%s/originals.py"; if [ -r "$o" ]; then exec python3 "$o" %s; fi'
FOLDERS = {
    "user": ("${CLAUDE_CONFIG_DIR:-$HOME/.claude}/fanout", "hooks.json"),
    "local": ("$CLAUDE_PROJECT_DIR/.claude/fanout/state", "../hooks.local.json"),
    "shared": ("$CLAUDE_PROJECT_DIR/.claude/fanout", "hooks.json"),  # and run
}
"""Where originals.py lies (client/places.py), and the hooks.json from there."""


def _spread(step: str) -> str:
    """Write a step of the line as a program has it: one statement a line."""
    return step.replace("; ", "\n")


RUN = f"""\
#!/bin/sh
# Runs the hooks in .claude/fanout/hooks.json for Claude Code: by fanout where it is installed, else by
# originals.py, as Claude Code itself would. `fanout-hooks adopt --shared` wrote it for the entries in
# .claude/settings.json; `fanout-hooks restore --scope shared` removes it.
#
#     run               an event's hooks
#     run warm          the same, unless this user's settings have a server run them, and it is alive
#     run guard NAME N  one guard; exit with N if there is nothing that could run it

# The user's own folder, never one inside the project. In it, the file `launch` says how fanout starts.
{_STATE[0]}
{_STATE[1]}
{_STATE[2]}

if [ "$1" = warm ]; then
{_spread(LOOK % ("", IS_CALLED))}
fi

n=1
case "$1" in guard) n=$3; set -- --only "$2";; *) set --;; esac
{FROM_STATE}
{_spread(START % '--scopes shared "$@"')}
{_spread(ORIGINALS % (FOLDERS["shared"][0], 'hooks.json ${2:+"$2"}'))}
echo "fanout is not installed, and '$o' is missing: fanout-hooks restore --scope shared" >&2
exit "$n"
"""
"""The program that a committed entry starts, in the project's folder of fanout."""
START_RUN = (
    f'r="{FOLDERS["shared"][0]}/run"; '
    'if [ -f "$r" ] && [ -s "$r" ] && sh -n "$r" 2>/dev/null; then exec sh "$r"%s; fi'
)
"""A program that a merge left with its marks would end with 2, and so block every event."""
NO_RUN = (
    "echo \"'$r' is missing or damaged: git checkout, or fanout-hooks restore --scope shared\" >&2; exit %d"
)
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
    made: dict[str, list[Group]] = {}
    for event in dict.fromkeys(hook.event for hook in hooks):
        own = [hook for hook in hooks if hook.event == event]
        plain = [hook for hook in own if not hook.guard]
        made[event] = _groups(event, plain, to) if plain else []
        for hook in own:
            made[event] += _guard(event, hook, to) if hook.guard else []
    return made


def of_type(groups: dict[str, list[Group]], kind: str) -> dict[str, list[Group]]:
    """Return the calls to the server alone ("mcp_tool"), or the sentinels ("command")."""
    return without(groups, lambda entry: entry["type"] != kind)


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
        return "warm"
    # Without a call no server could answer, whatever runs.
    return LOOK % (mark_of(to.server), "") if to.server else ""


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
    title, code = f"{to.scope} guard" if guard else to.scope, 2 if guard and is_heeded else 1
    if to.launch is None:
        how = f" guard {shlex.quote(guard)} {code}" if guard else " warm" if look else ""
        return "; ".join([MARK + title, START_RUN % how, NO_RUN % code])
    found = f"p={shlex.quote(to.launch.python)}; m={shlex.quote(to.launch.script)}"
    only = f" --only {shlex.quote(guard)}" if guard else ""
    folder, file = FOLDERS[to.scope]
    return shell(
        title,
        look,
        found,
        START % f"--scopes {to.scope}{only}",
        ORIGINALS % (folder, f"{file} {shlex.quote(guard)}" if guard else file),
        GONE % (f"fanout-hooks restore --scope {to.scope}", code),
    )


def call(server: str, given: dict[str, str], timeout: float) -> dict[str, Any]:
    return {"type": "mcp_tool", "server": server, "tool": TOOL, "input": given, "timeout": timeout}


def command(line: str, timeout: float) -> dict[str, Any]:
    return {"type": "command", "command": line, "timeout": timeout}


def shell(title: str, *steps: str) -> str:
    """Return a line of `sh` that begins with our mark and the state folder."""
    return "; ".join([MARK + title, STATE, *filter(None, steps)])


def mark_of(server: str) -> str:
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


# --- hooks object -------------------------------------------------------------------------------------------
# The `hooks` of a settings file, as Claude Code reads it: which entries are ours, what would be refused.


def is_ours(entry: Any) -> bool:
    if not isinstance(entry, dict):
        return False
    if entry.get("type") == "mcp_tool":
        return entry.get("server") in (SERVER, PLUGIN_SERVER) and entry.get("tool") == TOOL
    return str(entry.get("command", "")).startswith(MARK)


def each(hooks: Any) -> Iterator[tuple[str, Group, dict[str, Any]]]:
    """Yield (event, group, entry) of a settings file's `hooks`, leaving out what isn't of that form."""
    for event, groups in hooks.items() if isinstance(hooks, dict) else ():
        for group in groups if isinstance(groups, list) else ():
            entries = group.get("hooks") if isinstance(group, dict) else None
            for entry in entries if isinstance(entries, list) else ():
                if isinstance(entry, dict):
                    yield event, group, entry


def without(hooks: dict[str, Any], is_out: Callable[[Any], bool]) -> dict[str, Any]:
    """Return `hooks` less the entries for which `is_out(entry)`; groups and events left empty go too."""
    kept: dict[str, Any] = {}
    for event, groups in hooks.items():
        left = []
        for group in groups if isinstance(groups, list) else []:
            own = group.get("hooks") if isinstance(group, dict) else None
            if not isinstance(own, list) or not any(is_out(entry) for entry in own):
                left.append(group)
            elif rest := [entry for entry in own if not is_out(entry)]:
                left.append({**group, "hooks": rest})
        if left or not isinstance(groups, list) or not groups:
            kept[event] = left if isinstance(groups, list) else groups
    return kept


def less(hooks: dict[str, Any], some: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Return `hooks` less these very entries; others that equal them stay."""
    gone = set(map(id, some))
    return without(hooks, lambda entry: id(entry) in gone)


def without_ours(hooks: dict[str, Any]) -> dict[str, Any]:
    return without(hooks, is_ours)


def only_ours(hooks: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for event, group, _ in each(hooks):
        kept = {**group, "hooks": [entry for entry in group["hooks"] if is_ours(entry)]}
        if kept["hooks"] and kept not in found.setdefault(event, []):
            found[event].append(kept)
    return {event: groups for event, groups in found.items() if groups}


def joined(hooks: dict[str, Any], more: dict[str, list[Group]]) -> dict[str, Any]:
    there = {event: groups for event in more if isinstance(groups := hooks.get(event), list)}
    return hooks | {event: [*there.get(event, []), *groups] for event, groups in more.items() if groups}


def replaced(
    hooks: dict[str, Any], is_own: Callable[[Any], bool], made: dict[str, list[Group]]
) -> dict[str, Any]:
    """Return `hooks` with these groups for the owned ones; unchanged, their order too, if they are there."""
    there = without(hooks, lambda entry: not is_own(entry))
    if {event: groups for event, groups in there.items() if groups} == made:
        return hooks
    return joined(without(hooks, is_own), made)


# --- checking -----------------------------------------------------------------------------------------------

NEEDED = {
    "command": ("command",),
    "http": ("url",),
    "mcp_tool": ("server", "tool"),
    "prompt": ("prompt",),
    "agent": ("prompt",),
}
FORMS = {
    "if": TEXT,
    "statusMessage": TEXT,
    "rewakeMessage": TEXT,
    "rewakeSummary": TEXT,
    "model": TEXT,
    "once": SWITCH,
    "async": SWITCH,
    "asyncRewake": SWITCH,
    "holdsTools": SWITCH,
    "continueOnBlock": SWITCH,
    "args": TEXTS,
    "allowedEnvVars": TEXTS,
}
"""What the client wants of the keys that an entry may leave out; `null` is not leaving out."""
_DEPTH = 3


def problems(hooks: Any) -> list[str]:
    """Return what makes Claude Code drop the whole settings file, each with its place.

    That is how it treats a bad entry of the events whose hooks guard what the file permits.
    """
    if not isinstance(hooks, dict):
        return ['"hooks" must be an object']
    found = []
    for event, groups in hooks.items():
        if event in events.STRICT and groups is not None:
            found += list(_bad(event, groups))
        elif event not in events.BY_NAME and _holds_guards(groups):
            found.append(f"{event} is not an event, and holds hooks that may guard something")
    return found


def ignored(hooks: dict[str, Any]) -> list[str]:
    """Return what Claude Code leaves out of a `hooks` object while it reads the rest."""
    found = [f"{event} is not an event" for event in hooks if event not in events.BY_NAME]
    for event, groups in hooks.items():
        if event in events.BY_NAME and event not in events.STRICT:
            found += list(_bad(event, groups))
    return found


def _bad(event: str, groups: Any) -> Iterator[str]:
    if not isinstance(groups, list):
        yield f"{event} must be a list of groups"
        return
    for at, group in enumerate(groups):
        where = f"{event}[{at}]"
        entries = group.get("hooks") if isinstance(group, dict) else None
        if not isinstance(entries, list):
            yield f'{where} must be {{"matcher": text, "hooks": [...]}}'
            continue
        if why := group_problem(group):
            yield f"{where}{why}"
        for number, entry in enumerate(entries):
            if why := entry_problem(entry):
                yield f"{where}.hooks[{number}]: {why}"


def group_problem(group: dict[str, Any]) -> str:
    return "" if isinstance(group.get("matcher", ""), str) else ".matcher must be a text"


def entry_problem(entry: Any) -> str:
    kind = entry.get("type") if isinstance(entry, dict) else None
    if not isinstance(kind, str) or kind not in NEEDED:
        return f"its type must be one of {', '.join(NEEDED)}, not {kind!r}"
    missing = [key for key in NEEDED[kind] if not isinstance(entry.get(key), str)]
    if missing:
        return f"{missing[0]!r} is missing"
    if why := config.misformed(entry, FORMS):
        return why
    if "timeout" in entry and (entry["timeout"] is None or not is_timeout(entry["timeout"])):
        return "timeout must be a number of seconds above 0"
    if kind != "mcp_tool" and entry.get("onFailure", "continue") not in ("continue", "block"):
        return 'onFailure must be "continue" or "block"'
    if entry.get("shell", "bash") not in ("bash", "powershell"):
        return 'shell must be "bash" or "powershell"'
    headers = entry.get("headers", {})
    if not isinstance(headers, dict) or not all(isinstance(value, str) for value in headers.values()):
        return "headers must be an object of texts"
    return ""


def _holds_guards(value: Any, depth: int = _DEPTH) -> bool:
    """Say whether something out of place holds hooks of an event whose bad entries drop the file."""
    if isinstance(value, list):
        return depth > 0 and any(_holds_guards(one, depth - 1) for one in value)
    if not isinstance(value, dict):
        return False
    if any(value.get(event) for event in events.STRICT):
        return True
    return depth > 0 and any(_holds_guards(one, depth - 1) for one in value.values())


# --- The log and the gate, for users without hooks: what `fanout install` and the plugin register. ----------
# Nothing runs twice where the plugin is on and the settings hold the same: the plugin's entries say where
# they come from, and stand down (client/places.py). Where two settings files do, the first to come runs the
# event.

MODE = "on"
"""Which mode counts is read at every event (gate/watch.py): a change of it needs no new entries."""
LOG_ENTRIES = {"UserPromptSubmit": ""}
"""Event -> matcher, of the log without the gate: the first prompt of a day writes the report."""
TIMEOUT_S = 30.0
"""For a server that is starting; the gate itself waits a quarter of a second."""


def log_and_gate_entries(
    *, with_log: bool = True, with_gate: bool = True, launch: Launch | None = None
) -> dict[str, list[Group]]:
    """Return our groups by event; our own process is started as `launch` says, else as this one was."""
    own, mode = launch or Launch.own(), MODE if with_gate else "off"
    found = f"p={shlex.quote(own.python)}; m={shlex.quote(own.script)}"
    given, words = {"fanout_gate": mode}, f"--gate {mode}"
    if not with_log:
        given, words = given | {"fanout_log": "off"}, f"{words} --log off"
    matchers = gate.ENTRIES if with_gate else LOG_ENTRIES if with_log else {}  # the gate's hold the log's
    return _own_groups(matchers, SERVER, given, found, words, "fanout uninstall")


def plugin_hooks() -> dict[str, Any]:
    """Return the content of hooks/hooks.json: the gate, standing down beside settings that hold it too."""
    given = {"fanout_gate": MODE, "fanout_from": "plugin"}
    words = f"--gate {MODE} --from plugin"
    advice = "claude plugin uninstall fanout"
    groups = _own_groups(gate.ENTRIES, PLUGIN_SERVER, given, FROM_PLUGIN, words, advice)
    return {
        "description": "The gate on agents that are sent one by one, or too many at once",
        "hooks": groups,
    }


def _own_groups(
    matchers: dict[str, str], server: str, given: dict[str, str], found: str, words: str, advice: str
) -> dict[str, list[Group]]:
    look, gone = LOOK % (mark_of(server), ""), GONE % (advice, 1)
    line = shell("gate", look, found, START % words, gone)
    return {
        event: matched(
            event,
            [matcher],
            [
                call(server, inputs.mcp_input(event, ()) | given, TIMEOUT_S),
                command(line, TIMEOUT_S),
            ],
        )
        for event, matcher in matchers.items()
    }


def without_log_and_gate(hooks: dict[str, Any]) -> dict[str, Any]:
    return without(hooks, lambda entry: is_ours(entry) and is_log_and_gate(entry))


def is_log_and_gate(entry: dict[str, Any]) -> bool:
    """Say whether one of our entries is the log's and the gate's, not a scope's hooks."""
    given = entry.get("input")
    if isinstance(given, dict):
        return "fanout_gate" in given
    return str(entry.get("command", "")).startswith(MARK + "gate")
