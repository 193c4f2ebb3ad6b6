"""A server gets ready before the first event only where it is sure that hooks call it and no other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fanout_hooks.client.places import is_expected

WORDS = ["/venv/bin/python", "-I", "-m", "fanout_mcp", "serve"]
OWN = {"command": "/other/python", "args": WORDS[1:]}
CALL = {"hooks": {"Stop": [{"hooks": [{"type": "mcp_tool", "server": "fanout", "tool": "run_hooks"}]}]}}


def write(path: Path, data: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data))


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path / "home"), "CLAUDE_PROJECT_DIR": str(tmp_path / "project")}


@pytest.mark.parametrize("settings", ["home/.claude/settings.json", "project/.claude/settings.local.json"])
@pytest.mark.parametrize(
    "case",
    [
        ({"fanout": OWN}, WORDS, True),
        ({"fanout": {"command": "fanout", "args": ["serve"]}}, ["/p/python", "/p/bin/fanout", "serve"], True),
        ({"fanout": {"command": "uv", "args": ["run", "fanout", "serve"]}}, ["/p/fanout", "serve"], False),
        ({"fanout-next": OWN}, WORDS, False),
        ({"fanout-next": OWN, "fanout": {"command": "/old/fanout", "args": ["serve"]}}, WORDS, False),
        ({"fanout": {"type": "http", "url": "http://127.0.0.1:1"}}, WORDS, False),
        ({"fanout": {"command": "fanout", "args": "serve"}}, WORDS, False),
        ({"fanout": {"command": "serve"}}, ["serve"], True),
        ({}, WORDS, False),
    ],
    ids=["ours", "by its script", "a launcher", "other name", "two", "http", "bad", "no words", "none"],
)
def test_the_server_of_the_name_that_entries_call_is_expected_when_its_command_is_ours(
    env: dict[str, str], tmp_path: Path, case: tuple[dict[str, Any], list[str], bool], settings: str
) -> None:
    registered, words, is_ours = case
    write(
        tmp_path / "home" / ".claude.json",
        {"projects": {env["CLAUDE_PROJECT_DIR"]: {"mcpServers": registered}}},
    )
    assert not is_expected(env, words)  # no hook calls anything yet
    write(tmp_path / settings, CALL)
    assert is_expected(env, words) == is_ours


@pytest.mark.parametrize(
    ("about", "is_ours"), [({"name": "fanout"}, True), ({"name": "x"}, False), ([], False)]
)
def test_the_plugins_server_is_called_by_the_plugins_entries(
    env: dict[str, str],
    tmp_path: Path,
    about: object,
    is_ours: bool,  # noqa: FBT001 - a column of the table
) -> None:
    env["CLAUDE_PLUGIN_ROOT"] = str(tmp_path / "plugin")
    assert not is_expected(env, WORDS)
    write(tmp_path / "plugin" / ".claude-plugin" / "plugin.json", about)
    assert is_expected(env, WORDS) == is_ours
