"""The user's own files of Claude Code are where CLAUDE_CONFIG_DIR says, for all that reads or writes them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from fakes.user import User, command, group, sh
from fanout_hooks.adoption import entries
from fanout_hooks.adoption.entries import Registration
from fanout_hooks.client import places as client_places
from fanout_hooks.client import transcripts
from fanout_hooks.client.config import Hook
from fanout_hooks.client.places import claude_folder
from fanout_hooks.run.launch import Launch
from fanout_mcp.registration.places import places


@pytest.fixture
def moved(user: User, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = user.home / "moved claude"
    folder.mkdir()
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(folder))
    return folder


def test_the_users_hooks_are_adopted_run_and_restored_there(user: User, moved: Path) -> None:
    settings = moved / "settings.json"
    settings.write_text(json.dumps({"hooks": {"Stop": [group(command("echo ran >&2; exit 2"))]}}))
    before = settings.read_bytes()
    assert user.run("adopt", "--all", "--scope", "user", "--yes").status == 0
    assert client_places.MARK in settings.read_text()
    assert (moved / "fanout" / "hooks.json").exists()
    assert "1 hook runs through fanout" in user.run("check").out
    (entry,) = json.loads(settings.read_text())["hooks"]["Stop"][0]["hooks"]
    event = json.dumps({"hook_event_name": "Stop", "session_id": "s", "cwd": str(user.project)})
    done = sh(entry["command"], {**os.environ, "CLAUDE_PROJECT_DIR": str(user.project)}, event)
    assert "ran" in done.stdout + done.stderr
    assert user.run("restore", "--yes").status == 0
    assert settings.read_bytes() == before
    assert list((user.home / ".claude").iterdir()) == []


def test_a_server_that_is_registered_there_is_called(user: User, moved: Path) -> None:
    (moved / ".claude.json").write_text(json.dumps({"mcpServers": {"fanout": {"command": "x"}}}))
    assert (
        client_places.server_of(client_places.find("user", str(user.project), dict(os.environ)))
        == client_places.SERVER
    )


def test_where_fanout_is_gone_the_originals_there_run_the_users_hooks(user: User, moved: Path) -> None:
    (moved / "fanout").mkdir()
    (moved / "fanout" / "originals.py").write_text("print('the originals ran')")
    to = Registration("user", Launch("/gone/python", "/gone/main.py"), server="")
    (entry,) = entries.adopted([Hook("a", "Stop", "user")], to)["Stop"][0]["hooks"]
    assert sh(entry["command"], dict(os.environ)).stdout == "the originals ran\n"


def test_the_plugin_stands_down_beside_settings_there(user: User, moved: Path) -> None:
    assert not client_places.by_settings(str(user.project), dict(os.environ))
    (moved / "settings.json").write_text(json.dumps({"hooks": entries.log_and_gate_entries()}))
    assert client_places.by_settings(str(user.project), dict(os.environ))


@pytest.mark.usefixtures("moved")
def test_install_adopt_and_reports_mean_the_same_folder(user: User) -> None:
    env = dict(os.environ)
    ours = client_places.find("user", str(user.project), env)
    theirs = places("user", user.project, env)
    assert (ours.settings, ours.servers) == (str(theirs.settings), str(theirs.servers))
    folder = transcripts.project_folder(str(user.project), claude_folder(env))
    assert Path(folder).parent == theirs.settings.parent / "projects"
