"""Hooks that Node and `uv run` start, in the real client: kept warm, and doing what they do natively."""

from __future__ import annotations

from pathlib import Path

import pytest

from e2e.client import Client
from e2e.hooked import Hooked, Json, bash, group
from fakes.model import Text, serving, turns
from warm.test_uv import UV

pytestmark = pytest.mark.e2e

GUARD = """
const fs = require('fs');
const event = JSON.parse(fs.readFileSync(0, 'utf8'));
const {CLAUDECODE} = process.env;
const seen = [event.tool_input.command, process.cwd() === event.cwd, CLAUDECODE, process.argv.length];
fs.appendFileSync(process.env.HOME + '/seen', JSON.stringify(seen) + '\\n');
if (event.tool_input.command.includes('forbidden')) {
  console.error('not that one');
  process.exit(2);
}
"""
SCRIPT = """# /// script
# requires-python = ">=3.11"
# dependencies = []
# ///
import json, os, sys
event = json.load(sys.stdin)
command = event["tool_input"]["command"]
seen = [command, os.getcwd() == event["cwd"], os.environ["VIRTUAL_ENV"] == sys.prefix, len(sys.argv)]
with open(os.environ["HOME"] + "/seen", "a") as file:
    file.write(json.dumps(seen) + "\\n")
if "forbidden" in command:
    sys.exit(2)
"""
COMMANDS = ["echo one", "echo two", "echo forbidden", *(f"sleep 0.5; echo {number}" for number in range(8))]
"""What is kept ready gets ready while a call runs, on a busy machine a few calls later."""


def session(client: Client, hook: Json, way: str) -> tuple[list[str], list[bool], list[str]]:
    """Run a session; return what the hook saw, which calls were refused, and how the hook ran."""
    hooked = Hooked.make(client, {"PreToolUse": [group(hook, matcher="Bash")]}, way)
    with serving(turns([*[[bash(one)] for one in COMMANDS], [Text("done")]])) as model:
        assert client.say(model, "please do").result == "done"
        refused = [result.is_error for result in model.requests[-1].tool_results]
    seen = (client.home / "seen").read_text().splitlines()
    return seen, refused, [row["lane"] for record in hooked.log() for row in record["hooks"]]


@pytest.mark.parametrize("kind", ["node", "uv"])
def test_a_hook_is_kept_warm_and_its_answers_are_the_native_ones(
    kind: str, client: Client, tmp_path: Path
) -> None:
    script = tmp_path / ("guard.js" if kind == "node" else "guard.py")
    script.write_text(GUARD if kind == "node" else SCRIPT)
    line = f"node {script}" if kind == "node" else f"{UV} run --script {script}"
    hook = {"type": "command", "command": line, "timeout": 60}
    other = Client.make(client.program, tmp_path / "native")
    seen, refused, ways = session(client, hook, "warm")
    assert (seen, refused) == session(other, hook, "native")[:2]
    assert ways[0] == "lane"
    assert ("spare" if kind == "node" else "warm") in ways


def test_what_would_get_no_faster_stays_native_and_all_hooks_fire_as_before(
    client: Client, tmp_path: Path
) -> None:
    script = tmp_path / "guard.js"
    script.write_text(GUARD)
    note = f"printf '%s\\n' >>{tmp_path}/fired "
    hooks = {
        "PreToolUse": [group({"type": "command", "command": f"node {script}"}, matcher="Bash")],
        "PostToolUse": [group({"type": "command", "command": f"{note}post"}, matcher="Bash")],
        "SessionStart": [group({"type": "command", "command": f"{note}start"})],
    }
    hooked = Hooked.make(client, hooks, "native")
    hooked.register_server()
    said = " ".join(hooked.run("adopt", "--yes").split())
    assert "PreToolUse: 1 hook, warm: guard" in said
    assert "stays: PostToolUse: printf: it would get no faster" in said
    assert "stays: SessionStart: printf: cold, this event would take longer than natively" in said
    with serving(turns([[bash("echo one")], [bash("echo two")], [Text("done")]])) as model:
        assert client.say(model, "please do").result == "done"
    assert len((client.home / "seen").read_text().splitlines()) == 2
    assert (tmp_path / "fired").read_text().split() == ["start", "post", "post"]
    assert {record["phase"] for record in hooked.log()} == {"PreToolUse"}
