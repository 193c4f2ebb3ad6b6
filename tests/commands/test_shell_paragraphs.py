"""On a terminal of any width no path is broken, and nothing is lost."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from fanout_hooks.audit import Observation
from fanout_mcp import cli
from fanout_mcp.commands import audit, explore, review
from fanout_mcp.commands.display import claims, paragraph

PATH = "mcp_server/fanout_mcp/registration/additions_of_a_long_name.py:88"
RECEIPT = {"read": 1, "tokens_raw": 0, "tokens_returned": 0, "calls": 0, "elapsed_s": 0.1, "skipped": {}}
MODULE = {
    "module": "mcp_server",
    "purpose": "Serve what many words say " * 6,
    "report": f"A first claim of some length stands here [{PATH}]. A second one, a bit longer [{PATH}].",
    "imports": [PATH, PATH],
}
FINDING = {
    "path": PATH.partition(":")[0],
    "line": 88,
    "severity": "high",
    "title": "A list/ens that is shared",
    "rule": "shared",
    "quote": "x = 1",
    "why": f"Because {PATH} is long, and it is read again in {PATH}.",
}


def drawn(draw: Callable[[Console], None], width: int) -> str:
    written = io.StringIO()
    draw(Console(file=written, width=width))
    return written.getvalue()


SHOWN: list[tuple[str, Callable[[Console], None]]] = [
    ("explore", lambda console: explore.show(console, {"modules": [MODULE], "receipt": RECEIPT})),
    (
        "summarize",
        lambda console: explore.show_files(
            console,
            {
                "files": [
                    {"path": PATH, "derived": False, "purpose": f"See {PATH}.", "symbols": [f"f {PATH}"]}
                ],
                "receipt": RECEIPT,
            },
        ),
    ),
    (
        "review",
        lambda console: review.show(
            console, {"findings": [FINDING], "counts": {"high": 1}, "receipt": RECEIPT}
        ),
    ),
    (
        "audit",
        lambda console: audit._show(
            console,
            [
                Observation(
                    "slow hook", f"a hook in {PATH}", f"/home/{PATH}", 1.0, True, "the log", f"See {PATH}"
                )
            ],
            with_transcripts=True,
        ),
    ),
]


@pytest.mark.parametrize("width", [40, 80, 120])
@pytest.mark.parametrize(("command", "draw"), SHOWN, ids=[name for name, _ in SHOWN])
def test_a_path_stands_whole_on_one_line(command: str, draw: Callable[[Console], None], width: int) -> None:
    shown = drawn(draw, width)
    assert PATH in shown
    assert "additions_of_a_long_name.py" in shown
    assert [line for line in shown.splitlines() if line.count("[") != line.count("]")] == []
    assert "at" not in [line.strip() for line in shown.splitlines()]


@given(st.lists(st.text("ab/é_.:", min_size=1, max_size=60), min_size=1, max_size=20), st.integers(30, 120))
def test_of_every_paragraph_each_word_is_kept_whole_and_lines_fit_where_words_do(
    words: list[str], width: int
) -> None:
    shown = drawn(lambda console: paragraph(console, " ".join(words), indent=2, hanging=2), width)
    assert shown.split() == words
    for line in shown.splitlines():
        assert len(line) <= width or len(line.split()) == 1


def test_each_claim_of_a_report_stands_on_a_line_of_its_own() -> None:
    report: Any = MODULE["report"]
    assert [claim[-3:] for claim in claims(report)] == ["8].", "8]."]
    assert claims("No citation here. Nor there.") == ["No citation here. Nor there."]


def test_the_help_fits_a_terminal_of_80_columns() -> None:
    assert max(map(len, cli.usage().splitlines())) <= 80
