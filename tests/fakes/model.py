"""A scripted Messages API on loopback: Claude Code's model, saying what the test wants and nothing else.

    script = turns([[Call("Bash", {"command": "ls"})], [Text("done")]],
                   agents={"[[sub:a]]": [[Text("a has ended")]]})
    with serving(script) as model: ...          # model.url is the client's ANTHROPIC_BASE_URL

A turn is what one assistant message holds. The main conversation takes its turns in order (by how many
assistant messages the request already carries); a sub-agent's is told by a mark in its first user message.
A script may also be any function from `Request` to a turn. Requests without tools (titles, summaries) are
answered "ok". `block_s`: seconds between the blocks of a message, for hooks that run while one still streams.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MODEL = "claude-opus-5-5"


@dataclass(frozen=True)
class Text:
    """A text block."""

    text: str


@dataclass(frozen=True)
class Call:
    """A tool_use block."""

    name: str
    input: Mapping[str, Any]
    id: str = ""


@dataclass(frozen=True)
class ToolResult:
    """What the client sent back for one call."""

    id: str
    text: str
    is_error: bool


Turn = Sequence[Text | Call]


@dataclass(frozen=True)
class Request:
    """One request of the client, with what tests ask of it."""

    body: Mapping[str, Any]
    at: float
    """time.monotonic() of its arrival."""

    @property
    def messages(self) -> list[dict[str, Any]]:
        return list(self.body.get("messages", []))

    @property
    def tools(self) -> list[str]:
        return [tool.get("name", "") for tool in self.body.get("tools", [])]

    @property
    def system(self) -> str:
        return blocks_text(self.body.get("system", ""))

    @property
    def turn(self) -> int:
        """How many assistant messages came before."""
        return sum(message["role"] == "assistant" for message in self.messages)

    @property
    def opening(self) -> str:
        """The text of everything before the first assistant message: the prompt, or a sub-agent's task."""
        texts: list[str] = []
        for message in self.messages:
            if message["role"] == "assistant":
                break
            texts.append(blocks_text(message["content"]))
        return "\n".join(texts)

    @property
    def news(self) -> str:
        """The text of everything since the last assistant message, tool results and system notes included."""
        texts: list[str] = []
        for message in reversed(self.messages):
            if message["role"] == "assistant":
                break
            texts.append(blocks_text(message["content"]))
        return "\n".join(reversed(texts))

    @property
    def tool_results(self) -> list[ToolResult]:
        """The tool results of the whole conversation, in order."""
        return [
            ToolResult(
                block["tool_use_id"], blocks_text(block.get("content", "")), bool(block.get("is_error"))
            )
            for message in self.messages
            if isinstance(message["content"], list)
            for block in message["content"]
            if block.get("type") == "tool_result"
        ]


Script = Callable[[Request], Turn]


def blocks_text(content: Any) -> str:
    """Return the text of a content: a string, or blocks (tool results included)."""
    if isinstance(content, str):
        return content
    parts = []
    for block in content or []:
        if block.get("type") == "text":
            parts.append(block["text"])
        elif block.get("type") == "tool_result":
            parts.append(blocks_text(block.get("content", "")))
    return "\n".join(parts)


def turns(main: Sequence[Turn], agents: Mapping[str, Sequence[Turn]] | None = None) -> Script:
    """Return a script of fixed turns; past the last one it says "ok"."""

    def script(request: Request) -> Turn:
        for mark, own in (agents or {}).items():
            if mark in request.opening:
                return own[request.turn] if request.turn < len(own) else [Text("ok")]
        return main[request.turn] if request.turn < len(main) else [Text("ok")]

    return script


@dataclass
class Model:
    """One running fake: where it listens and what it was asked."""

    script: Script
    block_s: float = 0.0
    port: int = 0
    requests: list[Request] = field(default_factory=list)
    """Requests that carried tools, in order of arrival."""
    others: list[Request] = field(default_factory=list)
    _news: threading.Condition = field(default_factory=threading.Condition)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def last(self) -> Request:
        return self.requests[-1]

    def note(self, request: Request) -> None:
        with self._news:
            (self.requests if request.tools else self.others).append(request)
            self._news.notify_all()

    def wait_for(self, is_it: Callable[[Request], bool], timeout: float = 60) -> Request:
        """Wait for a request. Raises TimeoutError that tells what came instead."""
        until = time.monotonic() + timeout
        with self._news:
            while True:
                for request in list(self.requests):
                    if is_it(request):
                        return request
                left = until - time.monotonic()
                if left <= 0 or not self._news.wait(left):
                    came = [request.news[-300:] for request in self.requests]
                    raise TimeoutError(f"no such request within {timeout} s; there were {came}")


@contextmanager
def on_loopback(handler: type[BaseHTTPRequestHandler]) -> Iterator[int]:
    """Serve with this handler for the length of the block; yields the port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def serving(script: Script, block_s: float = 0.0) -> Iterator[Model]:
    """Run a fake model for the length of the block."""
    model = Model(script, block_s)

    class Handler(_Handler):
        served = model

    with on_loopback(Handler) as model.port:
        yield model


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    served: Model

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self._json({})

    def do_GET(self) -> None:
        self._json({"data": [], "has_more": False})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", "0"))) or b"{}")
        if "count_tokens" in self.path:
            return self._json({"input_tokens": len(json.dumps(body)) // 4})
        request = Request(body, time.monotonic())
        self.served.note(request)
        turn = self.served.script(request) if request.tools else [Text("ok")]
        blocks = [_block(part) for part in turn]
        message = {
            "id": f"msg_{uuid.uuid4().hex[:20]}",
            "type": "message",
            "role": "assistant",
            "model": str(body.get("model", MODEL)),
            "content": blocks,
            "stop_reason": "tool_use" if any(block["type"] == "tool_use" for block in blocks) else "end_turn",
            "stop_sequence": None,
            "usage": {"input_tokens": 10, "output_tokens": 10},
        }
        return self._stream(message) if body.get("stream") else self._json(message)

    def _json(self, data: Any) -> None:
        body = json.dumps(data).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _stream(self, message: dict[str, Any]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        try:
            self._event("message_start", {"message": {**message, "content": [], "stop_reason": None}})
            for index, block in enumerate(message["content"]):
                if index and self.served.block_s:
                    time.sleep(self.served.block_s)
                self._send_block(index, block)
            delta = {"stop_reason": message["stop_reason"], "stop_sequence": None}
            self._event("message_delta", {"delta": delta, "usage": {"output_tokens": 10}})
            self._event("message_stop", {})
        except (BrokenPipeError, ConnectionResetError):
            pass  # the client has had enough: Esc, or its end

    def _send_block(self, index: int, block: dict[str, Any]) -> None:
        if block["type"] == "text":
            empty, delta = {**block, "text": ""}, {"type": "text_delta", "text": block["text"]}
        else:
            partial = json.dumps(block["input"])
            empty = {**block, "input": {}}
            delta = {"type": "input_json_delta", "partial_json": partial}
        self._event("content_block_start", {"index": index, "content_block": empty})
        self._event("content_block_delta", {"index": index, "delta": delta})
        self._event("content_block_stop", {"index": index})

    def _event(self, kind: str, data: dict[str, Any]) -> None:
        self.wfile.write(f"event: {kind}\ndata: {json.dumps({'type': kind, **data})}\n\n".encode())
        self.wfile.flush()


def _block(part: Text | Call) -> dict[str, Any]:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    made = part.id or f"toolu_{uuid.uuid4().hex[:20]}"
    return {"type": "tool_use", "id": made, "name": part.name, "input": dict(part.input)}
