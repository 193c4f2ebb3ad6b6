"""What tells one interpreter from another: the command that names it, and what a shim would choose by."""

from __future__ import annotations

import os

from fanout_hooks.command import Program

VERSION_FILES = (".python-version", ".tool-versions", ".mise.toml", "mise.toml")
"""What a version manager's shim decides by, beside the environment."""


def key_of(program: Program, env: dict[str, str], cwd: str) -> tuple[str, ...]:
    """Return what tells interpreters apart: the command, its flags, and what a shim would choose by."""
    about = os.stat(program.exe)
    shim = is_shim(program.exe)
    choice = tuple(_chosen_by(env, cwd)) if shim else ()
    python = tuple(f"{name}={value}" for name, value in sorted(env.items()) if name.startswith("PYTHON"))
    return (program.exe, program.flags, str(about.st_ino), str(about.st_mtime_ns), *choice, *python)


def is_shim(path: str) -> bool:
    """Say whether an interpreter is a version manager's script."""
    try:
        with open(path, "rb") as file:
            return file.read(2) == b"#!"
    except OSError:
        return False


def _chosen_by(env: dict[str, str], cwd: str) -> list[str]:
    found = [
        f"{name}={env[name]}"
        for name in ("PYENV_VERSION", "ASDF_PYTHON_VERSION", "MISE_PYTHON_VERSION")
        if name in env
    ]
    folder = cwd
    while True:
        for name in VERSION_FILES:
            try:
                about = os.stat(os.path.join(folder, name))
            except OSError:
                continue
            found.append(f"{folder}/{name}:{about.st_mtime_ns}")
        if os.path.dirname(folder) == folder:
            return [*found, cwd if not found else ""]
        folder = os.path.dirname(folder)
