"""What tells one interpreter from another: the command that names it, and what a shim would choose by."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from fanout_hooks.command import Program
from fanout_hooks.record import version_of

VERSION_FILES = (
    *(".python-version", ".tool-versions"),
    *(".mise.toml", "mise.toml", ".mise.local.toml", "mise.local.toml"),
    *(".config/mise.toml", ".config/mise/config.toml", ".mise/config.toml", "mise/config.toml"),
)
"""What a version manager's shim decides by in the folder or above it."""
VARIABLES = ("PYENV_VERSION", "ASDF_PYTHON_VERSION", "MISE_PYTHON_VERSION")
MANAGERS = (b"pyenv", b"asdf", b"mise")
"""In the scripts of those that decide by nothing else."""


def key_of(program: Program, env: dict[str, str], cwd: str) -> tuple[str, ...]:
    """Return what tells interpreters apart: the command, its flags, and what a shim would choose by."""
    about = os.stat(program.exe)
    choice = _chosen_by(program.exe, env, cwd) if is_shim(program.exe) else ()
    python = tuple(f"{name}={value}" for name, value in sorted(env.items()) if name.startswith("PYTHON"))
    return (program.exe, program.flags, str(about.st_ino), str(about.st_mtime_ns), *choice, *python)


def is_shim(path: str) -> bool:
    """Say whether an interpreter is a version manager's script."""
    try:
        with open(path, "rb") as file:
            return file.read(2) == b"#!"
    except OSError:
        return False


def _chosen_by(exe: str, env: dict[str, str], cwd: str) -> Iterator[str]:
    yield from (f"{name}={env[name]}" for name in VARIABLES if name in env)
    folder = cwd
    while True:
        yield from _those_there(folder, VERSION_FILES)
        if os.path.dirname(folder) == folder:
            break
        folder = os.path.dirname(folder)
    # The global choice: pyenv's, two above its shims, and asdf's.
    yield from _those_there(os.path.dirname(os.path.dirname(exe)), ("version",))
    yield from _those_there(env.get("HOME", ""), (".tool-versions", ".config/mise/config.toml"))
    if not _is_known(exe):
        yield cwd


def _those_there(folder: str, names: Iterable[str]) -> Iterator[str]:
    for name in names:
        path = os.path.join(folder, name)
        version = version_of(path)
        if version:
            yield f"{path}:{version}"


def _is_known(exe: str) -> bool:
    with open(exe, "rb") as file:
        head = file.read(4096)
    return any(manager in head for manager in MANAGERS)
