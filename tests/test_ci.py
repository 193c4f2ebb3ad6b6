"""What the repository offers to other repositories' CI: an action, and hooks for pre-commit."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
BAD = "import os\nfrom flask import request\n\n\ndef {name}():\n    os.system(request.args['{name}'])\n"


def run(root: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words, cwd=root, env=dict(os.environ) | environment, capture_output=True, text=True, check=False
    )


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "work"
    root.mkdir()
    (root / "a.py").write_text(BAD.format(name="old"))
    who = ("-c", "user.name=a", "-c", "user.email=a@b")
    for words in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-q", "-m", "first"]):
        assert run(root, "git", *who, *words).returncode == 0
    (root / "b.py").write_text(BAD.format(name="new"))
    return root


def review(root: Path, **inputs: str) -> tuple[int, str]:
    """Run the action's script as a runner does, with fanout already installed where it would install it."""
    temp = root.parent / "temp"
    (temp / "fanout").mkdir(parents=True, exist_ok=True)
    link = temp / "fanout" / "bin"
    if not link.exists():
        link.symlink_to(Path(sys.executable).parent)
    files = {name: str(temp / name.lower()) for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    done = run(
        root,
        "bash",
        str(ROOT / ".ci" / "review"),
        ACTION=str(ROOT),
        RUNNER_TEMP=str(temp),
        GITHUB_WORKSPACE=str(root),
        **files,
        **inputs,
    )
    return done.returncode, Path(files["GITHUB_STEP_SUMMARY"]).read_text() + done.stderr


def test_a_pull_request_fails_on_what_it_adds_alone(repository: Path) -> None:
    head = run(repository, "git", "rev-parse", "HEAD").stdout.strip()
    status, summary = review(repository, PULL_REQUEST_BASE=head)
    assert status == 1
    assert "`b.py:6`" in summary
    assert "`a.py:6`" not in summary
    (run_,) = json.loads((repository / "fanout.sarif").read_text())["runs"]
    assert {result["level"] for result in run_["results"]} >= {"error"}


@pytest.mark.parametrize(
    ("inputs", "status"),
    [
        ({}, 1),
        ({"FAIL_ON": "never"}, 0),
        ({"PATTERNS": "*.js a.py", "FAIL_ON": "low"}, 2),
        ({"BASE": "none"}, 1),
    ],
    ids=["everything", "never", "a pattern that matches nothing", "no base"],
)
def test_without_a_pull_request_everything_is_reviewed(
    repository: Path, inputs: dict[str, str], status: int
) -> None:
    (repository.parent / "temp").mkdir()
    (repository.parent / "temp" / "github_step_summary").touch()
    assert review(repository, **inputs)[0] == status


def test_every_input_of_the_action_reaches_its_script() -> None:
    action = (ROOT / "action.yml").read_text()
    given = set(re.findall(r"^        ([A-Z_]+):", action, re.MULTILINE))
    used = set(re.findall(r"\$\{?([A-Z_]+)", (ROOT / ".ci" / "review").read_text()))
    assert given - {"FANOUT_BACKEND"} <= used
    assert "${{ inputs" not in action.partition("run: bash")[2]


def test_the_hook_for_a_commit_reports_what_it_adds(repository: Path) -> None:
    hooks = (ROOT / ".pre-commit-hooks.yaml").read_text()
    entry = re.findall(r"entry: (.+)", hooks)[0].split()
    fanout = str(Path(sys.executable).parent / "fanout")
    words = [fanout if word == "fanout" else word for word in entry]
    done = run(repository, *words, CLAUDE_PROJECT_DIR=str(repository))
    assert done.returncode == 1
    assert "b.py:6" in done.stdout
    assert "a.py:6" not in done.stdout
