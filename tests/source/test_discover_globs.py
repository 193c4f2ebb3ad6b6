"""Globs mean what shells and git mean by them, and no name keeps one busy."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fanout_mcp.errors import InvalidInput
from fanout_mcp.source.discover import MAX_STARS, compiled


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("*.py", "a.py", True),
        ("*.py", "a/b.py", False),
        ("a*b*c", "aXbYbZc", True),
        ("*ab", "aab", True),
        ("*/b", "a/b", True),
        ("?.py", "a.py", True),
        ("?.py", "/.py", False),
        ("[a-c].py", "b.py", True),
        ("[!a].py", "b.py", True),
        ("a[!b]c", "a/c", False),
        ("[]].py", "].py", True),
        ("*.{py,js}", "a.js", True),
        ("{a,b/c}/*.py", "b/c/d.py", True),
        ("{a,{b,c}}.py", "c.py", True),
        ("{a,b}{c,d}", "bd", True),
        ("a,b", "a,b", True),
        ("**", "a/b/c", True),
        ("**/*.py", "a.py", True),
        ("**/*.py", "a/b/c.py", True),
        ("**/tests/a.py", "b/tests/a.py", True),
        ("**/a/b", "a/a/b", True),
        ("a/**/b", "a/b", True),
        ("a/**/b", "a/x/y/b", True),
        ("a/**/b", "ab", False),
        ("a/**/b/**/c", "a/b/b/x/c", True),
        ("a/**/**/c", "a/c", True),
        ("a/**", "a/b/c", True),
        ("a/**", "ab", False),
        ("**.py", "a/b.py", True),
        ("src/**.py", "src/a/b.py", True),
        ("src/a**b.py", "src/ax/yb.py", True),
        ("a/***/b", "a/x/y/b", True),
        ("a.b", "aXb", False),
    ],
)
def test_a_pattern_names_what_one_expects(pattern: str, path: str, matches: bool) -> None:  # noqa: FBT001 a table's column
    assert bool(compiled(pattern).match(path)) is matches


def _plainly(pattern: str) -> str:
    """The same pattern as a regular expression that goes back as often as it likes."""
    words = {"**/": "(?:[^/]+/)*", "**": ".+", "*": "[^/]*", "?": "[^/]"}
    return "".join(words.get(token) or re.escape(token) for token in re.findall(r"\*\*/|\*\*|.", pattern))


NAMES = st.lists(st.text("ab*?", min_size=1, max_size=5).filter(lambda name: "**" not in name), max_size=2)
FOLDERS = st.lists(st.text("ab", min_size=1, max_size=4), min_size=1, max_size=4)


@given(st.lists(NAMES, min_size=1, max_size=3), FOLDERS)
def test_every_star_takes_what_it_may(parts: list[list[str]], folders: list[str]) -> None:
    names = [name for n, part in enumerate(parts) for name in (*(["**"] if n else []), *part)]
    pattern, path = "/".join(names), "/".join(folders)
    assume(0 < pattern.count("*") <= MAX_STARS)
    assert bool(compiled(pattern).match(path)) == bool(re.fullmatch(_plainly(pattern), path))


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("*a*a*a*a*a*a*a*a*a*a*a*b", "a" * 255),
        ("**/a/**/a/**/a/**/a/**/a/**/b", "a/" * 2_000 + "c"),
        ("a**a**a**a**b", "a/" * 2_000 + "c"),
        ("**/*a*a*a*a*a*a*a*a*b", "a" * 255),
    ],
    ids=["stars", "folders", "within names", "both"],
)
def test_no_name_keeps_a_pattern_busy(pattern: str, path: str) -> None:
    before = time.process_time()
    assert not compiled(pattern).match(path)
    assert time.process_time() - before < 2  # going back on stars takes hours


@pytest.mark.parametrize("pattern", ["*" * 13, "a" * 401, "{a", "{a,b}" * 7, "[z-a]"])
def test_a_pattern_that_means_nothing_or_too_much_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidInput, match="The pattern"):
        compiled(pattern)
