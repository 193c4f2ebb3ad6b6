"""`uv run` hooks: which interpreter uv would start a script with, so that it is kept warm like any other.

What `uv run` does at each event (find the environment, look whether it is in sync, start its interpreter) is
asked of uv itself, in the background after an event that ran natively, and believed until a file changes that
the answer hangs on:

    uv sync --check     exit 0 and nothing to create: uv would change nothing before it starts the script
    uv python find      the interpreter; before the first sync it names another one, so a virtual environment
                        that exists is what is believed, and nothing else

Taken are scripts with inline dependencies (PEP 723) and projects, with the options of OPTIONS. Dependencies
on paths may change without any of these files, what warns would warn each time, and a uv that fails has to
fail the same way: those run natively.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, NamedTuple

from fanout_hooks.client import files
from fanout_hooks.learn.memory import path_of, version_of
from fanout_hooks.warm.command import Program, of_python, which
from fanout_hooks.warm.loop import Ended

OPTIONS = {
    "--script": (), "-s": (), "--quiet": (), "-q": (), "--no-progress": (),
    "--no-project": (), "--frozen": ("--frozen",), "--locked": ("--locked",), "--offline": ("--offline",),
}  # fmt: skip
"""What `uv run` may be given, and what of it the questions need."""
PROJECT = "--project"
PATHS = re.compile(r"\bpath\s*=|\bfile:|\bworkspace\s*=|\beditable\b|@\s*[./]")
"""Dependencies that uv looks at itself at each run."""
BLOCK = re.compile(r"(?m)^# /// script$\s(?P<content>(^#(| .*)$\s)+)^# ///$")
"""PEP 723's own expression."""
CHANGES = re.compile(r"warning:|Would (?!use |make no changes)")
CONFIGURED = ("pyproject.toml", "uv.toml", "uv.lock", ".python-version", ".python-versions")
USERS = ("uv.toml", ".python-version")
VARIABLES = (
    *("UV_PROJECT", "UV_NO_PROJECT", "UV_WORKING_DIRECTORY", "UV_WORKING_DIR"),
    *("UV_ENV_FILE", "UV_WITH", "UV_ISOLATED", "UV_NO_SYNC", "UV_RUN_MAX_RECURSION_DEPTH"),
)
"""With these `uv run` does more than the questions show."""
MAX_BYTES = 1 << 20
MAX_KNOWN = 500
AGAIN_S = 30.0


class UvProgram(NamedTuple):
    exe: str
    words: tuple[str, ...]
    """Its options, as the questions need them."""
    file: str
    script: str
    argv: tuple[str, ...]
    is_inline: bool
    watched: tuple[str, ...]
    """The files that uv's choice hangs on."""


class Found(NamedTuple):
    program: Program
    given: dict[str, str]
    watched: tuple[str, ...]


class Answer(NamedTuple):
    versions: tuple[str, ...]
    """Of all watched files."""
    python: str
    """"" where only uv itself can start the script."""
    base: str


UNKNOWN = Answer((), "", "")


Ask = Callable[[list[str], dict[str, str], str], Coroutine[Any, Any, Ended]]


def uv_of(words: Sequence[str], env: dict[str, str], cwd: str) -> UvProgram | None:
    """Return what a command in words has uv run; None when only uv itself can say."""
    exe = which(words[0], env, cwd)
    if exe is None or list(words[1:2]) != ["run"] or any(env.get(name) for name in VARIABLES):
        return None
    kept: list[str] = []
    is_script = no_project = False
    folder, at = cwd, 2
    while at < len(words) and words[at].startswith("-"):
        name, _, value = words[at].partition("=")
        if name == PROJECT:
            at += not value
            folder = os.path.join(cwd, value or next(iter(words[at : at + 1]), ""))
            kept += [PROJECT, folder]
        elif words[at] in OPTIONS:
            kept += OPTIONS[words[at]]
            is_script |= words[at] in ("--script", "-s")
            no_project |= words[at] == "--no-project"
        else:
            return None
        at += 1
    if at >= len(words) or not (words[at].endswith(".py") or is_script):
        return None
    file = os.path.join(cwd, words[at])
    source = files.text(file, MAX_BYTES)
    block = BLOCK.search(source)
    if not source or (block is None and (is_script or no_project)):
        return None
    if block is not None and PATHS.search(block["content"]):
        return None
    watched = [exe, file, f"{file}.lock", env.get("UV_CONFIG_FILE", "")]
    users = env.get("XDG_CONFIG_HOME") or os.path.join(env.get("HOME", ""), ".config")
    watched += [os.path.join(users, "uv", name) for name in USERS]
    for above in files.upwards(os.path.abspath(folder if block is None else os.path.dirname(file))):
        watched += [os.path.join(above, name) for name in CONFIGURED]
    own = (exe, tuple(kept), file, words[at], tuple(words[at + 1 :]), block is not None)
    return UvProgram(*own, tuple(watched))


class Answers:
    """What uv said of scripts; asked by `ask`, one after another, kept in a file for later sessions."""

    def __init__(
        self,
        ask: Ask,
        on_change: Callable[[], None],
        on_found: Callable[[Program, dict[str, str], str], None],
        state_folder: str,
    ) -> None:
        self._ask = ask
        self._on_change = on_change
        self._on_found = on_found
        """Is given what is known now, the environment and the folder."""
        self._state = state_folder
        self._path = ""
        self._known: dict[str, Answer] | None = None
        """Per program and environment."""
        self._open: dict[str, tuple[UvProgram, dict[str, str], str]] = {}
        self.is_asking = False
        self._again = 0.0
        """When to ask once more what had no answer."""

    def find(self, uv: UvProgram, env: dict[str, str], cwd: str) -> Found | None:
        """Return a script's program, or None where it isn't known (yet)."""
        if self._known is None:
            project = env.get("CLAUDE_PROJECT_DIR") or cwd
            self._path = path_of(self._state, project).removesuffix(".json") + ".uv.json"
            self._known = _load(self._path)
        key = _key(uv, env, cwd)
        versions, python, base = self._known.get(key, UNKNOWN)
        if versions != _versions(uv, python):
            self._open[key] = (uv, env, cwd)
            self._known.pop(key, None)
            return None
        if not python:
            return None
        prefix = os.path.dirname(os.path.dirname(python))
        depth = env.get("UV_RUN_RECURSION_DEPTH", "")
        given = {
            "UV": os.path.realpath(uv.exe),
            "UV_RUN_RECURSION_DEPTH": str(int(depth) + 1 if depth.isdecimal() else 1),
            "VIRTUAL_ENV": prefix,
            "PATH": ":".join(filter(None, (os.path.dirname(python), env.get("PATH", "")))),
        }
        program = Program(python, "", uv.script, uv.argv, base)
        return Found(program, given, (*uv.watched, *of_python(python)))

    @property
    def has_questions(self) -> bool:
        if self.is_asking:
            return False
        if 0 < self._again < time.monotonic():  # what could not be had may be had now
            self._again = 0.0
            self._known = {key: own for key, own in (self._known or {}).items() if own.python}
            self._on_change()
        return bool(self._open)

    async def ask(self) -> None:
        self.is_asking = True
        known = self._known = _load(self._path) | (self._known or {})  # with what other sessions asked
        try:
            while self._open:
                key, (uv, env, cwd) = next(iter(self._open.items()))
                before = _versions(uv, "")
                python = await self._interpreter(uv, env, cwd)
                del self._open[key]
                if len(known) > MAX_KNOWN:
                    known.clear()
                if not python:
                    self._again = time.monotonic() + AGAIN_S
                if _versions(uv, "") == before:  # else a file changed meanwhile: the next event asks again
                    known[key] = Answer(_versions(uv, python), python, base_of(python) if python else "")
                    if found := self.find(uv, env, cwd):
                        self._on_found(found.program, env | found.given, cwd)
            _save(self._path, known)
            self._on_change()
        finally:
            self.is_asking = False

    async def _interpreter(self, uv: UvProgram, env: dict[str, str], cwd: str) -> str:
        """Return the interpreter that uv would start; "" when it would do more than that."""
        script = ["--script", uv.script] if uv.is_inline else []
        check = await self._ask([uv.exe, "sync", "--check", *uv.words, *script], env, cwd)
        if check.exit or CHANGES.search(check.stderr.decode("utf-8", "replace")):
            return ""
        project = [word for word in uv.words if word not in ("--frozen", "--locked")]
        found = await self._ask([uv.exe, "python", "find", *project, *script], env, cwd)
        python = found.stdout.decode("utf-8", "replace").strip()
        return python if found.exit == 0 and _is_believed(python, uv, cwd) else ""


def _is_believed(python: str, uv: UvProgram, cwd: str) -> bool:
    """Say whether an interpreter lies in an environment that uv keeps for this script or project."""
    if not python.endswith(("/bin/python", "/bin/python3")) or not os.path.isfile(of_python(python)[0]):
        return False
    if uv.is_inline:
        return "environments-" in python
    root = _project(uv, cwd)
    text = files.text(os.path.join(root, "pyproject.toml"), MAX_BYTES) if root else ""
    return bool(text) and not PATHS.search(text)


def _project(uv: UvProgram, cwd: str) -> str:
    """Return the folder of a script's project; "" where versions of uv look for it in different places."""
    if PROJECT in uv.words:
        return _root(uv.words[uv.words.index(PROJECT) + 1])
    root = _root(cwd)
    return root if root == _root(os.path.dirname(uv.file)) else ""


def _root(folder: str) -> str:
    above = files.upwards(os.path.abspath(folder))
    return next((at for at in above if os.path.isfile(os.path.join(at, "pyproject.toml"))), "")


def _load(path: str) -> dict[str, Answer]:
    try:
        data = json.loads(files.read(path))
        return {
            str(key): Answer(tuple(map(str, versions)), str(python), str(base))
            for key, (versions, python, base) in data.items()
        }
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return {}


def _save(path: str, known: dict[str, Answer]) -> None:
    """Keep the answers that name an interpreter; without the file uv is asked again in each session."""
    with contextlib.suppress(OSError):
        files.replace(path, json.dumps({key: own for key, own in known.items() if own.python}).encode())


def _key(uv: UvProgram, env: dict[str, str], cwd: str) -> str:
    """Return what an answer depends on beside files: the command, and what uv reads of the environment.

    A hash of it: the environment may hold passwords of package indexes, and this goes into a file.
    """
    names = sorted(name for name in env if name.startswith(("UV_", "XDG_")) or name in _READ)
    read = [uv.exe, uv.words, uv.file, uv.script, cwd, [(name, env[name]) for name in names]]
    return files.digest(json.dumps(read)).hex()


_READ = ("HOME", "PATH", "VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONPATH", "PYTHONHOME")


def _versions(uv: UvProgram, python: str) -> tuple[str, ...]:
    return tuple(map(version_of, (*uv.watched, *(of_python(python) if python else ()))))


# --- Which environments share an interpreter. ---------------------------------------------------------------
# Those that differ in nothing but packages of plain Python: pristine.py starts each of them in any other's
# worker. What a start runs of an environment's own (sitecustomize, lines of .pth files) may do anything to
# the process, and two versions of a compiled library may not get on in one: such environments have their own.

UVS_OWN = ("_virtualenv.pth", "import _virtualenv")
"""What uv puts into each environment; pristine.py takes its finder along."""
CUSTOM = ("sitecustomize", "usercustomize")
COMPILED = (".so", ".dylib", ".pyd")
MAX_FILES = 5000
"""Of larger ones not all is looked at: that takes longer than a hook."""


def base_of(python: str) -> str:
    """Return what an environment shares its interpreter by, "" where it needs its own."""
    config, _, *sites = of_python(python)
    said = dict(map(_setting, files.text(config, MAX_BYTES).splitlines()))
    is_apart = said.get("include-system-site-packages", "").lower() == "false"
    if not (is_apart and said.get("home") and len(sites) == 1 and _is_plain(sites[0])):
        return ""
    return f"{os.path.realpath(python)} as {os.path.basename(python)} of {said['home']}"


def _setting(line: str) -> tuple[str, str]:
    name, _, value = line.partition("=")
    return name.strip().lower(), value.strip()


def _is_plain(site: str) -> bool:
    count = 0
    for folder, _, names in os.walk(site):
        count += len(names)
        if count > MAX_FILES or any(name.endswith(COMPILED) for name in names):
            return False
        if folder != site:
            continue
        lines = {name: files.text(os.path.join(site, name)) for name in names if name.endswith(".pth")}
        if any((name, text.strip()) != UVS_OWN for name, text in lines.items()):
            return False
    return not any(name.partition(".")[0] in CUSTOM for name in os.listdir(site))
