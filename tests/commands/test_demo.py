"""`fanout demo`: the real server over stdio, and nobody's money."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fakes.upstream import Upstream, serving
from fanout_mcp.commands import demo as commands_demo
from fanout_mcp.edge import catalog

pytestmark = pytest.mark.slow

KEY = "sk-or-a-very-secret-key"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "README.md").write_text("# A small project\n")
    (tmp_path / "mcp_server").mkdir()
    (tmp_path / "mcp_server" / "main.py").write_text('"""Say hello."""\nprint("hello")\n')
    return tmp_path


def demo(project: Path, upstream: Upstream, **more: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "COLUMNS": "80", "FANOUT_BASE_URL": upstream.url, "FANOUT_API_KEY": KEY, **more}
    command = [sys.executable, "-P", "-m", "fanout_mcp", "demo"]
    return subprocess.run(
        command, cwd=project, env=env, capture_output=True, text=True, timeout=120, check=False
    )


def test_every_tool_is_shown_and_no_key_is_used(project: Path) -> None:
    with serving() as upstream:
        done = demo(project, upstream)
    assert done.returncode == 0, done.stderr
    for name in catalog.names():
        assert f"▶ {name}(" in done.stdout
        assert f"{name} answered in" in done.stdout
    assert "no one was asked" in done.stdout
    assert "Agent: Judge on the question" in done.stdout
    assert upstream.log == []
    assert KEY not in done.stdout + done.stderr


def test_live_asks_the_users_own_backend(project: Path) -> None:
    with serving() as upstream:
        done = demo(project, upstream, LIVE="1")
    assert "PROCEED" in done.stdout, done.stderr
    assert upstream.log != []


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_what_an_answer_took_is_told_whole_at_any_width(project: Path, columns: int) -> None:
    for number in range(30):
        (project / "mcp_server" / f"module_{number}.py").write_text('"""Say hello."""\n')
    with serving() as upstream:
        done = demo(project, upstream, COLUMNS=str(columns))
    box = done.stdout.partition("summarize_files answered")[2].partition("╰")[0]
    said = " ".join(line.strip("│ ") for line in box.splitlines())
    assert re.search(r"… \d+ more lines 32 files read, .* 0 calls, [\d.]+ s$", said), box


def test_the_readme_shows_what_the_demo_prints(project: Path) -> None:
    with serving() as upstream:
        done = demo(project, upstream, COLUMNS="104")
    shown = done.stdout[done.stdout.index("╭─ oracle_batch") :].partition("╯")[0]
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    assert re.sub(r"in [\d.]+ s ─*", "", shown) in re.sub(r"in [\d.]+ s ─*", "", readme)


def test_nothing_is_advised_that_the_demo_cannot_do(project: Path) -> None:
    with serving() as upstream:
        done = demo(project, upstream)
    assert "--json" not in done.stdout
    assert "FANOUT_BACKEND=plan is set for this demo" in " ".join(done.stdout.replace("│", "").split())


@pytest.mark.parametrize("name", catalog.names())
def test_the_demo_knows_what_to_ask_of_each_tool(name: str) -> None:
    assert name in commands_demo.ARGUMENTS


def test_a_tool_that_is_new_is_called_only_where_it_needs_nothing() -> None:
    assert commands_demo.arguments_for("new_tool", {"type": "object"}) == {}
    assert commands_demo.arguments_for("new_tool", {"required": ["path"]}) is None
