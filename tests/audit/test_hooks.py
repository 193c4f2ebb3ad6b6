"""Hooks as fanout knows them: adopted, learned by watching, measured in the log."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fanout_hooks.audit import hooks as audit_hooks
from fanout_hooks.audit import hooks as audit_races
from fanout_hooks.audit.hooks import Found
from fanout_hooks.cli import main as hooks_main
from fanout_hooks.learn import memory
from fanout_hooks.learn.memory import TRIALS, Memory
from fanout_hooks.log import append as log_append
from fanout_mcp.cli import main

RACING = (
    "import sys, json\njson.dump({}, open(sys.argv[0] + '.json', 'w'))\nopen('shared.json', 'w').write('')\n"
)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with two hooks that write one file."""
    root, home = tmp_path / "project", tmp_path / "home"
    (root / ".claude").mkdir(parents=True)
    (home / ".claude").mkdir(parents=True)
    for name in ("one", "two"):
        (root / f"{name}.py").write_text(RACING, encoding="utf-8")
    entries = [
        {"type": "command", "command": f"python3 {root}/{name}.py", "timeout": 9} for name in ("one", "two")
    ]
    _write(root / ".claude" / "settings.local.json", {"hooks": {"PreToolUse": [{"hooks": entries}]}})
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("FANOUT_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.chdir(root)
    return root


def _write(file: Path, data: object) -> None:
    file.write_text(json.dumps(data, indent=2), encoding="utf-8")


def row(name: str, ms: float) -> dict[str, object]:
    ran = {"name": name, "batch": 1, "ms": ms, "wait_ms": 0.0}
    return ran | {"exit": 0, "decision": "pass", "lane": "lane"}


def hooks_of(project: Path) -> list[Found]:
    home, state = project.parent / "home", project.parent / "state"
    found, problems = audit_hooks.find(str(project), {"HOME": str(home), "FANOUT_STATE_DIR": str(state)})
    assert problems == []
    return found


def test_adopted_hooks_are_read_where_they_went_and_race_no_more(project: Path) -> None:
    assert len(audit_races.races(hooks_of(project))) == 1
    assert hooks_main(["adopt", "--scope", "local", "--yes"]) == 0
    hooks = hooks_of(project)
    assert [(hook.name, hook.is_adopted) for hook in hooks] == [("one", True), ("two", True)]
    assert all("hooks.local.json:" in hook.place for hook in hooks)
    assert len({hook.place for hook in hooks}) == 2
    assert audit_races.races(hooks) == []


def test_a_native_hook_races_with_an_adopted_one(project: Path) -> None:
    assert hooks_main(["adopt", "--scope", "local", "--yes"]) == 0
    (project / "three.py").write_text(RACING, encoding="utf-8")
    own = {"type": "command", "command": f"python3 {project}/three.py"}
    _write(project / ".claude" / "settings.json", {"hooks": {"PreToolUse": [{"hooks": [own]}]}})
    (found,) = audit_races.races(hooks_of(project))
    assert "three.py" in found.what


def test_what_hooks_were_seen_to_do_counts_instead_of_their_text(project: Path) -> None:
    env = {"FANOUT_STATE_DIR": str(project.parent / "state")}
    learned = Memory(memory.path_of(memory.state_folder(env), str(project)))
    for name in ("one", "two"):
        (project / f"{name}.py").write_text("exec(open('hidden').read())\n", encoding="utf-8")
        effects = {"reads": [], "writes": [str(project / "seen.json")], "spawns": False, "opaque": False}
        for _ in range(TRIALS):
            learned.note(str(project / f"{name}.py"), 3.0, effects=effects)
    learned.save()
    (found,) = audit_races.races(hooks_of(project))
    assert found.basis == "seen while they ran"
    assert "one.py, two.py touch seen.json" in found.what


def test_a_hook_that_the_log_shows_to_be_slow_is_named_at_its_entry(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert hooks_main(["adopt", "--scope", "local", "--yes"]) == 0
    for ms in (300.0, 310.0, 320.0):
        rows = [row("one", ms), row("two", 5.0)]
        record = {
            "timestamp": log_append.stamp(), "phase": "PreToolUse", "total_hooks": 2, "batches": 1,
            "elapsed_ms": ms, "failures": 0, "session_id": "s", "sequential_ms": ms, "path": "cold",
            "hooks": rows,
        }  # fmt: skip
        log_append.append(log_append.path_of(str(project)), record)
    capsys.readouterr()
    assert main(["audit", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["kind"], found["measured"]) == ("slow hook", True)
    assert "PreToolUse: one takes 3" in found["what"]
    assert found["seconds"] == pytest.approx(0.93)
    assert "hooks.local.json:" in found["place"]
