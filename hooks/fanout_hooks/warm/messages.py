"""Messages between the supervisor, a zygote and its workers: a stamp, a length, then JSON.

A worker's stamp is random and known to it and to its owner alone: what a hook writes into a descriptor that
it found open is seen at once not to be a message. Descriptors may ride along. JSON is written and read
without the json module's own functions, for a hook can replace those.

Runs under the hooks' interpreter: nothing newer than Python 3.8.
"""

from __future__ import annotations

import array
import json
import socket
import types
from json.encoder import encode_basestring_ascii as _quoted
from typing import TYPE_CHECKING, Any

HEAD = 4
_scan: Any = vars(json.JSONDecoder())["scan_once"]
_array = array.array
_RIGHTS = (socket.SOL_SOCKET, socket.SCM_RIGHTS)
_ROOM = socket.CMSG_SPACE(4 * 8)


def encode(value: Any) -> str:
    """Return JSON of what our own messages are made of."""
    kind = type(value)
    if kind is str:
        return _quoted(value)
    if value is None:
        return "null"
    if kind is bool:
        return "true" if value else "false"
    if kind is int or kind is float:
        return repr(value)
    if kind is dict:
        return "{" + ",".join([_quoted(name) + ":" + encode(one) for name, one in value.items()]) + "}"
    if kind is list or kind is tuple:
        return "[" + ",".join([encode(one) for one in value]) + "]"
    return _quoted(str(value))


def send(sock: socket.socket, message: dict[str, Any], fds: tuple[int, ...] = (), stamp: bytes = b"") -> None:
    body = encode(message).encode()
    data = stamp + len(body).to_bytes(HEAD, "big") + body
    if fds:
        sent = sock.sendmsg([data], [(*_RIGHTS, _array("i", fds))])
        data = data[sent:]
    sock.sendall(data)


def receive(sock: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """Return the next message and the descriptors that came with it; None when the other side is gone."""
    fds: list[int] = []
    data = b""
    wanted = HEAD
    while len(data) < wanted:
        more, ancillary, _, _ = sock.recvmsg(wanted - len(data), _ROOM)
        for level, kind, payload in ancillary:
            if (level, kind) == _RIGHTS:
                got = _array("i")
                got.frombytes(payload[: len(payload) - len(payload) % got.itemsize])
                fds.extend(got)
        if not more:
            return None
        data += more
        if len(data) == HEAD and wanted == HEAD:
            wanted = HEAD + int.from_bytes(data, "big")
    return _scan(data[HEAD:].decode(), 0)[0], fds


# --- The standard library's functions as they were before any hook ran. -------------------------------------
# What runs after a hook in the hook's process must not stand on what that hook could replace: `json.dumps`,
# `os.write`, `os._exit`. So our code there takes modules from here: copies of their namespaces, made when the
# worker starts. What a patched module does inside still counts; then the worker fails, and its end is the
# loss of that hook's verdict alone (interpreter.py).

__all__ = ["atexit", "gc", "io", "os", "signal", "time"]

if TYPE_CHECKING:
    import atexit
    import gc
    import io
    import os
    import signal
    import time
else:
    import _signal
    import atexit
    import gc
    import io
    import os
    import time

    def _copy(module: Any) -> Any:
        return types.SimpleNamespace(**vars(module))

    path = _copy(os.path)
    atexit, gc, io, os, time, signal = map(_copy, (atexit, gc, io, os, time, _signal))
    os.path = path
