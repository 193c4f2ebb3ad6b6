"""Start the server in the right environment, and answer the client while one is being made.

    python3 launch.py                  in a clone: its own .venv, as `make` makes it
    python3 launch.py --data FOLDER    as a plugin: its own environment in FOLDER; or the clone's where
                                       that is ready, for a clone's plugin is run from the clone

Ready environment: this process becomes the server (execv). None yet: the handshake and tools/list are
answered from the committed snapshot at once (the client waits 2 s, a first install takes longer), a process
apart makes the environment, tool calls wait with progress, and then the real server takes over.
Standard library only, and readable by every Python from 3.8 on, so that it can say what is missing.
"""

from __future__ import annotations

import os
import sys

# Run by path and isolated (-I), so nothing else puts this folder there.
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

from launcher.environment import Environment


def main() -> None:
    words = sys.argv[1:]
    data = words[words.index("--data") + 1] if "--data" in words[:-1] else None
    environment = Environment(data)
    if "--build" in words:
        from launcher.build import build

        sys.exit(build(environment))
    for ready in (Environment(None), environment):
        if ready.is_ready():
            ready.start()
    from launcher.front import Front  # json, select, subprocess: only for the first time

    Front(environment).run()


if __name__ == "__main__":
    main()
