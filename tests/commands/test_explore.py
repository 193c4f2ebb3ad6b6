"""`fanout explore` and `fanout summarize`: what a person sees, what a pipe gets, how they end."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fanout_mcp.cli import main

CART = '"""Carts hold things."""\nfrom shop.money import Money\n\n\nclass Cart:\n    def total(self): ...\n'


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CLAUDE_PROJECT_DIR", str(tmp_path))
    monkeypatch.setenv("FANOUT_BACKEND", "plan")
    for path, text in {
        "shop/cart.py": CART,
        "shop/money.py": "class Money: ...\n",
        "web/__main__.py": "from shop.cart import Cart\n\nif __name__ == '__main__':\n    Cart()\n",
        "odd [name].py": "def odd(): ...\n",
    }.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    return tmp_path


def shown(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What stands on the screen, without line ends and spaces that only lay it out."""
    assert main(list(words)) == 0
    return " ".join(capsys.readouterr().out.split())


def piped(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    assert main([*words, "--json"]) == 0
    captured = capsys.readouterr()
    assert not captured.err
    return json.loads(captured.out)


def test_summarize_shows_purpose_symbols_and_what_it_took(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, "summarize", "shop/cart.py")
    assert "shop/cart.py (derived) Carts hold things. 5 class Cart 6 total(self)" in text
    assert "1 file" in text
    assert "0 calls" in text


def test_summarize_takes_files_folders_and_globs_in_the_order_asked(
    capsys: pytest.CaptureFixture[str],
) -> None:
    data = piped(capsys, "summarize", "web", "shop/*.py", "odd [name].py")
    assert [file["path"] for file in data["files"]] == [
        "web/__main__.py",
        "shop/cart.py",
        "shop/money.py",
        "odd [name].py",
    ]
    assert data["files"][1]["dependencies"] == ["shop.money"]


def test_names_that_look_like_markup_are_shown_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert "odd [name].py" in shown(capsys, "summarize", "odd [name].py")


def test_explore_shows_the_module_and_its_neighbours(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, "explore", "shop")
    assert "imported_by: web" in text
    assert "[shop/cart.py:1]" in text


def test_explore_without_a_name_is_a_map_of_the_project(capsys: pytest.CaptureFixture[str]) -> None:
    data = piped(capsys, "explore")
    assert [module["module"] for module in data["modules"]] == [".", "shop", "web"]
    assert data["modules"][2]["entry_points"] == ["web/__main__.py:3"]


def test_explore_ranks_files_for_a_question(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, "explore", "--question", "why is the total of a Cart wrong")
    assert "shop/cart.py Cart (lines 5-" in text


def test_a_long_answer_says_where_it_goes_on_and_the_next_page_begins_there(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(1_000):
        (project / f"f{number:04}.py").write_text(f"def function_{number}_{'x' * 40}(): ...\n")
    first = piped(capsys, "summarize", "f*.py", "--detail", "full")
    following = first["next_cursor"]
    second = piped(capsys, "summarize", "f*.py", "--detail", "full", "--cursor", str(following))
    assert second["files"][0]["path"] == f"f{following:04}.py"
    text = shown(capsys, "summarize", "f*.py", "--detail", "full")
    assert f"1000 in all, go on with --cursor {following}" in text
    assert "All of it: " in text


def test_one_line_a_file_when_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    data = piped(capsys, "summarize", "shop", "--detail", "line")
    assert data["files"] == [
        "shop/cart.py: Carts hold things.",
        "shop/money.py: no description; defines Money (derived)",
    ]


@pytest.mark.parametrize("words", [["summarize", "shop"], ["explore", "shop"]], ids=str)
def test_plan_gives_calls_that_a_host_can_send(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    [[call]] = piped(capsys, *words, "--engine", "plan")["plan"]["messages"]
    assert call["subagent_type"] == "Explore"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["summarize", "shop/crat.py"], "Nearest: shop/cart.py"),
        (["summarize", "*.rs"], "Nothing matches"),
        (["summarize", "../x"], "outside"),
        (["summarize", "shop", "--engine", "model"], "no model"),
        (["summarize", "shop", "--max-words", "5"], "--max-words"),
        (["summarize", "shop", "--cursor=-1"], "cursor"),
        (["explore", "shp"], "Nearest: shop"),
        (["explore", "shop", "--engine", "model"], "no model"),
        (["summarize"], "PATH"),
        (["explore", "--detail", "some"], "--detail"),
    ],
    ids=str,
)
def test_what_cannot_be_done_is_one_status_and_says_why(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        status = main(words)
    except SystemExit as error:
        status = int(str(error.code))
    captured = capsys.readouterr()
    assert (status, captured.out) == (2, "")
    assert said in captured.err
    assert "Traceback" not in captured.err


def test_progress_goes_to_stderr_and_the_result_alone_to_stdout(project: Path) -> None:
    command = [sys.executable, "-P", "-m", "fanout_mcp", "summarize", "shop"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=True)
    assert "outlined 2 files" in done.stderr
    assert "outlined" not in done.stdout
    assert "shop/money.py" in done.stdout
