"""Messages between a zygote, its workers and whoever asked for them: a length, then JSON, descriptors beside.

Runs under the hooks' interpreter: nothing newer than Python 3.8.
"""

from __future__ import annotations

import array
import json
import socket
from typing import Any

HEAD = 4


def send(sock: socket.socket, message: dict[str, Any], fds: tuple[int, ...] = ()) -> None:
    body = json.dumps(message).encode()
    data = len(body).to_bytes(HEAD, "big") + body
    if fds:
        sent = sock.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))])
        data = data[sent:]
    sock.sendall(data)


def receive(sock: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """Return the next message and the descriptors that came with it; None when the other side is gone."""
    fds: list[int] = []
    data = b""
    wanted = HEAD
    while len(data) < wanted:
        more, ancillary, _, _ = sock.recvmsg(wanted - len(data), socket.CMSG_SPACE(4 * 8))
        for level, kind, payload in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                got = array.array("i")
                got.frombytes(payload[: len(payload) - len(payload) % got.itemsize])
                fds.extend(got)
        if not more:
            return None
        data += more
        if len(data) == HEAD and wanted == HEAD:
            wanted = HEAD + int.from_bytes(data, "big")
    return json.loads(data[HEAD:]), fds
