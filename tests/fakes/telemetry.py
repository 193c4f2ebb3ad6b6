"""A receiver of Claude Code's telemetry on loopback (OTLP, http/json): how long each hook event took.

with receiving() as told:
    client.say(model, "...", env=told.env)
    told.durations("PreToolUse")        # total_duration_ms of each, in order
"""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Telemetry:
    """What came."""

    port: int = 0
    records: list[dict[str, str]] = field(default_factory=list)

    @property
    def env(self) -> dict[str, str]:
        return {
            "CLAUDE_CODE_ENABLE_TELEMETRY": "1",
            "OTEL_LOGS_EXPORTER": "otlp",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self.port}",
            "OTEL_LOGS_EXPORT_INTERVAL": "500",
        }

    def durations(self, event: str) -> list[float]:
        """Return the milliseconds of each event, from its start to its last hook's end."""
        return [
            float(record["total_duration_ms"])
            for record in self.records
            if record.get("hook_event") == event and "total_duration_ms" in record
        ]

    def take(self, body: dict[str, Any]) -> None:
        for resource in body.get("resourceLogs", []):
            for scope in resource.get("scopeLogs", []):
                for record in scope.get("logRecords", []):
                    attributes = record.get("attributes", [])
                    self.records.append({one["key"]: _text(one["value"]) for one in attributes})


def _text(value: dict[str, Any]) -> str:
    return str(next(iter(value.values()), ""))


@contextmanager
def receiving() -> Iterator[Telemetry]:
    """Listen for the length of the block."""
    received = Telemetry()
    with posted(lambda _, body: received.take(json.loads(body or b"{}"))) as received.port:
        yield received


@contextmanager
def posted(take: Callable[[str, bytes], None]) -> Iterator[int]:
    """Listen on the port that is yielded, and hand on the path and body of each POST."""

    class Receiver(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            is_packed = self.headers.get("Content-Encoding") == "gzip"
            take(self.path, gzip.decompress(body) if is_packed else body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
