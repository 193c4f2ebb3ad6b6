"""One worker process: reads a question a line, answers a line, dies rather than hang.

Rules:
1. An item's time is kept by the kernel: SIGALRM's default action ends us even inside a parser's C loop, where
   no Python signal handler would run, and even when our parent is gone.
2. Memory is bounded by RLIMIT_AS; what a function raises, MemoryError too, is an answer.
3. Whoever prints to stdout prints to stderr: the protocol has a descriptor of its own.
4. Nothing to do for a minute, or stdin closed: exit.
5. What a library does to `sys.path` while it is imported is undone: the next module is found where it was
   before. `sys.argv[0]` is empty, since lizard adds its folder, and we run in `/`, where no project's file is
   found by a relative entry.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any, Final

from fanout_hooks.crash import explain_alike
from fanout_mcp.errors import FanoutError
from fanout_mcp.standard import keep_standard
from fanout_mcp.types import Json

MEMORY_BYTES: Final = 2 << 30
IDLE_S: Final = 60.0
GARBAGE: Final = 100_000
"""Objects made between two searches for circles: trees hold none, and at Python's 700 they cost a tenth."""

PACKAGE: Final = "fanout_mcp."

Function = Callable[[Any], Any]


def _bound_memory() -> None:
    """Give up on what would take the machine's memory, and leave no core file."""
    import resource  # not where this module is only imported: Windows has none

    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    soft = MEMORY_BYTES if hard == resource.RLIM_INFINITY else min(MEMORY_BYTES, hard)
    with suppress(ValueError):  # macOS refuses a limit below what the process has mapped
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", encoding="ascii", newline="\n")
    os.dup2(2, 1)
    _bound_memory()
    os.nice(5)  # hook events and the server's loop go first
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a shell: our parent decides, and closes stdin
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    keep_standard()
    sys.argv[0] = ""
    gc.set_threshold(GARBAGE)
    for line in _lines():
        question = json.loads(line)
        signal.setitimer(signal.ITIMER_REAL, question["timeout_s"])
        answer = _answer(question)
        signal.setitimer(signal.ITIMER_REAL, 0)
        answers.write(answer)
        answers.flush()


def _lines() -> Any:
    waiting = b""
    while select.select([0], [], [], IDLE_S)[0]:
        chunk = os.read(0, 1 << 20)
        if not chunk:
            return
        *lines, waiting = (waiting + chunk).split(b"\n")
        yield from lines


def _answer(question: dict[str, Any]) -> str:
    number = question["n"]
    try:
        result = {"n": number, "ok": _function(question["call"])(question["item"])}
        return json.dumps(result, separators=(",", ":")) + "\n"
    except MemoryError:
        problem = "ran out of memory"
    except RecursionError:
        problem = "nested too deeply"
    except FanoutError as error:
        problem = str(error)[:300]
    except Exception as error:  # noqa: BLE001 - the worker's edge: a function's failure is an answer
        problem = explain_alike("analysing it", error, os.environ)[:300]
    return json.dumps({"n": number, "error": problem}) + "\n"


@cache
def _function(name: str) -> Function:
    """Find `fanout_mcp.some.module:function`; nothing outside our own package is ever called."""
    module, _, attribute = name.partition(":")
    if not module.startswith(PACKAGE):
        raise FanoutError(f"{name} is not one of ours")
    path = list(sys.path)
    try:
        function: Function = getattr(importlib.import_module(module), attribute)
    finally:
        sys.path[:] = path
    return function


if __name__ == "__main__":
    sys.setrecursionlimit(2000)
    main()


# --- What a worker does when asked to misbehave: how tests see that its bounds hold. ------------------------


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
