"""The warm path's process: takes events from the server, runs their hooks, answers. Many at once, one thread.

The server (edge/hook_bridge.py) starts it with one end of a socket; it ends when the server's end closes.
Then, or when it is killed, every hook's process that is still at work ends too (lanes.py, warm/zygote.py). It
never imports or runs hook code: interpreters do.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from fanout_hooks.client import hook_input as events
from fanout_hooks.client import places
from fanout_hooks.client.home import state_folder
from fanout_hooks.run import claims, launch
from fanout_hooks.run.decide import Decision
from fanout_hooks.run.dispatch import Handled, Request, handle
from fanout_hooks.run.state import AskGate, RuntimeState, WriteLog
from fanout_hooks.warm.loop import Channel, Loop

# --- The process that answers events ------------------------------------------------------------------------

SWEEP_S = 60.0
AFTER_S = 0.004
"""For an answer to reach the client, before what is left to do wants the processors too."""


class Supervisor:
    def __init__(
        self, runtime: RuntimeState, server: Channel, env: dict[str, str], pids: tuple[int, int]
    ) -> None:
        self.runtime = runtime
        runtime.stay()
        self.loop = runtime.loop
        self.server = server
        self.env = env
        self.client_pid = pids[1]
        self.server_pid = pids[0]
        self.alive = claims.folder(state_folder(env))
        self._envs: dict[tuple[str, str, str], dict[str, str]] = {}
        self._left: list[Callable[[], None]] = []
        """To do after answers that are out."""

    async def serve(self) -> None:
        self.loop.leave(self._sweep())
        while (message := await self.server.get()) is not None:
            self.loop.leave(self._answer(message))
        self._follow_up()

    async def _answer(self, message: dict[str, Any]) -> None:
        handled = Handled(Decision("{}"), lambda: None)
        name = ""
        try:
            arguments = message["arguments"]
            event = events.from_input(arguments)
            scopes = str(arguments.get("fanout_scopes", ""))
            gate = str(arguments.get("fanout_gate", ""))
            name = events.claim_name(event, scopes)
            env = self._env(event)
            origin = str(arguments.get("fanout_from", ""))
            if origin == "plugin" and places.plugin_stands_down(env["CLAUDE_PROJECT_DIR"], env):
                name = ""
            elif claims.claim(self.alive, name, claims.of_call(self.server_pid, arguments)):
                is_logged = arguments.get("fanout_log") != "off"
                request = Request(event, tuple(scopes.split()), env, gate=gate, is_logged=is_logged)
                handled = await handle(self.runtime, request)
        except Exception as error:  # noqa: BLE001 - the edge: our own mistake must not hold up the client
            self._complain("answering an event", error)
        self.server.send({"id": message.get("id"), "answer": handled.answer.stdout})
        self._left.append(handled.afterwards)
        await self.loop.sleep(AFTER_S)
        self._follow_up()
        self.runtime.settle()
        if name:
            await self.loop.sleep(claims.WARM_CLAIM_S)
            claims.drop(self.alive, name)

    def _follow_up(self) -> None:
        while self._left:
            try:
                self._left.pop(0)()
            except Exception as error:  # noqa: BLE001 - one event's mistake must not cost the others theirs
                self._complain("finishing an event", error)

    def _complain(self, what: str, error: Exception) -> None:
        from fanout_hooks.crash import explain

        self.runtime.complain(explain(what, error, self.env))

    def _env(self, event: dict[str, Any]) -> dict[str, str]:
        """Return the event's environment: one object for the same content, so that it is compared fast."""
        effort = event.get("effort")
        key = (str(event.get("session_id")), str(event.get("cwd")), str(effort))
        if key not in self._envs:
            if len(self._envs) > 64:
                self._envs.clear()
            self._envs[key] = for_event(self.env, event, self.client_pid)
        return self._envs[key]

    async def _sweep(self) -> None:
        while True:
            claims.sweep(self.alive)
            self.runtime.give_back()
            await self.loop.sleep(SWEEP_S)


def main(fd: int, ask_gate: AskGate, write_log: WriteLog) -> int:
    server_pid = os.getppid()
    client_pid, env = of_session(dict(os.environ), server_pid)
    keys = claims.client_keys(env, client_pid)
    loop = Loop()
    runtime = RuntimeState(loop, state_folder(env), ask_gate, write_log)
    server = Channel(loop, socket.socket(fileno=fd))
    supervisor = Supervisor(runtime, server, env, (server_pid, client_pid))
    try:
        claims.mark(supervisor.alive, keys, server_pid)
        launch.keep(state_folder(env))
    except OSError as error:
        runtime.complain(f"{error.filename}: {error.strerror}: sentinels will run the hooks themselves")
    try:
        loop.run(supervisor.serve())
    finally:
        claims.unmark(supervisor.alive, keys, server_pid)
        runtime.close()
    return 0


# --- The environment of a hook on the warm path: what the client itself would have given it. ----------------
# The server was started by the same client process, so its environment is the hooks' own but for four things:
#
#     what a launcher in between changed (`uv run` sets PATH)    the process below the client has it unchanged
#     the `env` of the server's registration                     those names are the client's again, or gone
#     what the client sets for a plugin's server alone           those names, too
#     what the client sets for each event                        `for_event`
#
# The client's own value of a name is what its settings say, else what it was started with. Where the system
# has no /proc, a launcher's changes stay, and a name of the registration goes.

SERVERS_OWN = frozenset(
    ("CLAUDE_PLUGIN_ROOT", "CLAUDE_PLUGIN_DATA", "CLAUDE_CODE_LAUNCHED_BY_SESSION_IDS", "CLAUDE_EFFORT")
)
SERVERS_OWN_PREFIX = "CLAUDE_PLUGIN_OPTION_"
"""The client gives these to a plugin's server; a user may set the same names for everything."""
KEPT = ("FANOUT_GATE", "FANOUT_PLUGIN_GATE")
"""Say the gate's mode, wherever the user put it, and the plugin's option."""


def of_session(env: dict[str, str], server: int) -> tuple[int, dict[str, str]]:
    """Look from a server with this environment at the client that started it.

    Return the client's process id, 0 where it isn't known, and what its hooks find around them.
    """
    chain = [server, *_ancestors(server)]
    # The client's socket bears its process in its name; without one, nothing is in between.
    named = os.path.basename(env.get("CLAUDE_CODE_MESSAGING_SOCKET", "")).removesuffix(".sock")
    at = next((at for at, pid in enumerate(chain) if str(pid) == named), 1)
    client = chain[at] if at < len(chain) else int(named) if named.isdecimal() else 0
    given = (_environ(chain[at - 1]) if at > 1 else {}) or env
    own = places.find("local", env.get("CLAUDE_PROJECT_DIR") or os.getcwd(), env)
    names = {name for entry in places.registered(own) for name in places.dict_in(entry, "env")}
    own_env = _environ(client) | places.settings_env(own)
    names.update(
        name for name in (*given, *own_env) if name in SERVERS_OWN or name.startswith(SERVERS_OWN_PREFIX)
    )
    return client, restored(given, names - set(KEPT), own_env)


def restored(given: dict[str, str], names: Iterable[str], client: Mapping[str, str]) -> dict[str, str]:
    """Return an environment with the client's values of these names; gone where it has none."""
    own = frozenset(names)
    kept = {name: value for name, value in given.items() if name not in own}
    return kept | {name: client[name] for name in own if name in client}


def for_event(base: dict[str, str], event: dict[str, Any], client: int) -> dict[str, str]:
    """Return the variables of one event's hooks. `client` is the client's process."""
    env = dict(base)
    cwd = str(event.get("cwd") or "")
    env.setdefault("CLAUDE_PROJECT_DIR", cwd)
    attended = "1" if env.get("CLAUDE_CODE_ENTRYPOINT") == "cli" else "0"
    env.setdefault("CLAUDE_CODE_SESSION_ATTENDED", attended)
    env |= {
        "CLAUDECODE": "1",
        "CLAUDE_CODE_CHILD_SESSION": "1",
        "CLAUDE_CODE_SESSION_ID": str(event.get("session_id") or ""),
        "CLAUDE_PID": str(client),
    }
    if cwd:
        env["PWD"] = cwd  # the shell that starts a hook sets it
    effort = event.get("effort")
    if isinstance(effort, dict) and isinstance(effort.get("level"), str):
        env["CLAUDE_EFFORT"] = effort["level"]
    return env


def _ancestors(pid: int) -> Iterator[int]:
    while pid > 1:
        try:
            with open(f"/proc/{pid}/stat") as file:
                pid = int(file.read().rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            return
        if pid:
            yield pid


def _environ(pid: int) -> dict[str, str]:
    """Return what a process was started with, nothing where the system doesn't say."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            pairs = [os.fsdecode(pair).partition("=") for pair in file.read().split(b"\0")]
    except OSError:
        return {}
    return {name: value for name, is_pair, value in pairs if is_pair}
