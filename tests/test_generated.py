"""What is generated from the code is up to date, and no addition has to touch more files than it should."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

import generated
import tools_json
from fanout_mcp.edge import catalog
from fanout_mcp.engine import retry
from fanout_mcp.errors import BackendError
from fanout_mcp.panel import personas
from fanout_mcp.text import compact

ROOT = generated.ROOT
MAX_SHOWN = 6_000
SLACK = 200
"""Lines that a package may differ from the printed table before `make generate` is due."""


@pytest.mark.parametrize("name", [name for name in generated.FILES if not name.endswith(".md")])
def test_a_generated_file_is_up_to_date(name: str) -> None:
    assert (ROOT / name).read_text(encoding="utf-8") == generated.FILES[name](), "run `make generate`"


@pytest.mark.parametrize(
    ("page", "section"),
    [
        ("docs/panels.md", "personas"),
        ("docs/panels.md", "presets"),
        ("docs/commands.md", "commands"),
        ("README.md", "install"),
    ],
)
def test_a_generated_section_is_up_to_date(page: str, section: str) -> None:
    assert sections(page)[section] == generated.SECTIONS[section](), "run `make generate`"


def test_the_budget_table_is_about_right() -> None:
    listed = {
        name: (int(modules), int(lines.replace(",", "")))
        for name, modules, lines in re.findall(
            r"^\| `(.+?)` \| (\d+) \| ([\d,]+) \|$", sections("CONTRIBUTING.md")["budget"], re.MULTILINE
        )
    }
    actual = generated.sizes()
    assert listed.keys() == actual.keys(), "run `make generate`"
    off = [
        name
        for name, (modules, lines) in actual.items()
        if abs(lines - listed[name][1]) > SLACK or abs(modules - listed[name][0]) > 1
    ]
    assert not off, "run `make generate`"


def test_what_the_model_is_shown_of_all_tools_stays_small() -> None:
    keys = ("name", "description", "inputSchema")
    entries = [{key: tool[key] for key in keys} for tool in catalog.snapshot()["tools"]]
    shown = sum(len(compact(entry).encode()) for entry in entries)
    print(f"shown of {len(catalog.names())} tools: {shown:,} bytes")  # noqa: T201 - the figure is of interest
    assert shown <= MAX_SHOWN


@pytest.fixture
def with_a_persona(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Add one file to the built-in personas, and nothing else."""
    ours = tmp_path / "panel"
    (ours / "personas").mkdir(parents=True)
    for path in [personas.OURS / personas.PRESETS, *(personas.OURS / "personas").glob("*.md")]:
        (ours / path.relative_to(personas.OURS)).write_text(path.read_text(encoding="utf-8"))
    (ours / "personas" / "tester.md").write_text(
        "---\nname: tester\nsees: what no test would notice\n---\nYou ask what would break unnoticed.\n"
    )
    monkeypatch.setattr(personas, "OURS", ours)


@pytest.mark.usefixtures("with_a_persona")
def test_a_new_persona_is_one_file(tmp_path: Path) -> None:
    library = personas.read(tmp_path / "nothing of the user")
    assert library.choose("quick", ["tester"])[0].title == "Tester"
    assert "tester" in library.presets["all"]
    shown = tools_json.input_schema(catalog.load("oracle_batch"))["properties"]
    assert "tester" in shown["personas"]["description"]
    assert f"all ({len(library.personas)})" in shown["preset"]["description"]
    assert "| `tester` | what no test would notice |" in generated.of_personas()
    assert "tester" in generated.of_presets()


class Flooded(BackendError):
    """A failure that no rule knows yet."""


def test_a_new_retry_rule_is_one_row(monkeypatch: pytest.MonkeyPatch) -> None:
    error = Flooded("The provider is under water.")
    assert isinstance(retry.decide(error, 1, 60.0, 3, 0.5), retry.GiveUp)
    monkeypatch.setattr(retry, "RULES", (*retry.RULES, (Flooded, retry.Rule(2, (1.0,)))))
    assert retry.decide(error, 1, 60.0, 3, 0.0) == retry.Again(0.5, counted=True)


SHIPPED = ("mcp_server", "hooks", "skills", "README.md", "docs/tools.md", "tests/tools*")


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        pytest.param("DirectoryAdded", {"hooks/fanout_hooks/client/events.py"}, id="hook event"),
        pytest.param("WorktreeRemove", {"hooks/fanout_hooks/client/events.py"}, id="another hook event"),
        pytest.param(
            "agent_swarm",
            {
                "mcp_server/fanout_mcp/tools/agent_swarm.py",
                "tests/tools_json.py",
                "tests/tools/test_agent_swarm.py",
                "docs/tools.md",
                "README.md",
                "skills/fanout/SKILL.md",
            },
            id="tool",
        ),
    ],
)
def test_an_addition_touches_few_files_by_hand(name: str, wanted: set[str]) -> None:
    """Commands of the shell are an addition of their own; what is generated is touched by no hand."""
    words = ["git", "grep", "-lw", name, "--", *SHIPPED, ":!*/commands/*"]
    found = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert set(found) - generated.FILES.keys() | wanted & {"README.md"} == wanted


def sections(page: str) -> dict[str, str]:
    found = generated.SECTION.finditer((ROOT / page).read_text(encoding="utf-8"))
    return {match[1]: match[3] for match in found}
