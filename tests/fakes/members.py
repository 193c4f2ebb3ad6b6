"""The APIs behind `codex` and `gemini` on loopback: OpenAI's Responses, Gemini's generateContent, streamed.

    with serving('{"verdict": "STOP"}') as upstream: ...   # upstream.url, then upstream.asked

Both send the same text. A WebSocket is refused with 426, so that codex goes on over HTTP at once.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from fakes.model import on_loopback


@dataclass
class Members:
    """Where it listens, what it says, and every question that it was asked."""

    text: str
    status: int = 200
    error: str = ""
    delay: float = 0.0
    port: int = 0
    asked: list[dict[str, Any]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def tools(self, number: int = -1) -> list[str]:
        """Return the names of the tools that a question offered to the model."""
        body = self.asked[number]
        found = [*body.get("tools", [])]
        for item in body.get("input", []):
            found += item.get("tools", []) if isinstance(item, dict) else []
        flat = [inner for tool in found for inner in (tool.get("tools") or [tool])]
        declared = [one for tool in flat for one in tool.get("functionDeclarations", [tool])]
        return [str(one.get("name") or one.get("type")) for one in declared if one]


@contextmanager
def serving(text: str, status: int = 200, error: str = "", delay: float = 0.0) -> Iterator[Members]:
    members = Members(text, status, error, delay)

    class Handler(_Handler):
        served = members

    with on_loopback(Handler) as members.port:
        yield members


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    served: Members

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._send(426, b"{}", "application/json")

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", "0"))) or b"{}")
        self.served.asked.append(body)
        time.sleep(self.served.delay)
        if self.served.status != 200:
            error = {"error": {"message": self.served.error, "code": self.served.status}}
            self._send(self.served.status, json.dumps(error).encode(), "application/json")
        elif self.path.endswith("/responses"):
            self._send(200, responses(self.served.text), "text/event-stream")
        else:
            self._send(200, gemini(self.served.text), "text/event-stream")

    def _send(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def responses(text: str) -> bytes:
    """Return a stream of OpenAI's Responses API."""
    part = {"type": "output_text", "text": text, "annotations": []}
    message = {"type": "message", "id": "m1", "role": "assistant", "status": "completed", "content": [part]}
    usage = {"input_tokens": 15, "output_tokens": 7, "total_tokens": 22}
    usage_details = {
        "input_tokens_details": {"cached_tokens": 5},
        "output_tokens_details": {"reasoning_tokens": 2},
    }
    opened = {**message, "content": [], "status": "in_progress"}
    at = {"item_id": "m1", "output_index": 0, "content_index": 0}
    events: list[tuple[str, dict[str, Any]]] = [
        ("response.created", {"response": {"id": "r1"}}),
        ("response.output_item.added", {"output_index": 0, "item": opened}),
        ("response.output_text.delta", {**at, "delta": text}),
        ("response.output_item.done", {"output_index": 0, "item": message}),
        ("response.completed", {"response": {"id": "r1", "usage": {**usage, **usage_details}}}),
    ]
    return "".join(
        f"event: {name}\ndata: {json.dumps({'type': name, **data})}\n\n" for name, data in events
    ).encode()


def gemini(text: str) -> bytes:
    """Return a stream of Gemini's generateContent."""
    candidate = {"content": {"role": "model", "parts": [{"text": text}]}, "finishReason": "STOP", "index": 0}
    usage = {"promptTokenCount": 15, "candidatesTokenCount": 7, "totalTokenCount": 22}
    body = {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "gemini-fake"}
    return f"data: {json.dumps(body)}\n\n".encode()
