"""oracle_batch in the real client: what the model sends reaches the members, and the verdict comes back."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from e2e.client import Client, write_json
from fakes.model import Call, Request, Text, Turn, serving, turns
from fakes.scripted import verdict
from fakes.upstream import Rule, Upstream, until
from fakes.upstream import serving as providing
from fanout_mcp.types import Json

pytestmark = pytest.mark.e2e

TOOL = "mcp__fanout__oracle_batch"


def oracle(**arguments: Json) -> Call:
    return Call(TOOL, {"question": "Is it wise?", **arguments})


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with providing() as upstream:
        yield upstream


def pids(client: Client) -> Path:
    """Where each server process leaves its number."""
    return client.home / "pids"


@pytest.fixture
def server(client: Client, upstream: Upstream) -> list[str]:
    """The arguments that give a run the server, with its members at the fake provider."""
    env = {"FANOUT_BASE_URL": upstream.url, "FANOUT_MODEL": "maker/first"}
    start = f"echo $$ >> {pids(client)}; exec {sys.executable} -P -m fanout_mcp serve"
    entry = {"command": "sh", "args": ["-c", start], "env": env}
    config = write_json(client.home / "mcp.json", {"mcpServers": {"fanout": entry}})
    return ["--mcp-config", str(config), "--strict-mcp-config"]


def test_the_verdict_reaches_the_model_as_compact_json(
    client: Client, upstream: Upstream, server: list[str]
) -> None:
    with serving(turns([[oracle()], [Text("so be it")]])) as model:
        said = client.say(model, "ask them", *server)
    assert said.result == "so be it"
    assert len(upstream.log) == 3
    assert all("Is it wise?" in seen.prompt for seen in upstream.log)
    (result,) = model.last.tool_results
    data = json.loads(result.text)
    assert (data["decision"], len(data["votes"]), result.is_error) == ("PROCEED", 3, False)
    assert result.text == json.dumps(data, separators=(",", ":"), ensure_ascii=False)
    assert len(result.text) < 2_000
    assert Path(data["report"]).is_relative_to(client.project)


def test_wrong_arguments_come_back_as_a_sentence_that_helps(client: Client, server: list[str]) -> None:
    calls: list[Turn] = [[oracle(preset="quik")], [oracle(persona=["judge"])], [Text("I see")]]
    with serving(turns(calls)) as model:
        client.say(model, "ask them", *server)
    preset, persona = model.last.tool_results
    assert preset.is_error
    assert "Did you mean 'quick'?" in preset.text
    assert persona.is_error
    assert "did you mean `personas`?" in persona.text


def test_no_verdict_reaches_the_model_as_an_error_with_each_reason(
    client: Client, upstream: Upstream, server: list[str]
) -> None:
    upstream.rules[:] = [Rule(kind="status", status=401)]
    with serving(turns([[oracle()], [Text("I see")]])) as model:
        client.say(model, "ask them", *server)
    (result,) = model.last.tool_results
    assert result.is_error
    assert "NO_VERDICT" in result.text
    assert result.text.count("it is missing, wrong") == 3


def test_two_consultations_in_one_message_run_at_once(
    client: Client, upstream: Upstream, server: list[str]
) -> None:
    upstream.rules[:] = [Rule(delay=2.0)]
    both = [oracle(question="Is the amber one wise?"), oracle(question="Is the violet one wise?")]
    with serving(turns([both, [Text("I see")]])) as model:
        client.say(model, "ask them", *server)
    assert upstream.peak == 6
    assert [json.loads(result.text)["decision"] for result in model.last.tool_results] == ["PROCEED"] * 2


def test_a_killed_server_is_restarted_by_the_next_call(
    client: Client, upstream: Upstream, server: list[str]
) -> None:
    kill = Call("Bash", {"command": f"kill -9 $(cat {pids(client)})", "description": "end it"})
    with serving(turns([[oracle()], [kill], [oracle()], [oracle()], [Text("done")]])) as model:
        client.say(model, "ask them", *server)
    assert json.loads(model.last.tool_results[-1].text)["decision"] == "PROCEED"
    assert len(set(pids(client).read_text().split())) == 2


def test_the_panel_is_answered_by_claude_itself_which_starts_no_second_server(client: Client) -> None:
    position = {
        "verdict": "STOP",
        "confidence": 90,
        "summary": "It loses data.",
        "reasons": ["It was asked."],
    }
    position |= {"blocker": "No backup.", "smallest_change": "Copy it first."}

    def script(request: Request) -> Turn:
        if request.turn:
            return [Text("done")]
        is_member = "StructuredOutput" in request.tools
        return [Call("StructuredOutput", position)] if is_member else [oracle()]

    registered_for_every_project(client, {"FANOUT_BACKEND": "claude", "PATH": path_with(client.program)})
    allow_key(client)
    with serving(script) as model:
        client.say(model, "ask them")
    (result,) = model.last.tool_results
    data = json.loads(result.text)
    assert (data["decision"], len(data["votes"]), result.is_error) == ("STOP", 3, False)
    members = [request for request in model.requests if "StructuredOutput" in request.tools]
    assert len({request.system for request in members if not request.turn}) == 3, "each has its persona"
    assert not any(TOOL in request.tools for request in members)
    assert len(pids(client).read_text().split()) == 1, "one server: the user's"


def test_a_panel_of_two_providers_and_claude_shows_the_model_who_answered(client: Client) -> None:
    position = {"verdict": "SIMPLIFY", "confidence": 70, "summary": "Do less.", "reasons": ["It was asked."]}
    position |= {"blocker": None, "smallest_change": None}
    models = ["acme:old", "zeta:z-1", "claude:opus"]

    def script(request: Request) -> Turn:
        if request.turn:
            return [Text("done")]
        is_member = "StructuredOutput" in request.tools
        return [Call("StructuredOutput", position)] if is_member else [oracle(models=models)]

    gone = Rule("old", "status", status=404, body='{"error": {"message": "No endpoints found for old."}}')
    config = client.home / ".config" / "fanout"
    config.mkdir(parents=True)
    agreed = 'enabled = ["acme", "zeta"]\nclaude_agreed = true\nclaude_api_key = true\n'
    (config / "config.toml").write_text(agreed)
    stop = Rule(text=verdict("STOP", blocker="It loses data.", smallest_change="Copy it first."))
    with providing(gone) as acme, providing(stop) as zeta, serving(script) as model:
        (config / "providers.toml").write_text(
            f'[acme]\nbase_url = "{acme.url}"\nmodels.strong = ["old", "new"]\n'
            f'[zeta]\nbase_url = "{zeta.url}"\n'
        )
        registered_for_every_project(client, {"PATH": path_with(client.program)})
        client.say(model, "ask them")
        assert [seen.model for seen in acme.log] == ["old", "new"]
        assert [seen.model for seen in zeta.log] == ["z-1"]
    (result,) = model.last.tool_results
    data = json.loads(result.text)
    assert [(vote["member"], vote["model"], vote["verdict"]) for vote in data["votes"]] == [
        ("judge", "acme:new", "PROCEED"),
        ("critic", "zeta:z-1", "STOP"),
        ("skeptic", "claude:opus", "SIMPLIFY"),
    ]
    assert data["votes"][0]["instead_of"] == "acme:old"
    assert (data["decision"], data["receipt"]["fallbacks"][0]["member"]) == ("STOP", "judge")


def registered_for_every_project(client: Client, env: dict[str, str]) -> None:
    """Register the server where each `claude` of this home finds it, a member of the panel too."""
    start = f"echo $$ >> {pids(client)}; exec {sys.executable} -P -m fanout_mcp serve"
    path = client.home / ".claude.json"
    entry = {"command": "sh", "args": ["-c", start], "env": env}
    write_json(path, {**json.loads(path.read_text()), "mcpServers": {"fanout": entry}})


def path_with(program: str) -> str:
    return f"{Path(program).parent}{os.pathsep}{os.environ['PATH']}"


def allow_key(client: Client) -> None:
    """Let the key through to the members: the scripted model knows no login."""
    config = client.home / ".config" / "fanout" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text("claude_api_key = true\n")


@pytest.mark.usefixtures("tmux")
def test_progress_shows_in_the_terminal_and_esc_closes_every_stream(
    client: Client, upstream: Upstream, server: list[str]
) -> None:
    # The default models differ by persona only at OpenRouter: the persona's words tell the members apart.
    upstream.rules[:] = [Rule("You weigh a proposal"), Rule(delay=600)]
    with serving(turns([[oracle()], [Text("done")]])) as model, client.terminal(model, *server) as screen:
        screen.type("ask them")
        screen.wait_for("judge: PROCEED")
        assert upstream.in_flight == 2
        screen.press("Escape")
        anyio.run(until, lambda: upstream.in_flight == 0)
        screen.wait_for("Interrupted")
    assert sum(seen.aborted is not None for seen in upstream.log) == 2
