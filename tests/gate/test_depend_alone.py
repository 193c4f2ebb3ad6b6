"""A task that leans on what was said before it depends; one that has a subject of its own does not."""

from __future__ import annotations

import pytest

from fanout_hooks.gate import dependence
from fanout_hooks.gate.dependence import Earlier

HUMAN = "How does our retry logic work and is it any good?"
EARLIER = Earlier(
    "Explore retry logic\nExplore the retry logic of this project. Report classes and files in 150 words.",
    "Retries are done in one place with exponential backoff and jitter. There are two policies and three "
    "callers. The default policy never gives up, which looks like a bug.",
    "Explore",
)
ALONE = (
    "Find who calls it and in which circumstances.",
    "Explain how it behaves when the server is down.",
    "Check whether they share state.",
    "List its callers.",
    "Which of them is used most?",
    "Describe why that is so.",
    "Explain that in simple words.",
    "Check whether this also happens on Windows.",
    "Search the issues for people who ran into this.",
    "Compare both in a table.",
    "Compare the two.",
    "List pros and cons of each.",
    "Analyze the former.",
    "Analyze the implications.",
    "Research workarounds.",
    "Find a better alternative to it.",
    "Check the first one for overflow.",
    "Explore option B in depth.",
    "Find similar problems elsewhere.",
    "Find other code with the same flaw.",
    "Search for more such places.",
    "Explore who else is affected.",
    "Look there for race conditions.",
    "Summarize everything so far.",
    "Tell me more.",
    "Search harder.",
    "Explore the part you left out.",
    "Check your claims.",
    "Verify the answer independently.",
    "Review the report for mistakes.",
    "Summarize all findings in one paragraph.",
    "Find evidence for the claim.",
    "Explore the three callers.",
    "Find out who introduced the bug.",
    "Investigate the suspicious behaviour.",
    "Find the root cause.",
    "Read the file.",
    "Explore the retry logic of this project with a focus on who never gives up.",
)


def question_of(task: str) -> tuple[str, Earlier, str, str]:
    return f"{' '.join(task.split()[:4])}\n{task}", EARLIER, HUMAN, ""


@pytest.mark.parametrize("task", ALONE)
def test_what_can_not_be_read_alone_depends(task: str) -> None:
    assert dependence.why(*question_of(task))


@pytest.mark.parametrize(
    ("first", "answer", "second"),
    [
        pytest.param(
            "Write lexer\nWrite a lexer in src/lexer.rs.",
            "Done.",
            "Write parser\nWrite a parser in src/parser.rs that consumes what src/lexer.rs emits.",
            id="the first one's product",
        ),
        pytest.param(
            "Draft section 1\nDraft section 1 (definitions) of the contract.",
            "Done.",
            "Draft section 2\nDraft section 2 of the contract with the terms of section 1.",
            id="the first one's number",
        ),
        pytest.param(
            "Search src\nSearch src/ for where the upload limit is set.",
            "There's no such setting in src/.",
            "Search lib\nSearch lib/ for where the upload limit is set.",
            id="a search that goes on",
        ),
        pytest.param(
            "Check the run\nCheck the last run and tell me which job failed.",
            "The integration job.",
            "Check the job\nCheck the log of the integration job and tell me which test failed.",
            id="which one",
        ),
        pytest.param(
            "Round 1\nAdd tests for the least covered module.",
            "84 % now.",
            "Round 2\nAdd tests for the least covered module.",
            id="the same task under another name",
        ),
    ],
)
def test_tasks_of_one_form_can_depend_too(first: str, answer: str, second: str) -> None:
    assert dependence.why(second, Earlier(first, answer), "")
