"""The governor counts the agents that run in all sessions of a user; only what the user capped is denied."""

from __future__ import annotations

import multiprocessing
import random
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.few import few
from fanout_hooks.gate import governor, state
from fanout_hooks.gate.governor import Caps, Launch, Ledger
from fanout_hooks.run.decide import Opinion
from gate.test_gate_watch import Event, Watched, call

CAP = 20


def launch(number: int, session: str = "s", at: float = 1000.0, **more: Any) -> Launch:
    own = Launch(session, "main", f"toolu_{number}", f"task {number}", f"agent {number}", at)
    return own._replace(**more)


def running(count: int, session: str = "s", at: float = 1000.0) -> Ledger:
    return Ledger(tuple(launch(-number, session, at) for number in range(1, count + 1)))


def test_nothing_is_denied_where_the_user_set_no_cap() -> None:
    ledger, ruling = governor.launched(running(500), launch(1), Caps())
    assert ruling.denial == ""
    assert len(ledger.launches) == 501


@pytest.mark.parametrize(
    ("caps", "there", "is_denied"),
    [
        pytest.param(Caps(at_once=20), running(19), False, id="one below the cap"),
        pytest.param(Caps(at_once=20), running(20), True, id="at the cap"),
        pytest.param(Caps(at_once=20), running(20, "other"), True, id="agents of other sessions count"),
        pytest.param(Caps(at_once_session=20), running(20, "other"), False, id="but not for a session's cap"),
        pytest.param(Caps(at_once_session=20), running(20), True, id="a session's cap"),
        pytest.param(Caps(per_hour=20), running(20, "other", at=-2500.0), True, id="within the hour"),
        pytest.param(Caps(per_hour=20), running(20, "other", at=-2700.0), False, id="over an hour ago"),
        pytest.param(Caps(per_hour_session=20), running(20, "other"), False, id="a session's hour"),
    ],
)
def test_a_call_over_a_cap_is_denied(caps: Caps, there: Ledger, *, is_denied: bool) -> None:
    ledger, ruling = governor.launched(there, launch(1), caps)
    assert bool(ruling.denial) == is_denied
    assert len(ledger.launches) == len(there.launches) + (not is_denied)


def test_the_reason_says_how_many_may_go_now_and_that_the_rest_follow() -> None:
    _, ruling = governor.launched(running(20), launch(1), Caps(at_once=20))
    for words in ("0 more may go now", "rest are to follow", "send this call again", "20 agents are running"):
        assert words in ruling.denial


def test_an_hours_cap_says_when_the_next_may_start() -> None:
    _, ruling = governor.launched(running(3, at=1000.0 - 1800), launch(1), Caps(per_hour=3))
    assert "The next one may start in 30 min" in ruling.denial


def test_a_call_that_has_started_is_never_denied() -> None:
    ledger, _ = governor.launched(running(0), launch(1), Caps(at_once=1))
    assert governor.launched(ledger, launch(1), Caps(at_once=1)) == (ledger, governor.Ruling())


def test_a_warning_comes_from_twenty_at_once_and_at_each_doubling() -> None:
    ledger, warned = Ledger(), []
    for number in range(1, 101):
        ledger, ruling = governor.launched(ledger, launch(number, f"s{number % 3}"), Caps())
        warned += [number] if ruling.warning else []
    assert warned == [20, 40, 80]
    assert "20 agents are running at once in 2 sessions" in governor._warning(
        Caps(), [*running(10).launches, *running(10, "t").launches]
    )


@pytest.mark.parametrize(("session", "where"), [("s", "in this session"), ("t", "in another session")])
def test_the_same_task_launched_twice_is_named(session: str, where: str) -> None:
    ledger, _ = governor.launched(Ledger(), launch(1, key="same"), Caps())
    _, ruling = governor.launched(ledger, launch(2, session, at=1007.0, key="same"), Caps())
    assert where in ruling.twice
    assert "launched 7 s ago" in ruling.twice


def done(number: int, **more: Any) -> Event:
    return {"hook_event_name": "PostToolUse", "session_id": "s", "tool_use_id": f"toolu_{number}", **more}


LEFT = {"status": "async_launched", "agentId": "a"}


@pytest.mark.parametrize(
    ("events", "ends"),
    [
        pytest.param([done(1, tool_response={"status": "completed", "agentId": "a"})], True, id="its result"),
        pytest.param([done(1, hook_event_name="PostToolUseFailure", error="x")], True, id="its failure"),
        pytest.param([done(2, tool_response={})], False, id="another's result"),
        pytest.param([done(1, session_id="t", tool_response={})], False, id="another session's"),
        pytest.param([done(1, tool_response=LEFT)], False, id="left in the background"),
        pytest.param(
            [
                done(1, tool_response=LEFT),
                {"hook_event_name": "PostToolBatch", "session_id": "s"},
                {"hook_event_name": "UserPromptSubmit", "session_id": "s", "prompt": "Go on."},
            ],
            False,
            id="background agents outlive message and prompt",
        ),
        pytest.param(
            [
                done(1, tool_response=LEFT),
                {"hook_event_name": "SubagentStop", "session_id": "s", "agent_id": "a"},
            ],
            True,
            id="the background agent stops",
        ),
        pytest.param(
            [
                {"hook_event_name": "SubagentStop", "session_id": "s", "agent_id": "a"},
                done(1, tool_response=LEFT),
            ],
            True,
            id="it stops before it is known whose it is",
        ),
        pytest.param(
            [{"hook_event_name": "PostToolBatch", "session_id": "s"}], True, id="its message is over: denied"
        ),
        pytest.param(
            [{"hook_event_name": "PostToolBatch", "session_id": "s", "agent_id": "inner"}],
            False,
            id="a sub-agent's message is over",
        ),
        pytest.param(
            [{"hook_event_name": "UserPromptSubmit", "session_id": "s", "prompt": "Go."}], True, id="a prompt"
        ),
        pytest.param(
            [{"hook_event_name": "UserPromptSubmit", "session_id": "s", "prompt": "<task-notification>"}],
            False,
            id="a machine's prompt",
        ),
    ],
)
def test_a_launch_ends_with_what_ends_it(events: list[Event], *, ends: bool) -> None:
    ledger, _ = governor.launched(Ledger(), launch(1), Caps())
    for event in events:
        ledger = governor.ended(ledger, event, lambda prompt: prompt.startswith("<task-notification>"))
    assert [own.ended for own in ledger.launches] == [ends]


@pytest.mark.parametrize(
    ("event", "ended"),
    [
        pytest.param({"hook_event_name": "SubagentStop", "agent_id": "inner"}, [3], id="a sub-agent stops"),
        pytest.param(
            {"hook_event_name": "SubagentStop", "agent_id": "a"}, [2, 4], id="a background one stops"
        ),
        pytest.param({"hook_event_name": "UserPromptSubmit", "prompt": "Go on."}, [1, 3], id="a prompt"),
        pytest.param({"hook_event_name": "PostToolBatch"}, [1], id="the main conversation's message is over"),
    ],
)
def test_what_an_agent_launched_ends_with_it(event: Event, ended: list[int]) -> None:
    ledger = Ledger(
        (launch(1), launch(2, agent="a"), launch(3, scope="inner"), launch(4, scope="a")),
    )
    after = governor.ended(ledger, {"session_id": "s", **event}, lambda _: False)
    assert [number for number, own in enumerate(after.launches, 1) if own.ended] == ended


def test_what_a_dead_client_left_counts_no_longer() -> None:
    ledger = Ledger((launch(1, pid="7"), launch(2, pid="8"), launch(3)))
    kept = governor.pruned(ledger, 1001.0, lambda pid: pid == "8")
    assert [own.ended for own in kept.launches] == [True, False, False]
    assert governor.pruned(ledger, 1000.0 + governor.MAX_RUN_S + 1, lambda _: True).launches == ()


def test_of_what_has_ended_no_process_is_looked_for() -> None:
    asked: list[str] = []
    governor.pruned(
        Ledger((launch(1, pid="7", ended=True), launch(2, pid="8"))),
        1001.0,
        lambda pid: not asked.append(pid),  # type: ignore[func-returns-value] # asked.append returns None
    )
    assert asked == ["8"]


@pytest.mark.parametrize("pid", ["9" * 30, "9" * 5000, "-1", "0", "four"])
def test_a_client_whose_process_can_not_be_is_not_known_and_the_cap_counts(tmp_path: Path, pid: str) -> None:
    watched = Watched(tmp_path)
    watched.env |= {"CLAUDE_PID": pid, "FANOUT_AGENTS_AT_ONCE": "1"}
    first, second = watched.see(call("Describe a", "1"), call("Describe b", "2"))
    assert (first.decision, second.decision) != ("deny", "deny")
    assert "deny" in (first.decision, second.decision)
    assert [own.pid for own in governor.read(str(tmp_path / "gate" / governor.FILE)).launches] == [""]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"launches": [3]}', '{"launches": [[1,2]], "stopped": []}'])
def test_a_damaged_ledger_is_an_empty_one(tmp_path: Path, text: str) -> None:
    path = tmp_path / governor.FILE
    path.write_text(text, encoding="utf-8")
    assert governor.read(str(path)) == Ledger()


@given(st.lists(st.tuples(st.integers(0, 9), st.sampled_from("st"), st.floats(0, 1e9)), max_size=5))
def test_every_ledger_comes_out_as_it_went_in(rows: list[tuple[int, str, float]]) -> None:
    ledger = Ledger(tuple(launch(number, session, at) for number, session, at in rows), ("a",))
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / governor.FILE)
        governor.write(path, ledger)
        assert governor.read(path) == ledger


def test_caps_come_from_the_environment_then_from_the_users_file() -> None:
    problems: list[str] = []
    told = {"agents_at_once": "30", "agents_per_hour": "100", "agents_warn_at": "many"}
    caps = governor.caps_of({"FANOUT_AGENTS_AT_ONCE": "5"}, lambda key: told.get(key, ""), problems)
    assert caps == Caps(at_once=5, per_hour=100)
    assert problems == ['reads "many" for agents_warn_at, which must be a whole number; it counts as not set']


# --- many sessions -----------------------------------------------------------------------------------------


class Player:
    """One session whose model sends all that is left in one message, and what was denied again."""

    def __init__(self, watched: Watched, session: str, count: int) -> None:
        self.watched, self.session = watched, session
        self.left = [f"Describe part {number} of {session}" for number in range(count)]
        self.out: dict[str, Event] = {}
        self.sent: list[Event] = []
        self.uses = 0
        self.done = 0
        self.see({"hook_event_name": "UserPromptSubmit", "prompt": "Describe the parts."})

    def see(self, *events: Event) -> list[Opinion]:
        return self.watched.see(*({**event, "session_id": self.session} for event in events))

    def step(self, chance: random.Random) -> None:
        """Send a message when the last one is over, else let one agent end."""
        if self.out:
            use = chance.choice(sorted(self.out))
            ended = {"status": "completed", "agentId": use, "content": "Fine."}
            self.see({**self.out.pop(use), "hook_event_name": "PostToolUse", "tool_response": ended})
            self.done += 1
        elif self.sent:
            self.see({"hook_event_name": "PostToolBatch", "tool_calls": self.sent})
            self.sent = []
        elif self.left:
            self.sent = [call(task, f"{self.session}_{self.uses + at}") for at, task in enumerate(self.left)]
            self.uses += len(self.left)
            said = self.see(*self.sent)
            for event, opinion in zip(self.sent, said, strict=True):
                if opinion.decision != "deny":
                    self.out[event["tool_use_id"]] = event
                    self.left.remove(event["tool_input"]["prompt"])


@pytest.mark.parametrize("seed", few(range(3), 0))
def test_142_launches_of_three_sessions_never_pass_the_cap_and_all_get_done(
    tmp_path: Path, seed: int
) -> None:
    watched = Watched(tmp_path)
    watched.env["FANOUT_AGENTS_AT_ONCE"] = str(CAP)
    chance = random.Random(seed)
    players = [Player(watched, f"s{number}", count) for number, count in enumerate((48, 47, 47))]
    most = 0
    for _ in range(20_000):
        busy = [own for own in players if own.out or own.sent or own.left]
        if not busy:
            break
        chance.choice(busy).step(chance)
        most = max(most, sum(len(own.out) for own in players))
    assert most == CAP
    assert [own.done for own in players] == [48, 47, 47]


def _launch_many(where: str, first: int, passed: Any) -> None:
    for number in range(first, first + 30):
        own = launch(number)

        def step(ledger: Ledger, own: Launch = own) -> tuple[Ledger, governor.Ruling]:
            return governor.launched(ledger, own, Caps(at_once=CAP))

        while (ruled := state.count(where, step)) is None:
            continue
        passed.put(not ruled.denial)


@pytest.mark.slow
def test_processes_that_launch_at_once_pass_the_cap_together(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    passed: Any = spawn.Queue()
    launchers = [spawn.Process(target=_launch_many, args=(str(tmp_path), 30 * n, passed)) for n in range(4)]
    for one in launchers:
        one.start()
    verdicts = [passed.get(timeout=30) for _ in range(120)]
    for one in launchers:
        one.join(30)
    assert sum(verdicts) == CAP


def test_a_call_held_by_a_cap_of_one_passes_the_gate_when_it_may_go(tmp_path: Path) -> None:
    """The cap asks for one after the other; the gate must not ask for both together."""
    watched = Watched(tmp_path)
    watched.env["FANOUT_AGENTS_AT_ONCE"] = "1"
    watched.see({"hook_event_name": "UserPromptSubmit", "prompt": "Explain the parts."})
    one, two = call("Explore auth", "1"), call("Explore billing", "2")
    assert [said.decision for said in watched.see(one, two)] == ["", "deny"]
    watched.end(one)
    (said,) = watched.see(call("Explore billing", "3"))
    assert said.decision == ""


def test_a_call_over_a_cap_that_is_sent_again_is_judged_again(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    watched.env["FANOUT_AGENTS_AT_ONCE"] = "1"
    watched.see({"hook_event_name": "UserPromptSubmit", "prompt": "Explain the parts."})
    watched.see(call("Explore auth", "1"))
    denied = [watched.see(call("Explore billing", use))[0] for use in "23"]
    assert [said.decision for said in denied] == ["deny", "deny"]
    assert denied[1].note["verdict"] == "held"


def test_a_project_can_set_no_cap(tmp_path: Path) -> None:
    config = tmp_path / ".claude" / "fanout" / "config.json"
    config.parent.mkdir(parents=True)
    config.write_text('{"agents_at_once": 1}', encoding="utf-8")
    watched = Watched(tmp_path)
    assert [said.decision for said in watched.see(call("Explore a", "1"), call("Explore b", "2"))] == ["", ""]
