"""A citation is believed when its words stand where it says, corrected when they moved, else dropped."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fanout_mcp.review.answers import verify
from fanout_mcp.review.finding import Finding
from fanout_mcp.source.pack import Place, Text, locate

SOURCE = "\n".join(
    [
        "import os",
        "",
        "def remove(name):",
        "    path = os.path.join(ROOT, name)",
        "    os.remove(path)  # gone for good",
        *[f"filler_{number} = {number}" for number in range(20)],
        "    os.remove(other_path)",
        "repeated_line = 1",
        *[f"more_{number} = {number}" for number in range(20)],
        "repeated_line = 1",
    ]
)


@pytest.mark.parametrize(
    ("quote", "line", "expected"),
    [
        pytest.param("os.remove(path)  # gone", 5, Place(5, 5, "exact"), id="at the cited line"),
        pytest.param("os.remove(path)  # gone", 8, Place(5, 5, "exact"), id="three lines off"),
        pytest.param("os.remove(path)  # gone", 9, Place(5, 5, "moved"), id="four lines off"),
        pytest.param("def remove(name):\n  path =   os.path.join", 3, Place(3, 4, "exact"), id="white space"),
        pytest.param("def remove(name):\r\n    path", 3, Place(3, 4, "exact"), id="CRLF"),
        pytest.param("    os.remove(other_path)", 1, Place(26, 26, "moved"), id="once elsewhere"),
        pytest.param("repeated_line = 1", 27, Place(27, 27, "exact"), id="the near one of two"),
        pytest.param("repeated_line = 1", 38, "quote stands in several other places", id="two, neither near"),
        pytest.param("os.remove(the_path)", 5, "quote not in the file", id="paraphrased"),
        pytest.param("os.remove(p", 5, "quote too short", id="11 characters"),
        pytest.param("  os.remove(p  ", 5, "quote too short", id="padded to 12"),
        pytest.param(
            "# before\n    os.remove(path)  # gone for good",
            5,
            "quote not in the file",
            id="more than the file",
        ),
    ],
)
def test_a_quote_is_found_moved_or_refused(quote: str, line: int, expected: Place | str) -> None:
    assert locate(Text(SOURCE), quote, line) == expected


def test_a_finding_about_a_file_that_was_not_supplied_is_dropped_and_counted() -> None:
    findings = [
        _finding("a.py", "os.remove(path)  # gone", 5),
        _finding("b.py", "os.remove(path)  # gone", 5),
    ]
    checked = verify(findings, {"a.py": [Text(SOURCE)]})
    assert [finding.path for finding in checked.kept] == ["a.py"]
    assert checked.dropped == {"file was not supplied": 1}


def test_a_part_of_a_file_keeps_its_line_numbers() -> None:
    assert locate(Text("one_line_of_text\nanother_line_here", 101), "another_line_here", 102) == Place(
        102, 102, "exact"
    )


words = st.text(alphabet="abcdefgh", min_size=14, max_size=20)


@given(st.lists(words, min_size=2, max_size=40, unique=True), st.data())
def test_every_quote_that_merely_moved_is_found_again(lines: list[str], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(lines) - 1))
    cited = data.draw(st.integers(1, 400))
    place = locate(Text("\n\n".join(lines)), lines[index], cited)
    assume(place != "quote stands in several other places")
    true_line = 2 * index + 1
    assert place == Place(true_line, true_line, "exact" if abs(cited - true_line) <= 3 else "moved")


@given(st.text(max_size=300), st.text(max_size=60), st.integers(-5, 50))
def test_every_quote_that_passes_stands_in_the_file_word_for_word(text: str, quote: str, line: int) -> None:
    place = locate(Text(text), quote, line)
    if isinstance(place, Place):
        assert " ".join(quote.split()) in " ".join(text.split())
        assert len(" ".join(quote.split())) >= 12


def _finding(path: str, quote: str, line: int) -> Finding:
    return Finding(path, line, line, quote, "high", "some-rule", "Some title", source="model")
