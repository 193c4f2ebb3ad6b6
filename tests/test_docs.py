"""The documentation: its links lead somewhere, its commands are taken, and those in a console are run."""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NoReturn

import pytest

from fanout_hooks import cli as hooks_cli
from fanout_mcp import cli

ROOT: Final = Path(__file__).parents[1]
PAGES: Final = [
    *sorted(ROOT.glob("*.md")),
    *(ROOT / name / "README.md" for name in ("mcp_server", "hooks", "benchmarks/corpus")),
    *sorted((ROOT / "docs").glob("*.md")),
]
NAMES: Final = [str(page.relative_to(ROOT)) for page in PAGES]


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


# --- links --------------------------------------------------------------------------------------------------


def anchors(text: str) -> set[str]:
    """Return the headings' anchors, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", NAMES)
def test_every_link_and_picture_of_a_page_leads_somewhere(name: str) -> None:
    page, text = ROOT / name, text_of(name)
    lost = []
    for link in re.findall(r'\]\(([^)\s]+)\)|(?:src|srcset)="([^"]+)"', text):
        path, _, anchor = (link[0] or link[1]).partition("#")
        if path.startswith(("https:", "http:")):
            continue
        target = page.parent / path if path else page
        if not target.exists() or (anchor and anchor not in anchors(target.read_text(encoding="utf-8"))):
            lost.append(link)
    assert lost == []


def test_every_page_of_docs_is_in_the_index() -> None:
    index = text_of("docs/README.md")
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert {page for page in pages if f"({page}" not in index} == set()


def test_the_readme_fits_a_few_screens() -> None:
    assert len(text_of("README.md").splitlines()) < 150


@pytest.mark.parametrize(
    ("topic", "row"),
    [
        ("oracle", "one call, 8 members"),
        ("tokens", "tokens until the change was read, 92 commits"),
        ("review", "false citations passed"),
        ("hooks", "warm event, 21 Python hooks"),
    ],
)
def test_a_figure_of_the_readme_is_the_one_that_its_command_made(topic: str, row: str) -> None:
    readme = " ".join(text_of("README.md").split())
    bullet = next(one for one in readme.split("- **") if f"(`python -m benchmarks {topic}`)" in one)
    (figure,) = re.findall(r"\*\*([\d.]+[^*]*)\*\*", bullet)
    (measured,) = (line for line in text_of("docs/benchmarks.md").splitlines() if line.startswith(f"| {row}"))
    assert re.search(rf"\| {re.escape(figure)}\b", measured), measured


# --- commands -----------------------------------------------------------------------------------------------


def typed(name: str) -> list[str]:
    """Return what a page's consoles have a reader type, without the remarks behind it."""
    consoles = re.findall(r"```console\n(.*?)```", text_of(name), re.DOTALL)
    lines = re.sub(r" \\\n +", " ", "\n".join(consoles)).splitlines()
    return [re.split(r"\s+# ", line[2:])[0].strip() for line in lines if line.startswith("$ ")]


def mentioned(name: str) -> list[str]:
    """Return the commands of ours that a page names in its text."""
    prose = re.sub(r"```.*?```", "", text_of(name), flags=re.DOTALL)
    return [" ".join(one.split()) for one in re.findall(r"`(fanout(?:-hooks)? [^`]+)`", prose)]


class Taken(BaseException):
    """The arguments were parsed; the command itself is not run."""


@pytest.fixture
def complaint(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[[str], str]:
    """Return what our parsers have against a command; "" when they take it, or when it is a bare name."""
    parse = argparse.ArgumentParser.parse_args

    def parse_only(self: argparse.ArgumentParser, words: Sequence[str]) -> NoReturn:
        parse(self, words)
        raise Taken

    def told(command: str) -> str:
        program, *words = shlex.split(command.replace("\\|", "|"))
        if words[0] == "COMMAND":
            return ""
        given = [word.partition("|")[0] for word in words]  # `show|clear`: one of them
        try:
            (cli if program == "fanout" else hooks_cli).main(given)
        except Taken:
            return ""
        except SystemExit:  # argparse has said why
            error = capsys.readouterr().err
            is_bare = all(word.startswith("-") for word in given[1:])
            return "" if is_bare and "arguments are required" in error else error
        return capsys.readouterr().err or f"{command} has read no arguments"

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_only)
    return told


@pytest.mark.parametrize("name", NAMES)
def test_every_command_of_ours_is_taken_as_it_is_written(name: str, complaint: Callable[[str], str]) -> None:
    consoles = [part for line in typed(name) for part in re.split(r" (?:&&|\|) ", line)]
    ours = [one for one in [*consoles, *mentioned(name)] if one.startswith(("fanout ", "fanout-hooks "))]
    assert [told for one in ours if (told := complaint(one))] == []


def test_every_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z0-9]+):", text_of("Makefile"), re.MULTILINE))
    named = {word for name in NAMES for word in re.findall(r"`make ([a-z0-9]+)[^`]*`", text_of(name))}
    assert named - targets == set()


NOT_RUN: Final = {
    r"^(git clone .*)?claude$|^claude plugin": "tests/e2e/test_docs_claude.py and test_registration.py do",
    r"^(uv tool|pipx) install ": "tests/test_install.py runs them",
    r"^make bench|^python -m benchmarks": "take minutes; their tables stand in docs/benchmarks.md",
    r"--models ": "asks models of others, which costs money",
}
"""What a console shows and this page's test does not run -> where it is run, or why not."""
ASKING: Final = (
    "fanout install",
    *(f"fanout-hooks {one}" for one in ["adopt", "bench", "cost", "learn", "restore"]),
)
HOOK: Final = "import json, sys\njson.load(sys.stdin)\n"
SOURCE: Final = '''"""Say hello."""


def decide_retries(count: int) -> bool:
    """Decide whether it is tried again."""
    return count < 3
'''
STATUS: Final = {"fanout report --compare": {0, 1}, "fanout report --fail-above": {0, 1}}


def reason(command: str) -> str:
    return next((why for pattern, why in NOT_RUN.items() if re.search(pattern, command)), "")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository on a branch, with a hook and a hook log."""
    root = tmp_path / "project"
    (root / ".claude" / "memory").mkdir(parents=True)
    (root / "retry.py").write_text(SOURCE)
    (root / "plan.md").write_text("Move the table.\n")
    (root / "hook.py").write_text(HOOK)
    entry = {"type": "command", "command": f"{shlex.quote(sys.executable)} hook.py"}
    settings = {"hooks": {"PreToolUse": [{"matcher": "Bash", "hooks": [entry]}]}}
    (root / ".claude" / "settings.local.json").write_text(json.dumps(settings))
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    hook = {"name": "hook.py", "batch": 1, "ms": 4.0, "wait_ms": 0.0, "exit": 0, "lane": "warm"}
    row = {"timestamp": now, "phase": "PreToolUse", "session_id": "s", "total_hooks": 1, "batches": 1}
    row |= {"failures": 0, "elapsed_ms": 5.0, "sequential_ms": 4.0, "path": "warm", "hooks": [hook]}
    log = root / ".claude" / "memory" / "hook_performance.jsonl"
    log.write_text(f"{json.dumps(row)}\n" * 30)
    folder = tmp_path / ".claude" / "projects" / re.sub(r"[^A-Za-z0-9]", "-", str(root))
    folder.mkdir(parents=True)
    said = {"type": "user", "timestamp": now, "sessionId": "s", "message": {"role": "user", "content": "Hi"}}
    (folder / "s.jsonl").write_text(json.dumps(said) + "\n")
    who = ("-c", "user.name=a", "-c", "user.email=a@b")
    for words in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-q", "-m", "first"]):
        subprocess.run(["git", *who, *words], cwd=root, check=True)
    (root / "retry.py").write_text(SOURCE.replace("3", "5"))
    return root


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in NAMES if any(not reason(one) for one in typed(name))])
def test_the_consoles_of_a_page_run_one_after_another(name: str, project: Path) -> None:
    keys = ("FANOUT_", "OPENROUTER_", "ANTHROPIC_", "OPENAI_", "CLAUDE", "XDG_")
    env = {key: value for key, value in os.environ.items() if not key.startswith(keys)}
    env |= {"HOME": str(project.parent), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for command in typed(name):
        if reason(command):
            continue
        agreed = f"{command} --yes" if command.startswith(ASKING) else command
        done = subprocess.run(
            ["bash", "-c", agreed],
            cwd=project,
            env=env,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        wanted = next((own for begin, own in STATUS.items() if command.startswith(begin)), {0})
        assert done.returncode in wanted, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr


def test_every_reason_not_to_run_a_command_is_still_needed() -> None:
    commands = [one for name in NAMES for one in typed(name)]
    assert [pattern for pattern in NOT_RUN if not any(re.search(pattern, one) for one in commands)] == []
