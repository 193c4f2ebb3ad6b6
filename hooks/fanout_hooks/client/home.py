"""Where the hooks' processes keep what is theirs. Imports nothing but `os`: a cold event looks here first."""

import os

TYPE_CHECKING = False  # typing's own would cost its import here
if TYPE_CHECKING:
    from collections.abc import Mapping


def home(env: "Mapping[str, str]") -> str:
    return env.get("HOME") or os.path.expanduser("~")


def state_folder(env: "Mapping[str, str]") -> str:
    """Return the user's own folder for what the hooks' processes keep: never one that a project can hold.

    A repository can set variables (`.envrc`, its settings), and a program that starts for every event is read
    from there. The same rule in the shell's words is adoption/entries.py's STATE.
    """
    own = os.path.join(home(env), ".local", "state")
    base = env.get("FANOUT_STATE_DIR") or os.path.join(env.get("XDG_STATE_HOME") or own, "fanout")
    project = env.get("CLAUDE_PROJECT_DIR")
    is_planted = (
        not base.startswith("/")
        or base.startswith(("/proc/", "/dev/"))
        or not {"..", "."}.isdisjoint(base.split("/"))
        or (project and f"{base}/".startswith(f"{project}/"))
    )
    return os.path.join(own, "fanout", "hooks") if is_planted else os.path.join(base, "hooks")
