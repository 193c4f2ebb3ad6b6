"""The source tools in the real client: three in one message over a real repository, answers that fit."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from e2e.client import ROOT, Client, write_json
from fakes import upstream as provider
from fakes.model import Call, Text, serving, turns
from fakes.upstream import Rule, Upstream

pytestmark = pytest.mark.e2e

CALLS = [
    Call(
        "mcp__fanout__explore_modules",
        {"modules": ["mcp_server/fanout_mcp/source"], "engine": "static"},
        "toolu_1",
    ),
    Call("mcp__fanout__summarize_files", {"paths": ["mcp_server/**/*.py"], "engine": "static"}, "toolu_2"),
    Call(
        "mcp__fanout__batch_review",
        {"patterns": ["mcp_server/fanout_mcp/source"], "engine": "static"},
        "toolu_3",
    ),
]


NEVER = 600.0
"""Seconds: longer than any test; what waits for such an answer is in flight until it is ended."""


def arguments(client: Client, root: Path = ROOT, upstream: Upstream | None = None) -> list[str]:
    model = {"FANOUT_BASE_URL": upstream.url, "FANOUT_MODEL": "maker/first"} if upstream else {}
    server = {
        "command": sys.executable,
        "args": ["-P", "-m", "fanout_mcp", "serve"],
        "env": {"CLAUDE_PROJECT_DIR": str(root), "FANOUT_STATE_DIR": str(client.home / "state"), **model},
    }
    config = write_json(client.home / "mcp.json", {"mcpServers": {"fanout": server}})
    return ["--mcp-config", str(config), "--strict-mcp-config"]


def test_all_three_in_one_message_answer_within_the_clients_limits(client: Client) -> None:
    with serving(turns([CALLS, [Text("understood")]])) as model:
        said = client.say(model, "understand this", *arguments(client))
    assert said.result == "understood"
    results = {result.id: result for result in model.last.tool_results}
    assert not any(result.is_error for result in results.values())
    assert all(len(result.text) < 50_000 for result in results.values())
    [module] = json.loads(results["toolu_1"].text)["modules"]
    assert module["module"] == "mcp_server/fanout_mcp/source"
    assert json.loads(results["toolu_2"].text)["receipt"]["saving_percent"] > 80
    assert "findings" in json.loads(results["toolu_3"].text)


def test_a_sub_agent_can_call_them(client: Client) -> None:
    task = {
        "description": "look",
        "prompt": "[[sub:a]] look",
        "subagent_type": "general-purpose",
        "run_in_background": False,
    }
    script = turns(
        [[Call("Agent", task)], [Text("done")]], agents={"[[sub:a]]": [[CALLS[0]], [Text("looked")]]}
    )
    with serving(script) as model:
        said = client.say(model, "please look", *arguments(client))
    assert said.result == "done"
    texts = [result.text for request in model.requests for result in request.tool_results]
    assert any("mcp_server/fanout_mcp/source" in text and "receipt" in text for text in texts)


def wait(until: Callable[[], bool], what: str, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.01)


def test_three_tools_of_one_message_ask_their_models_at_the_same_time(client: Client) -> None:
    (client.project / "a.py").write_text("def open_shop(): ...\n")
    calls = [
        Call("mcp__fanout__explore_modules", {"modules": ["a.py"]}),
        Call("mcp__fanout__summarize_files", {"paths": ["a.py"]}),
        Call("mcp__fanout__batch_review", {"patterns": ["a.py"], "engine": "model"}),
    ]
    with provider.serving(delay=NEVER) as upstream, serving(turns([calls])) as model:
        process = client.start(model, "look", *arguments(client, client.project, upstream))
        try:
            wait(lambda: upstream.in_flight == 3, "a question of each tool in flight at once")
        finally:
            process.kill()
            process.communicate()
    asked = [json.dumps(seen.body) for seen in upstream.log]
    assert sum("You explore" in text for text in asked) == 1
    assert sum("You summarise" in text for text in asked) == 1


@pytest.mark.usefixtures("tmux")
def test_a_long_call_goes_to_the_background_and_its_result_arrives(client: Client) -> None:
    (client.project / "a.py").write_text("def open_shop(): ...\n")
    call = Call("mcp__fanout__summarize_files", {"paths": ["a.py"]}, "toolu_1")
    script = turns([[call], [Text("meanwhile")], [Text("understood at last")]])
    answer = Rule(text=json.dumps({"purpose": "It opens the shop.", "notes": []}), delay=8)
    limit = {"CLAUDE_CODE_MCP_AUTO_BACKGROUND_MS": "2000"}
    with provider.serving(answer) as upstream, serving(script) as model:
        options = arguments(client, client.project, upstream)
        with client.terminal(model, *options, env=limit) as screen:
            screen.type("summarize it")
            detached = model.wait_for(lambda request: bool(request.tool_results))
            arrived = model.wait_for(lambda request: "<task-notification>" in request.news)
            screen.wait_for("understood at last")
    assert "moved to the background" in detached.tool_results[0].text
    assert "It opens the shop." in arrived.news
    assert len(upstream.log) == 1
