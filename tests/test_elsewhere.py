"""Systems that are not Linux: POSIX without what only Linux has, and Windows, where the server imports."""

from __future__ import annotations

import subprocess
import sys

import pytest

import elsewhere

ROOT = elsewhere.ROOT

ON_WINDOWS = """
import asyncio, importlib, os, pkgutil, select, signal, subprocess, sys, tempfile
import anyio._backends._asyncio, httpx2, mcp.server.lowlevel, mcp.server.stdio, pydantic, rich.console

class Gone:
    def find_spec(self, name, path=None, target=None):
        if name in {"fcntl", "grp", "pwd", "resource", "termios", "tty"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Gone())
for name in ("fcntl", "grp", "pwd", "resource", "termios", "tty"):
    sys.modules.pop(name, None)
missing = {
    os: "fork forkpty mkfifo killpg getpgid setsid geteuid getuid memfd_create pidfd_open nice fchmod "
        "O_NOFOLLOW O_CLOEXEC O_NONBLOCK O_DIRECTORY O_NOCTTY sched_getaffinity register_at_fork",
    select: "poll epoll PIPE_BUF",
    signal: "SIGHUP SIGKILL SIGCHLD SIGPIPE SIGALRM setitimer ITIMER_REAL",
}
for module, names in missing.items():
    for name in names.split():
        vars(module).pop(name, None)

import fanout_mcp

found = [one.name for one in pkgutil.walk_packages(fanout_mcp.__path__, "fanout_mcp.")]
for name in found:
    if not name.endswith("__main__"):
        importlib.import_module(name)
print(len(found))
"""


def test_every_module_of_the_server_imports_where_fcntl_fork_and_resource_are_missing() -> None:
    words = [sys.executable, "-I", "-c", ON_WINDOWS]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) > 100


@pytest.mark.parametrize(("words", "status"), [([], 0), (["--only", "guard"], 2)], ids=["a hook", "a guard"])
def test_on_windows_a_hook_says_that_it_is_not_supported(words: list[str], status: int) -> None:
    entry = ROOT / "hooks" / "run.py"
    code = f"import os, runpy, sys; os.name = 'nt'; sys.argv = ['run.py', 'cold', *{words!r}]; "
    code += f"runpy.run_path({str(entry)!r}, run_name='__main__')"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr == "fanout: hooks need Linux or macOS; on Windows they are not supported\n"
    assert done.returncode == status
