"""Every seeded sequence is found, with its place and time, and none is invented."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from fakes.transcript import Writer
from fanout_hooks import audit
from fanout_hooks.audit import Observation
from fanout_hooks.client import transcripts
from fanout_hooks.gate import gate
from fanout_mcp.cli import main

READS = [
    ("Read", {"file_path": f"/p/{name}.py"}, f"def {name}(): ...")
    for name in ("alpha", "beta", "gamma", "delta")
]


def look(writer: Writer) -> list[Observation]:
    return found_in(transcripts.read(writer.write()))


def found_in(read: transcripts.Transcript) -> list[Observation]:
    return [*audit.sequential_agents(read), *audit.sequential_calls(read)]


@pytest.fixture
def talk(tmp_path: Path) -> Writer:
    return Writer(tmp_path / "s.jsonl").prompt(
        "Explain auth, billing and search; read alpha, beta, gamma and delta."
    )


def test_agents_in_a_needless_sequence_are_found_with_place_and_time(talk: Writer) -> None:
    talk.agents(("Explore auth", "Sessions."), takes=10).agents(("Explore billing", "Invoices."), takes=6)
    (found,) = look(talk)
    assert found.kind == "sequential agents"
    assert found.place.endswith("s.jsonl:4")
    assert found.seconds == pytest.approx(6.0)
    assert not found.measured
    assert '"Explore billing"' in found.what
    assert '"Explore auth"' in found.what


def test_background_agents_are_timed_from_launch_to_notification(talk: Writer) -> None:
    talk.background_agent("Explore auth").notification("Sessions.", after=30)
    talk.background_agent("Explore billing").notification("Invoices.", after=20)
    (found,) = look(talk)
    assert found.seconds == pytest.approx(21.0, abs=1.5)


def test_an_agent_that_the_gate_had_stopped_did_not_run_alone_and_is_reported_as_prevented(
    talk: Writer,
) -> None:
    talk.agents(("Explore auth", "Sessions."))
    denial = gate.decide(gate.History(), {"hook_event_name": "UserPromptSubmit", "prompt": "x"}, "smart")[0]
    reason = denied(denial)
    talk.agents(("Explore billing", f"PreToolUse:Agent hook error: {reason}"), takes=0.1)
    talk.agents(("Explore billing", "Invoices."), ("Explore search", "An index."))
    (found,) = look(talk)
    assert found.kind == "prevented sequences"
    assert found.what.startswith('"Explore billing" was sent alone')
    assert found.seconds == 0


def denied(history: gate.History) -> str:
    """Return the reason with which the gate sends back a second agent that was sent alone."""
    for number, task in enumerate(("Explore auth", "Explore billing")):
        fields = {"tool_name": "Agent", "tool_use_id": f"t{number}"}
        call = {**fields, "tool_input": {"description": task, "prompt": task, "subagent_type": "Explore"}}
        event = {"hook_event_name": "PreToolUse", **call}
        history, verdict = gate.decide(history, event, "smart")
        if verdict.kind == "wait":
            history, verdict = gate.settle(history, event, "smart")
        if verdict.kind == "deny":
            return verdict.text
        done = {"tool_response": {"status": "completed", "content": "Sessions."}}
        history, _ = gate.decide(history, {"hook_event_name": "PostToolUse", **call, **done}, "smart")
        batch = {"hook_event_name": "PostToolBatch", "tool_calls": [{**call, **done}]}
        history, _ = gate.decide(history, batch, "smart")
    raise AssertionError("the gate let both pass")


def test_a_background_agent_that_still_runs_makes_no_sequence(talk: Writer) -> None:
    talk.background_agent("Explore auth").background_agent("Explore billing")
    assert look(talk) == []


def test_each_further_agent_of_a_sequence_is_found(talk: Writer) -> None:
    for name in ("auth", "billing", "search", "the CLI"):
        talk.agents((f"Explore {name}", "Fine."))
    assert len(look(talk)) == 3


@pytest.mark.parametrize(
    "second",
    [
        pytest.param("Based on the findings, explain locking", id="refers back"),
        pytest.param("Explain src/auth/store.py", id="names what the answer told"),
        pytest.param("depends on: Explore auth. Explain billing", id="says so"),
    ],
)
def test_a_dependent_agent_is_no_observation(talk: Writer, second: str) -> None:
    talk.agents(("Explore auth", "See src/auth/store.py")).agents((second, "Fine."))
    assert look(talk) == []


def test_agents_of_one_message_and_of_two_prompts_are_no_observation(talk: Writer) -> None:
    talk.agents(("Explore auth", "a"), ("Explore billing", "b")).prompt("Thanks. Now something else.")
    talk.agents(("Explore search", "c"))
    assert look(talk) == []


def test_lone_reads_in_a_row_are_found_with_the_turns_between_them(talk: Writer) -> None:
    for read in READS:
        talk.tools(read)
    (found,) = look(talk)
    assert found.kind == "sequential calls"
    assert found.seconds == pytest.approx(6.0)
    assert found.measured
    assert "4 read-only calls" in found.what


def test_two_lone_reads_are_no_habit(talk: Writer) -> None:
    talk.tools(READS[0]).tools(READS[1])
    assert look(talk) == []


def test_reads_of_one_message_are_no_observation(talk: Writer) -> None:
    assert look(talk.tools(*READS)) == []


def test_a_read_that_needed_the_one_before_is_no_observation(talk: Writer) -> None:
    talk.tools(("Grep", {"pattern": "alpha"}, "/p/first.py: import /p/second.py"))
    talk.tools(("Read", {"file_path": "/p/first.py"}, "import /p/second.py"))
    talk.tools(("Read", {"file_path": "/p/second.py"}, "import third"))
    talk.tools(("Read", {"file_path": "/p/third"}, "end"))
    assert look(talk) == []


def test_an_edit_between_reads_ends_the_run(talk: Writer) -> None:
    talk.tools(READS[0]).tools(READS[1]).tools(("Edit", {"file_path": "/p/x"}, "ok")).tools(READS[2]).tools(
        READS[3]
    )
    assert look(talk) == []


def test_a_slow_hook_is_found_from_its_measured_runs(talk: Writer) -> None:
    for ms in (350.0, 400.0, 380.0):
        talk.hook("PreToolUse:Bash", "python3 slow.py", ms).hook("PreToolUse:Bash", "python3 fast.py", 20.0)
    (found,) = audit.of_transcripts([transcripts.read(talk.write())], [])
    assert found.kind == "slow hook"
    assert "slow.py" in found.what
    assert found.seconds == pytest.approx(1.13)


def test_damaged_lines_are_counted_and_the_rest_is_read(talk: Writer) -> None:
    talk.agents(("Explore auth", "Sessions.")).agents(("Explore billing", "Invoices."))
    talk.lines.insert(2, '{"type": "assistant", "mess')
    talk.lines.append("[" * 100_000)
    talk.lines.append('"text"')
    read = transcripts.read(talk.write())
    assert read.damaged == 2
    assert len(found_in(read)) == 1


def test_a_random_corpus_holds_exactly_the_sequences_that_were_seeded(tmp_path: Path) -> None:
    source = random.Random(11)
    names = ["auth", "billing", "search", "mail", "queue", "cache", "login", "export"]
    seeded = 0
    for number in range(60):
        writer = Writer(tmp_path / f"{number}.jsonl").prompt("Explain " + ", ".join(names))
        first, second = source.sample(names, 2)
        shape = source.choice(["needless", "together", "dependent", "edit between", "two prompts"])
        writer.agents((f"Explore {first}", f"See src/{first}/main.py"))
        if shape == "needless":
            writer.agents((f"Explore {second}", "Fine."))
            seeded += 1
        elif shape == "together":
            writer.agents((f"Explore {second}", "a"), ("Explore everything else", "b"))
        elif shape == "dependent":
            writer.agents((f"Explain src/{first}/main.py", "Fine."))
        elif shape == "edit between":
            writer.tools(("Edit", {"file_path": "/p/x"}, "ok")).agents((f"Explore {second}", "Fine."))
        else:
            writer.prompt("Next.").agents((f"Explore {second}", "Fine."))
        found = look(writer)
        assert len(found) == (1 if shape == "needless" else 0), shape
    assert seeded >= 5


def test_the_command_prints_what_it_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    talk = Writer(tmp_path / "logs" / "s.jsonl").prompt("Explain auth and billing.")
    talk.agents(("Explore auth", "Sessions.")).agents(("Explore billing", "Invoices.")).write()
    assert main(["audit", "--transcripts", str(tmp_path / "logs"), "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["kind"] == "sequential agents"
    assert main(["audit", "--transcripts", str(tmp_path / "logs")]) == 0
    assert "estimated" in capsys.readouterr().out
    assert main(["audit", "--transcripts", str(tmp_path / "none")]) == 2
    assert "holds no transcripts" in capsys.readouterr().err


def test_a_broken_settings_file_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".claude").mkdir()
    (tmp_path / ".claude" / "settings.json").write_text("{", encoding="utf-8")
    assert main(["audit"]) == 2
    assert "settings.json" in capsys.readouterr().err


def test_a_resumed_sessions_file_repeats_nothing(tmp_path: Path) -> None:
    first = Writer(tmp_path / "1.jsonl").prompt("Explain auth and billing.")
    first.agents(("Explore auth", "Sessions.")).agents(("Explore billing", "Invoices."))
    second = Writer(tmp_path / "2.jsonl")
    second.lines = list(first.lines)
    read = transcripts.distinct(map(transcripts.read, (first.write(), second.write())))
    assert [len(found_in(one)) for one in read] == [1, 0]


def test_a_prompt_in_blocks_is_a_prompt_and_a_note_of_the_client_is_none(talk: Writer) -> None:
    talk.agents(("Explore auth", "Sessions."))
    block = {"type": "text", "text": "Thanks. Now something else."}
    talk.lines.append(json.dumps({"type": "user", "message": {"role": "user", "content": [block]}}))
    talk.agents(("Explore billing", "Invoices."))
    note = {"type": "user", "isMeta": True, "message": {"role": "user", "content": "Caveat: local command"}}
    talk.lines.append(json.dumps(note))
    talk.agents(("Explore search", "Words."))
    (found,) = look(talk)
    assert '"Explore search" ran alone after "Explore billing"' in found.what
