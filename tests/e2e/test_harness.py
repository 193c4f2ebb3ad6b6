"""The client runs offline against the scripted model: what all other tests here stand on."""

from __future__ import annotations

import pytest

from e2e.client import Client
from fakes.model import Call, Text, serving, turns

pytestmark = pytest.mark.e2e


def test_a_tool_call_is_run_and_its_result_comes_back(client: Client) -> None:
    script = turns([[Call("Bash", {"command": "echo it works", "description": "x"})], [Text("all done")]])
    with serving(script) as model:
        said = client.say(model, "please do")
    assert said.result == "all done"
    assert said.exit == 0
    assert [result.text for result in model.last.tool_results] == ["it works"]


def test_an_agent_is_told_by_its_mark(client: Client) -> None:
    task = {
        "description": "look",
        "prompt": "[[sub:a]] look",
        "subagent_type": "general-purpose",
        "run_in_background": False,
    }
    script = turns([[Call("Agent", task)], [Text("done")]], agents={"[[sub:a]]": [[Text("a has looked")]]})
    with serving(script) as model:
        said = client.say(model, "please look")
    assert said.result == "done"
    assert "a has looked" in model.last.tool_results[0].text


@pytest.mark.usefixtures("tmux")
def test_a_terminal_can_be_typed_into_and_looked_at(client: Client) -> None:
    with serving(turns([[Text("hello from the model")]])) as model, client.terminal(model) as screen:
        screen.type("say hello")
        assert "hello from the model" in screen.wait_for("hello from the model")
