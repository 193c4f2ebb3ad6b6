"""Starts a zygote by the very command that starts the hooks, and ends it."""

from __future__ import annotations

import os
import socket
import subprocess

from fanout_hooks.command import Program

ENDING_S = 0.2
"""It ends by itself when it sees our end of the socket closing."""


class CannotStart(Exception):
    """The text names the program, and what the system says of it."""


def start_zygote(
    program: Program, env: dict[str, str], cwd: str
) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Return the process and our end of its socket. Raises CannotStart."""
    ours, theirs = socket.socketpair()
    zygote = os.path.join(os.path.dirname(os.path.abspath(__file__)), "zygote.py")
    flags = [f"-{program.flags}"] if program.flags else []
    command = [program.exe, *flags, zygote, str(theirs.fileno()), program.flags]
    os.set_inheritable(theirs.fileno(), True)
    try:
        with theirs:
            process = subprocess.Popen(
                command,
                env=env,
                cwd=cwd,
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
    except OSError as error:
        ours.close()
        raise CannotStart(f"{program.exe}: {error.strerror or error}") from error
    return process, ours


def end(process: subprocess.Popen[bytes]) -> None:
    """Wait for a zygote whose socket was closed; not for ever."""
    try:
        process.wait(ENDING_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
