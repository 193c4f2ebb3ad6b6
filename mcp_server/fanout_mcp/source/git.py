"""Ask git about a repository that may be hostile: it starts no program and opens no connection.

Theory of operation. A repository's own configuration names programs that git runs (fsmonitor, hooks, filters,
text conversions, pagers, remote helpers, ssh, credential helpers ...), and every version of git knows more
of them. So git is never shown that configuration. Each call gets a git directory of ours, made for it in a
temporary folder: our own config, a copy of HEAD, links to the repository's index, refs and objects. What git
then reads of the repository is data: names, trees, commits, blobs.

Rules:
1. Every git process of fanout is started here (tests/source/test_git.py looks for others).
2. Of the repository's config only FORMAT and NAMES are taken over: how objects and refs are stored, and which
   branch follows which. Neither names a program, a file or an address.
3. We find `.git` ourselves, upwards, as git does. A bare repository is never found (git's
   safe.bareRepository=explicit); one that another user owns counts only where the user's own safe.directory
   names it; a `.git` that leads out of its folder counts only when what it leads to names that folder: git's
   linked worktrees and submodules do.
4. Nothing is fetched: without a remote an object that a partial clone left out is missing, and said to be.
5. Second lines of defence, should a git read more than it says it does: no protocol is allowed, the
   environment holds nothing but what stands here, home is an empty folder.
"""

from __future__ import annotations

import errno
import os
import re
import signal
import stat
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

from fanout_hooks.client import files
from fanout_mcp.state.folder import find_program, safe_path

TIMEOUT_S: Final = 30.0
MAX_OUTPUT: Final = 512 << 20
"""Bytes. A crafted index of a few megabytes names gigabytes of paths."""
MAX_COMMITS: Final = 500
"""How far back a hot spot is counted."""
MAX_CONFIG: Final = 4 << 20

NO_GIT: Final = "git is not on PATH"
NO_REPOSITORY: Final = "there is no git repository"
BARE: Final = "it is a bare repository, which has no files"
PARTIAL: Final = "the clone is partial and lacks objects, and fanout fetches nothing"

ENVIRONMENT: Final = {
    "GIT_ALLOW_PROTOCOL": "none",  # beats protocol.*.allow of every configuration
    "GIT_ASKPASS": "false",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,  # git 2.32; older ones find no home
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_SYSTEM": os.devnull,
    "GIT_EDITOR": "false",
    "GIT_LITERAL_PATHSPECS": "1",
    "GIT_NO_LAZY_FETCH": "1",  # git 2.45; rule 4 holds without it
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_PAGER": "cat",
    "GIT_PROTOCOL_FROM_USER": "0",
    "GIT_SEQUENCE_EDITOR": "false",
    "GIT_SSH_COMMAND": "false",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
}
OPTIONS: Final = ("--no-pager", "--no-optional-locks", "--no-replace-objects")
OWN_CONFIG: Final = """[core]
\trepositoryFormatVersion = 1
\tbare = false
\thooksPath = /dev/null
\tfsmonitor = false
\tuntrackedCache = false
\tquotePath = false
[protocol]
\tallow = never
[submodule]
\trecurse = false
"""
FORMAT: Final = {
    "extensions.objectformat": re.compile(r"sha1|sha256"),
    "extensions.refstorage": re.compile(r"files|reftable"),
    "core.ignorecase": re.compile(r"(?i)true|false"),
    "core.precomposeunicode": re.compile(r"(?i)true|false"),
}
"""How the repository is stored: key to the values that are taken over."""
NAMES: Final = re.compile(r"branch\.[^\0\n]+\.(?:merge|remote)|remote\.[^\0\n]+\.fetch")
"""What `@{upstream}` needs."""
SHARED: Final = ("refs", "packed-refs", "reftable", "shallow")
"""Linked into the stand-in from the folder that all worktrees of a repository share."""
HEAD: Final = re.compile(rb"(?:ref: refs/[^\0\n]{1,1000}|[0-9a-f]{40}(?:[0-9a-f]{24})?)\s*\n?")

TRUE: Final = frozenset({"true", "yes", "on", "1"})

Config = Mapping[str, tuple[str, ...]]
"""Key in lower case, but for a subsection, to its values, the one that counts last."""


class Reply(NamedTuple):
    """What git printed, and why that is not everything that was asked for; "" when it is."""

    output: bytes = b""
    problem: str = ""


class Repository(NamedTuple):
    """A repository with files: its folder, its git directory, and the one it shares with its worktrees."""

    top: Path
    folder: Path
    common: Path
    config: Config

    @property
    def is_partial(self) -> bool:
        """Whether objects were left out when it was cloned."""
        return "extensions.partialclone" in self.config or any(
            key.startswith("remote.") and key.endswith((".promisor", ".partialclonefilter"))
            for key in self.config
        )


def git(folder: Path, *arguments: str, stdin: bytes = b"", timeout_s: float = TIMEOUT_S) -> Reply:
    """Run a git command that reads, in `folder` of a repository. `stdin`: what it reads there."""
    found = repository(folder)
    if isinstance(found, str):
        return Reply(problem=found)
    try:
        with _stand_in(found) as environment:
            arguments = (*OPTIONS, *arguments)
            reply = _start(found.top, folder, arguments, environment, stdin=stdin, timeout_s=timeout_s)
    except OSError as error:
        return Reply(problem=f"git could not be run: {error.strerror or error}")
    return reply._replace(problem=PARTIAL) if reply.problem and found.is_partial else reply


def repository(folder: Path) -> Repository | str:
    """Return the repository that `folder` is in; a sentence where there is none that is read."""
    start = Path(os.path.realpath(folder))
    try:
        device = start.stat().st_dev
        for top in (start, *start.parents):
            if top.stat().st_dev != device:
                break
            entry = top / ".git"
            with suppress(FileNotFoundError, NotADirectoryError):
                status = entry.lstat()
                if not stat.S_ISDIR(status.st_mode) or _is_git_folder(entry):
                    return _checked(top, entry, status)
    except OSError as error:
        return f"the repository can't be read: {error.strerror}"
    return BARE if _is_git_folder(start) else NO_REPOSITORY


def worktrees(folder: Path) -> list[Path]:
    """Return the tops of all worktrees of the repository that `folder` is in; nothing without one.

    Read from the files that git keeps: each tree must lead back to the same repository to count.
    """
    found = repository(folder)
    if isinstance(found, str):
        return []
    tops = [found.common.parent]
    with suppress(OSError):
        for entry in sorted((found.common / "worktrees").iterdir()):
            with suppress(OSError):
                tops.append(Path(os.path.realpath(entry / _line(entry / "gitdir"))).parent)
    known = {found.top: found} | {top: repository(top) for top in tops if top != found.top}
    return [
        top
        for top, one in known.items()
        if isinstance(one, Repository) and (one.top, one.common) == (top, found.common)
    ]


def names(output: bytes) -> list[str]:
    """Split NUL-separated paths; what is not UTF-8 keeps its bytes as surrogates."""
    return [os.fsdecode(name) for name in output.split(b"\0") if name]


MAX_SUBJECTS: Final = 1_000
"""How far back the words of a question are looked for in what commits were called."""

MAX_CHANGED: Final = 20
"""Files that a commit may change and still say something of each."""


class History(NamedTuple):
    """What the last commits changed below a folder, by path; empty without history."""

    commits: dict[str, int]
    """In how many of the last MAX_COMMITS."""
    subjects: dict[str, list[str]]
    """What those were called that changed at most MAX_CHANGED files."""
    problem: str = ""
    """Why that is not complete."""


def history(root: Path, commits: int = MAX_COMMITS) -> History:
    form = ("--no-merges", "--no-renames", "--name-only", "--relative", "-z", "--format=%x01%s")
    log = git(root, "log", "-n", str(commits), *form)
    if log.problem and not git(root, "rev-parse", "--verify", "--quiet", "HEAD").output:
        return History({}, {})  # no repository, or one without a commit: there is no history to lack
    found = History({}, {}, log.problem)
    changes: list[tuple[str, list[str]]] = []
    for entry in names(log.output):
        name = entry.lstrip("\n")
        if name.startswith("\1"):
            changes.append((name[1:], []))
        elif changes:
            changes[-1][1].append(name)
    for number, (subject, paths) in enumerate(changes):
        for path in paths:
            if number < MAX_COMMITS:
                found.commits[path] = found.commits.get(path, 0) + 1
            if len(paths) <= MAX_CHANGED:
                found.subjects.setdefault(path, []).append(subject)
    return found


# --- Finding it --------------------------------------------------------------------------------------------


def _is_git_folder(folder: Path) -> bool:
    return (folder / "HEAD").is_file() and all((folder / name).is_dir() for name in ("objects", "refs"))


def _checked(top: Path, entry: Path, status: os.stat_result) -> Repository | str:
    """Return the repository that `.git` in `top` is or names, when rule 3 lets it count. Raises OSError."""
    folder = Path(os.path.realpath(entry))
    if stat.S_ISREG(status.st_mode):
        line = files.read(entry, 8192)
        if not line.startswith(b"gitdir: "):
            return f"{entry} is not a git directory and names none"
        folder = Path(os.path.realpath(top / _name(line[8:])))
    elif not (stat.S_ISDIR(status.st_mode) or stat.S_ISLNK(status.st_mode)):
        return f"{entry} is neither a folder nor a file"
    common = folder
    if (folder / "commondir").exists():
        common = Path(os.path.realpath(folder / _line(folder / "commondir")))
    is_linked = common != folder
    if not _is_git_folder(common) or not (folder / "HEAD").is_file():
        return f"{entry} does not lead to a git directory"
    owners = {status.st_uid, folder.stat().st_uid}
    if not owners <= _users() and not _is_safe(top):
        return "another user owns it, and safe.directory of your own git configuration does not name it"
    config = _config(common / "config", top)
    if config.get("extensions.worktreeconfig", ("",))[-1].lower() in TRUE:
        config = {**config, **_config(folder / "config.worktree", top)}
    if is_linked:
        listed = os.path.realpath(folder / _line(folder / "gitdir"))
        names_back = listed == str(entry) and folder.parent == common / "worktrees"
    elif "core.worktree" in config:
        names_back = os.path.realpath(folder / config["core.worktree"][-1]) == str(top)
    else:
        names_back = folder.is_relative_to(top)
    if not names_back:
        return (
            f"{entry} leads to a git directory elsewhere that does not name {top} as its folder. If it is "
            f'yours, say so there: git config core.worktree "{top}"'
        )
    if not is_linked and config.get("core.bare", ("",))[-1].lower() in TRUE:
        return BARE
    return Repository(top, folder, common, config)


def _line(path: Path) -> str:
    return _name(files.read(path, 8192))


def _name(line: bytes) -> str:
    if b"\0" in line:
        raise OSError(errno.EINVAL, "a file that names a folder holds a NUL")
    return os.fsdecode(line.rstrip(b"\r\n"))


def _users() -> set[int]:
    user = os.geteuid()
    sudo = os.environ.get("SUDO_UID", "")
    return {user, int(sudo)} if user == 0 and sudo.isdecimal() else {user}


def _is_safe(top: Path) -> bool:
    """Tell whether the user's own configuration trusts a folder that another user owns."""
    for config in _own_configs(top):
        for value in config.get("safe.directory", ()):
            if value == "*" or os.path.realpath(Path(value).expanduser()) == str(top):
                return True
            if value.endswith("/*") and top.is_relative_to(os.path.realpath(value[:-2])):
                return True
    return False


def _own_configs(top: Path) -> Iterator[Config]:
    """Read the user's own git configuration; a project can't pass its file off as that."""
    home = Path("~").expanduser()
    for path in (_own_folder() / "config", home / ".gitconfig"):
        if Path(os.path.realpath(home)) == top or not Path(os.path.realpath(path)).is_relative_to(top):
            yield _config(path, top)


def _own_folder() -> Path:
    base = os.environ.get("XDG_CONFIG_HOME", "")
    return Path(base if base.startswith("/") else "~/.config").expanduser() / "git"


def _ignore_file(top: Path) -> str:
    """Return the user's own file of patterns that git ignores in every repository."""
    chosen = str(_own_folder() / "ignore")
    for config in _own_configs(top):
        chosen = config.get("core.excludesfile", (chosen,))[-1]
    path = Path(chosen).expanduser()
    return str(path) if path.is_file() and path.is_absolute() else os.devnull


def _config(path: Path, top: Path) -> Config:
    """Read a configuration file as data, without the files it includes; nothing where it can't be read."""
    try:
        status = path.stat()
    except OSError:
        return {}
    if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_CONFIG:
        return {}
    try:
        return _read_config(str(path), str(top), status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
    except OSError:
        return {}


@lru_cache(maxsize=256)
def _read_config(path: str, top: str, *_version: int) -> Config:
    """The same for a version of the file: a call asks git several times. Raises OSError."""
    with tempfile.TemporaryDirectory(prefix="fanout-git-") as empty:
        environment = {**ENVIRONMENT, "HOME": empty, "XDG_CONFIG_HOME": empty, "GIT_DIR": empty}
        arguments = ["config", "--file", path, "--no-includes", "--null", "--list"]
        reply = _start(Path(top), Path(empty), arguments, environment)
    if reply.problem:
        raise OSError(reply.problem)
    found: dict[str, tuple[str, ...]] = {}
    for row in names(reply.output):
        key, newline, value = row.partition("\n")  # a key without a value means true
        found[key] = (*found.get(key, ()), value if newline else "true")
    return found


# --- Standing in for it ------------------------------------------------------------------------------------


@contextmanager
def _stand_in(found: Repository) -> Iterator[dict[str, str]]:
    """Make a git directory of ours and yield the environment in which git uses it. Raises OSError."""
    with tempfile.TemporaryDirectory(prefix="fanout-git-") as name:
        own = Path(name)
        for shared in SHARED:
            _link(found.common / shared, own / shared)
        (own / "info").mkdir()
        _link(found.common / "info" / "exclude", own / "info" / "exclude")
        (own / "logs").mkdir()
        _link(found.folder / "logs" / "HEAD", own / "logs" / "HEAD")
        _link(found.common / "logs" / "refs", own / "logs" / "refs")
        for entry in os.scandir(found.folder):
            if entry.name == "index" or entry.name.startswith("sharedindex."):
                _link(Path(entry.path), own / entry.name)
            elif re.fullmatch(r"(?:[A-Z_]+_)?HEAD", entry.name):
                with suppress(OSError):
                    head = files.read(entry.path, 1 << 20, follow=True)
                    if HEAD.match(head):
                        (own / entry.name).write_bytes(head)
        (own / "config").write_text(_carried(found), encoding="utf-8", errors="surrogateescape")
        yield {
            **ENVIRONMENT,
            "HOME": f"{name}/info",
            "XDG_CONFIG_HOME": f"{name}/info",
            "GIT_DIR": name,
            "GIT_WORK_TREE": str(found.top),
            "GIT_OBJECT_DIRECTORY": os.path.realpath(found.common / "objects"),
        }


def _link(target: Path, link: Path) -> None:
    """Link what is there; a FIFO or a device is not."""
    if target.is_file() or target.is_dir():
        link.symlink_to(target)


def _carried(found: Repository) -> str:
    """Return the stand-in's config: ours, and of the repository's what rule 2 lets through."""
    lines = [OWN_CONFIG, f"[core]\n\texcludesFile = {_quoted(_ignore_file(found.top))}\n"]
    for key, values in found.config.items():
        allowed = FORMAT.get(key)
        if allowed is not None and allowed.fullmatch(values[-1]):
            section, _, name = key.partition(".")
            lines.append(f"[{section}]\n\t{name} = {values[-1]}\n")
        elif NAMES.fullmatch(key):
            section, _, rest = key.partition(".")
            subsection, _, name = rest.rpartition(".")
            lines += [f"[{section} {_quoted(subsection)}]\n\t{name} = {_quoted(value)}\n" for value in values]
    return "".join(lines)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _start(
    top: Path,
    folder: Path,
    arguments: Sequence[str],
    environment: dict[str, str],
    *,
    stdin: bytes = b"",
    timeout_s: float = TIMEOUT_S,
) -> Reply:
    """Run git itself, never one that lies in the project. Raises OSError."""
    path = safe_path(os.environ.get("PATH", os.defpath), top)
    program = find_program("git", top)
    if program is None:
        return Reply(problem=NO_GIT)
    with tempfile.TemporaryFile() as given:
        given.write(stdin)
        given.seek(0)
        process = subprocess.Popen(
            [program, *arguments],
            cwd=folder,
            env={**environment, "PATH": path},
            stdin=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        timer = threading.Timer(timeout_s, _kill, [process.pid])
        timer.daemon = True
        timer.start()
        assert process.stdout is not None  # noqa: S101 - opened with a pipe; tells mypy so
        with process.stdout as pipe:
            output = pipe.read(MAX_OUTPUT + 1)
        if len(output) > MAX_OUTPUT:
            _kill(process.pid)
        code = process.wait()
        is_late = timer.finished.is_set()
        timer.cancel()
    if is_late:
        return Reply(output, f"git was not done after {timeout_s:g} s")
    if len(output) > MAX_OUTPUT:
        return Reply(output[:MAX_OUTPUT], f"git printed more than {MAX_OUTPUT >> 20} MB")
    return Reply(output, f"git could not read it (it ended with {code})" if code else "")


def _kill(group: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)
