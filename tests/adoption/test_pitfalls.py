"""What goes wrong with hooks as they are written is named: matchers, Stop hooks, plugins, failures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fakes.records import record, row
from fakes.user import User, command, group
from fanout_hooks.adoption import pitfalls

# matcher, by event -> a word of what is said of it, "" where nothing is
MATCHERS: dict[tuple[str, str], str] = {
    ("PreToolUse", "Bash"): "",
    ("PreToolUse", ""): "",
    ("PreToolUse", "*"): "",
    ("PreToolUse", "Edit|Write, NotebookEdit"): "",
    ("PreToolUse", "Task"): "",
    ("PreToolUse", "mcp__github__create_issue"): "",
    ("PreToolUse", "mcp__github__.*"): "",
    ("PreToolUse", "mcp__.*"): "",
    ("PreToolUse", "^(Edit|Write)$"): "",
    ("PreToolUse", ".*"): "",
    ("PreToolUse", "SomeNewTool"): "",
    ("PreToolUse", "Read|Grep.*"): "",
    ("PreToolUse", "bash"): "it is `Bash`",
    ("PreToolUse", "Edit|write"): "it is `Write`",
    ("PostToolUse", "WebFETCH"): "it is `WebFetch`",
    ("PreToolUse", "Bash(git push:*)"): "permission rule",
    ("PreToolUse", "Edit(*.py)"): "permission rule",
    ("PreToolUse", "mcp__github"): "`mcp__github__.*`",
    ("PreToolUse", "mcp__my-server"): "`mcp__my-server__.*`",
    ("PreToolUse", "|"): "names nothing",
    ("PreToolUse", "Edit.*"): "NotebookEdit, too",
    ("PreToolUse", "Write.+|Edit$"): "NotebookEdit, too",
    ("Stop", "Bash"): "ignores matchers of Stop",
    ("UserPromptSubmit", "deploy"): "ignores matchers",
    ("SessionStart", "startup|resume"): "",
    ("SessionStart", "start"): "at SessionStart there are startup",
    ("PreCompact", "manually"): "there are manual, auto",
    ("SubagentStart", "code-reviewer"): "",
}


@pytest.mark.parametrize(("event", "matcher"), MATCHERS, ids=lambda value: value or "none")
def test_a_matcher_that_does_not_mean_what_it_seems_to_is_named(event: str, matcher: str) -> None:
    said = pitfalls.odd_matcher(event, matcher)
    wanted = MATCHERS[event, matcher]
    assert bool(said) == bool(wanted), said
    assert wanted in said


SHELL_BLOCK = 'echo \'{"decision": "block", "reason": "run the tests"}\''
# name -> (command, the script that it starts), and whether it is named
STOPS: dict[str, tuple[str, str, bool]] = {
    "Python that exits with 2": ("python3 s.py", "import sys\nsys.exit(2)\n", True),
    "Python that prints a block": ("python3 s.py", 'print(json.dumps({"decision": "block"}))\n', True),
    "Node that exits with 2": ("node s.py", "process.exit(2)", True),
    "a shell script": ("bash s.py", "npm test || exit 2\n", True),
    "a line of shell": (SHELL_BLOCK, "", True),
    "one that looks": ("python3 s.py", "if event['stop_hook_active']: sys.exit()\nsys.exit(2)\n", False),
    "a line of shell that looks": (f"jq -e .stop_hook_active || {SHELL_BLOCK}", "", False),
    "one that never blocks": ("python3 s.py", "print('done')\n", False),
    "a sound": ("afplay done.wav", "", False),
    "a path with a NUL": ("bash s\0.sh", "", False),
    "a path with a lone surrogate": ("bash s\ud800.sh", "", False),
}


@pytest.mark.parametrize("name", STOPS)
def test_a_stop_hook_that_may_block_for_ever_is_named(user: User, name: str) -> None:
    line, source, is_named = STOPS[name]
    user.script("s.py", source)
    user.write("local", {"hooks": {"Stop": [group(command(line))], "PreToolUse": [group(command(line))]}})
    said = [one for one in pitfalls.of(str(user.project), {"HOME": str(user.home)}) if "stop_hook" in one]
    assert len(said) == is_named
    assert is_named == ("stop_hook_active" in user.run("check").out)


def plugin(user: User, name: str, manifest: dict[str, Any], hooks: dict[str, Any] | None) -> None:
    """Install and enable a plugin as the client does."""
    root = user.home / "plugins" / name
    files = {".claude-plugin/plugin.json": manifest, "hooks/hooks.json": hooks}
    for path, data in files.items():
        if data is not None:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(json.dumps(data))
    state = user.home / ".claude" / "plugins" / "installed_plugins.json"
    state.parent.mkdir(parents=True, exist_ok=True)
    known = json.loads(state.read_text())["plugins"] if state.exists() else {}
    known[f"{name}@market"] = [{"scope": "user", "installPath": str(root)}]
    state.write_text(json.dumps({"version": 2, "plugins": known}))
    settings = user.settings("user") if user.path("user").exists() else {}
    enabled = settings.setdefault("enabledPlugins", {})
    enabled[f"{name}@market"] = True
    user.write("user", settings)


def test_the_hooks_of_plugins_are_named_as_staying_native(user: User) -> None:
    hooks = {"hooks": {"PreToolUse": [group(command("a"), command("b"))], "Stop": [group(command("c"))]}}
    plugin(user, "guard", {"name": "guard"}, hooks)
    plugin(user, "inline", {"name": "inline", "hooks": hooks["hooks"]}, None)
    plugin(user, "none", {"name": "none"}, None)
    said = pitfalls.of(str(user.project), {"HOME": str(user.home)})
    assert [one.partition(":")[0] for one in said] == [
        "the plugin guard@market has 3 hooks (PreToolUse, Stop)",
        "the plugin inline@market has 3 hooks (PreToolUse, Stop)",
    ]
    settings = user.settings("user")
    settings["enabledPlugins"]["guard@market"] = False
    user.write("user", settings)
    assert len(pitfalls.of(str(user.project), {"HOME": str(user.home)})) == 1


def test_hooks_that_failed_lately_are_named_with_their_last_error(user: User) -> None:
    made = [record(row("a", 1.0), row("b", 1.0, exit=1, error="Traceback: no such file"))]
    made += [record(row("a", 1.0), row("b", 1.0))] * (pitfalls.LATELY - 1)
    made += [record(row("c", 9.0, exit=-9, timed_out=True), phase="Stop")]
    assert pitfalls.failures(made) == [
        'PreToolUse: b failed in 1 of its last 20 runs, last exit 1: "Traceback: no such file"',
        "Stop: c failed in 1 of its last 1 runs, last cut at its timeout",
    ]
    assert len(pitfalls.failures([*made, *[record(row("b", 1.0))]])) == 1
    log = Path(user.project) / ".claude" / "memory" / "hook_performance.jsonl"
    log.parent.mkdir(parents=True)
    log.write_text("".join(json.dumps(one) + "\n" for one in made))
    assert "b failed in 1 of its last 20 runs" in " ".join(user.run("check").out.split())


@pytest.mark.parametrize(
    "hooks",
    [[], {"PreToolUse": "x"}, {"PreToolUse": [{"matcher": 7, "hooks": [{"type": "command"}]}]}, {"x": [{}]}],
    ids=["a list", "a text", "a number", "unknown"],
)
def test_whatever_a_settings_file_holds_nothing_is_raised(user: User, hooks: object) -> None:
    user.write("local", {"hooks": hooks})
    assert pitfalls.of(str(user.project), {"HOME": str(user.home)}) == []
