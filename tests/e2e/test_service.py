"""The service over HTTP in the real client: its tokens, and the tool's use in the trace."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from e2e.client import Client, write_json
from fakes.collector import collecting
from fakes.issuer import AUDIENCE, issuing
from fakes.model import Call, Text, serving, turns
from fakes.service import TOKENS, WAIT_S, Service, running

pytestmark = pytest.mark.e2e

ORACLE = Call("mcp__fanout__oracle_batch", {"question": "Is it wise?"})


def registered(client: Client, service: Service, token: str) -> list[str]:
    """Return the arguments that give a run the service."""
    entry = {"type": "http", "url": service.url, "headers": {"Authorization": f"Bearer {token}"}}
    config = write_json(client.home / "mcp.json", {"mcpServers": {"fanout": entry}})
    return ["--mcp-config", str(config), "--strict-mcp-config"]


def test_a_call_over_http_is_answered_and_its_trace_has_the_client_s_use_of_the_tool(
    client: Client, tmp_path: Path
) -> None:
    with collecting() as collector, running(tmp_path, env=collector.env) as service:
        with serving(turns([[ORACLE], [Text("so be it")]])) as model:
            said = client.say(model, "ask them", *registered(client, service, TOKENS["alice"]))
        assert (said.result, said.servers["fanout"]) == ("so be it", "connected")
        (result,) = model.last.tool_results
        assert json.loads(result.text)["decision"] == "PROCEED"
        assert str(tmp_path) not in result.text
        service.process.send_signal(signal.SIGTERM)
        service.process.wait(WAIT_S)
    [call] = [span for span in collector.spans if span.name == "tools/call oracle_batch"]
    assert call.attributes["gen_ai.tool.call.id"].startswith("toolu_")
    assert len([span for span in collector.spans if span.parent == call.identity]) == 3


def test_a_token_of_an_issuer_is_taken(client: Client, tmp_path: Path) -> None:
    with issuing() as issuer, running(tmp_path, "--issuer", issuer.url, "--resource", AUDIENCE) as service:
        with serving(turns([[ORACLE], [Text("so be it")]])) as model:
            said = client.say(model, "ask them", *registered(client, service, issuer.token()))
        assert (said.result, said.servers["fanout"]) == ("so be it", "connected")
        (result,) = model.last.tool_results
        assert json.loads(result.text)["decision"] == "PROCEED"
