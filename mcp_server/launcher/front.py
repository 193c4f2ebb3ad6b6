"""Answer the client until the real server can, then hand over to it (relay.py).

One thread and `select`: the client's pipe, and a look at the build in between.
"""

from __future__ import annotations

import json
import os
import select
import sys
import time
from typing import TYPE_CHECKING, Any, Dict, NamedTuple

from launcher import build
from launcher.environment import HERE, SOURCE, Environment
from launcher.relay import CHUNK, relay, write_all

if TYPE_CHECKING:
    import subprocess

MODERN = "2026-07-28"
LEGACY = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
REPLAYED = "fanout-launcher-initialize"
HOOKS_TOOL = "run_hooks"
NEWS = "setting up fanout's environment (first use only)"
TICK_S = 0.2
PROGRESS_S = 1.0

Message = Dict[str, Any]  # evaluated, so it is written as Python 3.8 can read it


class Waiting(NamedTuple):
    """A tool call that the real server will answer."""

    line: bytes
    token: Any
    since: float


class Front:
    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        with open(os.path.join(HERE, "fanout_mcp", "edge", "tools.json"), encoding="utf-8") as file:
            self.listed = json.load(file)
        self.info = {"name": "fanout", "version": self.listed["version"], "title": "fanout"}
        self.handshake: list[bytes] = []
        self.waiting: dict[Any, Waiting] = {}
        self.builder: subprocess.Popen[bytes] | None = None
        self.failure = ""
        self.listed_at = 0.0

    def run(self) -> None:
        """Serve until the client ends or the real server takes over; does not return."""
        self.start_build()
        pending = b""
        while True:
            if select.select([0], [], [], TICK_S)[0]:
                chunk = os.read(0, CHUNK)
                if not chunk:
                    sys.exit(0)
                *whole, pending = (pending + chunk).split(b"\n")
                for line in whole:
                    self.on_line(line)
            if self.builder is not None:
                self.watch_build()
            elif not self.failure and not pending:  # half a line is read to its end first
                self.hand_over()

    # --- the build ------------------------------------------------------------------------------------------

    def start_build(self) -> None:
        self.failure = ""
        try:
            self.builder = build.start(self.environment)
        except OSError as error:
            self.fail(str(error))

    def watch_build(self) -> None:
        status = None if self.builder is None else self.builder.poll()
        if status is None:
            self.tell_progress()
        elif status == 0:
            self.builder = None
        else:
            self.fail(self.environment.why_failed())

    def fail(self, reason: str) -> None:
        self.builder, self.failure = None, reason
        for number in self.waiting:
            self.answer_text(number, self.sorry(), is_error=True)
        self.waiting.clear()

    def tell_progress(self) -> None:
        now = time.monotonic()
        if now - self.listed_at < PROGRESS_S:
            return
        self.listed_at = now
        for call in self.waiting.values():
            if call.token is not None:
                params = {"progressToken": call.token, "progress": now - call.since, "message": NEWS}
                self.write({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})

    def sorry(self) -> str:
        by_hand = (
            f"make -C {SOURCE} .venv/.ready"
            if self.environment.is_clone
            else f"python3 -m venv {self.environment.folder} && "
            f"{self.environment.python} -m pip install {SOURCE}"
        )
        return (
            f"fanout could not set up its environment: {self.failure}. The next call tries again; "
            f"the log is {self.environment.log}. By hand: {by_hand}"
        )

    def hand_over(self) -> None:
        """Without a session to carry over, become the server that is ready now; else relay to it."""
        if not self.handshake and not self.waiting:
            self.environment.start()
        relay(self.environment.command(), self.handshake, [call.line for call in self.waiting.values()])

    # --- the client -----------------------------------------------------------------------------------------

    def on_line(self, line: bytes) -> None:
        try:
            message = json.loads(line.decode("utf-8", "replace"))
        except (ValueError, RecursionError):
            return
        if isinstance(message, dict) and isinstance(message.get("method"), str):
            params = message.get("params")
            self.on_message(message, params if isinstance(params, dict) else {}, line)

    def on_message(self, message: Message, params: Message, line: bytes) -> None:
        method, number = message["method"], message.get("id")
        if method == "notifications/cancelled":
            self.waiting.pop(key(params.get("requestId")), None)
        elif method == "notifications/initialized":
            self.handshake.append(line)
        elif number is None:
            return
        elif method == "initialize":
            self.handshake.append(json.dumps(dict(message, id=REPLAYED)).encode())
            wanted = params.get("protocolVersion")
            version = wanted if wanted in LEGACY else LEGACY[0]
            self.answer(number, {"protocolVersion": version, "serverInfo": self.info, **self.identity()})
        elif method == "server/discover":
            self.answer(number, self.modern({"supportedVersions": [MODERN], **self.identity()}))
        elif method == "tools/list":
            tools = {"tools": self.listed["tools"]}
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
        meta = params.get("_meta")
        token = meta.get("progressToken") if isinstance(meta, dict) else None
        self.waiting[key(number)] = Waiting(line, token, time.monotonic())
        if self.failure:
            self.start_build()
        return None

    def identity(self) -> Message:
        return {
            "capabilities": {"tools": {"listChanged": False}},
            "instructions": self.listed["instructions"],
        }

    def modern(self, result: Message) -> Message:
        meta = {"io.modelcontextprotocol/serverInfo": self.info}
        return {**result, "resultType": "complete", "ttlMs": 0, "cacheScope": "private", "_meta": meta}

    def answer_text(self, number: Any, text: str, *, is_error: bool) -> None:
        result: Message = {"content": [{"type": "text", "text": text}], "isError": is_error}
        self.answer(number, result if self.handshake else self.modern(result))

    def answer(self, number: Any, result: Message) -> None:
        self.write({"jsonrpc": "2.0", "id": number, "result": result})

    def write(self, message: Message) -> None:
        if not write_all(1, json.dumps(message, separators=(",", ":")).encode() + b"\n"):
            sys.exit(0)


def key(number: Any) -> Any:
    """Ids are text or whole numbers; any other value still gets its own key."""
    return number if isinstance(number, (int, str)) else str(number)
