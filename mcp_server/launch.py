"""Start the server in the right environment, and answer the client while one is being made.

    python3 launch.py                  in a clone: its own .venv, as `make` makes it
    python3 launch.py --data FOLDER    as a plugin: its own environment in FOLDER; or the clone's where
                                       that is ready, for a clone's plugin is run from the clone
    python3 launch.py ... fanout doctor    a command of fanout or fanout-hooks, from that environment

The first questions are answered at once, from the committed snapshot (fanout_mcp/edge/first.py). Then this
process becomes the server (execv). Where there is no environment yet, a process apart makes one, and tool
calls wait with progress.
Standard library only, and readable by every Python from 3.8 on, so that it can say what is missing.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

# Run by path and isolated (-I), so nothing else puts this folder there.
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

from fanout_mcp.edge.first import First

if TYPE_CHECKING:
    from launcher.environment import SetUp


COMMANDS = {"fanout": "fanout_mcp", "fanout-hooks": "fanout_hooks.cli"}
"""Command -> the module that is run for it."""


def main() -> None:
    words = sys.argv[1:]
    data = words[words.index("--data") + 1] if "--data" in words[:-1] else None
    if "--build" in words:
        from launcher.environment import Environment, build

        sys.exit(build(Environment(data)))
    command = next((at for at, word in enumerate(words) if word in COMMANDS), None)
    if command is not None:
        from launcher.environment import SetUp

        SetUp(data).run(COMMANDS[words[command]], words[command + 1 :])
    chosen: list[SetUp] = []

    def is_ready(first: First) -> bool:
        from launcher.environment import SetUp  # hashlib, shutil, subprocess: not before the first answers

        if not chosen:
            chosen.append(SetUp(data))
        return chosen[0].is_ready(first)

    begun = First().serve(is_ready)
    chosen[0].environment.start(begun)


if __name__ == "__main__":
    main()
