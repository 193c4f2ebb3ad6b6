"""What a worker does when asked to misbehave: how tests see that its bounds hold."""

from __future__ import annotations

import os
import signal
import time

from fanout_mcp.types import Json


def probe(what: Json) -> Json:
    """Echo, or die in one of the ways that parsers of hostile files die."""
    if what == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if what == "hang":
        time.sleep(3600)
    if what == "eat":
        return len(bytearray(8 << 30))
    if what == "nap":
        time.sleep(0.01)
    if what == "raise":
        raise ValueError("no such thing")
    if what == "print":
        os.write(1, b"noise on stdout\n")
    return {"echo": what, "pid": os.getpid()}
