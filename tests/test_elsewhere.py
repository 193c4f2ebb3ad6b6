"""Systems that are not Linux: POSIX without what only Linux has, and Windows, where the server imports."""

from __future__ import annotations

import re
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

from fanout_hooks.client import settings
from fanout_hooks.log import rollup

with tempfile.TemporaryDirectory() as folder:
    path, state = os.path.join(folder, "settings.json"), os.path.join(folder, "state")
    for text in ('{"hooks": {}}', "{}"):
        settings.write(settings.read(path), text, state)
    assert settings.read(path).data == {} and len(settings.copies(path, state)) == 1
    settings.remove(settings.read(path), state)
    log = os.path.join(folder, "log.jsonl")
    with open(log, "wb") as file:
        file.write(b"{}\\n")
    assert rollup.gather(log).damaged.total() == 1
"""


@pytest.mark.slow
def test_the_server_imports_and_settings_and_logs_are_read_where_posix_is_missing() -> None:
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


LOOK_THEMSELVES = (
    "test_it_is_cut_at",  # waits by a pidfd
    "test_no_hook_outlives_its_event",
    "test_what_a_hook_that_has_ended_left_running_goes_on_as_it_does_natively",
    "test_no_token_stands_in_a_command_line",  # lists /proc
    "test_where_the_environment_is_ready_the_launcher_becomes_the_server",
    "test_any_number_of_locks_takes_one_descriptor_and_one_file",  # lists /dev/fd
    "test_a_runtime_that_was_closed_keeps_no_descriptor",
)
"""Tests that themselves look where only Linux has something to see."""


@pytest.mark.slow
@pytest.mark.parametrize(("folder", "least"), [("run", 100), ("learn", 20), ("client", 100)])
def test_hooks_work_without_proc_memfd_pidfd_and_epoll(folder: str, least: int) -> None:
    done = there(f"tests/{folder}")
    assert done.returncode == 0, done.stdout[-4000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed
    assert int(passed[1]) >= least


@pytest.mark.slow
def test_the_server_works_without_proc_memfd_pidfd_and_epoll() -> None:
    done = there("tests/edge", "tests/launcher/test_launch.py")
    assert done.returncode == 0, done.stdout[-4000:]


def there(*folders: str) -> subprocess.CompletedProcess[str]:
    """Run these tests on what is left of Linux."""
    apart = " and not ".join(["not linux", *LOOK_THEMSELVES])
    words = [*folders, "-q", "-n0", "-p", "no:cacheprovider", "-k", apart]
    try:
        return elsewhere.run(
            [sys.executable, "-m", "pytest", *words, "-m", "not e2e and not slow and not patterns"]
        )
    except PermissionError as error:
        pytest.skip(str(error))
