"""The real `codex` and `gemini` as members, each against its own API on loopback, alone and in one panel."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from e2e.client import ROOT, Client
from e2e.test_oracle import oracle, registered_for_every_project
from fakes import members
from fakes.load import stretched
from fakes.members import Members
from fakes.model import Call, Request, Text, Turn, serving
from fakes.scripted import verdict
from fanout_mcp.backends.clients import CLIENTS, ClientBackend, open_client
from fanout_mcp.errors import AuthRejected, BackendError, QuotaSpent
from fanout_mcp.panel.answer import SCHEMA, Position, parse
from fanout_mcp.state.settings import Settings
from fanout_mcp.types import Job, Json, Prompt

pytestmark = [pytest.mark.e2e, pytest.mark.anyio]

FOLDER = ROOT / ".client" / "members" / "node_modules" / ".bin"
SAID = verdict("STOP", blocker="It loses data.", smallest_change="Copy it first.")
JOB = Job("judge", Prompt("You judge.", "Question:\nIs it wise?"), schema=SCHEMA)
GEMINI_MODEL = "gemini-2.5-pro"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home whose gemini is set up for a key, with a hook and a server that leave a trace if they run."""
    if not (FOLDER / "codex").exists():
        pytest.skip("codex and gemini are not installed; `make e2e` installs them")
    home = tmp_path / "user"
    (home / ".gemini").mkdir(parents=True)
    left = ["sh", "-c", f"touch {home / 'ran'}"]
    own = {
        "security": {"auth": {"selectedType": "gemini-api-key"}},
        "mcpServers": {"x": {"command": left[0], "args": left[1:]}},
        "hooks": {"SessionStart": [{"hooks": [{"type": "command", "command": f"touch {home / 'ran'}"}]}]},
    }
    (home / ".gemini" / "settings.json").write_text(json.dumps(own))
    (home / ".codex").mkdir()
    (home / ".codex" / "config.toml").write_text(
        f'[mcp_servers.x]\ncommand = "sh"\nargs = ["-c", "touch {home / "ran"}"]\n'
    )
    return home


def environment(home: Path, upstream: Members) -> dict[str, str]:
    return {
        "HOME": str(home),
        "PATH": f"{FOLDER}{os.pathsep}{os.environ['PATH']}",
        "CODEX_API_KEY": "k-1",
        "GEMINI_API_KEY": "k-1",
        "OPENAI_BASE_URL": f"{upstream.url}/v1",
        "GOOGLE_GEMINI_BASE_URL": upstream.url,
    }


@asynccontextmanager
async def opened(name: str, home: Path, upstream: Members) -> AsyncIterator[ClientBackend]:
    settings = Settings(root=home, config_dir=home / "config", cache_home=home / "cache")
    async with open_client(name, settings, environment(home, upstream)) as client:
        yield client


def asked(name: str) -> Job:
    return replace(JOB, model=GEMINI_MODEL) if name == "gemini" else JOB


@pytest.mark.parametrize("name", ["codex", "gemini"])
async def test_the_program_is_the_version_that_the_table_knows(name: str, home: Path) -> None:
    result = await anyio.run_process([str(FOLDER / name), "--version"], env={**os.environ, "HOME": str(home)})
    assert CLIENTS[name].version in result.stdout.decode()


@pytest.mark.parametrize("name", ["codex", "gemini"])
async def test_a_member_answers_without_any_hook_server_or_tool_that_reads(name: str, home: Path) -> None:
    with members.serving(SAID) as upstream:
        async with opened(name, home, upstream) as client:
            answer = await client.ask(asked(name))
        offered = upstream.tools()
        question = json.dumps(upstream.asked[-1])
    position = parse(answer.text, answer.data)
    assert isinstance(position, Position)
    assert (position.verdict, answer.usage.tokens_in, answer.usage.tokens_out) == ("STOP", 15, 7)
    assert "You judge." in question
    assert "Is it wise?" in question
    assert not [tool for tool in offered if re.search(r"read|grep|glob|shell|command|search|file|view", tool)]
    assert not (home / "ran").exists()


LOST: dict[tuple[str, int, str], type[BackendError]] = {
    ("codex", 401, "Incorrect API key provided"): AuthRejected,
    ("codex", 400, "You've hit your usage limit. Try again in 3 days."): QuotaSpent,
    ("gemini", 400, "API key not valid. Please pass a valid API key."): AuthRejected,
    ("gemini", 429, "You have exhausted your daily quota on this model."): QuotaSpent,
}


@pytest.mark.parametrize(("how", "error"), LOST.items(), ids=[f"{one[0]} {one[1]}" for one in LOST])
async def test_a_member_that_is_refused_is_one_clear_sentence(
    how: tuple[str, int, str], error: type[BackendError], home: Path
) -> None:
    name, status, words = how
    with members.serving("", status, words) as upstream:
        async with opened(name, home, upstream) as client:
            with pytest.raises(error) as caught:
                await client.ask(asked(name))
    assert str(caught.value).startswith(f"`{name}`")


async def test_a_failing_server_gets_one_request_of_codex_and_the_engine_decides_on_more(home: Path) -> None:
    with members.serving(SAID, 500, "It broke.") as upstream:
        async with opened("codex", home, upstream) as codex:
            with pytest.raises(BackendError):
                await codex.ask(JOB)
        assert len(upstream.asked) == 1


@pytest.mark.parametrize("name", ["codex", "gemini"])
async def test_a_cancelled_member_leaves_no_process(name: str, home: Path) -> None:
    with members.serving(SAID, delay=30) as upstream, anyio.fail_after(90):
        async with opened(name, home, upstream) as client, anyio.create_task_group() as calls:
            calls.start_soon(client.ask, asked(name))
            await _until(lambda: bool(upstream.asked))
            cancelled = time.monotonic()
            calls.cancel_scope.cancel()
        await _until(lambda: not _below(home))
        assert time.monotonic() - cancelled < stretched(0.2)


async def _until(is_so: Callable[[], bool]) -> None:
    while not is_so():  # noqa: ASYNC110 - other processes set no event
        await anyio.sleep(0.005)


def _below(home: Path) -> list[int]:
    """Return the processes that run with this home, zombies left out."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"HOME={home}\0".encode() in (folder / "environ").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def test_a_panel_of_claude_codex_and_gemini_in_one_call(client: Client, home: Path) -> None:
    position = {"verdict": "SIMPLIFY", "confidence": 70, "summary": "Do less.", "reasons": ["It was asked."]}
    position |= {"blocker": None, "smallest_change": None}
    models = ["codex", f"gemini:{GEMINI_MODEL}", "claude:opus"]

    def script(request: Request) -> Turn:
        if request.turn:
            return [Text("done")]
        is_member = "StructuredOutput" in request.tools
        return [Call("StructuredOutput", position)] if is_member else [oracle(models=models)]

    config = client.home / ".config" / "fanout"
    config.mkdir(parents=True)
    agreed = 'enabled = ["codex", "gemini"]\nclaude_agreed = true\nclaude_api_key = true\n'
    (config / "config.toml").write_text(agreed)
    settings = client.home / ".gemini" / "settings.json"
    settings.parent.mkdir()
    settings.write_text((home / ".gemini" / "settings.json").read_text())
    with members.serving(SAID) as upstream, serving(script) as model:
        env = environment(client.home, upstream)
        env["PATH"] = f"{Path(client.program).parent}{os.pathsep}{env['PATH']}"
        del env["HOME"]
        registered_for_every_project(client, env)
        client.say(model, "ask them")
    (result,) = model.last.tool_results
    data: Json = json.loads(result.text)
    assert [(vote["member"], vote["model"], vote["verdict"]) for vote in data["votes"]] == [
        ("judge", "codex", "STOP"),
        ("critic", f"gemini:{GEMINI_MODEL}", "STOP"),
        ("skeptic", "claude:opus", "SIMPLIFY"),
    ]
    assert not (home / "ran").exists()
