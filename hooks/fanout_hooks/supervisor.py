"""The warm path's process: takes events from the server, runs their hooks, answers. Many at once, one thread.

Started by the server (hook_bridge.py) with one end of a socket; ends when the server's end closes. Then, or
when it is killed, every hook's process ends that is still at work (lifeline.py, zygote.py). It never imports
or runs hook code: interpreters do.
"""

from __future__ import annotations

import os
import socket
from typing import Any

from fanout_hooks import claims, environment, launch, registered
from fanout_hooks import event as events
from fanout_hooks.dispatch import Answer, Handled, Request, handle
from fanout_hooks.house import House
from fanout_hooks.loop import Channel, Loop
from fanout_hooks.memory import state_folder

SWEEP_S = 300.0


class Supervisor:
    def __init__(self, loop: Loop, server: Channel, env: dict[str, str], pids: tuple[int, int]) -> None:
        self.loop = loop
        self.server = server
        self.env = env
        self.client_pid = pids[1]
        self.owner = f"server {pids[0]}"
        self.house = House(loop, state_folder(env))
        self.alive = claims.folder(state_folder(env))
        self._envs: dict[tuple[str, str, str], dict[str, str]] = {}

    async def serve(self) -> None:
        """Answer events until the server is gone."""
        self.loop.leave(self._sweep())
        while True:
            message = await self.server.get()
            if message is None:
                return
            self.loop.leave(self._answer(message))

    async def _answer(self, message: dict[str, Any]) -> None:
        handled = Handled(Answer("{}"), lambda: None)
        name = ""
        try:
            arguments = message["arguments"]
            event = events.from_input(arguments)
            scopes = str(arguments.get("fanout_scopes", ""))
            gate = str(arguments.get("fanout_gate", ""))
            name = events.claim_name(event, scopes)
            env = self._env(event)
            origin = str(arguments.get("fanout_from", ""))
            if origin == "plugin" and registered.by_settings(env["CLAUDE_PROJECT_DIR"], env):
                name = ""
            elif claims.claim(self.alive, name, f"{self.owner} {gate} {origin}"):
                handled = await handle(self.house, Request(event, tuple(scopes.split()), env, gate=gate))
        except Exception as error:  # noqa: BLE001 - the edge: our own mistake must not hold up the client
            from fanout_hooks.crash import explain

            self.house.complain(explain("answering an event", error, self.env))
        self.server.send({"id": message.get("id"), "answer": handled.answer.stdout})
        handled.afterwards()
        if name:
            await self.loop.sleep(claims.WARM_CLAIM_S)
            claims.drop(self.alive, name)

    def _env(self, event: dict[str, Any]) -> dict[str, str]:
        """Return the event's environment: one object for the same content, so that it is compared fast."""
        effort = event.get("effort")
        key = (str(event.get("session_id")), str(event.get("cwd")), str(effort))
        if key not in self._envs:
            if len(self._envs) > 64:
                self._envs.clear()
            self._envs[key] = environment.for_event(self.env, event, self.client_pid)
        return self._envs[key]

    async def _sweep(self) -> None:
        while True:
            claims.sweep(self.alive)
            await self.loop.sleep(SWEEP_S)


def main(fd: int) -> int:
    """Serve on a socket that the server gave us."""
    server_pid = os.getppid()
    client_pid, env = environment.of_session(dict(os.environ), server_pid)
    keys = claims.client_keys(env, client_pid)
    loop = Loop()
    supervisor = Supervisor(loop, Channel(loop, socket.socket(fileno=fd)), env, (server_pid, client_pid))
    try:
        claims.mark(supervisor.alive, keys, server_pid)
        launch.keep(state_folder(env))
    except OSError as error:
        supervisor.house.complain(
            f"{error.filename}: {error.strerror}: sentinels will run the hooks themselves"
        )
    try:
        loop.run(supervisor.serve())
    finally:
        claims.unmark(supervisor.alive, keys, server_pid)
        supervisor.house.close()
    return 0
