"""Worktrees of one repository: each is read as itself, none as a part of another."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from fanout_mcp.errors import InvalidInput
from fanout_mcp.source.discover import discover, tree_name, tree_of


def git(folder: Path, *arguments: str) -> None:
    names = ("-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *names, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = (tmp_path / "project").resolve()
    (root / "src").mkdir(parents=True)
    (root / "src" / "cart.py").write_text("x = 1\n")
    git(root, "init", "-b", "main")
    git(root, "add", ".")
    git(root, "commit", "-m", "first")
    git(root, "worktree", "add", "-b", "feat", ".claude/worktrees/feat")
    git(root, "worktree", "add", "-b", "other", "../other")
    return root


def test_a_linked_worktree_is_no_part_of_the_project(project: Path) -> None:
    assert discover(project).paths == ("src/cart.py",)


def test_a_linked_worktree_that_is_named_is_read_as_git_lists_it(project: Path) -> None:
    (project / ".claude/worktrees/feat/.gitignore").write_text("*.log\n")
    (project / ".claude/worktrees/feat/src/run.log").write_text("noise\n")
    found = discover(project, [".claude/worktrees/feat/src"]).paths
    assert found == (".claude/worktrees/feat/src/cart.py",)


def test_a_session_in_a_worktree_reads_that_worktree(project: Path) -> None:
    feat = project / ".claude/worktrees/feat"
    (feat / "src" / "new.py").write_text("y = 1\n")
    assert set(discover(feat).paths) == {"src/cart.py", "src/new.py"}
    assert tree_name(feat) == f"{feat} (branch feat)"


def test_a_sibling_worktree_of_the_same_repository_may_be_named(project: Path) -> None:
    other = project.parent / "other"
    assert tree_of(project, [str(other / "src")]) == (other, ["src"])
    assert tree_of(project, ["../other/src/cart.py", "../other"]) == (other, ["src/cart.py", "."])


def test_a_folder_of_another_repository_stays_outside(project: Path) -> None:
    strange = project.parent / "strange"
    strange.mkdir()
    git(strange, "init")
    assert tree_of(project, [str(strange)]) == (project, [str(strange)])
    with pytest.raises(InvalidInput, match="outside"):
        discover(project, [str(strange)])


def test_names_in_two_worktrees_are_not_read_as_one(project: Path) -> None:
    names = ["../other/src", "src"]
    assert tree_of(project, names) == (project, names)


def test_a_project_of_one_tree_names_none(tmp_path: Path) -> None:
    git(tmp_path, "init")
    assert tree_name(tmp_path) == ""
