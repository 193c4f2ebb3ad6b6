"""Lines are counted one way, whatever ends them: outlines, packing, quotes, changes, reviews, SARIF."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fanout_mcp.review.finding import FOCUSES, as_json, from_json
from fanout_mcp.review.gather import compare
from fanout_mcp.review.sarif import to_sarif
from fanout_mcp.review.static.analyse import analyse, lint_batch
from fanout_mcp.source.pack import Text, fenced, locate, pack
from fanout_mcp.source.read import Source, lines_of, read
from fanout_mcp.structure.outline import outline_path

ENDS = ("\n", "\r\n", "\r", "\r\r\n", "\n\r", "\n\n")
LINES = (
    "import os, sys",
    "os.system(input('a command'))",
    "found = eval(input('a form\x0cfeed and a \u2028 separator'))",
    "password = 'hunter2hunter2hunter2'",
    "def run_the_command(words, seen=[]): return undefined_name",
    "",
    "class somethingElse: pass",
    "if found == None: os.popen(sys.argv[1])",
)
CODE = st.lists(st.tuples(st.sampled_from(LINES), st.sampled_from(ENDS)), min_size=1, max_size=12).map(
    lambda parts: "".join(line + end for line, end in parts)
)


def reference(text: str) -> list[str]:
    """Split as the standard of the editors: CR LF, LF and a lone CR end a line, and nothing else does."""
    return re.split("\r\n|\n|\r", text)


def written(folder: Path, text: str) -> Source:
    (folder / "code.py").write_bytes(text.encode())
    source = read(folder, "code.py")
    assert isinstance(source, Source)
    return source


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lines")


@given(CODE)
def test_a_text_has_the_lines_that_editors_show(text: str) -> None:
    assert lines_of(text) == reference(text)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(CODE)
def test_every_part_that_counts_lines_agrees(folder: Path, text: str) -> None:
    expected = reference(text)
    source = written(folder, text)
    assert lines_of(source.text) == expected
    assert outline_path(folder, "code.py").lines == len(expected) - (not expected[-1])
    assert lines_of(pack(folder, "code.py").text)[: len(expected)] == lines_of(pack(folder, "code.py").text)
    assert fenced("code.py", source.text, "FENCE").count("\n") == len(expected) + 1
    assert compare({"old": "zzz", "new": text})["added"][-1] == len(expected)
    for number, line in enumerate(expected, 1):
        found = locate(Text(text), line, number)
        if not isinstance(found, str):
            assert (found.line, found.verified) == (number, "exact")


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=25)
@given(CODE, st.sampled_from(FOCUSES))
def test_every_finding_cites_the_line_that_holds_its_quote(folder: Path, text: str, focus: str) -> None:
    source, expected = written(folder, text), reference(text)
    analysed = analyse({"path": "code.py", "text": source.text, "focus": focus})
    linted = lint_batch({"files": [("code.py", source.text)], "focus": focus})
    for table in [*analysed["findings"], *linted["findings"]]:
        finding = from_json(table)
        shown = as_json(finding)
        assert 1 <= finding.line <= finding.end_line <= len(expected)
        first = shown["quote"].split("\n")[0]
        assert first in expected[finding.line - 1] or "<redacted" in first
        [result] = to_sarif([finding], "1", {})["runs"][0]["results"]
        region = result["locations"][0]["physicalLocation"]["region"]
        assert region["startLine"] == finding.line


@pytest.mark.parametrize("end", ENDS, ids=ascii)
def test_a_review_of_odd_line_ends_names_its_lines(
    tmp_path: Path, end: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from fanout_mcp.cli import main

    (tmp_path / "code.py").write_bytes(end.join(LINES[:6]).encode() + end.encode())
    monkeypatch.setenv("CLAUDE_PROJECT_DIR", str(tmp_path))
    monkeypatch.setenv("FANOUT_BACKEND", "plan")
    for focus in FOCUSES:
        assert main(["review", "code.py", "--focus", focus]) in {0, 1}
    shown = capsys.readouterr()
    assert "defect" not in shown.err
    line = len(reference(end.join(LINES[:2])))
    assert f"code.py:{line} " in shown.out
