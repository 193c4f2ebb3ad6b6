"""Stand between the client and the real server: what was asked before it was there, then every byte.

Two directions, a thread each: neither side can then block the other. The modern protocol has no session, so
its requests are simply passed on; of the older one the handshake is repeated to the real server, whose
answer to it is dropped.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from types import FrameType

CHUNK = 65536
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def relay(command: list[str], handshake: list[bytes], waiting: list[bytes]) -> None:
    """Run the server until it or the client ends; does not return."""
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    if server.stdin is None or server.stdout is None:  # never with PIPE; for the type checker
        sys.exit(1)
    pass_signals_to(server)
    to_server, from_server = server.stdin.fileno(), server.stdout.fileno()
    write_all(to_server, b"".join(line + b"\n" for line in handshake))
    if handshake:
        skip_line(from_server)
    write_all(to_server, b"".join(line + b"\n" for line in waiting))
    threading.Thread(target=upstream, args=(to_server,), daemon=True).start()
    copy(from_server, 1)
    os._exit(server.wait())  # the other thread may still wait for the client


def pass_signals_to(server: subprocess.Popen[bytes]) -> None:
    """The client ends its servers by signals to this process; the server knows how to end."""

    def forward(number: int, _: FrameType | None) -> None:
        if server.poll() is None:
            server.send_signal(number)

    for number in SIGNALS:
        signal.signal(number, forward)


def upstream(to_server: int) -> None:
    copy(0, to_server)
    os.close(to_server)  # end of input: the server ends, and with it the other direction


def copy(source: int, sink: int) -> None:
    while True:
        chunk = os.read(source, CHUNK)
        if not chunk or not write_all(sink, chunk):
            return


def skip_line(source: int) -> None:
    piece = b""
    while piece != b"\n":  # byte by byte: what follows belongs to the client
        piece = os.read(source, 1)
        if not piece:
            return


def write_all(descriptor: int, data: bytes) -> bool:
    """Write it all; False when no one reads any more."""
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(descriptor, view) :]
    except BrokenPipeError:
        return False
    return True
