"""From a model's words to united findings: what is read, what is dropped, what is one."""

from __future__ import annotations

import itertools
import json
import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanout_mcp.review.answers import parse
from fanout_mcp.review.finding import Finding, Severity
from fanout_mcp.review.merge import capped, merge, ranked
from fanout_mcp.review.reviewers import grouped
from fanout_mcp.source.kinds import is_test

ITEM = {"path": "a.py", "line": 3, "quote": "eval(text)", "severity": "high", "rule": "eval", "title": "Eval"}
WHOLE = json.dumps({"findings": [ITEM]})


@pytest.mark.parametrize(
    ("text", "found", "bad", "is_readable"),
    [
        pytest.param(WHOLE, 1, 0, True, id="object"),
        pytest.param(json.dumps([ITEM, ITEM]), 2, 0, True, id="array"),
        pytest.param(f"Here you are:\n```json\n{WHOLE}\n```\nDone.", 1, 0, True, id="fenced"),
        pytest.param(f"I found this: {json.dumps(ITEM)} and no more", 1, 0, True, id="in prose"),
        pytest.param(f"{json.dumps(ITEM)}\n{json.dumps(ITEM)}", 2, 0, True, id="JSON lines"),
        pytest.param(json.dumps({"findings": [ITEM, ITEM]})[:-30], 1, 0, True, id="cut"),
        pytest.param('{"findings": []}', 0, 0, True, id="nothing to report"),
        pytest.param('{"findings": [', 0, 0, True, id="cut at once"),
        pytest.param(json.dumps([ITEM, {"path": "a.py"}, 7, None]), 1, 3, True, id="bad items"),
        pytest.param("The code looks good to me.", 0, 0, False, id="prose only"),
        pytest.param("", 0, 0, False, id="empty"),
        pytest.param("[" * 100_000, 0, 0, False, id="deeply nested"),
        pytest.param('{"a":' * 5_000, 0, 0, False, id="deep objects"),
    ],
)
def test_findings_are_read_from_any_wrapping(text: str, found: int, bad: int, is_readable: bool) -> None:  # noqa: FBT001 a table's column
    parsed = parse(text, "critic")
    assert (len(parsed.findings), parsed.bad, parsed.is_readable) == (found, bad, is_readable)


def test_fields_are_read_in_the_forms_that_models_use() -> None:
    item = ITEM | {"line": "12-14", "severity": "Blocker", "cwe": "CWE-95", "quote": "12| eval(text)\n13\tx"}
    (finding,) = parse(json.dumps([item]), "critic").findings
    assert (finding.line, finding.severity, finding.cwe) == (12, "critical", 95)
    assert finding.quote == "eval(text)\nx"
    assert finding.reviewers == ("critic",)


@pytest.mark.parametrize(
    "text",
    [
        "```" + "\n" * 300_000,
        '{"a":[' * 60_000,
        '{"findings"' + " " * 300_000,
        json.dumps([ITEM | {"quote": "\n" * 300_000}] * 3),
    ],
    ids=["lines", "lists", "blanks", "quotes"],
)
def test_no_degenerate_answer_takes_long_to_read(text: str) -> None:
    before = time.process_time()
    parse(text, "critic")
    assert time.process_time() - before < 3  # quadratic reading takes minutes


@given(st.text() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_every_answer_can_be_read_without_an_error(text: str) -> None:
    assert parse(text, "critic").bad >= 0


def test_what_two_reviewers_found_is_one_finding_that_names_both() -> None:
    one = _finding(3, "high", "sql-injection", "SQL built from input", reviewers=("critic",), cwe=89)
    other = _finding(3, "medium", "injection", "User input in a query", reviewers=("security",), cwe=89)
    (united,) = merge([one, other])
    assert (united.reviewers, united.severity) == (("critic", "security"), "high")


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        pytest.param(
            (3, "a", "SQL from input", 89), (3, "b", "Weak hash", 327), 2, id="same line, two weaknesses"
        ),
        pytest.param((3, "a", "Weak hash used", 327), (3, "b", "Broken MD5", 328), 1, id="one family of CWE"),
        pytest.param(
            (3, "a", "Unbounded loop here", None), (3, "b", "Loop is unbounded", None), 1, id="title"
        ),
        pytest.param((3, "a", "Eval", 95), (30, "a", "Eval", 95), 2, id="same rule elsewhere"),
    ],
)
def test_two_findings_are_one_when_they_say_the_same_of_the_same_lines(
    one: tuple[int, str, str, int | None], other: tuple[int, str, str, int | None], expected: int
) -> None:
    findings = [_finding(line, "low", rule, title, cwe=cwe) for line, rule, title, cwe in (one, other)]
    assert len(merge(findings)) == expected


def test_the_order_of_the_answers_changes_nothing() -> None:
    kinds: list[tuple[Severity, str, int]] = [
        ("high", "eval", 95),
        ("low", "exec", 94),
        ("medium", "md5", 327),
    ]
    findings = [
        _finding(line, severity, rule, rule, reviewers=(who,), cwe=cwe)
        for line, who in itertools.product((3, 4), ("critic", "security"))
        for severity, rule, cwe in kinds
    ]
    expected = merge(findings)
    for seed in range(20):
        random.Random(seed).shuffle(findings)
        assert merge(findings) == expected


def test_changed_lines_come_first_and_tests_last() -> None:
    worst = _finding(9, "critical", "a", "a")
    changed = _finding(3, "low", "b", "b")
    in_tests = _finding(3, "critical", "c", "c", path="tests/test_a.py")
    assert ranked([in_tests, worst, changed], {("a.py", 3)}) == [changed, worst, in_tests]


def test_a_noisy_rule_is_capped_but_never_what_is_grave() -> None:
    noisy = [_finding(line, "low", "noise", "n") for line in range(1, 9)]
    severe = [_finding(line, "high", "severe", "g") for line in range(1, 9)]
    kept, left = capped([*severe, *noisy], 3)
    assert ([finding.rule for finding in kept].count("severe"), left) == (8, {"noise": 5})


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("tests/a.py", True),
        ("pkg/test_a.py", True),
        ("a_test.go", True),
        ("x/a.spec.ts", True),
        ("src/FooTest.java", True),
        ("x/a-test.js", True),
        ("x/foo-spec.ts", True),
        ("fixtures/a.py", True),
        ("Tests/Unit/a.cs", True),
        ("src/latest.py", False),
        ("src/contest/a.py", False),
    ],
)
def test_test_files_are_told_by_folder_and_name(path: str, expected: bool) -> None:  # noqa: FBT001 a table's column
    assert is_test(path) is expected


@given(st.lists(st.lists(st.integers(1, 30), max_size=20), max_size=20), st.integers(30, 90))
def test_every_line_is_in_exactly_one_group_within_the_budget(sizes: list[list[int]], budget: int) -> None:
    files = [(f"d{i % 3}/{i}.py", "\n".join("x" * n for n in lines)) for i, lines in enumerate(sizes)]
    groups = grouped(files, budget, len)
    parts = sorted((p.path, p.first_line, p.text) for group in groups for p in group.parts)
    joined: dict[str, list[str]] = {path: [] for path, _ in files}
    for path, first, text in parts:
        assert first == len(joined[path]) + 1
        joined[path] += text.split("\n")
    assert {path: "\n".join(lines) for path, lines in joined.items()} == dict(files)
    assert all(group.tokens <= budget + 1 for group in groups)


def test_small_files_share_a_review_and_neighbours_stay_together() -> None:
    files = [("a/1.py", "x" * 40), ("b/1.py", "x" * 40), ("a/2.py", "x" * 40), ("b/2.py", "x" * 40)]
    assert [group.paths for group in grouped(files, 90, len)] == [("a/1.py", "a/2.py"), ("b/1.py", "b/2.py")]
    assert len(grouped([(f"d{n}/a.py", "x" * 9) for n in range(10)], 90, len)) == 1


def _finding(
    line: int,
    severity: Severity,
    rule: str,
    title: str,
    *,
    path: str = "a.py",
    reviewers: tuple[str, ...] = (),
    cwe: int | None = None,
) -> Finding:
    return Finding(path, line, line, f"line {line}", severity, rule, title, cwe=cwe, reviewers=reviewers)
