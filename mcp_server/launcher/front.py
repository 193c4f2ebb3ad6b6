"""Answer the client until the real server can, then pass everything on to it.

One thread and `select`: the client's pipe, the real server's pipe, and a look at the build in between.
The modern protocol has no session, so its requests are simply passed on; of the older one the handshake
is repeated to the real server, whose answer to it nobody else sees.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from typing import Any

from launcher.build import Build
from launcher.environment import HERE, SOURCE, Environment

MODERN = "2026-07-28"
LEGACY = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
REPLAYED = "fanout-launcher-initialize"
HOOKS_TOOL = "run_hooks"
TRY_AGAIN_S = 30.0
"""A failed install is tried again by a later call, but not by every call."""
TICK_S = 0.2
PROGRESS_S = 1.0

Message = dict[str, Any]


class Front:
    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self.build = Build(environment)
        with open(os.path.join(HERE, "fanout_mcp", "tools.json"), encoding="utf-8") as file:
            self.told = json.load(file)
        self.info = {"name": "fanout", "version": self.told["version"], "title": "fanout"}
        self.handshake: list[bytes] = []
        self.waiting: dict[Any, tuple[bytes, Any, float]] = {}
        """Calls by id: the line, its progress token, and when it came."""
        self.server: subprocess.Popen[bytes] | None = None
        self.told_at = 0.0

    def run(self) -> None:
        """Serve until the client or the real server ends; does not return."""
        lines = b""
        while True:
            ready = self.wait()
            if 0 in ready:
                chunk = os.read(0, 65536)
                if not chunk:
                    self.end()
                if self.server is not None:
                    self.to_server(lines + chunk)
                    lines = b""
                else:
                    *whole, lines = (lines + chunk).split(b"\n")
                    for line in whole:
                        self.on_line(line)
            if self.server is not None:
                self.relay(ready)
            elif not self.build.is_done:
                self.watch_build()
            elif not lines:
                self.hand_over()

    def wait(self) -> list[int]:
        pipes = [0] if self.server is None or self.server.stdout is None else [0, self.server.stdout.fileno()]
        return select.select(pipes, [], [], None if self.server is not None else TICK_S)[0]

    def on_line(self, line: bytes) -> None:
        if self.server is not None:
            return self.to_server(line + b"\n")
        try:
            message = json.loads(line.decode("utf-8", "replace"))
        except (ValueError, RecursionError):
            return None
        if isinstance(message, dict) and isinstance(message.get("method"), str):
            params = message.get("params")
            self.on_message(message, params if isinstance(params, dict) else {}, line)
        return None

    def on_message(self, message: Message, params: Message, line: bytes) -> None:
        method, number = message["method"], message.get("id")
        if method == "notifications/cancelled":
            self.waiting.pop(params.get("requestId"), None)
        elif method == "notifications/initialized":
            self.handshake.append(line)
        elif number is None:
            return
        elif method == "initialize":
            self.handshake.append(json.dumps({**message, "id": REPLAYED}).encode())
            wanted = params.get("protocolVersion")
            version = wanted if wanted in LEGACY else LEGACY[0]
            self.answer(number, {"protocolVersion": version, "serverInfo": self.info, **self.identity()})
        elif method == "server/discover":
            self.answer(number, self.modern({"supportedVersions": [MODERN], **self.identity()}))
        elif method == "tools/list":
            tools = {"tools": self.told["tools"]}
            self.answer(number, tools if self.handshake else self.modern(tools))
        elif method == "ping":
            self.answer(number, {})
        elif method == "tools/call":
            self.on_call(number, params, line)
        else:
            error = {"code": -32601, "message": "Method not found"}
            self.write({"jsonrpc": "2.0", "id": number, "error": error})

    def on_call(self, number: Any, params: Message, line: bytes) -> None:
        if params.get("name") == HOOKS_TOOL:  # a hook never waits for an install: no opinion
            return self.answer_text(number, "", is_error=False)
        if self.build.failure and time.monotonic() - self.build.failed_at > TRY_AGAIN_S:
            self.build.restart()
        meta = params.get("_meta")
        token = meta.get("progressToken") if isinstance(meta, dict) else None
        self.waiting[number if isinstance(number, int | str) else str(number)] = (
            line,
            token,
            time.monotonic(),
        )
        return None

    def identity(self) -> Message:
        return {"capabilities": {"tools": {"listChanged": False}}, "instructions": self.told["instructions"]}

    def modern(self, result: Message) -> Message:
        meta = {"io.modelcontextprotocol/serverInfo": self.info}
        return {**result, "resultType": "complete", "ttlMs": 0, "cacheScope": "private", "_meta": meta}

    def watch_build(self) -> None:
        self.build.poll()
        if self.build.failure:
            for number in list(self.waiting):
                self.answer_text(number, self.sorry(), is_error=True)
            self.waiting.clear()
        elif self.waiting and time.monotonic() - self.told_at > PROGRESS_S:
            self.told_at = time.monotonic()
            for _, token, since in self.waiting.values():
                self.progress(token, self.told_at - since)

    def sorry(self) -> str:
        by_hand = f"make -C {SOURCE} .venv/.ready" if self.environment.is_clone else self.by_hand()
        return f"fanout could not set up its environment: {self.build.failure}. Run by hand: {by_hand}"

    def by_hand(self) -> str:
        return (
            f"python3 -m venv {self.environment.folder} && {self.environment.python} -m pip install {SOURCE}"
        )

    def progress(self, token: Any, seconds: float) -> None:
        if token is not None:
            params = {"progressToken": token, "progress": seconds, "message": self.build.news}
            self.write({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})

    def answer_text(self, number: Any, text: str, *, is_error: bool) -> None:
        result: Message = {"content": [{"type": "text", "text": text}], "isError": is_error}
        self.answer(number, result if self.handshake else self.modern(result))

    def answer(self, number: Any, result: Message) -> None:
        self.write({"jsonrpc": "2.0", "id": number, "result": result})

    def write(self, message: Message) -> None:
        write_all(1, json.dumps(message, separators=(",", ":")).encode() + b"\n")

    def hand_over(self) -> None:
        """Without a session to carry over, become the server that is ready now; else stand before it."""
        if not self.handshake and not self.waiting:
            self.environment.start()
        self.server = subprocess.Popen(
            self.environment.command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for line in self.handshake:
            self.to_server(line + b"\n")
        if self.handshake:
            self.swallow_handshake()
        for line, _, _ in self.waiting.values():
            self.to_server(line + b"\n")
        self.waiting.clear()

    def swallow_handshake(self) -> None:
        stdout = self.server.stdout if self.server is not None else None
        if stdout is None:
            return
        line = b""
        while not line.endswith(b"\n"):  # byte by byte: what follows belongs to the client
            piece = os.read(stdout.fileno(), 1)
            if not piece:
                self.end()
            line += piece

    def relay(self, ready: list[int]) -> None:
        if self.server is None or self.server.stdout is None or self.server.stdout.fileno() not in ready:
            return
        chunk = os.read(self.server.stdout.fileno(), 65536)
        if not chunk:
            self.end()
        write_all(1, chunk)

    def to_server(self, data: bytes) -> None:
        if self.server is not None and self.server.stdin is not None:
            write_all(self.server.stdin.fileno(), data)

    def end(self) -> None:
        """The client or the server is gone: so is the other, and so are we."""
        self.build.stop()
        if self.server is None:
            sys.exit(0)
        if self.server.stdin is not None:
            self.server.stdin.close()
        sys.exit(self.server.wait())


def write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(descriptor, view) :]
    except BrokenPipeError:
        sys.exit(0)
