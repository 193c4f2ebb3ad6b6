"""A call depends on an earlier agent when it says so, refers back, or names what only that agent said."""

from __future__ import annotations

import pytest

from fanout_hooks.gate import dependence
from fanout_hooks.gate.dependence import Earlier

EARLIER = "Explore the auth module\nExplore src/auth and report how sessions are kept."
ANSWER = (
    "Sessions live in src/auth/session_store.py (class SessionStore, line 142). Tokens expire after 3600 s. "
    'The comment says "never rotate in place". Redis is used by refreshToken().'
)
PROMPT = "Explain how auth, billing and search work in this repository, and find what is slow in billing."


@pytest.mark.parametrize(
    "task",
    [
        pytest.param(
            "Explore billing\nExplore src/billing and report how invoices are made.", id="another folder"
        ),
        pytest.param(
            "Explore search\nRead the search code. Report the main classes in 100 words.", id="another topic"
        ),
        pytest.param(
            "Review billing\nReview billing for bugs. List all issues found, with line numbers.",
            id="report what is found",
        ),
        pytest.param(
            "Slow parts\nFind what is slow in billing. Return at most 10 findings.", id="a number of its own"
        ),
        pytest.param(
            "Read three files\nSummarise these files: billing/a.py, billing/b.py, billing/c.py",
            id="these files, named",
        ),
        pytest.param(
            "Check search\nRun a search over billing and describe each problem you find.", id="you find"
        ),
        pytest.param("Explore billing\nExplore the implementation of billing.", id="the implementation of"),
        pytest.param("Count\nCount the modules above 300 lines.", id="above a number"),
        pytest.param(
            "Docs\nReport which public functions lack documentation; give path and line for each.", id="docs"
        ),
        pytest.param(
            "Dependencies\nList third-party packages and the version each is pinned to.", id="dependencies"
        ),
        pytest.param("Explore tests\nHow are the tests organised? Where are fixtures?", id="the tests"),
        pytest.param("Explore CLI\nExplain the command line: entry points, options, exit codes.", id="cli"),
    ],
)
def test_an_independent_task_does_not_depend(task: str) -> None:
    assert dependence.why(task, Earlier(EARLIER, ANSWER), PROMPT) == ""


@pytest.mark.parametrize(
    "task",
    [
        pytest.param(
            "Look closer\nRead src/auth/session_store.py and explain locking.", id="path from the answer"
        ),
        pytest.param("Look closer\nExplain SessionStore in detail.", id="identifier from the answer"),
        pytest.param("Look closer\nWhy is expiry 3600?", id="number from the answer"),
        pytest.param(
            "Look closer\nWho wrote 'never rotate in place' and why?", id="quoted phrase from the answer"
        ),
        pytest.param(
            "Look closer\nHow is Redis configured for us, and how is Redis closed?",
            id="a name from the answer",
        ),
        pytest.param("Fix\nFix the problem found in auth.", id="found"),
        pytest.param("Fix\nFix the bugs identified by the explorer.", id="identified by"),
        pytest.param("Plan\nBased on the exploration, write a plan.", id="based on"),
        pytest.param("Plan\nGiven the findings, decide what to change first.", id="given the findings"),
        pytest.param("Second opinion\nDouble-check the earlier answer.", id="the earlier answer"),
        pytest.param("Next\nNow that we know how sessions work, design the cache.", id="now that"),
        pytest.param("Next\nImplement the plan.", id="implement the plan"),
        pytest.param("Next\nContinue with the remaining modules.", id="continue"),
        pytest.param("Next\nReview the changes for mistakes.", id="the changes"),
        pytest.param("Next\nVerify that this is right.", id="verify that"),
        pytest.param("Next\nExplain those functions in depth.", id="those functions"),
        pytest.param("Next\ndepends on: Explore the auth module\nRead billing.", id="it says so"),
        pytest.param("Next\nUse the results to write docs.", id="use the results"),
        pytest.param("Next\nAs reported above, billing is slow. Profile it.", id="as reported above"),
    ],
)
def test_a_dependent_task_is_recognised(task: str) -> None:
    assert dependence.why(task, Earlier(EARLIER, ANSWER), PROMPT)


def test_checking_what_an_agent_was_told_to_change_depends_on_it() -> None:
    made = Earlier("Implement caching\nImplement the cache in billing.", "Done.")
    assert dependence.why("Run tests\nRun the whole test suite.", made, PROMPT)
    assert dependence.why("Review\nReview billing for bugs.", made, PROMPT)
    assert not dependence.why("Search\nImplement paging in search.", made, PROMPT)


def test_checking_after_an_agent_that_only_reads_is_no_dependence() -> None:
    listed = Earlier("Fix list\nList what to fix.", "Nothing.", "Explore")
    assert not dependence.why("Review search\nReview search for bugs.", listed, PROMPT)


def test_what_the_human_named_before_is_no_news() -> None:
    prompt = "Look at src/auth/session_store.py and at src/billing/invoice.py."
    earlier = Earlier(EARLIER, "See src/billing/invoice.py too.")
    assert not dependence.why("Invoice\nExplain src/billing/invoice.py.", earlier, prompt)


def test_names_are_matched_as_whole_words() -> None:
    earlier = Earlier(EARLIER, "There are 1423 lines.")
    assert not dependence.why("Read\nExplain line 42 of billing.", earlier, PROMPT)
