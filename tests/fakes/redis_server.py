"""A real redis-server for one test: on a free loopback port; it can be killed and stopped.

It has no disk unless a test kills it and needs what it held: then `appends`.
"""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fanout_mcp.state.settings import Settings

PROGRAM: Final = shutil.which("redis-server")
MISSING: Final = "redis-server is not installed (apt-get install redis-server)"
WAIT_S: Final = 20


@dataclass
class RedisServer:
    folder: Path
    port: int
    appends: bool = False
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        words = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        off = ["--save", "", "--appendonly", "yes" if self.appends else "no"]
        log = ["--logfile", str(self.folder / "redis.log")]
        self.process = subprocess.Popen([PROGRAM or "redis-server", *words, *off, *log])
        until = time.monotonic() + WAIT_S
        while not self._answers():
            assert self.process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.01)

    def _answers(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(7) == b"+PONG\r\n"
        return False

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def hang(self) -> None:
        """Take connections, as the system does for it, and answer nothing."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)


def settings_of(folder: Path, url: str) -> Settings:
    """Return the settings of a process with this Redis, and the user's own folder in `folder`."""
    return Settings(root=folder, config_dir=folder / "user", redis_url=url)


@contextmanager
def redis_server(folder: Path, *, appends: bool = False) -> Iterator[RedisServer]:
    server = RedisServer(folder, free_port(), appends)
    server.start()
    try:
        yield server
    finally:
        server.kill()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port
