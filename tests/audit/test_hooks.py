"""Hooks as fanout knows them: adopted, learned by watching, measured in the log."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from fanout_hooks import audit
from fanout_hooks.audit import Found
from fanout_hooks.cli import main as hooks_main
from fanout_hooks.client.home import state_folder
from fanout_hooks.learn import memory
from fanout_hooks.learn.memory import TRIALS, Memory
from fanout_hooks.log import append as log_append
from fanout_mcp.cli import main


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with two hooks that write one file."""
    root, home = tmp_path / "project", tmp_path / "home"
    (root / ".claude").mkdir(parents=True)
    (home / ".claude").mkdir(parents=True)
    for name in ("one", "two"):
        (root / f"{name}.py").write_text("print()\n", encoding="utf-8")
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
    found, problems = audit.find(str(project), {"HOME": str(home), "FANOUT_STATE_DIR": str(state)})
    assert problems == []
    return found


def watch(
    project: Path, script: str, reads: Sequence[str] = (), writes: Sequence[str] = (), *, opaque: bool = False
) -> None:
    """Have a script seen often enough, touching these files of the project."""
    env = {"FANOUT_STATE_DIR": str(project.parent / "state")}
    learned = Memory(memory.path_of(state_folder(env), str(project)))
    paths = {"reads": [str(project / one) for one in reads], "writes": [str(project / one) for one in writes]}
    for _ in range(TRIALS):
        effects = {**paths, "spawns": False, "opaque": opaque}
        learned.note(str(project / script), 3.0, effects=effects)
    learned.save()


def test_adopted_hooks_are_read_where_they_went_and_race_no_more(project: Path) -> None:
    for name in ("one.py", "two.py"):
        watch(project, name, writes=["shared.json"])
    assert len(audit.races(hooks_of(project))) == 1
    assert hooks_main(["adopt", "--all", "--scope", "local", "--yes"]) == 0
    hooks = hooks_of(project)
    assert [(hook.name, hook.is_adopted) for hook in hooks] == [("one", True), ("two", True)]
    assert all("hooks.local.json:" in hook.place for hook in hooks)
    assert len({hook.place for hook in hooks}) == 2
    assert audit.races(hooks) == []


def test_a_native_hook_races_with_an_adopted_one(project: Path) -> None:
    assert hooks_main(["adopt", "--all", "--scope", "local", "--yes"]) == 0
    (project / "three.py").write_text("print()\n", encoding="utf-8")
    own = {"type": "command", "command": f"python3 {project}/three.py"}
    _write(project / ".claude" / "settings.json", {"hooks": {"PreToolUse": [{"hooks": [own]}]}})
    watch(project, "one.py", writes=["shared.json"])
    watch(project, "three.py", reads=["shared.json"])
    (found,) = audit.races(hooks_of(project))
    assert "three.py" in found.what


Files = dict[str, list[str]]


@pytest.mark.parametrize(
    ("one", "two", "file"),
    [
        ({"writes": ["state.json"]}, {"reads": ["state.json"]}, "state.json"),
        ({"reads": ["state.json"]}, {"writes": ["state.json"]}, "state.json"),
        ({"writes": ["seen.json"]}, {"writes": ["seen.json"]}, "seen.json"),
        ({"writes": ["logs/a.json"], "reads": ["b"]}, {"reads": ["b", "logs/a.json"]}, "logs/a.json"),
        ({"reads": ["state.json"]}, {"reads": ["state.json"]}, ""),
        ({"writes": ["a.json"]}, {"writes": ["b.json"]}, ""),
        ({"writes": ["one/a.json"]}, {"writes": ["two/a.json"]}, ""),
    ],
    ids=["write, read", "read, write", "write, write", "one of several", "read", "others", "in two folders"],
)
def test_hooks_of_one_event_race_for_what_one_writes_and_the_other_touches(
    project: Path, one: Files, two: Files, file: str
) -> None:
    watch(project, "one.py", one.get("reads", ()), one.get("writes", ()))
    watch(project, "two.py", two.get("reads", ()), two.get("writes", ()))
    found = audit.races(hooks_of(project))
    assert [race.basis for race in found] == ["seen while they ran"] * bool(file)
    assert all(f"one.py, two.py touch {file} at once" in race.what for race in found)
    assert all(int(race.place.rsplit(":", 1)[1]) > 1 for race in found)


def test_hooks_that_were_not_watched_or_whose_script_is_new_are_in_no_race(project: Path) -> None:
    assert audit.races(hooks_of(project)) == []
    for name in ("one.py", "two.py"):
        watch(project, name, writes=["shared.json"])
    (project / "two.py").write_text("print('edited')\n", encoding="utf-8")
    assert audit.races(hooks_of(project)) == []


def test_a_hook_that_can_hide_what_it_touches_is_in_no_race(project: Path) -> None:
    watch(project, "one.py", writes=["shared.json"])
    watch(project, "two.py", writes=["shared.json"], opaque=True)
    assert audit.races(hooks_of(project)) == []


@pytest.mark.parametrize(
    ("one", "other", "meet"),
    [
        ("Bash", "Bash|Edit", True),
        ("Bash", "Edit, Write", False),
        ("", "Edit", True),
        ("*", "Edit", True),
        ("mcp__.*", "Edit", True),
        ("Read|", "Edit", False),
        ("Task", "Agent", True),
    ],
)
def test_only_hooks_whose_matchers_can_both_match_race(one: str, other: str, *, meet: bool) -> None:
    assert audit.can_meet(one, other) == meet


def test_a_hook_that_the_log_shows_to_be_slow_is_named_at_its_entry(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert hooks_main(["adopt", "--all", "--scope", "local", "--yes"]) == 0
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
