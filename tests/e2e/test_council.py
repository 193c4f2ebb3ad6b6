"""council and agent_swarm called by the model in the real client, and a council cancelled with Esc."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from e2e.client import Client, write_json
from fakes import upstream as provider
from fakes.model import Call, Text, serving, turns
from fakes.scripted import verdict
from fakes.upstream import Rule, Upstream

pytestmark = pytest.mark.e2e

COUNCIL, SWARM = "mcp__fanout__council", "mcp__fanout__agent_swarm"
SYNTHESIS = json.dumps(
    {"agreement": "All see the gain.", "dissent": "", "changed": "", "would_change": "Cost."}
)
WRITES = Rule("You report what a panel", text=SYNTHESIS)


def with_server(client: Client, folder: Path, **env: str) -> list[str]:
    """Return the client's options for a server of this checkout with these settings."""
    server = {
        "command": sys.executable,
        "args": ["-P", "-m", "fanout_mcp", "serve"],
        "env": {"XDG_CONFIG_HOME": str(folder / "config"), **env},
    }
    config = write_json(folder / "mcp.json", {"mcpServers": {"fanout": server}})
    return ["--mcp-config", str(config), "--strict-mcp-config"]


def load(tool: str) -> Call:
    """Tools that are not always shown are looked up before they are called."""
    return Call("ToolSearch", {"query": f"select:{tool}", "max_results": 1})


def wait(until: Callable[[], bool], what: str, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.01)


def test_the_model_holds_a_council_and_gets_its_verdict_with_rounds(client: Client, tmp_path: Path) -> None:
    asked = {"question": "Shall we cache the thumbnails?", "models": ["m/a", "m/b", "m/c"]}
    script = turns([[load(COUNCIL)], [Call(COUNCIL, asked)], [Text("done")]])
    changes = [Rule("m/a\n", text=verdict("SIMPLIFY", summary="Less would do."), times=1)]
    with provider.serving(WRITES, *changes, delay=0.1) as upstream, serving(script) as model:
        options = with_server(client, tmp_path, FANOUT_BASE_URL=upstream.url)
        said = client.say(model, "ask them", *options)
        data = json.loads(model.last.tool_results[-1].text)
    assert said.result == "done"
    assert (data["decision"], data["agreement"], data["converged"]) == ("PROCEED", 1.0, True)
    assert [round_["agreement"] for round_ in data["rounds"]] == [0.67, 1.0, 1.0]
    assert data["votes"][0]["was"] == "SIMPLIFY"
    assert data["synthesis"]["agreement"] == "All see the gain."
    assert data["receipt"]["calls"] == len(upstream.log) == 12
    assert Path(data["report"]).read_text().startswith("# PROCEED")


@pytest.mark.usefixtures("tmux")
def test_esc_in_mid_council_leaves_nothing_in_flight(client: Client, tmp_path: Path) -> None:
    script = turns([[load(COUNCIL)], [Call(COUNCIL, {"question": "Shall we?", "rounds": 5})], [Text("done")]])
    slow = Rule("Round 2 of a discussion", delay=600)
    first = [Rule(times=1, text=verdict("SIMPLIFY")), Rule(times=2)]
    with provider.serving(WRITES, slow, *first) as upstream, serving(script) as model:
        options = with_server(client, tmp_path, FANOUT_BASE_URL=upstream.url)
        with client.terminal(model, *options) as screen:
            screen.type("ask them")
            wait(lambda: _is_in_round_two(upstream), "three members in round 2")
            pressed = time.monotonic()
            screen.press("Escape")
            wait(lambda: upstream.in_flight == 0, "every stream closed", 10)
            cut = [seen.aborted for seen in upstream.log if seen.aborted is not None]
            assert len(cut) == 3
            assert max(cut) - pressed < 10
            assert len(upstream.log) == 7, "something was begun after Esc"


def _is_in_round_two(upstream: Upstream) -> bool:
    return sum("Round 2 of a discussion" in seen.prompt for seen in upstream.log) == upstream.in_flight == 3


def test_a_swarm_without_a_model_returns_the_plan(client: Client, tmp_path: Path) -> None:
    asked = {"task": "Name test cases for the upload", "count": 10}
    script = turns([[load(SWARM)], [Call(SWARM, asked)], [Text("done")]])
    with serving(script) as model:
        client.say(model, "send them", *with_server(client, tmp_path, FANOUT_BACKEND="plan"))
        result = model.last.tool_results[-1]
    data = json.loads(result.text)
    assert not result.is_error
    assert [len(message) for message in data["plan"]["messages"]] == [5, 5]
    call = data["plan"]["messages"][0][0]
    assert call.keys() == {"subagent_type", "description", "prompt"}
    assert call["prompt"].startswith("Task:\nName test cases for the upload")
