"""A machine whose only Python is older than 3.11 is told so, by that Python."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from launcher.environment import Environment, build

HERE = Path(__file__).parents[2] / "mcp_server"
FILES = [
    HERE / "launch.py",
    HERE / "fanout_mcp" / "edge" / "first.py",
    *sorted((HERE / "launcher").glob("*.py")),
]
EVALUATED = (ast.Assign, ast.Call, ast.Compare, ast.ClassDef)
NEWER = {"list", "dict", "tuple", "set", "frozenset", "type"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_the_launcher_is_readable_by_python_3_8(file: Path) -> None:
    tree = ast.parse(file.read_text(), feature_version=(3, 8))
    assert any(isinstance(node, ast.ImportFrom) and node.module == "__future__" for node in tree.body) or (
        len(tree.body) == 1
    )
    aliases = [node.value for node in tree.body if isinstance(node, ast.Assign)]
    evaluated = [part for value in aliases for part in ast.walk(value) if isinstance(part, ast.Subscript)]
    assert not [
        ast.unparse(part) for part in evaluated if isinstance(part.value, ast.Name) and part.value.id in NEWER
    ]
    checks = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "isinstance"
    ]
    assert not [ast.unparse(check) for check in checks if isinstance(check.args[1], ast.BinOp)]


def test_an_old_python_alone_is_named_as_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 6, "final", 0))
    monkeypatch.setenv("PATH", str(tmp_path))
    environment = Environment(str(tmp_path / "data"))
    assert build(environment) == 1
    assert environment.why_failed() == ("Python 3.11 or newer is not on PATH, nor is uv; install one of them")


def test_a_newer_python_beside_the_old_one_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "python3.12").symlink_to(sys.executable)
    monkeypatch.setattr(sys, "version_info", (3, 9, 6, "final", 0))
    monkeypatch.setenv("PATH", str(tmp_path))
    first = Environment(str(tmp_path / "data")).steps()[0]
    assert first[:3] == [str(tmp_path / "python3.12"), "-I", "-m"]


def test_uv_is_asked_for_a_python_where_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "uv").write_text("#!/bin/sh\n")
    (tmp_path / "uv").chmod(0o755)
    monkeypatch.setattr(sys, "version_info", (3, 9, 6, "final", 0))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert ">=3.11" in Environment(str(tmp_path / "data")).steps()[0]
