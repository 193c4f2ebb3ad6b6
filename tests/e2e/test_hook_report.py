"""The model asks for the hook report in the real client, and reads figures of its own session's hooks."""

from __future__ import annotations

import json
import sys
import time

import pytest

from e2e.client import ROOT, Client, write_json
from fakes.model import Call, Text, serving, turns
from fakes.records import record, row, write

pytestmark = pytest.mark.e2e


def test_the_report_reaches_the_model_in_short(client: Client) -> None:
    entry = {"command": sys.executable, "args": ["-P", str(ROOT / "mcp_server" / "launch.py")]}
    write_json(client.project / ".mcp.json", {"mcpServers": {"fanout": entry}})
    write(client.project, *(record(row("audit", 3.0), row("slow", 90.0), at=time.time()) for _ in range(30)))
    script = turns([[Call("mcp__fanout__hook_report", {"days": 1})], [Text("read")]])
    with serving(script) as model:
        said = client.say(model, "where does the hook time go?")
    [answer] = model.last.tool_results
    data = json.loads(answer.text)
    assert said.result == "read"
    assert not answer.is_error
    assert len(answer.text) <= 4_000
    assert data["events"][0]["count"] == 30
    assert [hook["name"] for hook in data["hooks"]] == ["slow", "audit"]
    assert data["page"].startswith(str(client.project))
