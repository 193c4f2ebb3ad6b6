"""`fanout install` and `fanout uninstall` on real files."""

from __future__ import annotations

import io
import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import fanout_hooks.cli
from fanout_mcp.cli import main
from fanout_mcp.registration import plan
from fanout_mcp.registration import plan as registration_plan
from fanout_mcp.state import settings

MINE = '{\n    "model": "opus",\n    "permissions": {"allow": ["Bash(ls)"], "deny": []},\n    "x": [1,2]\n}'
"""As somebody wrote it by hand: four spaces, lists on a line, no newline at the end."""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.chdir(project)
    home = Path(os.environ["HOME"])
    (home / ".claude").mkdir()
    return home


@pytest.fixture
def mine(home: Path) -> Path:
    path = home / ".claude" / "settings.json"
    path.write_text(MINE)
    return path


def load(path: Path) -> Any:
    return json.loads(path.read_text())


def files(*folders: Path) -> dict[str, str]:
    """All files but what is kept of the old ones."""
    return {
        str(path): path.read_text()
        for folder in folders
        for path in folder.rglob("*")
        if path.is_file() and "state" not in path.parts
    }


def test_server_skill_and_hooks_are_registered_for_the_user(home: Path) -> None:
    assert main(["install", "--yes"]) == 0
    entry = load(home / ".claude.json")["mcpServers"]["fanout"]
    assert entry == {
        "type": "stdio",
        "command": sys.executable,
        "args": ["-I", "-m", "fanout_mcp", "serve"],
    }
    hooks = load(home / ".claude" / "settings.json")["hooks"]
    assert "PreToolUse" in hooks
    assert "PostToolBatch" in hooks
    assert (home / ".claude" / "skills" / "fanout" / "SKILL.md").read_text() == registration_plan.skill_text()


def test_yes_agrees_to_no_permission_and_to_no_spending(home: Path) -> None:
    main(["install", "--yes"])
    assert "permissions" not in load(home / ".claude" / "settings.json")
    assert not settings.read().claude_agreed


def test_permission_and_spending_are_agreed_to_by_name(home: Path) -> None:
    main(["install", "--yes", "--allow-tools", "--claude-backend"])
    assert load(home / ".claude" / "settings.json")["permissions"] == {"allow": ["mcp__fanout"]}
    assert settings.read().claude_agreed
    before = files(home)
    main(["install", "--yes"])
    assert files(home) == before


@pytest.mark.parametrize(
    ("scope", "servers", "keys", "settings_file"),
    [
        ("local", "~/.claude.json", ("projects", "{}"), ".claude/settings.local.json"),
        ("project", ".mcp.json", (), ".claude/settings.json"),
    ],
)
def test_each_scope_has_its_files(
    home: Path, scope: str, servers: str, keys: tuple[str, ...], settings_file: str
) -> None:
    project = Path.cwd()
    main(["install", "--yes", "--scope", scope])
    data = load(home / servers[2:] if servers.startswith("~") else project / servers)
    for key in keys:
        data = data[key.format(project)]
    assert "fanout" in data["mcpServers"]
    assert "hooks" in load(project / settings_file)
    assert (project / ".claude" / "skills" / "fanout" / "SKILL.md").exists()
    main(["uninstall", "--yes", "--scope", scope])
    assert files(home, project) == {}


def test_nothing_but_what_was_asked_for(home: Path) -> None:
    main(["install", "--yes", "--no-hooks", "--no-skill"])
    assert list(files(home)) == [str(home / ".claude.json"), str(home / ".config/fanout/installed.json")]


def test_the_change_is_shown_before_it_is_written(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert main(["install"]) == 2
    shown = capsys.readouterr()
    assert '+    "fanout": {' in shown.out
    assert "Add --yes to write this" in shown.err
    assert files(home) == {}


def test_a_second_time_changes_nothing(mine: Path, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["install", "--yes"])
    before = files(home)
    capsys.readouterr()
    assert main(["install", "--yes"]) == 0
    assert capsys.readouterr().out == "Everything is installed already.\n"
    assert files(home) == before
    main(["uninstall", "--yes"])
    assert mine.read_text() == MINE


def test_an_untouched_file_comes_back_byte_for_byte(mine: Path, home: Path) -> None:
    main(["install", "--yes", "--allow-tools", "--claude-backend"])
    assert mine.read_text() != MINE
    main(["uninstall", "--yes"])
    assert files(home) == {str(mine): MINE}


def test_an_edited_file_loses_ours_and_nothing_else(mine: Path) -> None:
    main(["install", "--yes", "--allow-tools"])
    data = load(mine)
    data["permissions"]["allow"].insert(0, "Bash(pwd)")
    data["hooks"]["PreToolUse"].append({"hooks": [{"type": "command", "command": "true"}]})
    data["theme"] = "dark"
    mine.write_text(json.dumps(data))
    main(["install", "--yes"])
    main(["uninstall", "--yes"])
    assert load(mine) == {
        **json.loads(MINE),
        "permissions": {"allow": ["Bash(pwd)", "Bash(ls)"], "deny": []},
        "hooks": {"PreToolUse": [{"hooks": [{"type": "command", "command": "true"}]}]},
        "theme": "dark",
    }


def test_what_claude_code_wrote_meanwhile_stays(home: Path) -> None:
    path = home / ".claude.json"
    path.write_text('{"numStartups": 1, "mcpServers": {}}')
    main(["install", "--yes"])
    path.write_text(json.dumps({**load(path), "numStartups": 2}))
    main(["uninstall", "--yes"])
    assert load(path) == {"numStartups": 2, "mcpServers": {}}


def test_key_order_link_and_mode_stay(mine: Path, tmp_path: Path) -> None:
    target = tmp_path / "dotfiles.json"
    mine.rename(target)
    mine.symlink_to(target)
    target.chmod(0o640)
    main(["install", "--yes"])
    assert mine.is_symlink()
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert list(load(target)) == ["model", "permissions", "x", "hooks"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"model": ', "line 1"),
        ('{"a": 1, // why\n "b": 2}', "has comments"),
        ('{"a": 1, "a": 2}', '"a" appears twice'),
        ("[]", "not a JSON object"),
        ('{"permissions": []}', "permissions should be an object"),
        (
            '{"hooks": {"PreToolUse": 3}}',
            "PreToolUse must be a list of groups. Claude Code reads nothing of such",
        ),
        ('{"hooks": {"PreToolUse": [{"hooks": [{"type": "command"}]}]}}', "'command' is missing"),
    ],
)
def test_a_file_that_is_not_understood_is_left_alone(
    mine: Path, home: Path, text: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    mine.write_text(text)
    assert main(["install", "--yes", "--allow-tools"]) == 2
    assert told in capsys.readouterr().err
    assert files(home) == {str(mine): text}


def test_another_server_of_that_name_is_left_alone(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = home / ".claude.json"
    path.write_text('{"mcpServers": {"fanout": {"command": "other"}}}')
    assert main(["install", "--yes"]) == 2
    assert "isn't ours" in capsys.readouterr().err
    assert load(path) == {"mcpServers": {"fanout": {"command": "other"}}}


def test_a_clone_that_registers_the_server_itself_keeps_its_entry(capsys: pytest.CaptureFixture[str]) -> None:
    text = (Path(__file__).parents[2] / ".mcp.json").read_text()
    Path(".mcp.json").write_text(text)
    assert main(["install", "--yes", "--scope", "project"]) == 0
    assert "registers the server already" in capsys.readouterr().out
    assert Path(".mcp.json").read_text() == text
    main(["uninstall", "--yes", "--scope", "project"])
    assert Path(".mcp.json").read_text() == text


def test_beside_the_plugin_nothing_is_registered_twice(home: Path) -> None:
    path = home / ".claude" / "settings.json"
    path.write_text('{"enabledPlugins": {"fanout@fanout": true}}')
    assert main(["install", "--yes", "--allow-tools"]) == 0
    assert load(path) == {
        "enabledPlugins": {"fanout@fanout": True},
        "permissions": {"allow": ["mcp__plugin_fanout_fanout"]},
    }
    assert not (home / ".claude.json").exists()


def test_where_the_bytes_cannot_come_back_that_is_said_before_it_is_written(
    mine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["install", "--yes"])
    data = load(mine)
    own = {"type": "command", "command": "true"}
    data["hooks"]["PreToolUse"][0]["hooks"].append(own)
    data["hooks"]["PreToolUse"].append({"hooks": [own]})
    mine.write_text(json.dumps(data))
    capsys.readouterr()
    main(["uninstall", "--yes"])
    said = capsys.readouterr().out
    assert f"{mine}: entries were put among ours, so its hooks are written again" in said
    assert load(mine)["hooks"]["PreToolUse"] == [{"matcher": "Agent|Task", "hooks": [own]}, {"hooks": [own]}]


def test_a_newer_environment_replaces_the_entry_of_an_older_one(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as older:
        older.setattr(sys, "executable", "/old/bin/python")
        main(["install", "--yes"])
    main(["install", "--yes"])
    assert load(home / ".claude.json")["mcpServers"]["fanout"]["command"] == sys.executable
    main(["uninstall", "--yes"])
    assert files(home) == {}


def test_an_edited_skill_stays(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["install", "--yes"])
    skill = home / ".claude" / "skills" / "fanout" / "SKILL.md"
    skill.write_text("mine now")
    main(["uninstall", "--yes"])
    assert "was edited since, and stays" in capsys.readouterr().out
    assert files(home) == {str(skill): "mine now"}


def test_the_files_as_they_were_are_kept(mine: Path, home: Path) -> None:
    main(["install", "--yes"])
    kept = list((home / ".config" / "fanout" / "state" / "backups").glob("settings.json-*"))
    assert [path.read_text() for path in kept] == [MINE]
    assert mine.read_text() != MINE


def test_of_every_file_that_is_changed_or_removed_a_copy_is_kept(home: Path) -> None:
    config, skill = (
        home / ".config" / "fanout" / "config.toml",
        home / ".claude" / "skills" / "fanout" / "SKILL.md",
    )
    config.parent.mkdir(parents=True)
    config.write_text('model = "m"\n')
    config.chmod(0o600)
    main(["install", "--yes", "--claude-backend"])
    assert stat.S_IMODE(config.stat().st_mode) == 0o600
    agreed, text = config.read_text(), skill.read_text()
    main(["uninstall", "--yes"])
    backups = home / ".config" / "fanout" / "state" / "backups"
    assert sorted(path.read_text() for path in backups.glob("config.toml-*")) == sorted(
        ['model = "m"\n', agreed]
    )
    assert [path.read_text() for path in backups.glob("SKILL.md-*")] == [text]


def test_a_config_that_was_edited_meanwhile_is_left_alone(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = home / ".config" / "fanout" / "config.toml"
    planned = plan.perform

    def perform(*args: Any) -> list[str]:
        config.write_text('model = "n"\n')
        return planned(*args)

    monkeypatch.setattr(plan, "perform", perform)
    assert main(["install", "--yes", "--claude-backend"]) == 2
    assert "was changed meanwhile" in capsys.readouterr().err
    assert config.read_text() == 'model = "n"\n'


def test_taking_out_what_is_not_there_says_so(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["uninstall", "--yes"]) == 0
    assert capsys.readouterr().out == "Nothing of fanout is installed for scope user.\n"
    assert files(home) == {}


@pytest.mark.parametrize(
    "text",
    [
        "",
        'model = "m"\n',
        '[prices."m"]\nin = 1\nout = 2\n',
        "claude_agreed = false\n",
        '[prices."m"]\nin = 1\nout = 2\nclaude_agreed = 1\n',
    ],
)
def test_the_agreement_is_one_line_of_the_users_own_file(home: Path, text: str) -> None:
    config = home / ".config" / "fanout" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text(text)
    main(["install", "--yes", "--claude-backend"])
    assert settings.read().claude_agreed
    main(["uninstall", "--yes"])
    assert not settings.read().claude_agreed
    assert (config.read_text() if config.exists() else "") == text


def test_uvx_is_no_place_to_register(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setattr(sys, "prefix", "/home/me/.cache/uv/archive-v0/abc")
    assert main(["install", "--yes"]) == 2
    assert files(home) == {}


@pytest.mark.slow
def test_three_installations_at_once_all_succeed(home: Path) -> None:
    words = [sys.executable, "-I", "-m", "fanout_mcp", "install", "--yes"]
    running = [subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(3)]
    said = [process.communicate(timeout=60) for process in running]
    assert [process.returncode for process in running] == [0, 0, 0], said
    assert sum(b"Installed." in out for out, _ in said) == 1
    main(["uninstall", "--yes"])
    assert files(home) == {}


def test_what_another_wrote_meanwhile_is_planned_for_anew(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = home / ".claude" / "settings.json"
    planned = plan.installing

    def installing(*args: Any) -> plan.Plan:
        made = planned(*args)
        if not path.exists():  # after the first look, before anything is written
            path.write_text('{"model": "opus"}\n')
        return made

    monkeypatch.setattr(plan, "installing", installing)
    assert main(["install", "--yes"]) == 0
    assert load(path)["model"] == "opus"
    assert "hooks" in load(path)


def test_leaving_with_ctrl_d_agrees_to_nothing(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    shown = Terminal()
    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("sys.stdout", shown)
    assert main(["install"]) == 0
    assert shown.getvalue().endswith("Nothing was written.\n")
    assert files(home) == {}


def test_a_refusal_is_one_sentence_with_one_full_stop(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / ".claude" / "settings.json").write_text("{")
    assert main(["install", "--yes"]) == 2
    said = capsys.readouterr().err
    assert said.count("nothing was written") == 1
    assert ".." not in said
    assert "Nothing more" not in said


def test_servers_that_stand_on_one_line_come_back_byte_for_byte(home: Path) -> None:
    before = '{\n  "numStartups": 3,\n  "mcpServers": {"other": {"command": "x"}}\n}\n'
    (home / ".claude.json").write_text(before)
    main(["install", "--yes"])
    assert "fanout" in load(home / ".claude.json")["mcpServers"]
    main(["uninstall", "--yes"])
    assert (home / ".claude.json").read_text() == before
    assert not (home / ".claude" / "skills").exists()


def test_a_change_to_a_file_on_one_line_is_shown_a_value_a_line(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = home / ".claude" / "settings.json"
    path.write_text('{"model": "opus", "permissions": {"allow": ["Bash(ls)"]}}')
    main(["install", "--yes"])
    shown = capsys.readouterr().out
    assert '+    "PreToolUse": [' in shown
    assert max(map(len, shown.splitlines())) < 1_000
    assert path.read_text().startswith('{"model": "opus", ')


HOOK = '{\n  "hooks": {"Stop": [{"hooks": [{"type": "command", "command": "echo mine"}]}]}\n}\n'


def test_taking_out_the_server_brings_adopted_hooks_back_first(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine, here = home / ".claude" / "settings.json", Path(".claude/settings.local.json")
    here.parent.mkdir()
    for path in (mine, here):
        path.write_text(HOOK)
    main(["install", "--yes"])
    assert fanout_hooks.cli.main(["adopt", "--all", "--yes"]) == 0
    capsys.readouterr()
    assert main(["uninstall", "--yes"]) == 0
    said = capsys.readouterr().out
    assert f"{mine} gets its hooks back, byte for byte: Stop: echo." in said
    assert said.index("gets its hooks back") < said.index("fanout is out.")
    assert (mine.read_text(), here.read_text()) == (HOOK, HOOK)


def test_hooks_that_a_team_shares_stay_adopted_and_lose_their_calls_alone(home: Path) -> None:
    shared = Path(".claude/settings.json")
    shared.parent.mkdir()
    shared.write_text(HOOK)
    main(["install", "--yes"])
    assert fanout_hooks.cli.main(["adopt", "--all", "--shared", "--yes"]) == 0
    committed = shared.read_text(), Path(".claude/fanout/hooks.json").read_text()
    assert "run_hooks" in Path(".claude/settings.local.json").read_text()
    assert main(["uninstall", "--yes"]) == 0
    assert (shared.read_text(), Path(".claude/fanout/hooks.json").read_text()) == committed
    assert not Path(".claude/settings.local.json").exists()
    assert not Path(".claude/fanout/state/warm").exists()


def test_a_project_s_own_server_keeps_its_hooks_and_not_the_user_s(home: Path) -> None:
    mine, here = home / ".claude" / "settings.json", Path(".claude/settings.local.json")
    here.parent.mkdir()
    for path in (mine, here):
        path.write_text(HOOK)
    Path(".mcp.json").write_text('{"mcpServers": {"fanout": {"command": "python3"}}}')
    main(["install", "--yes"])
    assert fanout_hooks.cli.main(["adopt", "--all", "--yes"]) == 0
    assert main(["uninstall", "--yes"]) == 0
    assert mine.read_text() == HOOK
    assert "run_hooks" in here.read_text()


def test_hooks_that_another_server_runs_stay_adopted(home: Path) -> None:
    mine = home / ".claude" / "settings.json"
    mine.write_text(HOOK)
    main(["install", "--yes", "--no-hooks"])
    main(["install", "--yes", "--scope", "local", "--no-hooks"])
    assert fanout_hooks.cli.main(["adopt", "--all", "--yes"]) == 0
    main(["uninstall", "--yes", "--scope", "local"])
    assert "run_hooks" in mine.read_text()


def test_without_consent_adopted_hooks_and_the_server_stay(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / ".claude" / "settings.json").write_text(HOOK)
    main(["install", "--yes"])
    fanout_hooks.cli.main(["adopt", "--all", "--yes"])
    before = files(home)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert main(["uninstall"]) == 2
    assert files(home) == before


def test_hooks_adopted_in_another_project_are_named(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = home / "other"
    (other / ".claude" / "fanout").mkdir(parents=True)
    (other / ".claude" / "fanout" / "hooks.local.json").write_text("{}")
    (home / ".claude.json").write_text(json.dumps({"projects": {str(other): {}, str(home / "gone"): {}}}))
    main(["install", "--yes"])
    main(["uninstall", "--yes"])
    assert f"Hooks of {other} are adopted, too: run `fanout-hooks restore` there." in capsys.readouterr().out


def test_what_stays_on_the_disk_is_named(mine: Path, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["install", "--yes"])
    capsys.readouterr()
    main(["uninstall", "--yes"])
    assert f"  {home / '.config' / 'fanout' / 'state'}: the files as they were" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("log", "gate", "events"),
    [
        ("y", "y", ["PostToolBatch", "PreToolUse", "UserPromptSubmit"]),
        ("n", "y", ["PostToolBatch", "PreToolUse", "UserPromptSubmit"]),
        ("y", "n", ["UserPromptSubmit"]),
        ("n", "n", []),
    ],
)
def test_a_person_sees_the_plan_and_is_asked_for_log_and_gate_each(
    home: Path, monkeypatch: pytest.MonkeyPatch, log: str, gate: str, events: list[str]
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("PATH", str(home))  # without `claude`, nothing is asked about spending
    monkeypatch.setattr("sys.stdin", Terminal(f"{log}\n{gate}\nn\ny\n"))
    monkeypatch.setattr("sys.stdout", shown := Terminal())
    assert main(["install"]) == 0
    told = shown.getvalue()
    assert told.index("+ mcpServers.fanout: ") < told.index("Hook log: ") < told.index("Gate on agents: ")
    path = home / ".claude" / "settings.json"
    hooks = load(path)["hooks"] if path.exists() else {}
    assert [
        event for event in ("PostToolBatch", "PreToolUse", "UserPromptSubmit") if event in hooks
    ] == events
    assert ("fanout_log" in json.dumps(hooks)) == (log == "n" and gate == "y")


@pytest.mark.parametrize("flag", ["--no-gate", "--no-hooks"])
def test_installing_again_without_the_gate_takes_its_entries_out(home: Path, flag: str) -> None:
    main(["install", "--yes"])
    main(["install", "--yes", flag])
    hooks = load(home / ".claude" / "settings.json").get("hooks", {})
    left = [event for event, groups in hooks.items() if groups]
    assert left == ([] if flag == "--no-hooks" else ["UserPromptSubmit"])


def test_taking_out_names_what_stays_in_this_project_and_in_those_that_are_known(
    home: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    other = tmp_path / "other"
    for project in (Path.cwd(), other):
        (project / ".claude" / "memory").mkdir(parents=True)
        (project / ".claude" / "memory" / "hook_performance.jsonl").write_text("{}\n")
    (other / ".claude" / "fanout").mkdir()
    (home / ".claude.json").write_text(json.dumps({"projects": {str(other): {}}}))
    main(["install", "--yes"])
    capsys.readouterr()
    main(["uninstall", "--yes", "--diff", "none"])
    told = " ".join(capsys.readouterr().out.split())
    for path in (
        Path.cwd() / ".claude/memory/hook_performance.jsonl",
        other / ".claude/memory/hook_performance.jsonl",
        other / ".claude/fanout",
    ):
        assert f"{path}:" in told
