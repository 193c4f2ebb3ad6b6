"""Before a diff stands, in a line each, what it adds and takes out."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from fanout_hooks.gate import gate
from fanout_mcp.cli import main


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    home = Path(os.environ["HOME"])
    (home / ".claude").mkdir()
    return home


def told(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    capsys.readouterr()
    assert main([*words, "--yes"]) == 0
    return capsys.readouterr().out.partition("\n\n")[0].splitlines()


def test_each_event_each_file_and_each_permission_is_a_line(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = told(capsys, "install", "--allow-tools", "--claude-backend")
    assert lines[0] == f"{home}/.claude.json"
    assert lines[1].startswith("  + mcpServers.fanout: ")
    assert lines[1].endswith(" -I -m fanout_mcp serve")
    assert "  + permissions.allow: mcp__fanout" in lines
    events = [line for line in lines if line.startswith("  + hooks.")]
    assert [line.split()[1].removeprefix("hooks.").rstrip(":") for line in events] == list(gate.ENTRIES)
    assert any(
        line.startswith("  + hooks.PreToolUse [Agent|Task]: a call of the server fanout, ") for line in events
    )
    assert lines[-2:] == [f"{home}/.config/fanout/config.toml", "  + a new file of 1 line"]


def test_what_goes_is_told_as_what_came(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / ".claude" / "settings.json").write_text('{"permissions": {"allow": ["Bash(ls)"]}}')
    came = told(capsys, "install", "--allow-tools")
    gone = told(capsys, "uninstall")
    assert sorted(
        line.replace("- the file, ", "+ a new file of ").replace("  - ", "  + ") for line in gone
    ) == (sorted(came))
    assert not any("Bash" in line for line in came + gone)


@pytest.mark.parametrize(("form", "is_whole"), [("full", True), ("short", False), ("none", False)])
def test_the_diff_is_shown_whole_in_short_or_not_at_all(
    home: Path, capsys: pytest.CaptureFixture[str], form: str, *, is_whole: bool
) -> None:
    main(["install", "--yes", "--diff", form])
    shown = capsys.readouterr().out
    assert ("exec python3" in shown or 'exec \\"$p\\"' in shown) == is_whole
    assert ("+++ " in shown) == (form != "none")
    assert ("--diff full shows all of it." in shown) == (form == "short")


def test_a_question_that_is_answered_with_nothing_writes_nothing(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdin", Terminal("\n\n\n\n"))
    monkeypatch.setattr("sys.stdout", shown := Terminal())
    assert main(["install"]) == 0
    assert "files? [y/N]" in shown.getvalue()
    assert not (home / ".claude.json").exists()
