"""Entry by path, with nothing installed: `python -I -S fanout_hooks/__main__.py cold|supervisor ...`.

Isolated (`-I`), so that no module of the project's folder and no PYTHON* variable gets into our own process;
only the folder that holds this package goes onto the path.
"""

import gc
import os
import select
import sys
import time

if sys.version_info < (3, 11):  # noqa: UP036 - this is the file that says so
    # A guard (--only) that can't run denies: this is the one way in which it could be lost.
    what = "this guard can't run" if "--only" in sys.argv else "they are skipped, and everything goes on"
    sys.stderr.write("fanout: its hooks need Python 3.11 or newer; " + what + "\n")
    sys.exit(2 if "--only" in sys.argv else 0)

if os.name == "nt":
    sys.stderr.write("fanout: hooks need Linux or macOS; on Windows they are not supported\n")
    sys.exit(2 if "--only" in sys.argv else 0)

if not __package__:
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

TYPE_CHECKING = False  # typing's own would cost its import here
if TYPE_CHECKING:
    from typing import Any

    from fanout_hooks.run.decide import Opinion
    from fanout_hooks.warm.loop import Loop

STDIN_S = 5.0
"""The client writes the event at once; a stdin that stays open is not the client."""
MAX_EVENT = 128 << 20


def main(argv: "list[str]") -> int:
    if argv[:1] == ["supervisor"]:
        from fanout_hooks.log.append import after_event
        from fanout_hooks.run.supervisor import main as supervise

        return supervise(int(argv[1]), ask_gate, after_event)
    if argv[:1] == ["cold"]:
        return _cold(argv[1:])
    sys.stderr.write("fanout: say cold or supervisor\n")
    return 1


async def ask_gate(loop: "Loop", event: "dict[str, Any]", env: "dict[str, str]", mode: str) -> "Opinion":
    """Ask the sequential-agent gate; it compiles its words, so it is imported for events that ask it."""
    from fanout_hooks.gate.watch import opinion

    return await opinion(loop, event, env, mode)


def _cold(argv: "list[str]") -> int:
    """Run one event and end at once: taking the interpreter apart would be on the user's time."""
    gc.disable()  # what is made in these milliseconds is needed until their end
    from fanout_hooks.warm import prestart

    options, raw = options_of(argv), read_stdin(0)
    is_guard = "only" in options
    started = None if raw is None or is_guard else prestart.start(raw, options.get("scopes", ""))
    from fanout_hooks.log.append import after_event
    from fanout_hooks.run.cold import main as run_cold

    # Not every system says when a process began; until here ours has only computed.
    code = run_cold(options, raw, ask_gate, after_event, time.process_time() * 1000, started)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def options_of(argv: "list[str]") -> "dict[str, str]":
    """Read `--name value` pairs; argparse alone would cost more than all the rest."""
    pairs = iter(argv)
    return {name[2:]: next(pairs, "") for name in pairs if name.startswith("--")}


def read_stdin(fd: int, limit_s: float = STDIN_S) -> "bytes | None":
    """Return everything up to the end of stdin; None when it doesn't come.

    A stdin that is still open at the limit counts as ended after an object's line.
    """
    data = bytearray()
    until = time.monotonic() + limit_s
    while len(data) <= MAX_EVENT:
        ready, _, _ = select.select([fd], [], [], max(0.0, until - time.monotonic()))
        if not ready:
            return bytes(data) if data.endswith(b"}\n") else None
        more = os.read(fd, 1 << 16)
        if not more:
            return bytes(data)
        data += more
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
