"""One event through the hooks: order, lanes, locks, deadlines, one answer from many, claims, log, imports."""

from __future__ import annotations

import itertools
import json
import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import fanout_hooks
from fakes.processes import ends
from fakes.sandbox import Sandbox, pre_tool_use, prompt
from fanout_hooks.client import events, hook_input
from fanout_hooks.client.config import Hook
from fanout_hooks.log import append as log_append
from fanout_hooks.run import claims, dispatch
from fanout_hooks.run.decide import HookResult, decide, understand
from fanout_hooks.run.dispatch import Outcome
from fanout_hooks.run.plan import Planned
from fanout_hooks.warm.loop import Loop

COLD = [sys.executable, "-I", "-S", str(Path(fanout_hooks.__file__).with_name("__main__.py")), "cold"]


def _answer(*left: HookResult, name: str = "PreToolUse", **fields: Any) -> dict[str, Any]:
    given_event = {"hook_event_name": name, **fields}
    answer: dict[str, Any] = json.loads(decide(given_event, [understand(one, name) for one in left]).stdout)
    return answer


def _says(name: str, **specific: Any) -> HookResult:
    return HookResult(
        name, 0, json.dumps({"hookSpecificOutput": {"hookEventName": "PreToolUse", **specific}})
    )


@pytest.mark.parametrize(
    ("said", "wins"),
    [
        (["allow", "ask", "defer", "deny"], "deny"),
        (["allow", "ask", "defer"], "defer"),
        (["allow", "ask"], "ask"),
        (["allow"], "allow"),
    ],
)
def test_the_strongest_decision_wins_whatever_the_order(said: list[str], wins: str) -> None:
    for order in (said, said[::-1]):
        answer = _answer(*[_says(one, permissionDecision=one) for one in order])
        assert answer["hookSpecificOutput"]["permissionDecision"] == wins


def test_every_denying_hook_is_heard_by_name_exit_code_2_and_json_alike() -> None:
    answer = _answer(
        HookResult("one", 2, "", "no tabs\n"),
        _says("two", permissionDecision="deny", permissionDecisionReason="no rm"),
        HookResult("three", 0, '{"decision": "block", "reason": "no sudo"}'),
    )
    reason = answer["hookSpecificOutput"]["permissionDecisionReason"]
    assert reason == "one: no tabs\ntwo: no rm\nthree: no sudo"


@pytest.mark.parametrize("garbage", ['{"a": ', "{not json}", '{"a": 1} {"b": 2}', "{" * 100_000])
def test_garbage_costs_its_hook_alone_and_the_user_is_told(garbage: str) -> None:
    answer = _answer(
        HookResult("bad", 0, garbage), _says("good", permissionDecision="deny", additionalContext="c")
    )
    assert answer["hookSpecificOutput"]["permissionDecision"] == "deny"
    assert "the hook bad printed something that starts like JSON" in answer["systemMessage"]


def test_rewritten_inputs_are_joined_field_by_field_and_a_quarrel_is_refused_by_name() -> None:
    before = {"command": "ls", "timeout": 1}
    one = _says("one", updatedInput={"command": "ls -l", "timeout": 1})
    two = _says("two", updatedInput={"command": "ls", "timeout": 9})
    joined = _answer(one, two, tool_input=before)["hookSpecificOutput"]["updatedInput"]
    assert joined == {"command": "ls -l", "timeout": 9}
    three = _says("three", updatedInput={"command": "pwd", "timeout": 1})
    refused = _answer(one, three, tool_input=before)["hookSpecificOutput"]
    assert refused["permissionDecision"] == "deny"
    assert '"one" and "three" rewrite "command"' in refused["permissionDecisionReason"]


def test_answers_come_in_configuration_order_whoever_ends_first(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path)
    sandbox.hooks(
        "UserPromptSubmit", "sleep 0.2; echo slow", sandbox.python("middle", "print('middle')"), "echo fast"
    )
    with sandbox.running() as run:
        for _ in range(4):
            answer = json.loads(run.event(prompt()).stdout)
            assert answer["hookSpecificOutput"]["additionalContext"] == "slow\nmiddle\nfast"


def test_a_hook_that_overstays_is_killed_with_its_children_and_the_others_count(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path)
    pids = tmp_path / "pids"
    lasting = f"sleep 600 & echo $! > {pids}; sleep 600"
    sandbox.hooks("UserPromptSubmit", {"type": "command", "command": lasting, "timeout": 0.4}, "echo kept")
    with sandbox.running() as run:
        answer = json.loads(run.event(prompt()).stdout)
    assert answer["hookSpecificOutput"]["additionalContext"] == "kept"
    assert "time limit" in answer["systemMessage"]
    assert ends(int(pids.read_text()))


def test_nobody_waits_for_a_child_that_keeps_stdout_open(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path)
    sandbox.hooks("UserPromptSubmit", "sleep 600 & echo $!")
    with sandbox.running() as run:
        context = json.loads(run.event(prompt()).stdout)["hookSpecificOutput"]["additionalContext"]
    assert sandbox.log()[0]["elapsed_ms"] < 60_000
    os.kill(int(context), 9)


def test_an_edited_hook_is_the_new_code_at_the_next_event(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path)
    sandbox.hooks("UserPromptSubmit", sandbox.python("own", "print(0)"))
    with sandbox.running() as run:
        for number in (0, 0, 0, 1, 2, 2, 2, 3):
            sandbox.script("own", f"print({number})")
            answer = json.loads(run.event(prompt()).stdout)
            assert answer["hookSpecificOutput"]["additionalContext"] == str(number)


def test_twenty_events_at_once_keep_every_update_of_a_hook_that_reads_and_writes(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path)
    source = (
        "import os\nn = int(open('n').read()) if os.path.exists('n') else 0\nopen('n', 'w').write(str(n + 1))"
    )
    sandbox.hooks("PreToolUse", sandbox.python("count", source))
    with sandbox.running() as run:
        for _ in range(5):
            (sandbox.project / "n").unlink(missing_ok=True)
            run.events([pre_tool_use(tool_use_id=f"toolu_{number}") for number in range(20)])
            assert (sandbox.project / "n").read_text() == "20"


# --- what a hook reads ------------------------------------------------------------------------------------

VALUES = {
    "s": 'text \u00fc "quoted" ${x}\n',
    "n": 7,
    "b": False,
    "j": {"a": ["1", 2, {"b": None}]},
    "v": "plain",
}


@pytest.mark.parametrize("name", sorted(events.BY_NAME))
@pytest.mark.parametrize("full", [True, False], ids=["all fields", "needed fields"])
def test_the_servers_input_gives_a_hook_the_same_object_as_native_stdin(name: str, *, full: bool) -> None:
    fields = [one for one in hook_input.fields_of(name) if full or not one.optional]
    native = {one.name: VALUES[one.form] for one in fields} | {"hook_event_name": name}
    arguments = {
        key: _as_the_client_fills(text, native) for key, text in hook_input.mcp_input(name, ("user",)).items()
    }
    rebuilt = hook_input.from_input(arguments)
    assert rebuilt == native
    assert list(rebuilt) == [one.name for one in fields]


def _as_the_client_fills(text: str, stdin: dict[str, Any]) -> Any:
    if not text.startswith("${"):
        return text
    value = stdin.get(text[2:-1], "")
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


# --- who runs an event ------------------------------------------------------------------------------------


def test_of_two_ways_to_one_event_only_the_first_runs_it(tmp_path: Path) -> None:
    where = str(tmp_path / "alive")
    assert claims.claim(where, "e", "server 1")
    assert not claims.claim(where, "e", "cold")
    assert claims.claim(where, "e", "cold")  # the same words again: a new event


def test_of_many_entries_that_come_to_one_event_in_any_order_one_runs_it(tmp_path: Path) -> None:
    where = str(tmp_path / "alive")
    owners = ["server 1 on", "cold a", "server 1 strict", "cold b", "server 2 on"]
    for order in itertools.islice(itertools.permutations(owners), 0, None, 7):
        assert [claims.claim(where, "e", owner) for owner in order] == [True, *[False] * 4]


def test_of_many_processes_that_come_at_once_one_runs_the_event(tmp_path: Path) -> None:
    where = str(tmp_path / "alive")
    code = f"""import sys
from fanout_hooks.run import claims
sys.exit(claims.claim({where!r}, 'e', sys.argv[1]))"""
    for _ in range(3):
        started = [subprocess.Popen([sys.executable, "-c", code, f"cold {number}"]) for number in range(8)]
        assert sorted(process.wait() for process in started) == [0] * 7 + [1]
        claims.drop(where, "e")


def test_a_claim_that_nobody_can_come_for_any_more_is_over(tmp_path: Path) -> None:
    where = str(tmp_path / "alive")
    assert claims.claim(where, "e", "cold")
    assert claims.claim(where, "e", "server 1", time.time() + claims.COLD_CLAIM_S + 1)


@pytest.mark.parametrize(
    "stdin", [b"", b"null", b"[]", b'{"hook_event', b"\xff\xfe", b'{"hook_event_name": 3}', b"[" * 100_000]
)
def test_bad_stdin_lets_the_event_go_on_and_makes_a_guard_deny(tmp_path: Path, stdin: bytes) -> None:
    sandbox = Sandbox(tmp_path)
    for more, code in ([], 0), (["--only", "guard"], 2):
        done = subprocess.run([*COLD, *more], input=stdin, env=sandbox.env, capture_output=True, check=False)
        assert (done.returncode, done.stdout) == (code, b"")
        assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize("content", [None, "{,}", "[]", '{"hooks": {}}', '{"hooks": {"Stop": []}}'])
def test_a_guard_whose_hooks_json_is_gone_or_broken_denies_and_says_why(
    tmp_path: Path, content: str | None
) -> None:
    sandbox = Sandbox(tmp_path)
    folder = sandbox.project / ".claude" / "fanout"
    folder.mkdir(parents=True, exist_ok=True)
    if content is not None:
        (folder / "hooks.local.json").write_text(content)
    done = subprocess.run(
        [*COLD, "--scopes", "local", "--only", "guard"],
        input=hook_input.to_stdin(sandbox.here(pre_tool_use())),
        env=sandbox.env,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 2
    assert b"the guard 'guard' can't run" in done.stderr


def test_the_cold_path_answers_from_a_deleted_folder_beside_hostile_modules(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path)
    (sandbox.project / "json.py").write_text("raise SystemExit('hostile')")
    sandbox.hooks("PreToolUse", "echo no >&2; exit 2")
    given_event = sandbox.here(pre_tool_use()) | {"cwd": str(tmp_path / "gone")}
    done = subprocess.run(
        [*COLD, "--scopes", "local"],
        input=hook_input.to_stdin(given_event),
        env=sandbox.env,
        cwd=sandbox.project,
        capture_output=True,
        check=False,
    )
    assert json.loads(done.stdout)["hookSpecificOutput"]["permissionDecision"] == "deny"


# --- the log ----------------------------------------------------------------------------------------------


def _write(path: str, writer: int, count: int) -> None:
    for number in range(count):
        log_append.append(path, {"writer": writer, "number": number, "fill": "x" * 2000})


@pytest.mark.slow
def test_eight_writers_leave_every_line_whole(tmp_path: Path) -> None:
    path = str(tmp_path / "log" / "hook_performance.jsonl")
    started = [
        multiprocessing.get_context("spawn").Process(target=_write, args=(path, n, 500)) for n in range(8)
    ]
    for process in started:
        process.start()
    for process in started:
        process.join()
    rows = [json.loads(line) for line in Path(path).read_text().splitlines()]
    assert {(row["writer"], row["number"]) for row in rows} == {(w, n) for w in range(8) for n in range(500)}


@pytest.mark.parametrize("kind", ["symlink", "fifo", "folder"])
def test_a_log_that_is_no_file_of_ours_is_refused_and_the_answer_stands(tmp_path: Path, kind: str) -> None:
    sandbox = Sandbox(tmp_path)
    sandbox.hooks("UserPromptSubmit", "echo kept")
    path = sandbox.project / log_append.NAME
    path.parent.mkdir(parents=True)
    if kind == "symlink":
        path.symlink_to("/dev/null")
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.mkdir()
    with sandbox.running() as run:
        assert "kept" in run.event(prompt()).stdout
    with pytest.raises(log_append.Unwritable):
        log_append.append(str(path), {})


def test_what_a_stand_in_s_hooks_wait_for_is_logged_from_the_event_s_begin(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path)
    sandbox.hooks("PreToolUse", "cat", matcher="Monitor")
    sandbox.hooks("PreToolUse", "cat -", matcher="Bash")
    with sandbox.running() as run:
        run.event(pre_tool_use(tool_name="Monitor", command="tail -f log"))
    first, second = sandbox.log()[0]["hooks"]
    assert second["wait_ms"] >= first["ms"] > 0


def ran(ms: float, way: str = "warm", wait_ms: float = 0.0) -> Outcome:
    return Outcome(Planned(Hook("h", "Stop", "local"), way), HookResult("h", 0, ""), ms, wait_ms)


@pytest.mark.parametrize(
    ("outcomes", "own_ms"),
    [
        pytest.param([ran(4.0), ran(3.0)], 3.0, id="warm, one after another"),
        pytest.param([ran(4.0, "lane"), ran(3.0, "lane")], 6.0, id="lanes side by side"),
        pytest.param([ran(4.0, "lane"), ran(3.0, "lane", wait_ms=5.0)], 3.0, id="one that waits"),
        pytest.param([ran(4.0), ran(8.0, "trial")], 2.0, id="a trial beside a worker"),
        pytest.param([], 10.0, id="the gate alone"),
        pytest.param([ran(12.0)], 0.0, id="a clock that is off"),
    ],
)
def test_what_no_hook_ran_in_is_our_own(outcomes: list[Outcome], own_ms: float) -> None:
    assert dispatch._own_ms(outcomes, 10.0) == own_ms


def test_the_start_of_our_process_is_our_own_time_and_the_event_s(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path)
    sandbox.hooks("UserPromptSubmit", "true")
    with sandbox.running() as run:
        run.event(prompt(), started_ms=60_000.0)
    (line,) = sandbox.log()
    assert line["elapsed_ms"] > line["own_ms"] >= 60_000.0
    assert [*line][-4:-1] == ["sequential_ms", "own_ms", "path"]  # in this order rollup reads it fastest


# --- the price of our own code ----------------------------------------------------------------------------

DEAR = {
    "asyncio",
    "dataclasses",
    "concurrent",
    "tomllib",
    "logging",
    "pathlib",
    "inspect",
    "argparse",
    "http",
}


def test_the_cold_path_imports_nothing_dear() -> None:
    top = Path(fanout_hooks.__file__).parents[1]
    code = f"""import sys
sys.path.insert(0, {str(top)!r})
import fanout_hooks.__main__, fanout_hooks.run.cold, fanout_hooks.log.append
print(*sys.modules)"""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True
    )
    assert DEAR.isdisjoint(done.stdout.split())


def test_a_cold_event_imports_nothing_that_only_a_process_which_stays_can_use(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path)
    sandbox.hooks("PreToolUse", "node hook.js", "uv run --script hook.py")
    top = Path(fanout_hooks.__file__).parents[1]
    code = f"""import sys
sys.path.insert(0, {str(top)!r})
from fanout_hooks.__main__ import read_stdin
from fanout_hooks.run import cold
cold.main({{"scopes": "local"}}, read_stdin(0))
print(*sys.modules, file=sys.stderr)"""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code],
        input=hook_input.to_stdin(sandbox.here(pre_tool_use())),
        env=sandbox.env,
        capture_output=True,
        check=True,
    )
    loaded = done.stderr.decode().split()
    assert "fanout_hooks.run.lanes" in loaded
    assert not {"fanout_hooks.warm.node", "fanout_hooks.warm.uv"}.intersection(loaded)


def test_the_loop_ends_with_its_work_even_when_nothing_else_is_due() -> None:
    async def nothing() -> str:
        return "done"

    assert Loop().run(nothing()) == "done"
