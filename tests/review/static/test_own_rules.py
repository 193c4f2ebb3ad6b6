"""The user's own rules, tried on their two programs; and what `--explain` says of every rule."""

from __future__ import annotations

import json
import tomllib
from importlib.resources import files
from pathlib import Path

import pytest

from fanout_mcp.cli import main
from fanout_mcp.commands.review import explain
from fanout_mcp.errors import InvalidInput
from fanout_mcp.review.finding import Focus
from fanout_mcp.review.static.analyse import analyse, coverage, read_own, review_static
from fanout_mcp.review.static.quality import DEFECTS
from fanout_mcp.review.static.rules import WEAKNESSES, quality_rules
from fanout_mcp.source.workers import Workers
from fanout_mcp.structure.languages import LANGUAGES

EXAMPLES: dict[str, list[str]] = tomllib.loads(
    files("fanout_mcp.review.static").joinpath("rules", "examples.toml").read_text("utf-8")
)
RULE = """[[rule]]
name = "own-client"
languages = "LANGUAGE"
title = "The old client has no timeout"
call = 'legacy\\.dial$'
bad = '''BAD'''
good = '''GOOD'''
"""


def rule(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "mine.toml").write_text(text)
    return folder


def written(language: str, bad: str, good: str) -> str:
    return RULE.replace("LANGUAGE", language).replace("BAD", bad).replace("GOOD", good)


PYTHON = written("python", "legacy.dial(host)", "client.dial(host)")


def test_every_built_in_rule_has_an_example() -> None:
    assert EXAMPLES.keys() == {
        *WEAKNESSES,
        *(rule.weakness.name for rule in quality_rules()),
        *(one.name for one in DEFECTS),
    }


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_example_of_a_rule_is_found_by_it(name: str) -> None:
    language, program = EXAMPLES[name]
    suffixes = {one.key: one.extensions[0] for one in LANGUAGES}
    path = f"program.{suffixes[language].lstrip('.')}" if language in suffixes else language
    found = {
        row["rule"]
        for focus in ("security", "bugs", "performance")
        for row in analyse({"path": path, "text": program, "focus": focus})["findings"]
    }
    assert name in found


@pytest.mark.parametrize(
    ("language", "bad", "good"),
    [
        ("python", "legacy.dial(host)", "client.dial(host)"),
        ("go", "package a\nfunc f() { legacy.dial(h) }", "package a\nfunc f() { client.dial(h) }"),
        ("javascript typescript", "legacy.dial(h);", "client.dial(h);"),
    ],
    ids=["python", "go", "two languages"],
)
def test_an_own_rule_finds_what_it_was_written_for(
    tmp_path: Path, language: str, bad: str, good: str
) -> None:
    own = read_own(rule(tmp_path, written(language, bad, good)))
    path = {"python": "a.py", "go": "a.go"}.get(language, "a.ts")
    found = [
        [
            row["rule"]
            for row in analyse({"path": path, "text": text, "focus": "security", "own": own})["findings"]
        ]
        for text in (bad, good)
    ]
    assert found == [["own-client"], []]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("legacy.dial(host)", "client.dial(host)", "does not find its `bad` program in python"),
        ("client.dial(host)", "legacy.dial(host)", "finds its `good` program in python"),
        ("own-client", "xss", "no built-in rule's"),
        ("title = ", "word = ", "has no text `title`"),
        ("bad = ", "why = 'a'\nworse = 'b'\nbad = ", "unknown field `worse`"),
        ("legacy\\.dial$", "(legacy", "can't be read"),
        ("python", "cobol", "no rules can be for 'cobol'"),
        ("bad = ", "focus = ['bugs']\nbad = ", "`focus` security or bugs"),
        ("[[rule]]", "[[rule", "can't be read"),
    ],
    ids=["misses", "alarms", "name", "missing", "unknown", "pattern", "language", "focus", "form"],
)
def test_a_rule_that_is_wrong_is_refused_by_its_name_and_file(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    text = PYTHON.replace(old, new, 1)
    assert text != PYTHON
    with pytest.raises(InvalidInput, match=r"mine\.toml") as refused:
        read_own(rule(tmp_path, text))
    assert said in str(refused.value)


def test_a_rule_that_was_edited_and_put_back_is_what_it_was(tmp_path: Path) -> None:
    edited = PYTHON.replace("The old client has no timeout", "Another title")

    def title(text: str) -> str:
        item = {"path": "a.py", "text": "legacy.dial(host)", "focus": "security"}
        (found,) = analyse({**item, "own": read_own(rule(tmp_path, text))})["findings"]
        return str(found["title"])

    assert [title(text) for text in (PYTHON, edited, PYTHON)] == [
        "The old client has no timeout",
        "Another title",
        "The old client has no timeout",
    ]


@pytest.mark.anyio
@pytest.mark.parametrize("focus", ["security", "bugs"])
@pytest.mark.parametrize(("form", "path"), [("yaml", "a.yml"), ("settings", "a.toml"), ("markup", "a.html")])
async def test_a_rule_on_a_form_of_data_runs_in_its_own_focus_alone(
    tmp_path: Path, workers: Workers, form: str, path: str, focus: Focus
) -> None:
    text = written(form, "retries: 0", "retries: 3").replace("call = 'legacy\\.dial$'", "line = 'retries: 0'")
    own = read_own(rule(tmp_path, f'{text}focus = "{focus}"\n'))
    found = {
        one: await review_static({path: "retries: 0\n"}, one, workers, own=own)
        for one in ("security", "bugs")
    }
    assert {one: [each.rule for each in done.findings] for one, done in found.items()} == {
        "security": [],
        "bugs": [],
        focus: ["own-client"],
    }
    assert found[focus].not_analysed == {}
    assert coverage([path], ["bugs"], own)["bugs"][form] == (focus == "bugs")


def test_a_review_runs_the_rules_of_the_user_and_counts_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "a.py").write_text("legacy.dial(host)\n")
    monkeypatch.setenv("CLAUDE_PROJECT_DIR", str(project))
    monkeypatch.setenv("FANOUT_BACKEND", "plan")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))

    def review() -> dict[str, object]:
        main(["review", ".", "--focus", "security", "--json"])
        result: dict[str, object] = json.loads(capsys.readouterr().out)
        return result

    before = review()
    rule(tmp_path / "fanout" / "rules", PYTHON)
    after = review()
    assert before["findings"] == []
    assert [(one["rule"], one["title"]) for one in after["findings"]] == [  # type: ignore[attr-defined]
        ("own-client", "The old client has no timeout")
    ]
    assert after["coverage"]["security"]["python"] == before["coverage"]["security"]["python"] + 1  # type: ignore[index]
    assert main(["review", "--explain", "own-client"]) == 0
    assert "mine.toml" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("path-traversal", "CWE-22"),
        ("lost-error", "quality.toml"),
        ("floating-promise", "Example (javascript)"),
        ("F821", "undefined-name"),
    ],
)
def test_a_rule_is_explained_with_its_meaning_an_example_and_its_source(
    tmp_path: Path, name: str, said: str
) -> None:
    assert said in explain(name, tmp_path)


def test_an_unknown_rule_is_answered_with_near_names(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="near it are path-traversal"):
        explain("path-traversl", tmp_path)
