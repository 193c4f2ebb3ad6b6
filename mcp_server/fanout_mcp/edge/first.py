"""Answer what a client asks right after it started the server, before anything slow is imported.

The client shows a server as connected once `initialize` (or `server/discover`) and `tools/list` are
answered. Both answers are constant: the committed snapshot `tools.json`. The SDK takes most of a second to
import, so this module answers instead, from the standard library alone. It is all that runs then: in
`fanout serve`, and in the launcher, which also answers while an environment is made.

Rules:
1. It answers what is plainly right, exactly as the server would (a test compares them, in both eras of the
   protocol). Whatever else comes, mistakes too, waits for the server, in its order.
2. The server takes over in the same process, or in one that this process becomes: there is no relay. It gets
   one block of bytes to read before its pipe: the handshake and the request for the tools again, which say
   that the client has connected, then what waits, then half a line.
3. Of what is read again the client already has the answer; the server drops its own (REPLAYED).
4. Readable by Python 3.8, as all of the launcher, and free of imports that cost time.
"""

from __future__ import annotations

import json
import os
import select
import signal
import stat
import sys
import time
from typing import Any, Callable, Dict, List, NamedTuple

MODERN = "2026-07-28"
LEGACY = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
REPLAYED = ("fanout-handshake-again", "fanout-list-again")
"""Ids of the handshake and of the list of tools that the server reads again."""

HOOKS_TOOL = "run_hooks"
"""Not listed: hooks of type mcp_tool call it, no model does."""
NO_OPINION = "{}"
"""What it answers where it has nothing to say of an event."""

TTL_MS = 600_000
"""How long a client may keep the lists; they never change while the server runs."""

ENVELOPE = "io.modelcontextprotocol/"
CHUNK = 65_536
SHORT_S, LONG_S = 0.02, 1.0
"""Without another message for so long the server is loaded: after the list of tools, and before it."""
TICK_S = 0.2
"""Between two looks at a server that is not ready yet."""
MAX_HELD = 1_048_576
"""Bytes of lines for the server; beyond that the client's pipe fills up until it has taken over."""

Message = Dict[str, Any]


class Waiting(NamedTuple):
    """A line for the server; without method and id where it isn't a request."""

    line: bytes
    method: str
    id: Any
    params: Message
    since: float


class First:
    """One client, until the server takes over."""

    def __init__(self) -> None:
        path = os.path.join(os.path.dirname(os.path.realpath(__file__)), "tools.json")
        with open(path, encoding="utf-8") as file:
            self.snapshot = json.load(file)
        self.era = ""
        self.is_listed = False
        self.handshake: List[bytes] = []
        self.waiting: List[Waiting] = []
        self.pending = b""

    def serve(self, is_ready: Callable[[First], bool], tick_s: float = TICK_S) -> bytes:
        """Answer until the server is wanted and ready; return what it reads first. Ends with the client."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda number, _: os._exit(128 + number))
        sources = [0] if is_pipe(0) and is_pipe(1) else []  # a terminal or a file is left to the server
        wait: float | None = None if sources and not self.rest() else 0
        while True:
            if select.select([] if self.is_full() else sources, [], [], wait)[0]:
                self.read()
                wait = 0 if self.waiting or self.is_full() else SHORT_S if self.is_listed else LONG_S
            elif is_ready(self):
                break
            else:
                wait = tick_s
        return self.rest()

    def rest(self) -> bytes:
        """Return what the server reads before the client's pipe."""
        lines = [*self.handshake, *(one.line for one in self.waiting)]
        return b"".join(line + b"\n" for line in lines) + self.pending

    def is_full(self) -> bool:
        return len(self.pending) + sum(len(one.line) for one in self.waiting) > MAX_HELD

    def read(self) -> None:
        try:
            chunk = os.read(0, CHUNK)
        except BlockingIOError:
            return
        if not chunk:
            sys.exit(0)
        self.take(chunk)

    def take(self, data: bytes) -> None:
        """Take what the client sent, or what is left of it where a process that this one replaces stopped."""
        *whole, self.pending = (self.pending + data).split(b"\n")
        for line in whole:
            self.on_line(line)

    # --- what a line means ----------------------------------------------------------------------------------

    def on_line(self, line: bytes) -> None:
        try:
            message = json.loads(line.decode("utf-8"))
        except (ValueError, RecursionError):
            message = None
        if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
            message = {}
        method, number, params = message.get("method"), message.get("id"), message.get("params", {})
        if not isinstance(method, str) or not isinstance(params, dict):
            method, number, params = "", None, {}
        if method == "notifications/cancelled":
            gone = params.get("requestId")
            self.waiting = [one for one in self.waiting if one.id is None or one.id != gone]
        elif method == "notifications/initialized" and self.era == "legacy":
            self.handshake.append(line)
        elif line.strip() and not self.answered(message, method, number, params):
            self.waiting.append(Waiting(line, method, number, params, time.monotonic()))

    def answered(self, message: Message, method: str, number: Any, params: Message) -> bool:
        if not isinstance(number, (int, str)) or isinstance(number, bool):
            return False
        if not self.era and any(one.method for one in self.waiting):
            return False  # what came before the handshake may decide what it means
        era = self.era or ("legacy" if method == "initialize" else "modern")
        if era == "modern" and not is_modern(params):
            return False
        if era == "legacy" and is_enveloped(params):
            return False
        result = self.result(era, method, params)
        if result is None:
            return False
        if not self.era:
            self.era = era
            self.handshake.append(json.dumps(dict(message, id=REPLAYED[0])).encode())
        if method == "tools/list" and not self.is_listed:
            self.is_listed = True
            self.handshake.append(json.dumps(dict(message, id=REPLAYED[1])).encode())
        if number not in REPLAYED:
            self.answer(number, result)
        return True

    def result(self, era: str, method: str, params: Message) -> Message | None:
        """Return the server's constant answer to a request, or None where only the server knows it."""
        if method == "tools/list" and "cursor" not in params:
            return self.modern({"tools": self.snapshot["tools"]}, era)
        identity = {
            "capabilities": {"tools": {"listChanged": False}},
            "instructions": self.snapshot["instructions"],
        }
        if era == "modern":
            found = {"supportedVersions": [MODERN], **identity}
            return self.modern(found, era) if method == "server/discover" else None
        if method == "initialize" and not self.era and is_handshake(params):
            wanted = params["protocolVersion"]
            version = wanted if wanted in LEGACY else LEGACY[0]
            return {"protocolVersion": version, "serverInfo": self.info(), **identity}
        return {} if method == "ping" and self.era else None

    def info(self) -> Message:
        return {"name": "fanout", "title": "fanout", "version": self.snapshot["version"]}

    def modern(self, result: Message, era: str) -> Message:
        """Add to a result what the newer protocol has in each."""
        if era != "modern":
            return result
        cache = {"ttlMs": TTL_MS, "cacheScope": "public"}
        return {**result, **cache, "resultType": "complete", "_meta": {ENVELOPE + "serverInfo": self.info()}}

    # --- to the client --------------------------------------------------------------------------------------

    def answer_text(self, number: Any, text: str, *, is_error: bool) -> None:
        result: Message = {"content": [{"type": "text", "text": text}], "isError": is_error}
        self.answer(number, self.modern(result, self.era or "modern"))

    def answer(self, number: Any, result: Message) -> None:
        self.write({"jsonrpc": "2.0", "id": number, "result": result})

    def write(self, message: Message) -> None:
        data = memoryview(json.dumps(message, separators=(",", ":")).encode() + b"\n")
        while data:
            try:
                data = data[os.write(1, data) :]
            except BlockingIOError:
                select.select([], [1], [])
            except BrokenPipeError:
                sys.exit(0)


def is_pipe(descriptor: int) -> bool:
    mode = os.fstat(descriptor).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def is_enveloped(params: Message) -> bool:
    meta = params.get("_meta")
    return isinstance(meta, dict) and any(str(key).startswith(ENVELOPE) for key in meta)


def is_modern(params: Message) -> bool:
    meta = params.get("_meta")
    return (
        isinstance(meta, dict)
        and meta.get(ENVELOPE + "protocolVersion") == MODERN
        and isinstance(meta.get(ENVELOPE + "clientCapabilities"), dict)
        and is_named(meta.get(ENVELOPE + "clientInfo", {"name": "", "version": ""}))
    )


def is_handshake(params: Message) -> bool:
    return (
        isinstance(params.get("protocolVersion"), str)
        and isinstance(params.get("capabilities"), dict)
        and is_named(params.get("clientInfo"))
    )


def is_named(info: Any) -> bool:
    return isinstance(info, dict) and all(isinstance(info.get(key), str) for key in ("name", "version"))


# --- Hand over: bytes for a process that this one becomes, behind a descriptor that it inherits. ------------


def passed_on(begun: bytes) -> List[str]:
    """Return the arguments by which `fanout serve` finds what it reads first."""
    if len(begun) <= select.PIPE_BUF:
        source, sink = os.pipe()  # holds that much whatever the system
    else:
        from tempfile import TemporaryFile  # takes as long to import as all of this

        with TemporaryFile(buffering=0) as file:
            source = sink = os.dup(file.fileno())
    view = memoryview(begun)
    while view:
        view = view[os.write(sink, view) :]
    if sink == source:
        os.lseek(source, 0, os.SEEK_SET)
    else:
        os.close(sink)
    os.set_inheritable(source, True)
    return ["--begun", str(source)]


def taken_over(descriptor: int) -> bytes:
    """Read what `passed_on` left, and close it."""
    with os.fdopen(descriptor, "rb") as file:
        return file.read()
