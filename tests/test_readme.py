"""What the README and the pages of docs list is what the code has."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from fanout_hooks.gate import governor
from fanout_mcp import cli
from fanout_mcp.edge import catalog
from fanout_mcp.panel import personas

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PANELS = (ROOT / "docs" / "panels.md").read_text(encoding="utf-8")
SHELL = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
TOOLS = (ROOT / "docs" / "tools.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", ROOT / "mcp_server" / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def table(text: str, head: str) -> dict[str, list[str]]:
    """Return the rows of the table whose first heading is `head`: first cell, without ticks -> the others."""
    rows = re.search(rf"^\| {head} \|.*\n\|[-| ]+\|\n((?:\|.*\n)+)", text, re.MULTILINE)
    assert rows, f"no table begins with {head}"
    cells = [re.split(r"\s*\|\s*", row.strip("|\n ").strip()) for row in rows[1].splitlines()]
    return {first.strip("`"): rest for first, *rest in cells}


def test_each_promise_of_the_page_on_security_names_tests_that_exist() -> None:
    page = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w./]+)(?:::(\w+))?`", page)
    assert len(named) > 30
    for path, test in named:
        assert (ROOT / path).exists(), path
        assert not test or f"def {test}(" in (ROOT / path).read_text(encoding="utf-8"), test
    tables = re.findall(r"^\| promise \| held by \|\n\|[-|]+\|\n((?:\|.*\n)+)", page, re.MULTILINE)
    rows = [row for table in tables for row in table.splitlines()]
    assert len(rows) > 15
    assert [row for row in rows if "`tests/" not in row.rpartition(" | ")[2]] == []


def test_every_persona_is_listed(tmp_path: Path) -> None:
    assert sorted(table(PANELS, "persona")) == sorted(personas.read(tmp_path).personas)


def test_every_preset_is_listed_with_its_members(tmp_path: Path) -> None:
    listed = {name: tuple(cells[0].split(", ")) for name, cells in table(PANELS, "preset").items()}
    assert listed == {name: tuple(who) for name, who in personas.read(tmp_path).presets.items()}


def test_every_tool_is_listed_in_the_order_of_the_server() -> None:
    assert list(table(README, "tool")) == catalog.names()


def test_every_command_is_listed() -> None:
    listed = [name.split()[1] for name in table(SHELL, "command")]
    assert sorted(listed) == sorted(cli.COMMANDS)
    for name in listed:
        cli.load(name)


@pytest.mark.parametrize(
    ("page", "tops"),
    [
        ("mcp_server/README.md", ["mcp_server", "mcp_server/fanout_mcp"]),
        ("hooks/README.md", ["hooks", "hooks/fanout_hooks", "mcp_server/fanout_mcp"]),
        (
            "CONTRIBUTING.md",
            ["", "mcp_server/fanout_mcp", *("mcp_server/fanout_mcp/" + name for name in ("tools", "edge"))],
        ),
    ],
)
def test_every_file_that_a_map_names_is_there(page: str, tops: list[str]) -> None:
    named = re.findall(r"`([a-z_/]+(?:/|\.(?:py|json|toml)))`", (ROOT / page).read_text(encoding="utf-8"))
    lost = [name for name in named if not any((ROOT / top / name).exists() for top in tops)]
    assert named
    assert lost == []


def section(name: str) -> str:
    found = re.search(rf"^## `{name}`\n(.*?)(?=^## |\Z)", TOOLS, re.MULTILINE | re.DOTALL)
    assert found, f"docs/tools.md has no section on {name}"
    return found[1]


@pytest.mark.parametrize("tool", catalog.snapshot()["tools"], ids=lambda tool: tool["name"])
def test_every_argument_is_documented_with_its_default(tool: dict[str, Any]) -> None:
    wanted = {
        name: "required"
        if field.is_required()
        else ""
        if field.default is None
        else json.dumps(field.default)
        for name, field in catalog.load(tool["name"]).arguments.model_fields.items()
    }
    listed = {name: cells[0].strip("`") for name, cells in table(section(tool["name"]), "argument").items()}
    assert listed == wanted


def test_no_tool_is_documented_that_is_not_there() -> None:
    assert re.findall(r"^## `(\w+)`", TOOLS, re.MULTILINE) == catalog.names()


def test_the_built_in_personas_are_the_files() -> None:
    built_in = {path.name.removesuffix(".md") for path in (files("fanout_mcp.panel") / "personas").iterdir()}
    assert built_in == set(table(PANELS, "persona"))


def test_every_variable_and_setting_is_documented() -> None:
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    code = [path.read_text() for folder in ("mcp_server", "hooks") for path in (ROOT / folder).rglob("*.py")]
    used = {name for text in code for name in re.findall(r'"(FANOUT_[A-Z_]+)"', text)}
    used.add(f"FANOUT_{governor.KEYS['at_once'].upper()}")  # the row that lists all caps on agents
    assert sorted(used) == sorted(set(re.findall(r"^\| `(FANOUT_[A-Z_]+)`", page, re.MULTILINE)))


def test_make_says_first_that_it_sets_up(tmp_path: Path) -> None:
    words = ["make", "--dry-run", f"VENV={tmp_path}/venv", f"PYTHON={sys.executable}", "demo"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.index("setting up") < done.stdout.index("pip install")


def test_a_marketplace_of_this_folder_is_named_as_the_client_takes_it() -> None:
    named = [word for page in PAGES for word in re.findall(r"marketplace add ([^\s`]+)", page.read_text())]
    assert named
    assert all(re.match(r"\./|[\w-]+/fanout$", word) for word in named), named


def test_every_option_of_the_plugin_stands_in_the_docs() -> None:
    plugin = json.loads((ROOT / ".claude-plugin" / "plugin.json").read_text())
    page = " ".join((ROOT / "docs" / "operations.md").read_text().split())
    for name, option in plugin["userConfig"].items():
        assert f'"{option["title"]}" (`{name}` in its `userConfig`)' in page
