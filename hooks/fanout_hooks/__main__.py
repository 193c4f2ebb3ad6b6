"""Entry by path, with nothing installed: `python -I -S fanout_hooks/__main__.py cold|supervisor ...`.

Isolated (`-I`), so that no module of the project's folder and no PYTHON* variable gets into our own process;
only the folder that holds this package goes onto the path.
"""

import gc
import os
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
    from fanout_hooks.run import ahead

    raw = ahead.read_stdin(0)
    scopes = argv[argv.index("--scopes") + 1] if "--scopes" in argv[:-1] else ""
    started = ahead.start(raw, scopes) if raw is not None and "--only" not in argv else None
    from fanout_hooks.log.append import after_event
    from fanout_hooks.run.cold import main as run_cold

    # Not every system says when a process began; until here ours has only computed.
    code = run_cold(argv, raw, ask_gate, after_event, time.process_time() * 1000, started)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
