"""The README's one-line installs, as they are and as `make owner` makes them, with uv and with pipx."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import generated
import owner

ROOT = Path(__file__).parents[1]
FORMS = ("a clone", "the public address")[bool(generated.owner()) :]
"""The README has the first until `make owner` was run."""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The tracked files of this folder, as they are now, in a repository with one commit."""
    target = tmp_path / "remote" / "fanout"
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    for name in names:
        if name and (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target / name)
    commit(target)
    return target


def commit(folder: Path) -> None:
    who = ("-c", "user.name=a", "-c", "user.email=a@b")
    for words in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-q", "-m", "all"]):
        subprocess.run(["git", *who, *words], cwd=folder, check=True)


def published(clone: Path, name: str) -> str:
    """Fill in the owner as `make owner` does; return the README."""
    before = generated.owner() or owner.PLACEHOLDER
    assert "pyproject.toml" in owner.write(clone, name, before)
    env = {**os.environ, "PYTHONPATH": f"{clone}/mcp_server:{clone}/hooks"}
    subprocess.run(
        [sys.executable, "tests/generated.py"], cwd=clone, env=env, capture_output=True, check=True
    )
    commit(clone)
    return (clone / "README.md").read_text(encoding="utf-8")


def installs(readme: str) -> list[str]:
    """Return the lines that install into the user's tools, without the step that registers."""
    lines = re.findall(r"^\$ (.*?)\s+#", readme, re.MULTILINE)
    return [line.partition(" && ")[0] for line in lines if line.startswith(("uv tool", "pipx"))]


@pytest.mark.slow
def test_the_owner_is_written_wherever_the_address_stands(clone: Path) -> None:
    readme = published(clone, "acme")
    found = subprocess.run(
        ["git", "grep", "-lE", r"\bOWNER/fanout", "--", ":!tests", ":!benchmarks"],
        cwd=clone,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.stdout == ""
    assert "claude plugin marketplace add acme/fanout " in readme
    assert "https://github.com/acme/fanout" in (clone / "pyproject.toml").read_text()
    assert "acme/fanout@" in (clone / "docs" / "tools.md").read_text()
    assert owner.write(clone, "other", "acme")
    assert "https://github.com/other/fanout" in (clone / "pyproject.toml").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("program", ["uv", "pipx"])
def test_a_line_of_the_readme_installs_both_commands(
    clone: Path, tmp_path: Path, form: str, program: str
) -> None:
    readme = (clone / "README.md").read_text(encoding="utf-8")
    if form == "the public address":
        readme = published(clone, "acme")
    (line,) = (one for one in installs(readme) if one.startswith(program))
    tools = {name: str(tmp_path / name.lower()) for name in ("UV_TOOL_DIR", "PIPX_HOME", "PIPX_MAN_DIR")}
    env = {
        **os.environ,
        **tools,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "UV_TOOL_BIN_DIR": str(tmp_path / "bin"),
        "PIPX_BIN_DIR": str(tmp_path / "bin"),
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{clone.as_uri()}.insteadOf",
        "GIT_CONFIG_VALUE_0": "https://github.com/acme/fanout",
    }
    words = line.split() if program == "uv" else ["uv", "tool", "run", *line.split()]
    done = subprocess.run(words, cwd=clone, env=env, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    for command in ("fanout", "fanout-hooks"):
        version = [str(tmp_path / "bin" / command), "--version"]
        assert subprocess.run(version, capture_output=True, text=True, check=True).stdout.startswith(command)


@pytest.mark.slow
def test_the_demo_runs_from_a_clone_without_an_install(clone: Path, tmp_path: Path) -> None:
    env = {**os.environ, "HOME": str(tmp_path), "UV_CACHE_DIR": cache_of_uv()}
    words = ["uv", "tool", "run", "--from", ".", "fanout", "demo"]  # what `uvx` stands for
    done = subprocess.run(
        words,
        cwd=clone,
        env=env | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    assert "5 of 5 What to type next" in done.stdout


def cache_of_uv() -> str:
    """Return where uv keeps packages: this user's own, whatever HOME a test sets."""
    words = [str(Path(sys.executable).parent / "uv"), "cache", "dir"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()


def test_make_sets_a_moved_clone_up_again(tmp_path: Path) -> None:
    (tmp_path / ".ready").write_text("/where/it/was\n")
    words = ["make", "--dry-run", f"VENV={tmp_path}", f"PYTHON={sys.executable}", "demo"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.index(f"rm -rf {tmp_path}") < done.stdout.index("pip install")
    (tmp_path / ".ready").write_text(f"{ROOT}\n")
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "rm -rf" not in done.stdout
