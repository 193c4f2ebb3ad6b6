"""Start the hooks' interpreter before our own modules are loaded: on two cores both get ready at once.

A cold event needs two interpreters, ours and the one that its hooks run in (zygote.py), and each takes
about as long as the hooks. So an event leaves a line in the user's state folder: the interpreter that it
used and the modules loaded there. The next event of the same project, scopes, name and tool begins with
starting that one. If it is not what would have been started, it ends with us. One that could run what is in
the project is not started ahead: nothing of a project runs before its hooks are known to be registered.

Imports as little as can be: what is loaded here delays the start.
"""

import os

from fanout_hooks.client.home import state_folder

TYPE_CHECKING = False  # typing's own would cost its import here
if TYPE_CHECKING:
    import signal
    from collections.abc import Iterable, Mapping
else:
    import _signal as signal  # the module `signal` makes an enum of everything first

NAME = "prestarted"
MAX_BYTES = 1 << 16
MAX_LINES = 32
ZYGOTE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "zygote.py")
HEAD = 4
"""Bytes of a message's length, as in warm/messages.py."""


def command_line(exe: str, flags: str, fd: int) -> list[str]:
    """Return what starts a zygote that talks on a descriptor, by the hooks' own command."""
    return [exe, *([f"-{flags}"] if flags else []), ZYGOTE, str(fd), flags]


class Started:
    """An interpreter that may be running: our end of its socket, and what it was started as."""

    __slots__ = ("cwd", "exe", "fd", "flags")

    def __init__(self, fd: int, exe: str, flags: str) -> None:
        self.fd, self.exe, self.flags, self.cwd = fd, exe, flags, os.getcwd()

    def is_for(self, exe: str, flags: str, env: "Mapping[str, str]", cwd: str) -> bool:
        return (exe, flags, cwd) == (self.exe, self.flags, self.cwd) and env == os.environ


def start(raw: bytes, scopes: str) -> "Started | None":
    """Start what the last event of this kind used; None where it used none, or that can't be done."""
    try:
        key = f"{_key(raw, scopes)}\t\t"
        used = next((line[len(key) :] for line in reversed(_lines()) if line.startswith(key)), "")
        exe, flags, names = [*used.split("\t"), "", ""][:3]
        return _spawn(exe, flags, names.split()) if exe and not _may_run_the_projects(exe) else None
    except (OSError, ValueError, NotImplementedError, AttributeError):  # the last two: not on every system
        return None


def _may_run_the_projects(exe: str) -> bool:
    """Say whether an interpreter lies in the repository, or variables add to its modules."""
    if os.environ.get("PYTHONPATH") or os.environ.get("PYTHONHOME"):
        return True
    project = root = os.path.realpath(_project())
    while not os.path.exists(os.path.join(root, ".git")):
        if root == os.path.dirname(root):
            root = project  # no repository
            break
        root = os.path.dirname(root)
    return os.path.realpath(os.path.dirname(exe)).startswith(os.path.join(root, ""))


def _project() -> str:
    return os.environ.get("CLAUDE_PROJECT_DIR") or os.getcwd()


def remember(raw: bytes, scopes: str, exe: str, flags: str, modules: "Iterable[str]") -> None:
    """Keep what an event of this kind used, or with no `exe` that it used none."""
    from fanout_hooks.client import files

    try:
        key, before = f"{_key(raw, scopes)}\t\t", _lines()
        others = [line for line in before if "\t\t" in line and not line.startswith(key)]
        own = [f"{key}{exe}\t{flags}\t{' '.join(sorted(modules))}"] if exe else []
        if sorted(others + own) == sorted(before) or "\n" in "".join(own):
            return
        text = "".join(f"{line}\n" for line in (others + own)[-MAX_LINES:])
        files.replace(_path(), text.encode("utf-8", "surrogateescape"))
    except (OSError, ValueError):
        return  # the next event starts as this one did


def _path() -> str:
    return os.path.join(state_folder(os.environ), NAME)


def _lines() -> list[str]:
    try:
        fd = os.open(_path(), os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError:
        return []
    try:
        if os.fstat(fd).st_uid != os.getuid():
            return []
        return os.read(fd, MAX_BYTES).decode("utf-8", "surrogateescape").splitlines()
    except OSError:
        return []
    finally:
        os.close(fd)


def _key(raw: bytes, scopes: str) -> str:
    """Return the project with the event's name and tool, as they come first; a wrong guess costs a start."""
    return "\t".join([_project(), scopes, _value(raw, b"hook_event_name"), _value(raw, b"tool_name")])


def _value(raw: bytes, name: bytes) -> str:
    _, _, after = raw.partition(b'"%s":' % name)
    return after[:200].lstrip(b' "').partition(b'"')[0].decode("utf-8", "replace")


def _spawn(exe: str, flags: str, modules: list[str]) -> Started:
    import _socket

    names = ",".join([f'"{name}"' for name in modules])
    body = f'{{"do":"import","names":[{names}]}}'.encode()
    ours, theirs = _socket.socketpair()
    try:
        os.set_inheritable(theirs.fileno(), True)
        kept = {0, 1, 2, theirs.fileno()}
        others = {int(name) for name in os.listdir("/proc/self/fd")} - kept
        os.posix_spawn(
            exe,
            command_line(exe, flags, theirs.fileno()),
            os.environ,
            file_actions=[
                *((os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in range(3)),
                *((os.POSIX_SPAWN_CLOSE, number) for number in others),
            ],
            setsid=True,
            setsigdef=(signal.SIGPIPE, signal.SIGXFSZ),
        )
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
    ours.sendall(len(body).to_bytes(HEAD, "big") + body)
    return Started(ours.detach(), exe, flags)
