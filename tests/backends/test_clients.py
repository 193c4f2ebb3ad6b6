"""Real processes of a fake `claude`: how it is called, how its end is judged, that nothing stays behind."""

from __future__ import annotations

import json
import os
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

import fakes.upstream
from fakes.upstream import until
from fanout_mcp.backends.clients import ClientBackend, open_client
from fanout_mcp.errors import (
    AuthRejected,
    BackendError,
    BadAnswer,
    Overloaded,
    RateLimited,
    Rejected,
    ServerFault,
    SettingsError,
    TooLarge,
    Unreachable,
)
from fanout_mcp.state.settings import Settings
from fanout_mcp.types import Job, Json, Prompt
from fanout_mcp.usage import Usage

pytestmark = pytest.mark.anyio

FAKE = Path(fakes.upstream.__file__).parent / "claude"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(root=tmp_path, config_dir=tmp_path / "config")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "claude").symlink_to(FAKE)
    keys = {"ANTHROPIC_API_KEY": "sk-ant-1", "ANTHROPIC_AUTH_TOKEN": "t-1", "OPENROUTER_API_KEY": "sk-or-1"}
    return {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "HOME": str(tmp_path), **keys}


@pytest.fixture
async def backend(settings: Settings, environment: dict[str, str]) -> AsyncIterator[ClientBackend]:
    async with open_client("claude", settings, environment) as opened:
        yield opened


def a_job(user: str, system: str = "You judge.") -> Job:
    return Job("judge", Prompt(system, user))


async def called(backend: ClientBackend, job: Job) -> Json:
    return json.loads((await backend.ask(job)).text)


async def test_an_answer_comes_with_its_model_and_what_it_used(backend: ClientBackend) -> None:
    answer = await backend.ask(a_job("hello there"))
    assert answer.text == "You said: hello there"
    assert answer.model == "claude-fake-1"
    assert answer.usage == Usage(15, 7, 0.01)


async def test_the_child_is_isolated_and_has_no_tools_and_no_budget(backend: ClientBackend) -> None:
    argv = (await called(backend, a_job("called")))["argv"]
    assert {"-p", "--safe-mode", "--strict-mcp-config", "--no-session-persistence"} <= set(argv)
    assert argv[argv.index("--tools") + 1] == ""
    assert argv[argv.index("--system-prompt") + 1] == "You judge."
    assert argv[argv.index("--model") + 1] == "sonnet"
    assert "--max-budget-usd" not in argv


async def test_the_child_gets_the_guard_and_no_key(backend: ClientBackend) -> None:
    env = (await called(backend, a_job("called")))["env"]
    none = dict.fromkeys(("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "OPENROUTER_API_KEY"))
    assert env == {**none, "FANOUT_CHILD": "1"}


async def test_the_users_own_key_is_left_to_the_child_that_was_allowed_it(
    settings: Settings, environment: dict[str, str]
) -> None:
    async with open_client("claude", replace(settings, claude_api_key=True), environment) as backend:
        env = (await called(backend, a_job("called")))["env"]
    assert (env["ANTHROPIC_API_KEY"], env["ANTHROPIC_AUTH_TOKEN"]) == ("sk-ant-1", "t-1")


async def test_a_workspace_is_read_only_and_is_where_the_child_runs(
    backend: ClientBackend, tmp_path: Path
) -> None:
    seen = await called(backend, replace(a_job("called"), workspace=tmp_path))
    argv = seen["argv"]
    assert argv[argv.index("--tools") + 1] == "Read,Grep,Glob"
    assert argv[argv.index("--permission-mode") + 1] == "dontAsk"
    assert "--allowedTools" not in argv
    assert seen["cwd"] == str(tmp_path)


async def test_a_system_prompt_too_long_for_an_argument_goes_through_a_file(backend: ClientBackend) -> None:
    seen = await called(backend, a_job("called", system="é" * 60_000))
    assert "--system-prompt" not in seen["argv"]
    assert seen["files"] == ["é" * 60_000]


async def test_text_that_no_process_takes_is_made_harmless(backend: ClientBackend) -> None:
    answer = await backend.ask(a_job("\ud83d hi", system="a\x00b\ud83d"))
    assert answer.text == "You said: \ufffd hi"


async def test_structured_output_is_kept_as_data(backend: ClientBackend) -> None:
    answer = await backend.ask(replace(a_job("structured"), schema={"type": "object"}))
    assert answer.data == {"a": 1}


FAILURES = {
    "failed 400": Rejected,
    "failed 401": AuthRejected,
    "failed 429": RateLimited,
    "failed 500": ServerFault,
    "failed 529": Overloaded,
    "logged-out": AuthRejected,
    "turns": Rejected,
    "interrupted": BadAnswer,
    "stderr": Rejected,
    "silent": Unreachable,
    "flood": TooLarge,
    " ": Rejected,
}


@pytest.mark.parametrize(("prompt", "error"), FAILURES.items(), ids=FAILURES.keys())
async def test_an_end_without_an_answer_is_one_named_error(
    prompt: str, error: type[BackendError], backend: ClientBackend
) -> None:
    with pytest.raises(BackendError) as caught:
        await backend.ask(a_job(prompt))
    assert type(caught.value) is error
    assert "sk-secret" not in str(caught.value)


async def test_a_run_that_ended_without_an_answer_is_in_the_bill(backend: ClientBackend) -> None:
    with pytest.raises(Rejected) as caught:
        await backend.ask(a_job("turns"))
    assert caught.value.usage == Usage(15, 7, 0.01)


async def test_text_where_a_schema_was_asked_for_is_no_answer(backend: ClientBackend) -> None:
    with pytest.raises(BadAnswer):
        await backend.ask(replace(a_job("hello"), schema={"type": "object"}))


async def test_cancelling_kills_the_whole_group_within_a_tenth_of_a_second(
    backend: ClientBackend, tmp_path: Path
) -> None:
    marker = tmp_path / "pids"
    with anyio.fail_after(5):
        async with anyio.create_task_group() as calls:
            calls.start_soon(backend.ask, a_job(f"hang {marker}"))
            await until(marker.exists)
            cancelled = time.monotonic()
            calls.cancel_scope.cancel()
        assert time.monotonic() - cancelled < 0.1
        child, grandchild = json.loads(marker.read_text())
        await until(lambda: is_gone(child) and is_gone(grandchild))


def is_gone(pid: int) -> bool:
    """Gone, or a zombie that waits for whatever adopted it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


async def test_a_model_that_looks_like_an_option_is_refused(backend: ClientBackend) -> None:
    with pytest.raises(Rejected, match="is not a model"):
        await backend.ask(replace(a_job("hello"), model="--dangerously-skip-permissions"))


async def test_it_does_not_open_below_its_own_child(settings: Settings, environment: dict[str, str]) -> None:
    with pytest.raises(SettingsError):
        async with open_client("claude", replace(settings, is_child=True), environment):
            pass
