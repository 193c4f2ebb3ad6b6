"""What is typed: names and questions are read, nonsense is refused, and errors name the flags."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import pytest

from fakes.few import few
from fanout_hooks.client.settings import Refused
from fanout_mcp.cli import load, main
from fanout_mcp.commands import review
from fanout_mcp.commands.flags import USAGE, in_flags, names
from fanout_mcp.engine.budget import dollars
from fanout_mcp.errors import InvalidInput, why
from fanout_mcp.registration.install import refusing
from fanout_mcp.tools import (
    agent_swarm,
    batch_review,
    council,
    explore_modules,
    oracle_batch,
    summarize_files,
)


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CLAUDE_PROJECT_DIR", str(tmp_path))
    monkeypatch.setenv("FANOUT_BACKEND", "plan")
    (tmp_path / "a.py").write_text('"""Say hello."""\n')
    return tmp_path


@pytest.mark.parametrize(
    ("sentence", "said"),
    [
        (
            "the budget is $1: raise max_cost_usd or ask for less",
            "the budget is $1: raise --max-cost or ask for less",
        ),
        ('use engine="static" or engine="plan".', "use --engine static or --engine plan."),
        ("more than max_files=5,000. Narrow them", "more than --max-files 5,000. Narrow them"),
        ("pass max_files=6000 to go on", "pass --max-files 6000 to go on"),
        ("`models` is empty", "--models is empty"),
        ("`patterns` is empty", "GLOB is empty"),
        ("the model files no engine", "the model files no engine"),
    ],
)
def test_an_error_names_what_is_typed(sentence: str, said: str) -> None:
    parser = argparse.ArgumentParser()
    review.add_arguments(parser)
    assert in_flags(sentence, parser) == said


@pytest.mark.parametrize(
    ("command", "tool"),
    [
        ("oracle", oracle_batch),
        ("council", council),
        ("explore", explore_modules),
        ("summarize", summarize_files),
        ("review", batch_review),
        ("swarm", agent_swarm),
    ],
)
def test_a_flag_goes_by_its_argument_s_name(command: str, tool: object) -> None:
    parser = argparse.ArgumentParser()
    load(command).add_arguments(parser)
    own = {"help", "json", "all", "no_speculation", "fail_on", "accept", "markdown", "explain"}
    dests = {action.dest for action in parser._actions}
    assert dests - own <= set(tool.TOOL.arguments.model_fields)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        (["report", "--event", "prettooule"], "--event is not a hook event; did you mean PreToolUse?"),
        (
            ["report", "--fail-above", "PreToolUes=0.001"],
            "--fail-above: PreToolUes is not a hook event; did you mean PreToolUse?",
        ),
        (["report", "--html", "-", "--json"], "--html -, --save - and --json each take all of the output"),
        (["report", "--days", "9999"], "--days must be less than or equal to 365."),
        (["report", "--days", "0"], "--days must be greater than or equal to 1."),
        (
            ["report", "--compare", "/no/such"],
            "--compare: /no/such can't be read (No such file or directory)",
        ),
        (["summarize", "a.py", "--cursor", "99"], "--cursor is 99, beyond the files: 1 in all."),
        (["explore", "--cursor", "99"], "--cursor is 99, beyond the modules: 1 in all."),
        (["review", "a.py", "--cursor", "99"], "--cursor is 99, beyond the findings: 0 in all."),
        (["audit", "--last", "-2"], "--last must be a whole number from 1 on."),
        (["review", "a.py", "--models", "one,two"], "--models names whom to ask, but there is no model"),
        (["oracle", "Is it?", "--deadline", "-1"], "--deadline must be greater than 0."),
        (["oracle", "Is it?", "--file", ".env"], "'.env' can't be attached: secret file.\n"),
        (["oracle", "Is it?", "--file", "../x"], "Files must lie below"),
        (["summarize", "a.py", "--engine", "model"], "or use --engine static or --engine plan."),
    ],
    ids=lambda typed: " ".join(typed) if isinstance(typed, list) else "",
)
def test_nonsense_is_refused_in_the_words_of_the_shell(
    project: Path, capsys: pytest.CaptureFixture[str], typed: list[str], sentence: str
) -> None:
    (project / ".env").write_text("A=1\n")
    assert main(typed) == USAGE
    told = capsys.readouterr().err
    assert sentence in told
    assert "Errno" not in told


@pytest.mark.parametrize("flag", ["--personas", "--models"])
@pytest.mark.parametrize("given", ["", " , "])
def test_a_list_that_names_nothing_is_refused(
    capsys: pytest.CaptureFixture[str], flag: str, given: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["oracle", "Is it?", flag, given])
    assert ended.value.code == USAGE
    assert f"{flag}: no name was given" in capsys.readouterr().err


def test_names_are_read_without_their_blanks() -> None:
    assert names(" judge, critic,") == ["judge", "critic"]


@pytest.mark.parametrize("command", few(["oracle", "council", "swarm"], "oracle"))
def test_a_dash_reads_the_question_from_stdin(project: Path, command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "fanout_mcp", command, "-", "--json"],
        input="Shall we move the\nmountain?",
        cwd=project,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Shall we move the\\nmountain?" in done.stdout


@pytest.mark.parametrize(
    ("usd", "said"), [(0.00001, "$0.00001"), (0, "$0"), (1.0, "$1"), (0.0155, "$0.0155"), (12.5, "$12.5")]
)
def test_a_sum_is_written_in_plain_figures(usd: float, said: str) -> None:
    assert dollars(usd) == said


def test_a_system_s_error_is_told_without_number_and_path() -> None:
    assert why(FileNotFoundError(2, "No such file or directory", "/a")) == "No such file or directory"
    assert why(OSError("a link stands there")) == "a link stands there"


@pytest.mark.parametrize(
    ("refused", "said"),
    [
        (
            "x.json: no JSON; mend it first; nothing was written",
            "x.json: no JSON; mend it first; nothing was written.",
        ),
        ("x.json was changed", "x.json was changed. Nothing more was written."),
    ],
)
def test_that_nothing_was_written_is_said_once(refused: str, said: str) -> None:
    with pytest.raises(InvalidInput) as caught, refusing():
        raise Refused(refused)
    assert str(caught.value) == said
