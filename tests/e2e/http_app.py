"""The real server over HTTP, on loopback: only because the conformance suite speaks nothing else.

python tests/e2e/http_app.py            prints its port as its first line
"""

from __future__ import annotations

import socket
import sys

import uvicorn

from fanout_mcp.edge.server import build


def main() -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    config = uvicorn.Config(build().streamable_http_app(host="127.0.0.1"), log_level="warning")
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
