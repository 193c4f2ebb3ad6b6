"""`fanout merge`: many reviewers' findings become one list, whatever their order."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fanout_mcp.cli import main
from fanout_mcp.review.agreement import joined, probability
from fanout_mcp.review.finding import Finding
from fanout_mcp.review.foreign import read_findings
from fanout_mcp.review.merge import merge, rated
from fanout_mcp.review.sarif import to_sarif
from fanout_mcp.types import Json

SHOP = """import os

def pay(user, amount):
    total = amount * user.rate
    os.system("log " + user.name)
    return total / user.orders

def refund(user, amount):
    user.balance += amount
    return None
"""


def lines(*items: Json) -> str:
    return "".join(json.dumps(item) + "\n" for item in items)


def claim(
    reviewer: str, text: str, line: int | None = None, path: str | None = "shop.py", **more: Json
) -> Json:
    item = {"reviewer": reviewer, "text": text, "path": path, "line": line} | more
    return {name: value for name, value in item.items() if value is not None}


def united(*items: Json) -> list[Finding]:
    return rated(read_findings("in.jsonl", lines(*items).encode()).findings)


SHELL = "The user's name is put into a shell command, so a name with a semicolon runs any command"
SHELL_TOO = "Command injection: os.system runs a shell with user.name in its command"
ZERO = "Division by zero when user.orders is 0"
ZERO_TOO = "total / user.orders raises ZeroDivisionError for a new user without orders"
BALANCE = "The balance is raised without a lock; two refunds at once lose one"


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        pytest.param(claim("a", SHELL, 5), claim("b", SHELL_TOO, 5), True, id="same line, other words"),
        pytest.param(claim("a", SHELL, 5), claim("b", SHELL_TOO, 7), True, id="two lines apart"),
        pytest.param(claim("a", ZERO, 6), claim("b", ZERO_TOO, 3), True, id="cited at the function's head"),
        pytest.param(claim("a", SHELL, 5), claim("b", ZERO_TOO, 6), False, id="neighbours, two defects"),
        pytest.param(claim("a", SHELL, 5), claim("b", BALANCE, 5), False, id="same line, two defects"),
        pytest.param(claim("a", SHELL, 5), claim("b", SHELL_TOO, 5, "till.py"), False, id="two files"),
        pytest.param(claim("a", ZERO, 6), claim("b", ZERO_TOO, None, None), True, id="one without a path"),
        pytest.param(claim("a", ZERO, None, None), claim("b", ZERO_TOO, None, None), True, id="both without"),
        pytest.param(
            claim("a", ZERO, None, None), claim("b", BALANCE, None, None), False, id="without, two defects"
        ),
        pytest.param(
            claim("a", "The variable `total` is never used", 4),
            claim("b", "The variable `amount` is never used", 4),
            False,
            id="one template, two subjects",
        ),
        pytest.param(
            claim("a", "Missing check of `user` before line 6", None, None),
            claim("b", "Missing check of `amount` before line 6", None, None),
            False,
            id="one template, without a place",
        ),
        pytest.param(
            claim("a", "`user` is not checked before line 6", 6),
            claim("b", "`user` is not checked before line 7", 6),
            True,
            id="one template, other numbers",
        ),
        pytest.param(
            claim("a", SHELL, None, None, change="1"),
            claim("b", SHELL, None, None, change="2"),
            False,
            id="two changes",
        ),
        pytest.param(
            claim("a", "Unused variable", 5),
            claim("a", "Unused variable", 90),
            False,
            id="one reviewer, twice",
        ),
    ],
)
def test_two_findings_are_one_by_place_and_by_words(one: Json, other: Json, is_same: bool) -> None:  # noqa: FBT001 a table's column
    rest = [claim("c", BALANCE, 9), claim("c", "The import of os is not sorted", 1)]
    groups = [finding.members for finding in united(one, other, *rest)]
    assert any({0, 1} <= set(members) for members in groups) == is_same


@pytest.mark.parametrize("reviewers", [2, 3, 8])
def test_defects_of_neighbouring_lines_stay_apart_however_many_analysers_name_them(
    reviewers: int,
) -> None:
    found = [
        Finding("a.py", line, line, "", "high", rule, title, cwe=cwe, reviewers=(f"tool-{n}",))
        for n in range(reviewers)
        for line, rule, title, cwe in [
            (4, "sql", "SQL is built from input", 89),
            (5, "sql", "SQL is built from input", 89),
            (5, "shell", "A command is built from input", 78),
            (6, "shell", "A command is built from input", 78),
        ]
    ]
    united = [(one.line, one.rule, len(one.reviewers)) for one in merge(found)]
    assert united == [
        (4, "sql", reviewers),
        (5, "shell", reviewers),
        (5, "sql", reviewers),
        (6, "shell", reviewers),
    ]


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ((89, "SQL is built from input"), (564, "A query is put together"), True),
        ((78, "Command injection"), (74, "OS command injection"), True),
        ((78, "Command injection"), (None, "OS command injection"), True),
        ((78, "Built from input, a command"), (90, "Built from input, a filter"), False),
    ],
    ids=["one family", "a general weakness", "none named", "two weaknesses, like titles"],
)
def test_one_defect_that_two_analysers_name_by_two_rules_is_one(
    one: tuple[int | None, str],
    other: tuple[int | None, str],
    is_same: bool,  # noqa: FBT001 a table's column
) -> None:
    found = [
        Finding("a.py", 4, 4, "", "high", f"rule-{n}", title, cwe=cwe, reviewers=(f"tool-{n}",))
        for n, (cwe, title) in enumerate((one, other))
    ]
    assert len(merge(found)) == (1 if is_same else 2)


def test_two_analysers_with_one_rule_are_one_whatever_weakness_each_names() -> None:
    one = Finding("a.py", 4, 4, "", "high", "unpickled", "Unsafe load", cwe=502, reviewers=("tool-0",))
    other = replace(one, title="Code from the network runs", cwe=94, reviewers=("tool-1",))
    assert len(merge([one, other])) == 1
    assert len(merge([one, replace(other, rule="run")])) == 2


def test_what_more_reviewers_named_comes_first_with_its_measured_rate() -> None:
    first, *rest = united(
        claim("a", SHELL, 5), claim("b", SHELL_TOO, 5), claim("c", BALANCE, 9), claim("b", ZERO, 6)
    )
    assert first.reviewers == ("a", "b")
    assert first.probability == probability(2, 3)
    assert {one.probability for one in rest} == {probability(1, 3)}


@pytest.mark.parametrize("reviewers", [1, 2, 3, 5, 8, 12, 40])
def test_a_claim_is_the_likelier_the_more_of_the_same_panel_named_it(reviewers: int) -> None:
    rates = [probability(named, reviewers) for named in range(1, reviewers + 1)]
    assert rates == sorted(rates)
    assert 0 < rates[0] <= rates[-1] < 1


def test_an_analyser_counts_where_it_spoke_and_not_where_it_can_not() -> None:
    place = {"artifactLocation": {"uri": "shop.py"}, "region": {"startLine": 5}}
    result = {"message": {"text": "Shell with user.name"}, "locations": [{"physicalLocation": place}]}
    sarif = {"runs": [{"tool": {"driver": {"name": "lint"}}, "results": [result]}]}
    found = [
        *read_findings("in.jsonl", lines(claim("a", SHELL_TOO, 5), claim("b", ZERO, 6)).encode()).findings,
        *read_findings("l.sarif", json.dumps(sarif).encode()).findings,
    ]
    rates = {finding.line: finding.probability for finding in rated(found)}
    assert rates == {5: probability(2, 3), 6: probability(1, 2)}


WORDS = st.lists(
    st.sampled_from(["cache", "lock", "null", "retry", "order", "total", "user", "check", "shell", "query"]),
    min_size=2,
    max_size=5,
)
ITEMS = st.lists(
    st.builds(
        lambda who, text, path, line, change: claim(who, " ".join(text), line, path, change=change),
        st.sampled_from("abc"),
        WORDS,
        st.sampled_from([None, "shop.py", "till.py"]),
        st.none() | st.integers(1, 30),
        st.sampled_from([None, "1"]),
    ),
    max_size=14,
)


@settings(max_examples=60, deadline=None)
@given(ITEMS, st.randoms())
def test_for_every_order_of_the_input_the_result_is_the_same(items: list[Json], chance: object) -> None:
    numbers = list(range(len(items)))
    chance.shuffle(numbers)  # type: ignore[attr-defined] # a Random

    def groups(order: list[int]) -> list[tuple[object, ...]]:
        found = united(*(items[n] for n in order))
        return [
            (
                sorted(order[m] for m in one.members),
                one.reviewers,
                one.path,
                one.line,
                one.text,
                one.probability,
            )
            for one in found
        ]

    assert groups(numbers) == groups(sorted(numbers))
    assert sorted(n for members, *_ in groups(numbers) for n in members) == sorted(numbers)  # type: ignore[attr-defined]


def test_groups_are_joined_by_their_average_and_never_by_a_chain() -> None:
    chain = {(n, n + 1): 0.5 for n in range(6)}
    assert max(len(group) for group in joined(7, chain, bar=0.3)) == 2
    assert joined(3, dict.fromkeys(combinations(range(3), 2), 0.5)) == [[0, 1, 2]]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CLAUDE_PROJECT_DIR", str(tmp_path))
    (tmp_path / "shop.py").write_text(SHOP)
    return tmp_path


def test_the_command_verifies_unites_and_counts(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = project / "one.jsonl"
    one.write_text(
        lines(
            claim("a", SHELL, 4, quote='os.system("log " + user.name)', severity="high"),
            claim("a", "The cache is never emptied", 2, quote="cache.clear(everything)"),
            claim("b", ZERO, 6),
        )
    )
    report = {
        "findings": [{"file": "shop.py", "line": 5, "summary": SHELL_TOO, "failure_scenario": "name = ';'"}]
    }
    (project / "two.json").write_text(json.dumps(report))
    assert (
        main(["merge", str(one), str(project / "two.json"), "--json", "--sarif", str(project / "o.sarif")])
        == 0
    )
    data = json.loads(capsys.readouterr().out)
    first, second = data["findings"]
    assert (first["reviewers"], first["members"], first["line"]) == (["a", "claude-code"], [0, 4], 5)
    assert (first["severity"], first["verified"], first["path"]) == ("high", "exact", "shop.py")
    assert (second["members"], second["verified"]) == ([2], "place")
    assert data["dropped"] == {"quote not in the file": 1}
    assert data["headline"].startswith("4 findings of 3 reviewers are 2, 1 named by more than one; 1 dropped")
    assert len(json.loads((project / "o.sarif").read_text())["runs"][0]["results"]) == 2


def test_without_flags_it_prints_markdown(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "a.jsonl").write_text(lines(claim("a", "Use `x` @team <b>", 5), claim("b", ZERO, 6)))
    assert main(["merge", str(project / "a.jsonl"), "--fail-on", "high"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("### 2 findings of 2 reviewers")
    assert "`shop.py:5`" in text
    assert "<b>" not in text
    assert "@team" not in text


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("missing.json", "can't be read"), ("shop.py", "no findings were recognised")],
)
def test_a_file_that_can_not_be_merged_is_refused(
    project: Path, capsys: pytest.CaptureFixture[str], name: str, sentence: str
) -> None:
    assert main(["merge", str(project / name)]) == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.slow
def test_ten_thousand_findings_of_eight_reviewers_take_less_than_two_seconds() -> None:
    texts = [f"handle_{n} " + " ".join(f"w{n * k % 97}" for k in range(1, 7)) for n in range(2_500)]
    items = [claim(f"r{n % 8}", texts[n % 2_500], 1 + n % 700, f"src/m{n % 200}.py") for n in range(10_000)]
    text = lines(*items).encode()
    before = time.process_time()
    found = rated(read_findings("in.jsonl", text).findings)
    assert time.process_time() - before < 2
    assert sum(len(one.members) for one in found) == 10_000


def test_a_log_holds_at_most_what_code_hosts_take_and_says_what_is_left_out() -> None:
    findings = [
        Finding(f"m{n}.py", 1, 1, "x = 1", "critical" if n == 25_100 else "low", "r", "t")
        for n in range(25_101)
    ]
    (run,) = to_sarif(findings, "1", {})["runs"]
    assert len(run["results"]) == 25_000
    assert run["results"][-1]["properties"]["severity"] == "critical"
    assert "101 less severe" in run["invocations"][0]["toolExecutionNotifications"][0]["message"]["text"]


def test_merged_findings_stay_as_they_are_when_merged_again() -> None:
    once = merge(united(claim("a", SHELL, 5), claim("b", SHELL_TOO, 5), claim("b", ZERO, 6)))
    assert merge(once) == once
