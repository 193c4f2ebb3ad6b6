"""Without a model: the analysers of a focus run in worker processes; a hostile file costs only itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from fanout_mcp.review.finding import Focus
from fanout_mcp.review.static.analyse import RELATE, Analysed, coverage, review_static
from fanout_mcp.source.workers import Failure, Workers
from fanout_mcp.types import Json

pytestmark = pytest.mark.anyio


async def review(texts: dict[str, str], workers: Workers, focus: Focus = "security") -> Analysed:
    return await review_static(texts, focus, workers)


@pytest.mark.parametrize(
    ("focus", "text", "rule"),
    [
        ("security", "import os\nos.system(input())\n", "command-injection"),
        ("bugs", "def f(x=[]):\n    return undefined\n", "F821"),
        ("performance", "x = sum([len(y) for y in z])\nlist(set([1]))\n", "C405"),
        ("style", "def BadName():\n    pass\n", "N802"),
        ("architecture", "def f(x):\n" + "    if x: pass\n" * 20, "tangled"),
    ],
)
async def test_each_focus_has_its_analysers(workers: Workers, focus: Focus, text: str, rule: str) -> None:
    analysed = await review({"a.py": text}, workers, focus)
    assert rule in {finding.rule for finding in analysed.findings}
    assert all(finding.quote in text for finding in analysed.findings)


async def test_two_analysers_that_agree_are_one_finding(workers: Workers) -> None:
    analysed = await review({"a.py": "import subprocess\nsubprocess.run(input(), shell=True)\n"}, workers)
    (finding,) = [f for f in analysed.findings if f.rule == "command-injection"]
    assert finding.reviewers == ("ruff", "taint")


VIEW = """import os, sqlite3
from flask import Flask, request
app, cur = Flask(__name__), sqlite3.connect("a").cursor()
@app.route("/")
def view():
    x = request.args["x"]
"""
QUERY, SHELL = 'cur.execute("select * from a where b=" + x)', 'os.system("ls " + x)'


@pytest.mark.parametrize(
    ("body", "defects"),
    [
        ([QUERY, SHELL], [(7, "sql-injection"), (8, "command-injection")]),
        ([f"{QUERY}; {SHELL}"], [(7, "command-injection"), (7, "sql-injection")]),
        ([QUERY, QUERY, QUERY], [(7, "sql-injection"), (8, "sql-injection"), (9, "sql-injection")]),
        ([SHELL, SHELL], [(7, "command-injection"), (8, "command-injection")]),
        (["os.system(", '    "ls " + eval(x)', ")"], [(7, "command-injection"), (8, "code-injection")]),
    ],
    ids=["two weaknesses side by side", "on one line", "one weakness thrice", "twice", "one inside another"],
)
async def test_each_defect_of_lines_in_a_row_is_one_finding(
    workers: Workers, body: list[str], defects: list[tuple[int, str]]
) -> None:
    analysed = await review({"a.py": VIEW + "".join(f"    {line}\n" for line in body)}, workers)
    found = [(one.line, one.rule) for one in analysed.findings if one.rule.endswith("injection")]
    assert found == defects
    assert all(one.reviewers == ("ruff", "taint") for one in analysed.findings if one.line > 6)


async def test_modules_in_a_circle_are_named(workers: Workers) -> None:
    texts = {"p/a.py": "from p import b\n", "p/b.py": "import p.a\n", "p/c.py": "import p.a\n"}
    analysed = await review(texts, workers, "architecture")
    (cycle,) = [finding for finding in analysed.findings if finding.rule == "import-cycle"]
    assert (cycle.path, cycle.why) == ("p/a.py", "p/a.py -> p/b.py")


class RelatesNothing(Workers):
    async def map(
        self, function: str, items: Sequence[Json], **how: Any
    ) -> list[tuple[Json, Json | Failure]]:
        if function == RELATE:
            return [(item, Failure("took too long")) for item in items]
        return await super().map(function, items, **how)


async def test_files_whose_imports_could_not_be_followed_are_named() -> None:
    async with RelatesNothing(1) as workers:
        analysed = await review({"a.py": "import b\n", "b.py": ""}, workers, "architecture")
    assert analysed.not_analysed == {"a.py": "took too long", "b.py": "took too long"}


async def test_what_looks_at_structure_is_counted_for_each_language_that_it_reads() -> None:
    counts = coverage(["a.go", "a.py", "Dockerfile"], ["architecture"])["architecture"]
    assert counts["python"] > counts["go"] > counts["dockerfile"] == 0


async def test_what_could_not_be_read_is_not_analysed_and_its_neighbours_are(workers: Workers) -> None:
    texts = {
        "deep.py": "x = " + "(" * 5000,
        "chain.py": "x = " + "-" * 200_000 + "1",
        "good.py": "import os\nos.system(input())\n",
        "old.py": "print 'x'\n",
        "picture.xyz": "?",
    }
    analysed = await review(texts, workers)
    assert set(analysed.not_analysed) == {"deep.py", "chain.py", "old.py", "picture.xyz"}
    assert "longer than 20,000 bytes" in analysed.not_analysed["chain.py"]
    assert "defect" not in " ".join(analysed.not_analysed.values())
    assert {finding.path for finding in analysed.findings} == {"good.py"}


async def test_a_password_in_test_code_weighs_little_and_a_key_of_a_provider_weighs_the_same(
    workers: Workers,
) -> None:
    password, key = "db_password = 'hunter2-Prod!'\n", "key = 'ghp_" + "a1B2" * 9 + "'\n"
    texts = {"app.py": password, "tests/test_app.py": password, "tests/test_key.py": key}
    analysed = await review(texts, workers)
    severities = {finding.path: finding.severity for finding in analysed.findings}
    assert severities == {"app.py": "high", "tests/test_app.py": "low", "tests/test_key.py": "high"}


async def test_settings_and_recipes_are_analysed_for_security_alone(workers: Workers) -> None:
    texts = {"Dockerfile": "FROM a\nRUN chmod 777 /x\n"}
    assert {f.rule for f in (await review(texts, workers)).findings} == {"privileges", "permissions"}
    assert (await review(texts, workers, "bugs")).not_analysed == {
        "Dockerfile": "no analyser for this kind of file"
    }


async def test_neither_noqa_nor_a_configuration_of_the_project_silences_anything(workers: Workers) -> None:
    texts = {"a.py": "import os\nos.chmod(p, 0o777)  # noqa\n", "ruff.toml": 'exclude = ["*"]\n'}
    analysed = await review(texts, workers)
    assert [finding.rule for finding in analysed.findings] == ["permissions"]
