"""A server that `http` hooks post to: it keeps what came, and what all could see of who sent it.

with serving({"systemMessage": "hi"}) as webhook:
    ...  # post to webhook.url
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class Webhook(ThreadingHTTPServer):
    """Answers everything below /moved with a redirect, all else as told, and keeps what it was sent."""

    def __init__(self, answer: Any) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.answer = json.dumps(answer).encode()
        self.came: list[tuple[str, dict[str, str], Any]] = []
        self.command_lines: list[str] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


class _Answers(BaseHTTPRequestHandler):
    server: Webhook

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.came.append((self.path, dict(self.headers), json.loads(body)))
        self.server.command_lines += _command_lines()
        if self.path.startswith("/moved"):
            self.send_response(302)
            self.send_header("Location", f"{self.server.url}/elsewhere")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.server.answer)))
        self.end_headers()
        self.wfile.write(self.server.answer)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name it has there
        """Keep quiet."""


def _command_lines() -> list[str]:
    """Return what every user of this machine can see of its processes."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_text(errors="replace").replace("\0", " "))
        except OSError:
            continue  # it has ended
    return found


@contextmanager
def serving(answer: Any) -> Iterator[Webhook]:
    with Webhook(answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
