"""Real processes of fake clients: how each is called, how its end is judged, that nothing stays behind."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

import fakes.upstream
from fakes.load import stretched
from fakes.processes import is_gone
from fakes.upstream import until
from fanout_mcp.backends import clients
from fanout_mcp.backends.clients import ClientBackend, open_client
from fanout_mcp.errors import (
    AuthRejected,
    BackendError,
    BadAnswer,
    ModelGone,
    Overloaded,
    QuotaSpent,
    RateLimited,
    Rejected,
    ServerFault,
    SettingsError,
    TooLarge,
    Unreachable,
)
from fanout_mcp.panel.answer import SCHEMA, Position, parse
from fanout_mcp.state.settings import Settings
from fanout_mcp.types import Job, Json, Prompt
from fanout_mcp.usage import Usage

pytestmark = pytest.mark.anyio

FAKE = Path(fakes.upstream.__file__).parent / "claude"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "project").mkdir()
    return Settings(root=tmp_path / "project", config_dir=tmp_path / "config")


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


@pytest.mark.both_loops
async def test_cancelling_kills_the_whole_group_within_a_tenth_of_a_second(
    backend: ClientBackend, tmp_path: Path
) -> None:
    marker = tmp_path / "pids"
    with anyio.fail_after(30):
        async with anyio.create_task_group() as calls:
            calls.start_soon(backend.ask, a_job(f"hang {marker}"))
            await until(marker.exists)
            cancelled = time.monotonic()
            calls.cancel_scope.cancel()
        assert time.monotonic() - cancelled < stretched(0.1)
        child, grandchild = json.loads(marker.read_text())
        await until(lambda: is_gone(child) and is_gone(grandchild))


async def test_a_model_that_looks_like_an_option_is_refused(backend: ClientBackend) -> None:
    with pytest.raises(Rejected, match="is not a model"):
        await backend.ask(replace(a_job("hello"), model="--dangerously-skip-permissions"))


async def test_it_does_not_open_below_its_own_child(settings: Settings, environment: dict[str, str]) -> None:
    with pytest.raises(SettingsError):
        async with open_client("claude", replace(settings, is_child=True), environment):
            pass


@pytest.mark.parametrize(
    ("free_mb", "load", "allowed"),
    [
        pytest.param(64_000, 0.5, 16, id="much memory, idle"),
        pytest.param(float("inf"), 0.0, 16, id="nothing known"),
        pytest.param(2_000, 0.5, 5, id="little memory"),
        pytest.param(100, 0.5, 2, id="no memory"),
        pytest.param(64_000, 4.0, 16, id="busy"),
        pytest.param(64_000, 8.0, 8, id="overloaded"),
        pytest.param(64_000, 100.0, 2, id="stuck"),
    ],
)
def test_how_many_run_at_once_follows_memory_and_load(free_mb: float, load: float, allowed: int) -> None:
    assert clients.allowed_processes(free_mb, load) == allowed
    assert 2 <= clients.processes_at_once() <= clients.MAX_PROCESSES


# --- warm processes -----------------------------------------------------------------------------------------


async def heard(backend: ClientBackend, user: str = "heard", system: str = "You judge.") -> tuple[int, int]:
    """Ask, and return the number of the process that answered and of how many questions it knows."""
    said = json.loads((await backend.ask(a_job(user, system))).text)
    return said["pid"], len(said["heard"])


async def test_a_process_that_has_answered_takes_the_next_question_and_knows_no_other(
    backend: ClientBackend,
) -> None:
    first, _ = await heard(backend)
    assert await heard(backend, "heard again") == (first, 1)


@pytest.mark.parametrize(
    "change",
    [
        {"prompt": Prompt("You doubt.", "heard")},
        {"model": "opus"},
        {"schema": SCHEMA},
    ],
    ids=["system prompt", "model", "schema"],
)
async def test_it_takes_questions_alike_in_all_but_the_question(
    backend: ClientBackend, change: dict[str, Json]
) -> None:
    first, _ = await heard(backend)
    other = await backend.ask(replace(a_job("heard"), **change))
    assert json.loads(other.text)["pid"] != first
    assert (await heard(backend))[0] == first


async def test_one_that_does_not_confirm_that_it_forgot_is_asked_nothing_more(
    settings: Settings, environment: dict[str, str]
) -> None:
    stubborn = {**environment, "FANOUT_FAKE_FORGETS": "no"}
    async with open_client("claude", settings, stubborn) as backend:
        first, _ = await heard(backend)
        second, known = await heard(backend)
    assert second != first
    assert known == 1


async def test_one_that_ends_while_it_waits_costs_the_next_question_nothing(backend: ClientBackend) -> None:
    first, _ = await heard(backend)
    os.kill(first, signal.SIGKILL)
    second, known = await heard(backend)
    assert second != first
    assert known == 1


@pytest.mark.parametrize("behaviour", ["failed 529", "logged-out", "silent"])
async def test_one_that_failed_does_not_wait(backend: ClientBackend, behaviour: str) -> None:
    with pytest.raises(BackendError):
        await backend.ask(a_job(behaviour))
    assert backend.waiting == []


async def test_four_wait_at_most_for_a_minute_at_most_and_none_outlives_the_backend(
    settings: Settings, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_client("claude", settings, environment) as backend:
        asked = [(await heard(backend, system=f"You are {number}."))[0] for number in range(6)]
        assert len(backend.waiting) == clients.MAX_WAITING == 4
        assert all(map(is_gone, asked[:2]))
        monkeypatch.setattr(clients, "KEEP_S", 0.01)
        late, _ = await heard(backend, system="You are late.")
        await until(lambda: is_gone(late))
    assert all(map(is_gone, asked))


# --- codex and gemini ---------------------------------------------------------------------------------------

Opened = Callable[[str], AbstractAsyncContextManager[ClientBackend]]


@pytest.fixture
def opened(tmp_path: Path, settings: Settings) -> Opened:
    """Open the fake of a client, with keys and base URLs of all kinds around it."""
    (tmp_path / "bin").mkdir()
    for name in ("codex", "gemini"):
        (tmp_path / "bin" / name).symlink_to(FAKE.with_name(name))
    environment = {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    environment |= {name: f"sk-{name.lower()}" for name in ("CODEX_API_KEY", "GEMINI_API_KEY")}
    environment |= dict.fromkeys(("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "OPENROUTER_API_KEY"), "sk-others")
    environment |= dict.fromkeys(("OPENAI_BASE_URL", "GOOGLE_GEMINI_BASE_URL"), "http://127.0.0.1:9/v1")
    environment |= {"CODE_ASSIST_ENDPOINT": "https://collector.example"}
    return lambda name: open_client(name, settings, environment)


async def test_codex_is_read_only_isolated_and_has_no_tools(opened: Opened) -> None:
    job = replace(a_job("called"), schema={"type": "object"})
    async with opened("codex") as codex:
        seen = json.loads((await codex.ask(replace(job, model="gpt-5.5"))).text)
    argv = seen["argv"]
    assert {"exec", "--ephemeral", "--ignore-user-config", "--ignore-rules", "--json"} <= set(argv)
    assert argv[argv.index("-s") + 1] == "read-only"
    assert argv[argv.index("-m") + 1] == "gpt-5.5"
    assert {"features.shell_tool=false", "features.hooks=false", 'web_search="disabled"'} <= set(argv)
    assert (seen["cwd"], seen["schema"]) == ([], {"type": "object"})
    assert seen["prompt"] == "You judge.\n\ncalled", "the prompt goes in on stdin, after the persona's words"


async def test_gemini_is_read_only_isolated_and_has_no_tools(opened: Opened) -> None:
    async with opened("gemini") as gemini:
        seen = await called(gemini, a_job("called"))
    assert seen["argv"] == ["--approval-mode", "plan", "-e", "none", "-o", "json", "-p", " "]
    assert (seen["system"], seen["cwd"]) == ("You judge.", [".gemini"])
    assert seen["settings"]["tools"] == {"core": ["none"]}
    assert seen["settings"]["mcp"] == {"allowed": ["none"]}
    assert seen["settings"]["hooksConfig"] == {"enabled": False}


@pytest.mark.parametrize(
    ("name", "key", "base_url"),
    [("codex", "CODEX_API_KEY", "OPENAI_BASE_URL"), ("gemini", "GEMINI_API_KEY", "GOOGLE_GEMINI_BASE_URL")],
)
async def test_a_client_gets_the_guard_its_own_key_and_no_host_beyond_this_machine(
    name: str, key: str, base_url: str, opened: Opened
) -> None:
    async with opened(name) as client:
        env = (await called(client, a_job("called")))["env"]
    allowed = {key: f"sk-{key.lower()}", base_url: "http://127.0.0.1:9/v1", "FANOUT_CHILD": "1"}
    assert {one: value for one, value in env.items() if value is not None} == allowed


async def test_codex_goes_where_its_base_url_says_on_this_machine(opened: Opened) -> None:
    async with opened("codex") as codex:
        argv = (await called(codex, a_job("called")))["argv"]
    assert 'model_providers.fanout.base_url="http://127.0.0.1:9/v1"' in argv
    assert {'model_provider="fanout"', "model_providers.fanout.stream_max_retries=0"} <= set(argv)


@pytest.mark.parametrize("host", ["https://collector.example/v1", "http://127.0.0.1.example/v1", "not a url"])
async def test_a_base_url_elsewhere_is_not_passed_on(
    host: str, settings: Settings, environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "bin" / "codex").symlink_to(FAKE.with_name("codex"))
    async with open_client("codex", settings, {**environment, "OPENAI_BASE_URL": host}) as codex:
        seen = await called(codex, a_job("called"))
    assert seen["env"]["OPENAI_BASE_URL"] is None
    assert not any("base_url" in word for word in seen["argv"])


READ = {
    "codex": ("codex", Usage(15, 7), "PROCEED"),
    "gemini": ("gemini-pro-fake", Usage(15, 7), "STOP"),
}


@pytest.mark.parametrize(("name", "expected"), READ.items(), ids=READ.keys())
async def test_a_clients_answer_comes_with_its_model_and_tokens(
    name: str, expected: tuple[str, Usage, str], opened: Opened
) -> None:
    async with opened(name) as client:
        answer = await client.ask(replace(a_job("hello"), schema=SCHEMA))
    position = parse(answer.text, answer.data)
    assert isinstance(position, Position)
    assert (answer.model, answer.usage, position.verdict) == expected


async def test_of_several_messages_of_codex_the_last_one_is_the_answer(opened: Opened) -> None:
    async with opened("codex") as codex:
        assert json.loads((await codex.ask(a_job("draft"))).text)["verdict"] == "PROCEED"


async def test_a_schema_that_codex_refuses_is_left_out_once(opened: Opened) -> None:
    sent: list[int] = []
    job = replace(a_job("no-schema"), schema={"type": "object"}, on_request=lambda _: sent.append(1))
    async with opened("codex") as codex:
        assert (await codex.ask(job)).text.startswith("You said:")
    assert len(sent) == 2


ENDS: dict[tuple[str, str], tuple[type[BackendError], str]] = {
    ("codex", "unauthorized"): (AuthRejected, "run `codex login`"),
    ("codex", "limit"): (QuotaSpent, "the quota of its plan is used up: You've hit your usage limit"),
    ("codex", "quota"): (QuotaSpent, "the quota of its plan is used up"),
    ("codex", "busy"): (Overloaded, "answered 503: unexpected status 503"),
    ("codex", "gone"): (ModelGone, "The 'gpt-3' model is not supported"),
    ("codex", "demand"): (ServerFault, "experiencing high demand"),
    ("codex", "half"): (Unreachable, "was stopped before it answered"),
    ("codex", "nothing"): (BadAnswer, "ended without an answer"),
    ("codex", "options"): (Rejected, "fanout knows version 0.171.0"),
    ("gemini", "logged-out"): (AuthRejected, "run `gemini`, then /auth"),
    ("gemini", "key"): (AuthRejected, "run `gemini`, then /auth"),
    ("gemini", "quota"): (QuotaSpent, "exhausted your daily quota"),
    ("gemini", "busy"): (Overloaded, "The model is overloaded"),
    ("gemini", "gone"): (ModelGone, "models/gemini-1 is not found"),
    ("gemini", "turns"): (ServerFault, "Max turns"),
    ("gemini", "options"): (Rejected, "fanout knows version 0.61.0"),
    ("gemini", "nothing"): (BadAnswer, "ended without an answer"),
    ("codex", " "): (Rejected, "The prompt is empty"),
    ("gemini", " "): (Rejected, "The prompt is empty"),
}


@pytest.mark.parametrize(("end", "expected"), ENDS.items(), ids=[" ".join(end) for end in ENDS])
async def test_a_clients_end_without_an_answer_is_one_sentence_that_says_what_to_do(
    end: tuple[str, str], expected: tuple[type[BackendError], str], opened: Opened
) -> None:
    name, prompt = end
    kind, words = expected
    async with opened(name) as client:
        with pytest.raises(BackendError) as caught:
            await client.ask(a_job(prompt))
    assert type(caught.value) is kind
    assert words in str(caught.value)
    assert f"`{name}`" in str(caught.value) or "prompt" in str(caught.value)
    assert "http://" not in str(caught.value)


@pytest.mark.both_loops
@pytest.mark.parametrize("name", ["codex", "gemini"])
async def test_a_cancelled_client_leaves_no_process_after_a_fifth_of_a_second(
    name: str, opened: Opened, tmp_path: Path
) -> None:
    marker = tmp_path / "pids"
    with anyio.fail_after(30):
        async with opened(name) as client, anyio.create_task_group() as calls:
            calls.start_soon(client.ask, a_job(f"hang {marker}"))
            await until(marker.exists)
            cancelled = time.monotonic()
            calls.cancel_scope.cancel()
        await until(lambda: all(map(is_gone, json.loads(marker.read_text()))))
        assert time.monotonic() - cancelled < stretched(0.2)


@pytest.mark.parametrize("name", ["codex", "gemini"])
async def test_a_client_without_a_workspace_option_reads_no_project(
    name: str, opened: Opened, tmp_path: Path
) -> None:
    async with opened(name) as client:
        with pytest.raises(Rejected, match="reads no project"):
            await client.ask(replace(a_job("hello"), workspace=tmp_path))


@pytest.mark.parametrize("name", ["codex", "gemini"])
async def test_a_client_that_is_missing_says_so_with_its_name(name: str, settings: Settings) -> None:
    with pytest.raises(SettingsError, match=f"`{name}` can't be used here: it is not on PATH"):
        async with open_client(name, settings, {"PATH": ""}):
            pass
