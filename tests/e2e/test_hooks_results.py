"""What tools returned, in the real client: warm hooks read the same of it as native ones."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from e2e.client import ROOT
from e2e.hooked import Hooked, bash, group, hostile_client, note_hook
from fakes.model import Call, Text, serving, turns
from fakes.tool_server import RESULTS

pytestmark = pytest.mark.e2e

SERVER = ROOT / "tests" / "fakes" / "tool_server.py"


def _responses(folder: Path, way: str) -> list[tuple[str, Any]]:
    client = hostile_client(folder)
    hooked = Hooked.make(client, {"PostToolUse": [group(note_hook(client))]}, way)
    path = client.home / ".claude.json"
    state = json.loads(path.read_text())
    servers = state["projects"].setdefault(str(client.project), {}).setdefault("mcpServers", {})
    servers["kinds"] = {"type": "stdio", "command": sys.executable, "args": [str(SERVER)]}
    path.write_text(json.dumps(state))
    calls = [*(Call(f"mcp__kinds__{name}", {}) for name in RESULTS), bash("echo '{\"a\": 1}'")]
    with serving(turns([*([call] for call in calls), [Text("done")]])) as model:
        assert client.say(model, "go").result == "done"
    return [(one["event"]["tool_name"], one["event"]["tool_response"]) for one in hooked.seen()]


def test_warm_hooks_read_of_every_kind_of_result_what_native_ones_read(tmp_path: Path) -> None:
    native, warm = (_responses(tmp_path / way, way) for way in ("native", "warm"))
    assert warm == native
    assert [type(response) for _, response in native] == [list, list, list, str, dict]
