"""What Claude is told of who blocked it, when hooks run cold."""

from __future__ import annotations

import pytest

from e2e.client import Client
from e2e.hooked import Hooked, group, python_hook
from fakes.model import Text, serving, turns

pytestmark = pytest.mark.e2e

BLOCK = """
import json, sys
if not json.load(sys.stdin).get("stop_hook_active"):
    print(json.dumps({"decision": "block", "reason": "one thing is left"}))
"""


@pytest.mark.parametrize("on_failure", ["continue", "block"], ids=["hook", "guard"])
def test_a_blocked_stop_reaches_claude_with_a_name_and_not_with_our_line_of_shell(
    either_client: Client, on_failure: str
) -> None:
    hook = python_hook(either_client, "stop", BLOCK, onFailure=on_failure)
    Hooked.make(either_client, {"Stop": [group(hook)]}, "cold")
    with serving(turns([[Text("one")], [Text("two")]])) as model:
        either_client.say(model, "please do", "--permission-mode", "default")
        told = model.last.news
    assert "Stop hook feedback:\none thing is left" in told  # the newest client says first what a hook is
    assert 'Stop hook blocking error from command: "fanout hooks": one thing is left' in told
    assert "FANOUT_STATE_DIR" not in told
