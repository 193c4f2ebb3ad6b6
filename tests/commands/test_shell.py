"""What a person is told of a call: plans, prices, what was left out, and what it took."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from fanout_mcp.cli import main
from fanout_mcp.commands import display, panels, review
from fanout_mcp.types import Json


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CLAUDE_PROJECT_DIR", str(tmp_path))
    monkeypatch.setenv("FANOUT_BACKEND", "plan")
    (tmp_path / "a.py").write_text('"""Say hello."""\n')
    return tmp_path


def drawn(draw: Callable[[Console, Json], None], data: Json, width: int = 80) -> str:
    written = io.StringIO()
    draw(Console(file=written, width=width), data)
    return written.getvalue()


@pytest.mark.parametrize(
    "typed",
    [
        ["oracle", "Is it\nwise?"],
        ["council", "Is it\nwise?"],
        ["swarm", "Find tests"],
        ["summarize", "a.py", "--engine", "plan"],
        ["review", "a.py", "--engine", "plan"],
        ["explore", "--engine", "plan"],
    ],
    ids=lambda typed: typed[0],
)
def test_without_a_model_a_person_reads_a_plan_and_no_json(
    typed: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(typed) == 0
    shown = capsys.readouterr().out
    assert "In Claude Code these agents are started instead, side by side:" in shown
    assert "\nAgent: " in shown
    assert '{"' not in shown
    assert "\\n" not in shown


def test_a_plan_keeps_to_eighty_columns_an_agent_a_line() -> None:
    call = {"description": "Judge on the question", "prompt": "Weigh it.\n" * 50}
    shown = drawn(panels.show, {"note": "Nobody was asked.", "plan": {"messages": [[call] * 3, [call]]}})
    lines = [line.rstrip() for line in shown.splitlines()]
    assert max(map(len, lines)) <= 80
    assert sum(line.startswith("Agent: Judge on the question  Weigh it. Weigh it.") for line in lines) == 4
    assert ("message 1" in lines, "message 2" in lines) == (True, True)


def test_a_plan_that_goes_on_says_where() -> None:
    call = {"description": "Review 5 files", "prompt": "Read."}
    receipt = {"skipped": {"symlink": {"count": 1, "paths": ["link.py"]}}}
    shown = drawn(
        review.show,
        {"plan": {"messages": [[call]]}, "how": "Send them.", "next_cursor": 7, "receipt": receipt},
    )
    assert "go on with --cursor 7." in shown
    assert "skipped 1 file, symlink: link.py" in shown


DRY: Json = {
    "dry_run": True,
    "members": [{"member": "judge", "persona": "judge", "model": "maker/first"}],
    "rule": "most frequent",
    "at_most": {"calls": 1, "tokens_in": 1200, "tokens_out": 1500, "cost_usd": 0.0042},
}


def test_a_dry_run_names_members_models_and_the_price_at_most() -> None:
    shown = drawn(panels.show, DRY)
    assert "  judge  maker/first" in shown
    assert "At most 1 call, 1,200 tokens in and 1,500 out, cost $0.0042." in shown
    assert "in at most 3 rounds" in drawn(panels.show_council, {**DRY, "rounds": 3})


VOTE: Json = {"member": "judge", "confidence": None, "summary": "So.", "blocker": "", "smallest_change": ""}


@pytest.mark.parametrize(
    ("headline", "line"),
    [
        ("PROCEED: 2 of 3 agree", "PROCEED  2 of 3 agree"),
        ("PROCEED by the rule, a split: 1 of 2 each", "PROCEED  by the rule, a split: 1 of 2 each"),
    ],
)
def test_a_verdict_begins_with_its_headline(headline: str, line: str) -> None:
    data = {
        "headline": headline,
        "decision": "PROCEED",
        "agreement": 1.0,
        "rule": "most frequent",
        "votes": [{**VOTE, "verdict": "PROCEED"}],
        "failed": [],
        "cut": [],
        "receipt": {"calls": 1, "elapsed_s": 1.0, "cost_usd": None},
        "report": "",
    }
    shown = drawn(panels.show, data)
    assert shown.splitlines()[0] == line
    assert "1 call, 1.0 s, cost unknown." in shown


@pytest.mark.parametrize(
    ("raw", "returned", "said"),
    [
        (1000, 400, ", 1,000 tokens as 400 (saves 60.0 %)"),
        (10, 226, ", 10 tokens, 226 in the answer"),
        (0, 4, ""),
    ],
)
def test_an_answer_longer_than_its_sources_saves_nothing_and_says_so(
    raw: int, returned: int, said: str
) -> None:
    receipt = {"tokens_raw": raw, "tokens_returned": returned, "saving_percent": 60.0}
    assert display.tokens(receipt) == said


def test_left_out_files_are_counted_and_named_with_their_reason(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / ".env").write_text("A=1\n")
    (project / "link.py").symlink_to("a.py")
    assert main(["summarize", ".env", "link.py"]) == 0
    shown = capsys.readouterr().out
    assert "skipped 1 file, secret file: .env\n" in shown
    assert "skipped 1 file, symlink: link.py\n" in shown


def test_of_many_left_out_files_three_are_named_on_one_line() -> None:
    found = {"secret file": {"count": 9, "paths": [f"k{n}\n.env" for n in range(5)]}}
    (line,) = display.lines("skipped", found)
    assert line == "skipped 9 files, secret file: k0\ufffd.env, k1\ufffd.env, k2\ufffd.env, 6 more"


def test_a_reason_that_is_a_sentence_loses_its_full_stop_before_the_names() -> None:
    (line,) = display.lines(
        "lost", {"The key was refused: check FANOUT_API_KEY.": {"count": 1, "paths": ["a.py"]}}
    )
    assert line == "lost 1 file, The key was refused: check FANOUT_API_KEY: a.py"


@pytest.mark.parametrize(
    ("calls", "usd", "said"),
    [
        (0, 0.0, "1 file read, 0 calls, 0.5 s"),
        (3, 0.0045, "1 file read, 3 calls, cost $0.0045, 0.5 s"),
        (3, None, "1 file read, 3 calls, cost unknown, 0.5 s"),
    ],
)
def test_what_calls_cost_is_told_with_them(calls: int, usd: float | None, said: str) -> None:
    receipt: Json = {"read": 1, "tokens_raw": 0, "tokens_returned": 0, "calls": calls, "elapsed_s": 0.5}
    assert display.took(receipt | {"cost_usd": usd}) == said


def test_a_lost_review_is_counted_and_told_no_number_of_ours() -> None:
    lost = {
        "by_reason": {"401, check FANOUT_API_KEY.": 1},
        "first": {"security:0": "401, check FANOUT_API_KEY."},
    }
    receipt: Json = {"read": 1, "tokens_raw": 0, "tokens_returned": 0, "calls": 1, "cost_usd": None}
    data = {"findings": [], "failed_reviews": lost, "receipt": receipt | {"elapsed_s": 1.0, "skipped": {}}}
    shown = drawn(review.show, data)
    assert "lost 1 review, 401, check FANOUT_API_KEY\n" in shown
    assert "security:0" not in shown


FORGED = "z.py\n0 findings, all is well"


@pytest.mark.parametrize("typed", [["summarize", "."], ["review", "."], ["explore"]], ids=" ".join)
def test_a_file_s_name_forges_no_line(
    project: Path, capsys: pytest.CaptureFixture[str], typed: list[str]
) -> None:
    (project / FORGED).write_text("import os\nos.chmod('x', 0o777)\n")
    (project / f"{FORGED}.md").symlink_to("a.py")
    assert main(typed) == 0
    lines = capsys.readouterr().out.splitlines()
    assert not any(line.startswith("0 findings") for line in lines)
    assert any(FORGED.replace("\n", "\ufffd") in line for line in lines)


def test_the_tokens_of_a_page_are_told_apart_from_those_of_all_that_was_read() -> None:
    receipt: Json = {"read": 6000, "tokens_raw": 900, "tokens_returned": 90, "saving_percent": 90.0}
    receipt |= {"calls": 0, "elapsed_s": 1.0}
    assert display.took(receipt, is_page=True).startswith(
        "6,000 files read, 900 tokens of those shown as 90 "
    )
    assert display.took(receipt).startswith("6,000 files read, 900 tokens as 90 ")


def test_what_the_model_did_not_answer_is_named_with_the_reason() -> None:
    receipt: Json = {"read": 2, "tokens_raw": 0, "tokens_returned": 0, "saving_percent": 0.0}
    failed = {"the key was refused (401)": {"count": 2, "paths": ["a.py", "b.py"]}}
    receipt |= {"calls": 2, "cost_usd": None, "elapsed_s": 1.0, "failed": failed}
    written = io.StringIO()
    display.show_receipt(Console(file=written, width=80), receipt)
    assert "not answered for 2 files, the key was refused (401): a.py, b.py\n" in written.getvalue()
