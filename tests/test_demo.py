"""`fanout demo`: the real server over stdio, and nobody's money."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fakes.upstream import Upstream, serving
from fanout_mcp import catalog
from fanout_mcp.demo import calls

pytestmark = pytest.mark.slow

KEY = "sk-or-a-very-secret-key"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "README.md").write_text("# A small project\n")
    (tmp_path / "mcp_server").mkdir()
    (tmp_path / "mcp_server" / "main.py").write_text('"""Say hello."""\nprint("hello")\n')
    return tmp_path


def demo(project: Path, upstream: Upstream, **more: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "FANOUT_BASE_URL": upstream.url, "FANOUT_API_KEY": KEY, **more}
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
    assert "nobody was asked" in done.stdout
    assert "Agent: Judge on the question" in done.stdout
    assert upstream.log == []
    assert KEY not in done.stdout + done.stderr


def test_live_asks_the_users_own_backend(project: Path) -> None:
    with serving() as upstream:
        done = demo(project, upstream, LIVE="1")
    assert "PROCEED" in done.stdout, done.stderr
    assert upstream.log != []


@pytest.mark.parametrize("name", catalog.names())
def test_the_demo_knows_what_to_ask_of_each_tool(name: str) -> None:
    assert name in calls.ARGUMENTS


def test_a_tool_that_is_new_is_called_only_where_it_needs_nothing() -> None:
    assert calls.arguments_for("new_tool", {"type": "object"}) == {}
    assert calls.arguments_for("new_tool", {"required": ["path"]}) is None
