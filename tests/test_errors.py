"""Whatever goes wrong inside: a user and a model read a sentence; the trace is in a file of the user."""

from __future__ import annotations

import errno
import importlib
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import fanout_hooks
from fanout_hooks import cli as hooks_cli
from fanout_hooks import crash
from fanout_hooks.__main__ import options_of
from fanout_hooks.run import cold
from fanout_mcp import cli
from fanout_mcp.commands.flags import NO_VERDICT, OK
from fanout_mcp.engine import limits, run
from fanout_mcp.types import Job, Prompt

ERRORS: dict[str, BaseException] = {
    "KeyError": KeyError("quote"),
    "ValueError": ValueError("sk-very-secret-key is no number"),
    "UnicodeDecodeError": UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    "AssertionError": AssertionError(),
    "RecursionError": RecursionError("maximum recursion depth exceeded"),
    "MemoryError": MemoryError(),
    "OSError": OSError(errno.EIO, os.strerror(errno.EIO), "/x/y"),
    "PermissionError": PermissionError(errno.EACCES, os.strerror(errno.EACCES), "/x/y"),
    "ModuleNotFoundError": ModuleNotFoundError("No module named 'x'"),
    "ExceptionGroup": ExceptionGroup("some", [KeyError("a"), TypeError("b")]),
}
NAME = re.compile(
    r"\b[A-Z]\w*(?:Error|Exception|Group|Exit|Interrupt)\b|Traceback|Errno|sk-very-secret|'quote'"
)


@pytest.fixture(params=list(ERRORS.values()), ids=list(ERRORS))
def error(request: pytest.FixtureRequest) -> BaseException:
    problem: BaseException = request.param
    return problem


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FANOUT_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("SOME_API_KEY", "sk-very-secret-key")
    return tmp_path / "state"


def raising(error: BaseException) -> Callable[..., Any]:
    def body(*_: object, **__: object) -> Any:
        raise error

    return body


def is_a_sentence(text: str, state: Path, error: BaseException) -> None:
    """Check what a user reads, and that the trace is kept where it says."""
    assert text.strip()
    assert not NAME.search(text), text
    kept = sorted((state / "crashes").iterdir())
    assert kept
    trace = kept[-1].read_text()
    assert type(error).__name__ in trace
    assert "sk-very-secret" not in trace
    assert kept[-1].stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", sorted(set(cli.COMMANDS) - {"serve"}))
def test_every_command_ends_with_a_sentence(
    name: str,
    error: BaseException,
    state: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    failing = cli.load(name)._replace(run=raising(error))
    monkeypatch.setattr(cli, "load", lambda _: failing)
    words = {
        "oracle": ["x"],
        "council": ["x"],
        "swarm": ["x"],
        "summarize": ["x"],
        "review": ["x"],
        "merge": ["x"],
        "policy": ["show"],
    }
    assert cli.main([name, *words.get(name, [])]) == NO_VERDICT
    is_a_sentence(capsys.readouterr().err, state, error)


@pytest.mark.parametrize("name", sorted(hooks_cli.COMMANDS))
def test_every_command_for_hooks_does(
    name: str,
    error: BaseException,
    state: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(
        importlib.import_module(f"fanout_hooks.{hooks_cli.COMMANDS[name][0]}"), "run", raising(error)
    )
    assert hooks_cli.main([name]) == 1
    is_a_sentence(capsys.readouterr().err, state, error)


@pytest.mark.parametrize("words", [[], ["--only", "guard"]], ids=["hooks", "a guard"])
def test_a_cold_event_goes_on_and_a_guard_denies(
    words: list[str],
    error: BaseException,
    state: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(cold, "run_event", raising(error))
    code = 2 if words else 0
    assert cold.main(options_of(["--scopes", "local", *words]), b'{"hook_event_name": "Stop"}\n') == code
    is_a_sentence(capsys.readouterr().err, state, error)


def test_work_that_no_one_waits_for_is_reported_the_same_way(state: Path) -> None:
    entry = Path(fanout_hooks.__file__).parents[1]
    code = (
        "import sys, os; sys.path.insert(0, sys.argv[1])\n"
        "from fanout_hooks import crash\nfrom fanout_hooks.warm import loop\n"
        "from fanout_hooks.run.state import RuntimeState\n"
        "own = loop.Loop(); state = RuntimeState(own, os.environ['FANOUT_STATE_DIR'] + '/hooks')\n"
        "async def bad(): raise KeyError('quote')\n"
        "async def all():\n"
        "    own.leave(bad())\n"
        "    await own.sleep(0.01)\n"
        "own.run(all())\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, str(entry)], capture_output=True, text=True, check=True
    )
    is_a_sentence(done.stderr, state, KeyError("quote"))


@pytest.mark.anyio
async def test_a_defect_of_a_backend_is_one_jobs_reason(error: BaseException, state: Path) -> None:
    job = Job("judge", Prompt("You judge.", "Is it?"))
    [outcome] = await run.run([job], raising(error), run.Plan(deadline_s=5.0), limits.Limits(4))
    is_a_sentence(outcome.reason, state, error)


def test_traces_are_swept_and_where_none_can_be_kept_that_is_said(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = dict(os.environ)
    for _ in range(crash.MAX_REPORTS + 5):
        assert crash.keep(KeyError("x"), env)
    assert len(list((state / "crashes").iterdir())) == crash.MAX_REPORTS
    (state / "a file").write_text("")
    monkeypatch.setenv("FANOUT_STATE_DIR", str(state / "a file" / "nowhere"))
    said = crash.explain("The review", KeyError("x"), dict(os.environ))
    assert said.startswith("The review failed, which is a defect of fanout. The trace could not be kept")


def test_an_unknown_status_is_never_that_of_a_finding() -> None:
    """1 says that a check found something; a defect must not look like it."""
    assert NO_VERDICT not in {OK, 1}
