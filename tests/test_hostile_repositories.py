"""Whatever a repository has planted, looking at it starts no program and opens no connection."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from fakes.few import few
from fakes.repositories import NATIVE_S, VECTORS, Trap, Vector, partial, whole
from fakes.wire_client import Wire
from fanout_mcp.cli import main
from fanout_mcp.errors import InvalidInput
from fanout_mcp.registration.places import project_of
from fanout_mcp.review.gather import Tree, old_texts, resolve, tree_at
from fanout_mcp.source.discover import discover
from fanout_mcp.source.git import history


def named(vector: Vector) -> str:
    return vector.name.replace(" ", "_")


each_vector = pytest.mark.parametrize("vector", VECTORS, ids=named)


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Mapping[bool, Path]:
    folder = tmp_path_factory.mktemp("templates")
    return {False: whole(folder / "whole"), True: partial(folder / "whole", folder / "partial")}


@pytest.fixture
def trap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Trap]:
    trap = Trap(tmp_path / "trap")
    monkeypatch.setenv("PATH", f"{trap.program.parent}:{os.environ['PATH']}")
    yield trap
    trap.close()


@pytest.fixture
def root(vector: Vector, templates: Mapping[bool, Path], trap: Trap, tmp_path: Path) -> Path:
    made = vector.make(tmp_path / "project", templates, trap)
    trap.sprung()
    return made


@pytest.mark.slow
@each_vector
def test_git_itself_springs_the_trap(vector: Vector, root: Path, trap: Trap) -> None:
    if vector.native is None:
        assert vector.config or vector.plant  # no command of this git does; newer ones may
        return
    with Path(os.devnull).open("wb") as nothing:
        process = subprocess.Popen(
            ["git", "-c", "user.name=a", "-c", "user.email=a@b", *vector.native],
            cwd=root,
            env={**os.environ, "GIT_CONFIG_NOSYSTEM": "1"},
            stdin=subprocess.PIPE,
            stdout=nothing,
            stderr=nothing,
            start_new_session=True,
        )
        try:
            process.communicate(b"protocol=https\nhost=x\n\n", timeout=NATIVE_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait()
    assert trap.sprung()


@pytest.mark.parametrize("vector", few(VECTORS, *VECTORS[::6]), ids=named)
def test_reading_a_repository_starts_nothing(vector: Vector, root: Path, trap: Trap) -> None:
    assert "a.py" in discover(root).paths
    history(root)
    project_of(root)
    for ref in ("HEAD~1", "other", "trunk"):
        try:
            found = tree_at(root, resolve(root, ref))
        except InvalidInput:
            continue
        if isinstance(found, Tree):
            old_texts(list(found.files.values()))
    assert trap.sprung() == []


COMMANDS = (
    ("explore", "--json"),
    ("explore", "--question", "where is a?", "--json"),
    ("summarize", ".", "--json"),
    ("review", "**/*.py", "--json"),
    ("review", "**/*.py", "--base", "HEAD~1", "--json"),
    ("review", "**/*.py", "--base", "other", "--focus", "architecture", "--json"),
    ("oracle", "Is it wise?", "--file", "a.py", "--dry-run", "--json"),
    ("oracle", "Is it wise?", "--file", "a.py", "--json"),
    ("swarm", "Read a.py", "--count", "2", "--json"),
    ("report", "--json"),
    ("audit",),
    ("doctor", "--json"),
    ("cache", "--json"),
    ("install", "--scope", "local"),
    ("install", "--scope", "project", "--yes"),
    ("uninstall", "--scope", "project", "--yes"),
)
TOOLS: Mapping[str, dict[str, object]] = {
    "explore_modules": {"question": "where is a?"},
    "summarize_files": {"paths": ["."]},
    "batch_review": {"patterns": ["**/*.py"], "base": "HEAD~1"},
    "oracle_batch": {"question": "Is it wise?", "files": ["a.py"]},
    "council": {"question": "Is it wise?", "files": ["a.py"]},
    "agent_swarm": {"task": "Read a.py", "count": 2},
    "hook_report": {},
}


@pytest.mark.slow
@each_vector
def test_no_command_starts_anything(
    vector: Vector,
    root: Path,
    trap: Trap,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(root)
    for words in COMMANDS:
        try:
            main(list(words))
        except SystemExit as error:
            pytest.fail(f"{words} is no command: {error}")
        assert (words, trap.sprung()) == (words, [])
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.slow
@each_vector
def test_no_tool_of_the_server_starts_anything(vector: Vector, root: Path, trap: Trap) -> None:
    env = {"CLAUDE_PROJECT_DIR": str(root), "FANOUT_BACKEND": "plan"}
    with Wire([sys.executable, "-I", "-m", "fanout_mcp", "serve"], env, timeout=60) as server:
        for name, arguments in TOOLS.items():
            result = server.call(name, arguments)
            assert result.get("structuredContent") or result["isError"]
            assert (name, trap.sprung()) == (name, [])


def test_the_table_is_large_enough() -> None:
    assert len({vector.name for vector in VECTORS}) == len(VECTORS) >= 60
    assert sum(vector.native is not None for vector in VECTORS) >= 50
