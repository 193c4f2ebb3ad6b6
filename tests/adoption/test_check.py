"""check, graph, learn, bench and dispatch, as a user calls them."""

from __future__ import annotations

import io
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from fakes.user import User, command, group
from fanout_hooks.adoption import bench, check
from fanout_hooks.client import files, hook_input, places
from fanout_hooks.client.config import Hook
from fanout_hooks.learn import memory
from fanout_hooks.log import append as log_append
from fanout_hooks.log import report

PYTHON = os.path.realpath(sys.executable)
COUNTER = """
import json, sys
json.load(sys.stdin)
try:
    count = int(open("count.txt").read())
except FileNotFoundError:
    count = 0
open("count.txt", "w").write(str(count + 1))
"""
READER = 'import sys; sys.stdin.read(); print(len(open("count.txt").read()) > 0)'


@pytest.fixture
def adopted(user: User) -> User:
    """A counter, a reader of the count, and a shell hook, on one event."""
    user.script("counter.py", COUNTER)
    user.script("reader.py", READER)
    user.register_server()
    hooks = [command(f"{PYTHON} counter.py"), command(f"{PYTHON} reader.py"), command("echo done >&2")]
    user.write("local", {"hooks": {"PreToolUse": [group(*hooks, matcher="Bash")]}})
    assert user.run("adopt", "--all", "--yes").status == 0
    return user


def send(user: User, monkeypatch: pytest.MonkeyPatch, times: int = 1, **fields: Any) -> str:
    """Dispatch an event by hand; return the last answer."""
    out = ""
    for number in range(times):
        sent = {"hook_event_name": "PreToolUse", "tool_name": "Bash", "cwd": str(user.project)} | fields
        raw = hook_input.to_stdin(sent | {"tool_use_id": f"toolu_{number}"})
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw)))
        out = user.run("dispatch").out
    return out


# --- check --------------------------------------------------------------------------------------------------


def test_a_sound_adoption_is_confirmed_with_its_path(adopted: User) -> None:
    done = adopted.run("check")
    assert done.status == 0
    assert "3 hooks run through fanout" in done.out
    assert "warm: by the server 'fanout', cold where it isn't running" in done.out


def test_where_nothing_is_adopted_the_client_runs_the_hooks(user: User) -> None:
    assert check.path_in_use(str(user.project), dict(os.environ)).path == "native"
    assert user.run("check").status == 0


def test_without_a_registered_server_the_path_is_cold_and_says_why(adopted: User) -> None:
    (adopted.home / ".claude.json").unlink()
    path, why = check.path_in_use(str(adopted.project), dict(os.environ))
    assert path == "cold"
    assert "`fanout install`" in why


def test_entries_written_before_the_server_came_are_cold_until_adopted_again(user: User) -> None:
    user.write("user", {"hooks": {"Stop": [group(command("true"))]}})
    user.run("adopt", "--all", "--yes")
    user.register_server()
    assert "don't call the server; `fanout-hooks adopt` again" in user.run("check").out
    user.run("adopt", "--all", "--yes")
    assert "warm: by the server" in user.run("check").out


def test_the_log_is_evidence(adopted: User) -> None:
    path = log_append.path_of(str(adopted.project))
    for way, phase in (("warm", "Stop"), ("warm", "PreToolUse"), ("cold", "Stop"), ("cold", "SessionStart")):
        log_append.append(path, {"phase": phase, "path": way})
    with Path(path).open("a") as file:
        file.write("torn {\n[]\n")
    assert "of the last 3 events that have a warm path 2 warm and 1 cold" in adopted.run("check").out


def test_disabled_hooks_are_said_to_be_off(adopted: User) -> None:
    settings = adopted.settings("local")
    adopted.write("local", settings | {"disableAllHooks": True})
    done = adopted.run("check")
    assert done.status == 1
    assert "disableAllHooks is on" in done.out
    assert "off:" in done.out


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"after": ["countr"]}, 'says after "countr", and there is no hook of that name'),
    ({"after": ["counter"]}, "`after` goes in a circle: counter -> counter"),
    ({"timeout": 0}, "timeout must be a number of seconds above 0"),
    ({"writes": "count.txt"}, "writes must be a list of texts"),
    ({"command": f"{PYTHON} gone/away.py"}, "away: there is no gone/away.py"),
    ({"command": "node --no-warnings gone/away.mjs x"}, "away: there is no gone/away.mjs"),
    ({"command": "bash gone/away.sh"}, "away: there is no gone/away.sh"),
    ({"command": "./gone/away.sh x"}, "away: there is no ./gone/away.sh"),
    ({"command": "gone", "args": ["x"]}, "there is no program gone"),
    ({"command": f'{PYTHON} "$CLAUDE_PROJECT_DIR"/gone.py'}, "/gone.py"),
]


LOOKED_UP_ELSEWHERE = [
    "node -e 'require(process.argv[1])' scripts/x.js",
    "node -r ./setup/x.js run.js",
    "node --require ./setup/x.js run.js",
    "node -p 'process.argv[1]' a/b.js",
    f"{PYTHON} -c 'print(1)' gone/away.py",
    f"{PYTHON} -m tool gone/away.py",
    "bash -c 'echo $0' gone/away.sh",
    "sh -ec 'exec \"$0\"' gone/away.sh",
    "perl -e 'print' gone/away.pl",
    "ruby -e 'puts 1' gone/away.rb",
    "my-runner --config gone/away.js",
    "npx tool gone/away.ts",
    "uv run --with x gone/away.py",
]


@pytest.mark.parametrize("line", LOOKED_UP_ELSEWHERE)
def test_a_word_that_the_program_itself_looks_up_is_not_called_missing(adopted: User, line: str) -> None:
    held = adopted.held("local")
    held["hooks"]["PreToolUse"][0]["hooks"][0] |= {"command": line}
    adopted.hold("local", held)
    assert "there is no" not in adopted.run("check").out


@pytest.mark.parametrize(("change", "why"), WRONG, ids=[why for _, why in WRONG])
def test_what_is_wrong_in_hooks_json_is_named_and_fails_the_check(
    adopted: User, change: dict[str, Any], why: str
) -> None:
    held = adopted.held("local")
    held["hooks"]["PreToolUse"][0]["hooks"][0] |= change
    adopted.hold("local", held)
    done = adopted.run("check")
    assert done.status == 1
    assert why in done.out


def test_a_hooks_json_that_is_gone_or_broken_fails_the_check(adopted: User) -> None:
    path = Path(adopted.place("local").hooks)
    path.write_text("{")
    assert "not valid JSON" in adopted.run("check").out
    path.unlink()
    before = adopted.files()
    for words in (("check",), ("adopt", "--all", "--yes"), ("restore", "--yes")):
        done = adopted.run(*words)
        assert done.status == 1
        assert f"{path} is gone" in done.out + done.err
    assert adopted.files() == before


@pytest.mark.parametrize("program", ["run", "originals.py"])
def test_a_program_that_someone_changed_is_reported_until_adopted_again(user: User, program: str) -> None:
    user.write("shared", json.dumps({"hooks": {"Stop": [group(command("true"))]}}))
    user.run("adopt", "--all", "--shared", "--yes")
    path = user.project / ".claude" / "fanout" / program
    written = path.read_text()
    path.write_text(f"{written}\n# changed\n")
    assert f"of hooks.json any more: {program}; `adopt`" in user.run("check").out
    assert f"writes {path}" in user.run("adopt", "--all", "--shared", "--yes").out
    assert path.read_text() == written


def test_entries_that_no_longer_fit_hooks_json_are_reported_until_adopted_again(adopted: User) -> None:
    held = adopted.held("local")
    held["hooks"]["Stop"] = [group(command("true"))]
    adopted.hold("local", held)
    assert "of hooks.json any more: what we registered; `adopt`" in adopted.run("check").out
    adopted.run("adopt", "--all", "--yes")
    assert adopted.run("check").status == 0


def test_a_process_that_the_entries_start_and_is_gone_is_named(adopted: User) -> None:
    path = adopted.path("local")
    path.write_text(path.read_text().replace(PYTHON, "/gone/python3.11"))
    done = adopted.run("check")
    assert done.status == 1
    assert "the entries start /gone/python3.11, which is gone; `adopt` again" in done.out


def test_no_entry_starts_a_version_managers_shim(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    shim = user.home / "shims" / "python3"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nexec {PYTHON} "$@"\n')
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", f"{shim.parent}:{os.environ['PATH']}")
    user.script("a.py")
    user.write("local", {"hooks": {"Stop": [group(command("python3 a.py"))]}})
    user.run("adopt", "--all", "--yes")
    assert str(shim) not in user.path("local").read_text()


def test_as_json_the_findings_are_data(adopted: User) -> None:
    found = json.loads(adopted.run("check", "--json").out)
    assert {tuple(one) for one in found} == {("level", "where", "text")}


# --- graph --------------------------------------------------------------------------------------------------


def test_the_graph_says_who_waits_for_whom_and_why(adopted: User, monkeypatch: pytest.MonkeyPatch) -> None:
    send(adopted, monkeypatch, times=3)
    (graph,) = json.loads(adopted.run("graph", "--json").out)
    assert (graph["event"], graph["scope"], graph["longest_chain"]) == ("PreToolUse", "local", 2)
    assert [(hook["name"], hook["way"]) for hook in graph["hooks"]] == [
        ("counter", "warm"),
        ("reader", "warm"),
        ("echo", "lane"),
    ]
    count = str(adopted.project / "count.txt")
    assert graph["waits"] == [
        {"hook": "reader", "for": "counter", "why": f'"counter" writes {count}, "reader" reads it'}
    ]
    text = adopted.run("graph").out
    assert "PreToolUse (local): 3 hooks, longest chain 2" in text
    assert f'after counter: "counter" writes {count}, "reader" reads it' in text


def test_declared_order_is_in_the_graph_before_anything_ran(adopted: User) -> None:
    held = adopted.held("local")
    held["hooks"]["PreToolUse"][0]["hooks"][2] |= {"name": "say", "after": ["reader"]}
    adopted.hold("local", held)
    (graph,) = json.loads(adopted.run("graph", "--json").out)
    assert {"hook": "say", "for": "reader", "why": '"say" says after "reader"'} in graph["waits"]


# --- learn --------------------------------------------------------------------------------------------------


def test_what_real_runs_read_and_wrote_is_written_into_hooks_json(
    adopted: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "seen 0 times; twice is needed" in adopted.run("learn", "--yes").out
    send(adopted, monkeypatch, times=3)
    before = adopted.files()
    assert adopted.run("learn").status == 1  # without consent
    assert adopted.files() == before
    done = adopted.run("learn", "--yes")
    assert "echo: no plain Python, so it can't be watched" in done.out
    counter, reader, echo = adopted.held("local")["hooks"]["PreToolUse"][0]["hooks"]
    assert counter["writes"] == ["count.txt"]
    assert reader["reads"] == ["count.txt"]
    assert echo == command("echo done >&2")
    assert "Nothing new to write." in adopted.run("learn", "--yes").out
    assert adopted.run("check").status == 0


def test_what_was_declared_by_hand_stays(adopted: User, monkeypatch: pytest.MonkeyPatch) -> None:
    held = adopted.held("local")
    held["hooks"]["PreToolUse"][0]["hooks"][0]["writes"] = ["by-hand.txt"]
    adopted.hold("local", held)
    send(adopted, monkeypatch, times=3)
    adopted.run("learn", "--yes")
    assert adopted.held("local")["hooks"]["PreToolUse"][0]["hooks"][0]["writes"] == [
        "by-hand.txt",
        "count.txt",
    ]


def test_nothing_is_learned_into_a_file_that_holds_a_hook_which_does_not_run(adopted: User) -> None:
    held = adopted.held("local")
    held["hooks"]["Stop"] = [group(command("echo x", timeout="soon"))]
    adopted.hold("local", held)
    before = adopted.files()
    done = adopted.run("learn", "--yes")
    assert done.status == 1
    assert "timeout must be a number" in done.err
    assert adopted.files() == before


def test_learned_hooks_are_restored_as_they_were(adopted: User, monkeypatch: pytest.MonkeyPatch) -> None:
    send(adopted, monkeypatch, times=3)
    adopted.run("learn", "--yes")
    assert "byte for byte" in adopted.run("restore", "--yes").out


# --- bench and dispatch -------------------------------------------------------------------------------------


def test_bench_measures_each_event_three_ways_and_keeps_a_dated_baseline(adopted: User) -> None:
    done = adopted.run("bench", "--yes", "--rounds", "1", "--json")
    (row,) = json.loads(done.out)
    assert (row["event"], row["scope"], row["hooks"]) == ("PreToolUse", "local", 3)
    assert min(row["native_ms"], row["cold_ms"], row["warm_ms"]) > 0
    baseline = places.json_of(report.baseline_path(str(adopted.project)))
    assert baseline["events"]["PreToolUse"]["native_ms"] == row["native_ms"]
    assert len(baseline["date"]) == len("2026-01-01")
    assert int((adopted.project / "count.txt").read_text()) == 3 * 4  # each way ran the hooks
    assert not Path(log_append.path_of(str(adopted.project))).exists()
    assert not Path(memory.path_of(adopted.place("local").state, str(adopted.project))).exists()


def test_bench_runs_nothing_without_consent(adopted: User) -> None:
    assert adopted.run("bench").status == 1
    assert not (adopted.project / "count.txt").exists()


def test_bench_says_which_event_did_not_end_and_leaves_nothing_running(
    adopted: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    adopted.hold("local", {"hooks": {"Stop": [group(command("echo $$ >pid; exec sleep 600"))]}})
    monkeypatch.setattr(bench, "FAR_S", 0.5)
    done = adopted.run("bench", "--yes")
    assert done.status == 1
    assert "Stop: its hooks did not end in 0.5 s (native) and were killed" in done.err
    assert not files.is_running((adopted.project / "pid").read_text())
    assert not Path(report.baseline_path(str(adopted.project))).exists()


def test_bench_waits_for_a_hook_and_does_not_look_now_and_then_whether_it_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooks = [
        Hook("a", "Stop", "local", command="sleep 0.05"),
        Hook("b", "Stop", "local", command="sleep 0.02"),
    ]
    monkeypatch.setattr(time, "sleep", pytest.fail)  # what `Popen.wait(timeout)` does between two looks
    bench.run_natively(hooks, b"{}", dict(os.environ), str(tmp_path))


def test_bench_goes_on_without_a_program_that_is_missing(tmp_path: Path) -> None:
    missing = Hook("a", "Stop", "local", command="no-such-program", args=("x",))
    hooks = [missing, Hook("b", "Stop", "local", command=f"touch {tmp_path}/ran")]
    bench.run_natively(hooks, b"{}", dict(os.environ), str(tmp_path))
    assert (tmp_path / "ran").exists()


def test_dispatch_runs_an_event_by_hand(adopted: User, monkeypatch: pytest.MonkeyPatch) -> None:
    adopted.script("reader.py", 'import sys; print(\'{"systemMessage": "read"}\')')
    assert json.loads(send(adopted, monkeypatch)) == {"systemMessage": "read"}
    assert send(adopted, monkeypatch, tool_name="Edit") == ""


@pytest.mark.parametrize("raw", [b"", b"null", b"[]", b'{"hook_event_name": 3}', b'{"cut', b"\xff"])
def test_dispatch_says_what_is_no_event(adopted: User, raw: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw)))
    done = adopted.run("dispatch")
    assert done.status == 1
    assert "not a hook event" in done.err


def test_dispatch_says_which_guard_there_is_not(adopted: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"hook_event_name": "PreToolUse"}')))
    done = adopted.run("dispatch", "--only", "nosuch")
    assert done.status == 1
    assert done.err.startswith("fanout-hooks: the guard 'nosuch' can't run: ")


# --- the command itself -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["--help"], 0, "usage: fanout-hooks COMMAND"),
        ([], 2, "usage: fanout-hooks COMMAND"),
        (["check", "--project", "/nowhere"], 1, "/nowhere is not a folder"),
    ],
)
def test_words_are_answered_with_what_to_do(user: User, words: list[str], status: int, said: str) -> None:
    done = user.run(*words)
    assert done.status == status
    assert said in done.out + done.err


def test_the_project_is_the_nearest_folder_with_settings_but_never_the_home(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    user.write("local", {"hooks": {"Stop": [group(command("true"))]}})
    deep = user.project / "a" / "b"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    assert str(user.path("local")) in user.run("adopt", "--all", "--yes").out
    elsewhere = user.home / "c"
    elsewhere.mkdir()
    (user.home / ".claude" / "settings.json").write_text("{}")
    monkeypatch.chdir(elsewhere)
    assert str(elsewhere) in user.run("adopt", "--all").out


def test_a_folder_that_cannot_be_written_is_one_line_on_stderr(user: User) -> None:
    user.write("local", {"hooks": {"Stop": [group(command("true"))]}})
    (user.project / ".claude" / "fanout").write_text("a file, where a folder is needed")
    done = user.run("adopt", "--all", "--yes")
    assert done.status == 1
    assert done.err.count("\n") == 1
    assert str(user.project / ".claude" / "fanout") in done.err
    assert (user.project / ".claude" / "fanout").is_file()
