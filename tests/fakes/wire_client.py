"""A client that says exactly the bytes it is told to: what the SDK's own client would never send."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

HOSTILE = Path(__file__).with_name("hostile_server.py")

META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}


class Wire:
    """One server process; every wait ends after `timeout` seconds. `clean`: only `env` is its environment."""

    def __init__(
        self,
        command: list[str],
        env: Mapping[str, str] | None = None,
        timeout: float = 20,
        *,
        clean: bool = False,
    ) -> None:
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**({} if clean else os.environ), **(env or {})},
            bufsize=0,
        )
        self.timeout = timeout
        self.notes: list[dict[str, Any]] = []
        self.strays: list[bytes] = []
        self._buffer = b""
        self._number = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()

    def write(self, data: bytes) -> None:
        assert self.process.stdin is not None
        view = memoryview(data)
        while view:  # an unbuffered pipe may take less than it is given
            view = view[self.process.stdin.write(view) :]

    def send(self, method: str, params: Mapping[str, Any] | None = None, **fields: Any) -> Any:
        self._number += 1
        number = fields.pop("id", self._number)
        message = {
            "jsonrpc": "2.0",
            "id": number,
            "method": method,
            "params": {**(params or {}), "_meta": META},
        }
        self.write(json.dumps({**message, **fields}).encode() + b"\n")
        return number

    def notify(self, method: str, params: Mapping[str, Any]) -> None:
        self.write(json.dumps({"jsonrpc": "2.0", "method": method, "params": params}).encode() + b"\n")

    def answer(self, number: Any) -> dict[str, Any]:
        """Return the answer to that id, keeping notifications and answers to nobody aside."""
        while True:
            message = self.read()
            if "method" in message or message.get("id") != number:
                self.notes.append(message)
            else:
                return message

    def read(self) -> dict[str, Any]:
        while True:
            line = self.read_line()
            try:
                message: dict[str, Any] = json.loads(line)
            except ValueError:
                self.strays.append(line)
            else:
                return message

    def read_line(self) -> bytes:
        assert self.process.stdout is not None
        end = time.monotonic() + self.timeout
        while b"\n" not in self._buffer:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))
            assert ready, f"no answer within {self.timeout} s"
            chunk = self.process.stdout.read(65_536)
            assert chunk, "the server closed its output"
            self._buffer += chunk
        line, self._buffer = self._buffer.split(b"\n", 1)
        return line

    def ask(self, method: str, params: Mapping[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
        return self.answer(self.send(method, params, **fields))

    def call(self, name: str, arguments: Mapping[str, Any] | None = None) -> dict[str, Any]:
        message = self.ask("tools/call", {"name": name, "arguments": dict(arguments or {})})
        result: dict[str, Any] = message["result"]
        return result

    def is_well(self) -> bool:
        answer: object = self.call("echo", {"question": "still there"})["structuredContent"]["question"]
        return answer == "still there"


def hostile(**env: str) -> Wire:
    return Wire([sys.executable, "-P", str(HOSTILE)], env)
