"""Where fanout isn't, the adopted hooks run all the same: by one file of plain Python beside hooks.json."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fakes.user import command, group
from fanout_hooks.adoption import adopt, originals
from fanout_hooks.run import decide

SOURCE = adopt.standalone_originals()
DENY = {"hookSpecificOutput": {"hookEventName": "PreToolUse", "permissionDecision": "deny"}}


def run(
    folder: Path, hooks: list[dict[str, Any]], only: str = "", event: str = "PreToolUse", **fields: Any
) -> tuple[int, str, str]:
    (folder / "originals.py").write_text(SOURCE)
    (folder / "hooks.json").write_text(json.dumps({"version": 1, "hooks": {event: hooks}}))
    sent = {"hook_event_name": event, "tool_name": "Bash", "cwd": str(folder)} | fields
    line = [sys.executable, "originals.py", "hooks.json", *([only] if only else [])]
    env = {"PATH": os.environ["PATH"], "CLAUDE_PROJECT_DIR": str(folder)}
    done = subprocess.run(
        line, input=json.dumps(sent), cwd=folder, env=env, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout, done.stderr


def says(value: object, **more: Any) -> dict[str, Any]:
    return command(f"cat >/dev/null; echo '{json.dumps(value)}'", **more)


def denies(reason: str) -> dict[str, Any]:
    own = DENY["hookSpecificOutput"] | {"permissionDecisionReason": reason}
    return says({"hookSpecificOutput": own})


def test_it_is_plain_python_for_old_interpreters_and_imports_nothing_of_ours() -> None:
    tree = ast.parse(SOURCE, feature_version=(3, 7))
    assert "fanout_hooks" not in {
        getattr(node, "module", None) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)
    }


def test_it_knows_the_same_decisions_as_the_package() -> None:
    assert originals.STRENGTH == decide.STRENGTH


@pytest.mark.parametrize(
    ("matcher", "fields", "seen"),
    [
        ("Bash", {"tool_name": "Monitor", "tool_input": {"command": "ls"}}, "Bash"),
        ("Bash|Monitor", {"tool_name": "Monitor", "tool_input": {"command": "ls"}}, "Monitor"),
        ("Task", {"tool_name": "Agent", "tool_input": {}}, "Agent"),
        ("my-tool", {"tool_name": "my-tool-lite", "tool_input": {}}, ""),
        ("(?i)bash", {"tool_name": "Bash", "tool_input": {}}, ""),
    ],
    ids=["stand-in", "both", "old name", "a hyphen", "no pattern of JavaScript"],
)
def test_it_matches_as_the_package_does(
    tmp_path: Path, matcher: str, fields: dict[str, Any], seen: str
) -> None:
    tell = command("python3 -c 'import json,sys; print(json.load(sys.stdin)[\"tool_name\"])'")
    code, out, _ = run(tmp_path, [group(tell, matcher=matcher)], **fields)
    assert (code, out.strip()) == (0, seen)


@pytest.mark.parametrize("event", ["Stop", "SubagentStop", "TaskCompleted", "TeammateIdle"])
def test_a_failure_never_blocks_where_the_client_does_not_heed_it(tmp_path: Path, event: str) -> None:
    assert run(tmp_path, [group(command("exit 1", onFailure="block"))], event=event)[0] == 1


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("echo plain; echo why >&2; exit 2", (2, "plain\n", "why\n")),
        ('echo \'{"systemMessage": "x"}\'', (0, '{"systemMessage": "x"}\n', "")),
        ("exit 3", (3, "", "")),
        ("true", (0, "", "")),
        ("grep -c PreToolUse", (0, "1\n", "")),
    ],
)
def test_one_hook_that_says_something_is_heard_as_it_is(
    tmp_path: Path, line: str, expected: tuple[int, str, str]
) -> None:
    code, out, err = run(tmp_path, [group(command(line), command("true"))])
    if line == "true":
        assert (code, out, err) == (0, "", "")
    else:
        assert (code, out, err) == expected


def test_of_several_denials_every_reason_is_heard_and_context_is_joined(tmp_path: Path) -> None:
    context = {"hookSpecificOutput": {"hookEventName": "PreToolUse", "additionalContext": "look"}}
    hooks = [denies("first"), command("echo second >&2; exit 2"), says(context)]
    code, out, _ = run(tmp_path, [group(*hooks)])
    assert code == 0
    assert json.loads(out) == {
        "hookSpecificOutput": {
            "hookEventName": "PreToolUse",
            "permissionDecision": "deny",
            "permissionDecisionReason": "first\nsecond",
            "additionalContext": "look",
        }
    }


def test_on_other_events_an_objection_is_exit_code_2(tmp_path: Path) -> None:
    hooks = [command("echo no >&2; exit 2"), command("echo context")]
    assert run(tmp_path, [group(*hooks)], event="UserPromptSubmit") == (2, "", "no")


def test_matchers_dedupe_and_guards_are_minded(tmp_path: Path) -> None:
    note = command("echo x >>ran")
    hooks = [
        group(note, note, matcher="Bash|Edit"),
        group(command("echo y >>ran"), matcher="Edit"),
        group(command("echo z >>ran", guard=True, name="g")),
    ]
    run(tmp_path, hooks)
    assert (tmp_path / "ran").read_text() == "x\n"
    run(tmp_path, hooks, only="g")
    assert (tmp_path / "ran").read_text() == "x\nz\n"


def test_exec_form_needs_no_shell(tmp_path: Path) -> None:
    hook = {"type": "command", "command": "printf", "args": ["%s", "${CLAUDE_PROJECT_DIR} $HOME;"]}
    assert run(tmp_path, [group(hook)]) == (0, f"{tmp_path} $HOME;", "")


def test_a_hook_that_hangs_is_cut_with_its_children(tmp_path: Path) -> None:
    code, out, err = run(tmp_path, [group(command("sleep 60 & sleep 60", timeout=0.2))])
    assert (code, out, err) == (1, "", "timed out")


def test_a_child_that_keeps_stdout_open_holds_no_event_and_costs_no_denial(tmp_path: Path) -> None:
    denial = denies("no")["command"].removeprefix("cat >/dev/null; ")
    code, out, _ = run(tmp_path, [group(command(f"sleep 600 & echo $! >child; {denial}", timeout=20))])
    os.kill(int((tmp_path / "child").read_text()), 9)
    assert (code, json.loads(out)["hookSpecificOutput"]["permissionDecisionReason"]) == (0, "no")


def test_an_event_larger_than_a_pipe_does_not_have_to_be_read(tmp_path: Path) -> None:
    assert run(tmp_path, [group(command("echo ran"))], tool_input={"x": "y" * (1 << 20)}) == (0, "ran\n", "")


def test_what_is_no_command_is_a_failure_and_as_a_guard_denies(tmp_path: Path) -> None:
    hook = {"type": "http", "url": "http://127.0.0.1:1/"}
    assert run(tmp_path, [group(hook)]) == (1, "", "only command hooks are run here")
    assert run(tmp_path, [group(hook | {"guard": True, "name": "g"})], only="g")[0] == 2


def test_a_guard_for_which_there_is_no_room_denies(tmp_path: Path) -> None:
    (tmp_path / "originals.py").write_text(SOURCE)
    hooks = {"PreToolUse": [group(command("true", guard=True, name="g"))]}
    (tmp_path / "hooks.json").write_text(json.dumps({"hooks": hooks}))
    line = [
        "/bin/sh",
        "-c",
        'ulimit -f 0; exec "$@"',
        "sh",
        sys.executable,
        "originals.py",
        "hooks.json",
        "g",
    ]
    sent = json.dumps({"hook_event_name": "PreToolUse", "tool_name": "Bash"})
    done = subprocess.run(line, input=sent, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2


@pytest.mark.parametrize("how", [{"timeout": 0.2}, {}], ids=["hangs", "fails"])
@pytest.mark.parametrize("kind", [{"onFailure": "block"}, {"guard": True, "name": "g"}])
def test_what_blocks_when_it_fails_blocks(tmp_path: Path, how: dict[str, Any], kind: dict[str, Any]) -> None:
    hook = command("sleep 60" if how else "exit 1", **kind, **how)
    assert run(tmp_path, [group(hook)], only=kind.get("name", ""))[0] == 2


@pytest.mark.parametrize(("only", "status"), [("", 1), ("g", 2)])
def test_a_broken_hooks_json_denies_for_a_guard_and_lets_others_go_on(
    tmp_path: Path, only: str, status: int
) -> None:
    (tmp_path / "originals.py").write_text(SOURCE)
    (tmp_path / "hooks.json").write_text("{")
    line = [sys.executable, "originals.py", "hooks.json", *([only] if only else [])]
    done = subprocess.run(
        line, input='{"hook_event_name": "Stop"}', cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == status
    assert "originals.py" in done.stderr


def test_a_fifo_in_the_place_of_the_hooks_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "originals.py").write_text(SOURCE)
    os.mkfifo(tmp_path / "hooks.json")
    done = subprocess.run(
        [sys.executable, "originals.py", "hooks.json"],
        input=json.dumps({"hook_event_name": "PreToolUse", "tool_name": "Bash"}),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert "not a regular file" in done.stderr
