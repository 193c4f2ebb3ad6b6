"""`fanout-hooks cost`: what hooks cost by event and tool call, with nothing adopted and after."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from fakes.records import record, row
from fakes.transcript import Writer
from fakes.user import User, command, group
from fanout_hooks.adoption import bench, cost
from fanout_hooks.client import transcripts
from fanout_hooks.log import append

COUNT = "import sys; open(sys.argv[1], 'a').write('x')\n"


def rows(user: User, *words: str) -> dict[tuple[str, str], dict[str, Any]]:
    done = user.run("cost", "--json", *words)
    assert done.status == 0, done.err
    return {(one["event"], one["tool"]): one for one in json.loads(done.out)}


@pytest.fixture
def hooked(user: User, monkeypatch: pytest.MonkeyPatch) -> User:
    """Give a user two hooks for Bash, one for all tools, one at the end of a turn."""
    monkeypatch.setattr(cost, "BETWEEN_S", 0.0)  # here no figure is compared with the client's
    user.register_server()
    user.script("count.py", COUNT)
    python = command(f"{sys.executable} count.py runs")
    user.write(
        "local",
        {
            "hooks": {
                "PreToolUse": [
                    group(python, command("echo x"), matcher="Bash"),
                    group(command("echo y"), matcher=""),
                ],
                "Stop": [group(command("echo z"))],
            }
        },
    )
    return user


def talk(user: User) -> None:
    """Leave a transcript: two prompts, three calls of Bash and two of Read, just now."""
    folder = transcripts.project_folder(str(user.project), str(user.home / ".claude"))
    made = Writer(Path(folder) / "s.jsonl").prompt("go")
    made.tools(("Bash", {"command": "a"}, "1"), ("Bash", {"command": "b"}, "2"))
    made.prompt("on").tools(("Bash", {"command": "c"}, "3")).tools(("Read", {}, "4"), ("Glob", {}, "5"))
    made.write()


def test_events_are_counted_in_transcripts_and_tools_that_start_the_same_hooks_are_one_row(
    hooked: User,
) -> None:
    talk(hooked)
    found = rows(hooked)
    assert {about: (one["calls"], len(one["hooks"])) for about, one in found.items()} == {
        ("PreToolUse", "Bash"): (3, 3),
        ("PreToolUse", "Read, Glob"): (2, 1),
        ("Stop", ""): (2, 1),
    }
    assert all(one["native_ms"] is None for one in found.values())


def test_nothing_runs_unless_it_is_asked_for(hooked: User) -> None:
    before = hooked.files()
    assert "--measure" in hooked.run("cost").out
    asked = hooked.run("cost", "--measure")
    assert asked.status == 1
    assert "Nothing was run." in asked.err
    assert hooked.files() == before


def test_measured_rows_hold_both_ways_and_what_would_stay_native_says_why(hooked: User) -> None:
    talk(hooked)
    found = rows(hooked, "--measure", "--yes")
    bash, stop = found["PreToolUse", "Bash"], found["Stop", ""]
    assert bash["native_ms"] > 0
    assert bash["fanout_ms"] > 0
    assert bash["stays"] == ""
    assert stop["native_ms"] > 0
    assert stop["fanout_ms"] is None
    assert "no faster" in stop["stays"]
    assert len((hooked.project / "runs").read_text()) == 2 * (bench.WARM_UP + cost.ROUNDS)
    assert not Path(append.path_of(str(hooked.project))).exists()


def test_a_tool_call_is_summed_up_in_a_sentence(hooked: User) -> None:
    talk(hooked)
    said = " ".join(hooked.run("cost", "--measure", "--yes").out.split())
    assert "A tool call waits" in said
    assert "Through fanout:" in said
    assert "Stays native: Stop: it would get no faster" in said


def test_after_adopting_before_is_the_kept_measure_and_after_the_logs_median(hooked: User) -> None:
    talk(hooked)
    assert hooked.run("adopt", "--yes").status == 0
    assert hooked.run("bench", "--rounds", "1", "--yes").status == 0
    path = Path(append.path_of(str(hooked.project)))
    for _ in range(3):
        append.append(str(path), record(row("count", 7.0), at=time.time()))
    found = rows(hooked)
    bash = found["PreToolUse", "Bash"]
    assert bash["is_adopted"]
    assert bash["native_ms"] > 0
    assert bash["fanout_ms"] == pytest.approx(
        7.0 + cost.CLIENT_MS * max(1, 2 / (os.cpu_count() or 1)), rel=0.05
    )
    assert not found["Stop", ""]["is_adopted"]


def test_a_plugins_hooks_have_rows_of_their_own_and_stay_native(hooked: User) -> None:
    talk(hooked)
    root = hooked.home / "plugins" / "tidy"
    (root / "hooks").mkdir(parents=True)
    (root / "hook.sh").write_text('echo x >>"$CLAUDE_PROJECT_DIR/plugin-runs"\n')
    entry = command('sh "${CLAUDE_PLUGIN_ROOT}/hook.sh"')
    (root / "hooks" / "hooks.json").write_text(
        json.dumps({"hooks": {"PreToolUse": [group(entry, matcher="Glob")]}})
    )
    known = hooked.home / ".claude" / "plugins" / "installed_plugins.json"
    known.parent.mkdir(parents=True, exist_ok=True)
    known.write_text(json.dumps({"plugins": {"tidy@shop": [{"installPath": str(root)}]}}))
    hooked.write("user", {"enabledPlugins": {"tidy@shop": True}})
    done = hooked.run("cost", "--json", "--measure", "--yes")
    (own,) = [one for one in json.loads(done.out) if one["plugin"]]
    assert (own["plugin"], own["tool"], own["calls"], own["fanout_ms"]) == ("tidy@shop", "Glob", 1, None)
    assert own["native_ms"] > 0
    assert len((hooked.project / "plugin-runs").read_text().split()) == bench.WARM_UP + cost.ROUNDS
    assert "Stays native: PreToolUse: it belongs to the plugin tidy@shop" in " ".join(
        hooked.run("cost").out.split()
    )


def test_what_fanout_itself_takes_is_a_row(hooked: User) -> None:
    path = Path(append.path_of(str(hooked.project)))
    for own_ms in (1.0, 3.0):
        append.append(str(path), {**record(row("count", 7.0), at=time.time()), "own_ms": own_ms})
    own = rows(hooked)[cost.OVERHEAD, ""]
    assert (own["calls"], own["native_ms"], own["fanout_ms"]) == (2, None, 2.0)
    assert f"{cost.OVERHEAD}: what an event takes beyond its hooks" in hooked.run("cost").out


def test_what_the_client_itself_takes_grows_with_its_hooks_and_is_shared_by_its_processors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    row = cost.Row("Stop", "", 1, ("a",), 50.0, None, "", is_adopted=False)
    assert cost.with_client(row)[4:6] == (50.0 + cost.CLIENT_MS, None)
    many = cost.with_client(row._replace(hooks=("a",) * 12, fanout_ms=5.0))
    assert (many.native_ms, many.fanout_ms) == (50.0 + 3 * cost.CLIENT_MS, 5.0 + cost.CLIENT_MS)


def test_without_hooks_there_is_nothing_to_pay(user: User) -> None:
    assert user.run("cost").out == f"{cost.NOTHING}\n"


def test_a_settings_file_that_the_client_refuses_is_named_and_the_others_count(hooked: User) -> None:
    hooked.write("user", {"hooks": {"PreToolUse": [{"matcher": None}]}})
    done = hooked.run("cost")
    assert done.status == 0
    assert str(hooked.path("user")) in " ".join(done.out.split())
    assert "PreToolUse Bash" in done.out
