"""What two tasks say in the same words, before or after their own, makes no verdict a denial."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gate.unseen import Unseen, second_of, unseen

BEFORE = {
    "persona": "You are a senior software engineer with ten years of experience. ",
    "folder": "Working directory: /home/dev/shop.\n\n",
    "context": "Context: this is a Django monolith with a React front end, deployed on AWS.\n\n",
    "project": "We're working on the acme-shop repository, a web shop. ",
    "heading": "## Task\n",
    "wish": "I want you to do the following: ",
    "please": "Please ",
    "place": "In the repository at /home/dev/shop: ",
    "label": "Thoroughness: medium. ",
}
AFTER = {
    "report": "\n\nReport back in under 200 words with file paths and line numbers. Be thorough.",
    "format": "\n\n## Output\nReturn a Markdown list. Cite file:line for each claim. If in doubt, say so.",
    "proof": " Don't speculate; only report what you verified in the code.",
}
EVERY = unseen()
MIN_CAUGHT = 0.5
"""Of all, those in other languages included, which are never denied."""


@pytest.mark.parametrize("frame", BEFORE)
def test_a_shared_beginning_changes_no_verdict(frame: str) -> None:
    own = BEFORE[frame]
    assert _wrong(lambda text: own + (text[0].lower() + text[1:] if own.rstrip()[-1] in "e:" else text)) == []


@pytest.mark.parametrize("frame", AFTER)
def test_a_shared_ending_changes_no_verdict(frame: str) -> None:
    assert _wrong(lambda text: text + AFTER[frame]) == []


def _wrong(framed: Callable[[str], str]) -> list[str]:
    """Return what is denied and shouldn't be; of the needless pairs, a share may get lost in a frame."""
    caught = [_is_denied(pair, framed) for pair in EVERY if pair.needless]
    assert sum(caught) >= MIN_CAUGHT * len(caught)
    return [f"{pair.name} -> {pair.then}" for pair in EVERY if not pair.needless and _is_denied(pair, framed)]


def _is_denied(pair: Unseen, framed: Callable[[str], str]) -> bool:
    return second_of(pair._replace(task=framed(pair.task), next=framed(pair.next))).kind == "deny"
