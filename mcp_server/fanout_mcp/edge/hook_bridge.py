"""Hands hook events to the process that runs them, and the answers back: many at once over one socket.

The supervisor (run/supervisor.py) is a separate process, standard library only: hook code, even
its crashes and endless loops, stays far from the server, and the server's work stays far from the hooks'
time. It is started when the client has connected, if this session's hooks call this server, else at the first
event. When it dies, the events it had get an empty answer (the client takes that as "no opinion") and it is
started again for the next one.

Messages both ways: four bytes of length, then JSON: `{"id", "arguments"}` there, `{"id", "answer"}` back.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from fanout_mcp.edge.first import NO_OPINION
from fanout_mcp.types import Json

log = logging.getLogger("fanout")

HEAD: Final = 4
CLOSING_S: Final = 0.15
"""For the supervisor to end its workers; it sees our end of the socket closing."""


Starter = Callable[[int], "subprocess.Popen[bytes]"]
"""Starts a supervisor that talks on the descriptor; tests hand in one of their own."""


def start_supervisor(fd: int) -> subprocess.Popen[bytes]:
    """Start the supervisor, isolated from the project's folder and from PYTHON* variables."""
    import fanout_hooks

    entry = Path(fanout_hooks.__file__).with_name("__main__.py")
    command = [sys.executable, "-I", "-S", str(entry), "supervisor", str(fd)]
    return subprocess.Popen(
        command, pass_fds=(fd,), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True
    )


class _Link(asyncio.Protocol):
    """One supervisor's lifetime: what it was asked, and what it still owes."""

    def __init__(self) -> None:
        self.owed: dict[int, asyncio.Future[str]] = {}
        self.process: subprocess.Popen[bytes] | None = None
        self.transport: asyncio.Transport | None = None
        self.alive = True
        self._numbers = itertools.count(1)
        self._received = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - what a stream socket always gives
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while len(self._received) >= HEAD:
            end = HEAD + int.from_bytes(self._received[:HEAD], "big")
            if len(self._received) < end:
                return
            message = json.loads(self._received[HEAD:end])
            del self._received[:end]
            waiting = self.owed.pop(message["id"], None)
            if waiting is not None and not waiting.done():
                waiting.set_result(message["answer"])

    def connection_lost(self, _: Exception | None) -> None:
        self.alive = False
        if self.owed:
            log.error("the hooks' process ended; %d event(s) go on without an opinion", len(self.owed))
        for waiting in self.owed.values():
            if not waiting.done():
                waiting.set_result(NO_OPINION)
        self.owed.clear()
        if self.process is not None:
            self.process.poll()

    async def ask(self, arguments: dict[str, Json]) -> str:
        assert self.transport is not None  # noqa: S101 - connected before anybody can ask
        number = next(self._numbers)
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.owed[number] = answer
        body = json.dumps({"id": number, "arguments": arguments}).encode()
        self.transport.write(len(body).to_bytes(HEAD, "big") + body)
        try:
            return await answer
        finally:
            self.owed.pop(number, None)


class HookBridge:
    """What the server's hidden tool calls. One a server; close it before the loop ends."""

    def __init__(self, start: Starter = start_supervisor) -> None:
        self._start = start
        self._link: _Link | None = None
        self._opening = asyncio.Lock()

    async def handle(self, arguments: dict[str, Json]) -> str:
        """Return the hooks' joint answer to one event as the client reads it: JSON, `{}` for no opinion."""
        return await (await self._linked()).ask(arguments)

    async def get_ready(self) -> None:
        """Start the supervisor before the first event where there will be one; it says that we are there."""
        from fanout_hooks.client.places import is_expected

        if await asyncio.to_thread(is_expected, dict(os.environ), sys.orig_argv):
            await self._linked()

    async def close(self) -> None:
        """End the supervisor and, through it, whatever hooks still run."""
        link, self._link = self._link, None
        if link is None or link.transport is None or link.process is None:
            return
        link.transport.close()
        for _ in range(10):
            if link.process.poll() is not None:
                return
            await asyncio.sleep(CLOSING_S / 10)
        link.process.kill()
        link.process.wait()

    async def _linked(self) -> _Link:
        async with self._opening:
            if self._link is None or not self._link.alive:
                self._link = await self._open()
            return self._link

    async def _open(self) -> _Link:
        ours, theirs = socket.socketpair()
        os.set_inheritable(theirs.fileno(), True)
        with theirs:
            process = self._start(theirs.fileno())
        _, link = await asyncio.get_running_loop().create_connection(_Link, sock=ours)
        link.process = process
        return link
