"""`fanout doctor`: what it finds, and that it never tells a key."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path

import pytest

from fakes.upstream import Rule, serving
from fanout_mcp.cli import main
from fanout_mcp.state import settings

KEY = "sk-or-a-very-secret-key"


@pytest.fixture(autouse=True)
def in_an_empty_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def find(capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> dict[str, tuple[str, str]]:
    assert main(["doctor", "--json", *words]) == status
    out = capsys.readouterr().out
    assert KEY not in out
    return {one["what"]: (one["state"], one["detail"]) for one in json.loads(out)}


def test_a_bare_machine_has_a_plan_and_is_told_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    found = find(capsys, "--check")
    state, told = found["backend"]
    assert (state, told.split(":")[0]) == ("missing", "plan")
    assert "no OPENROUTER_API_KEY and no FANOUT_BASE_URL" in told
    assert found["server"] == ("missing", "not registered")
    assert found["permission"] == ("missing", "permissions.allow lacks mcp__fanout")
    assert found["hooks"] == ("missing", "no hook log and no gate")
    assert found["hooks path"] == ("good", "native: no hooks are adopted: Claude Code runs them itself")
    assert found["check"] == ("missing", "there is no model to ask")


def test_a_redis_is_named_without_its_password(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FANOUT_REDIS_URL", f"redis://user:{KEY}@localhost/0")
    assert find(capsys)["redis"] == ("good", "redis://localhost/0, for answers, limits and the queue")


def test_what_install_wrote_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    main(["install", "--yes", "--allow-tools"])
    capsys.readouterr()
    found = find(capsys)
    assert found["server"] == ("good", "user")
    assert found["permission"] == ("good", "mcp__fanout in permissions.allow")
    assert found["skill"] == ("good", "user")
    assert found["hooks"] == ("good", "log and gate: user")


def advice(capsys: pytest.CaptureFixture[str], what: str) -> str:
    main(["doctor", "--json"])
    return next(str(one["do"]) for one in json.loads(capsys.readouterr().out) if one["what"] == what)


@pytest.mark.parametrize("has_claude", [False, True])
@pytest.mark.parametrize("has_agreed", [False, True])
def test_only_what_is_missing_for_a_model_is_advised(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
    *,
    has_claude: bool,
    has_agreed: bool,
) -> None:
    programs = tmp_path_factory.mktemp("programs")
    monkeypatch.setenv("PATH", str(programs))
    if has_claude:
        (programs / "claude").symlink_to(sys.executable)
    if has_agreed:
        settings.read().config_dir.mkdir(parents=True)
        (settings.read().config_dir / "config.toml").write_text("claude_agreed = true\n")
    said = advice(capsys, "backend")
    if has_claude and has_agreed:
        assert said == ""
        return
    assert said.startswith("Set OPENROUTER_API_KEY, or FANOUT_BASE_URL for a local server, or ")
    assert ("put `claude` on PATH" in said) == (not has_claude)
    assert ("fanout install --claude-backend" in said) == (not has_agreed)


def test_the_gates_mode_is_told(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert "gate" not in find(capsys)
    main(["install", "--yes"])
    capsys.readouterr()
    assert find(capsys)["gate"] == ("good", "smart: agents launched one by one for no reason are sent back")
    monkeypatch.setenv("FANOUT_GATE", "off")
    assert find(capsys)["gate"][0] == "missing"


def test_a_mode_that_is_none_is_a_fault_and_its_file_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    main(["install", "--yes"])
    file = Path(".claude/fanout/config.json")
    file.parent.mkdir(parents=True)
    file.write_text('{"gate": "of"}')
    capsys.readouterr()
    state, told = find(capsys, status=1)["gate"]
    assert (state, told.startswith('smart, for the gate reads "of" in ')) == ("bad", True)
    assert str(file) in told


def test_hooks_that_claude_code_refuses_are_a_fault_and_named(capsys: pytest.CaptureFixture[str]) -> None:
    file = Path(".claude/settings.local.json")
    file.parent.mkdir()
    file.write_text('{"hooks": {"PreToolUse": 3}}')
    main(["doctor", "--json"])
    found = [one for one in json.loads(capsys.readouterr().out) if one["what"] == "hooks"]
    assert found[0]["state"] == "bad"
    assert "PreToolUse must be a list of groups" in found[0]["detail"]


def test_the_plugin_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    file = Path(".claude/settings.json")
    file.parent.mkdir()
    file.write_text('{"enabledPlugins": {"fanout@fanout": true}}')
    found = find(capsys)
    assert found["server"] == ("good", "plugin fanout@fanout")
    assert found["permission"] == ("missing", "permissions.allow lacks mcp__plugin_fanout_fanout")


def test_the_check_is_one_short_call(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(Rule(text="ready")) as upstream:
        monkeypatch.setenv("FANOUT_BASE_URL", upstream.url)
        monkeypatch.setenv("FANOUT_API_KEY", KEY)
        found = find(capsys, "--check")
    assert found["endpoint"] == ("good", f"{upstream.url}, with a key (not shown)")
    state, told = found["check"]
    assert state == "good"
    assert "maker/first answered" in told
    assert len(upstream.log) == 1


def test_a_server_that_does_not_run_is_named_as_such(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as nobody_listens:
        nobody_listens.bind(("127.0.0.1", 0))
        monkeypatch.setenv("FANOUT_BASE_URL", f"http://127.0.0.1:{nobody_listens.getsockname()[1]}/v1")
        found = find(capsys, "--check", status=1)
    assert found["model"][1].startswith("the first that the endpoint lists")
    state, told = found["check"]
    assert (state, "can't be reached" in told) == ("bad", True)


def test_a_persona_that_cannot_be_used_is_a_fault(capsys: pytest.CaptureFixture[str]) -> None:
    folder = settings.read().config_dir / "personas"
    folder.mkdir(parents=True)
    (folder / "dba.md").write_text("You know databases.")
    state, told = find(capsys, status=1)["panel"]
    assert (state, "dba.md must begin with a head" in told) == ("bad", True)


def test_a_refused_key_is_a_fault_and_is_not_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(Rule(kind="status", status=401, body=f'{{"error": "bad key {KEY}"}}')) as upstream:
        monkeypatch.setenv("FANOUT_BASE_URL", upstream.url)
        monkeypatch.setenv("FANOUT_API_KEY", KEY)
        found = find(capsys, "--check", status=1)
    assert found["check"][0] == "bad"


def test_a_backend_that_cannot_be_had_is_a_fault(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FANOUT_BACKEND", "http")
    state, told = find(capsys, status=1)["backend"]
    assert (state, "there is no endpoint" in told) == ("bad", True)


def test_settings_that_cannot_be_read_are_a_fault(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FANOUT_MAX_PARALLEL", "many")
    assert find(capsys, status=1)["settings"][0] == "bad"


def test_for_people_each_finding_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    assert "✓ python" in capsys.readouterr().out
