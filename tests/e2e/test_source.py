"""The source tools in the real client: three in one message over a real repository, answers that fit."""

from __future__ import annotations

import json
import sys

import pytest

from e2e.client import ROOT, Client, write_json
from fakes.model import Call, Text, serving, turns

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


def arguments(client: Client) -> list[str]:
    server = {
        "command": sys.executable,
        "args": ["-P", "-m", "fanout_mcp", "serve"],
        "env": {"CLAUDE_PROJECT_DIR": str(ROOT), "FANOUT_STATE_DIR": str(client.home / "state")},
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
