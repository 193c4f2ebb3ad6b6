"""`fanout oracle` as it is typed: what it prints, in 80 columns too, and with which status it ends."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from fakes.scripted import verdict
from fakes.upstream import Rule, Upstream, serving
from fanout_mcp.commands.flags import NO_VERDICT, OK, USAGE
from fanout_mcp.commands.panels import show

WORDS = "A slow consumer fills the table until the disk is full, and nobody hears of it before that."


def shell(folder: Path, upstream: Upstream, *arguments: str) -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    env = {**kept, "HOME": str(folder), "FANOUT_BASE_URL": upstream.url, "FANOUT_MODEL": "maker/first"}
    command = [sys.executable, "-P", "-m", "fanout_mcp", "oracle", *arguments]
    return subprocess.run(
        command,
        cwd=folder,
        env={**env, "COLUMNS": "80"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_verdict_ends_with_0_and_a_line_for_each_member_as_it_answers(tmp_path: Path) -> None:
    with serving(Rule("You weigh a proposal", text=verdict("STOP", blocker=WORDS))) as upstream:
        done = shell(tmp_path, upstream, "Is it wise?")
    assert done.returncode == OK
    assert done.stdout.startswith("PROCEED  2 of 3 agree\n")
    assert "PROCEED   skeptic 80 %  It holds." in done.stdout
    assert sorted(line.partition(" ")[0] for line in done.stderr.splitlines()) == ["1/3", "2/3", "3/3"]
    report = Path(done.stdout.splitlines()[-1])
    assert WORDS in report.read_text()


@pytest.mark.slow
def test_no_verdict_ends_with_3_and_each_members_own_error(tmp_path: Path) -> None:
    with serving(Rule(kind="status", status=500, body='{"error": "out of memory"}')) as upstream:
        done = shell(tmp_path, upstream, "Is it wise?")
    assert done.returncode == NO_VERDICT
    assert done.stdout.startswith("NO_VERDICT  no member answered\n")
    failed = [line for line in done.stdout.splitlines() if line.startswith("  failed")]
    assert len(failed) == 3
    assert all("answered 500: out of memory" in line for line in failed)


@pytest.mark.slow
def test_json_is_the_tools_answer_and_nothing_else(tmp_path: Path) -> None:
    with serving() as upstream:
        done = shell(tmp_path, upstream, "--json", "--personas", "judge,critic", "Is it wise?")
    assert (done.returncode, done.stderr) == (OK, "")
    assert [vote["member"] for vote in json.loads(done.stdout)["votes"]] == ["judge", "critic"]


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [[], ["--preset", "quik", "Is it?"], ["--stakes", "some", "Is it?"]])
def test_what_is_mistyped_ends_with_2_and_asks_nobody(tmp_path: Path, arguments: list[str]) -> None:
    with serving() as upstream:
        assert shell(tmp_path, upstream, *arguments).returncode == USAGE
        assert upstream.log == []


def test_long_words_keep_to_their_column_and_a_path_is_never_broken() -> None:
    vote = {"member": "judge", "verdict": "STOP", "confidence": 85, "summary": WORDS}
    data = {
        "headline": "STOP: 1 of 1 agree",
        "decision": "STOP",
        "agreement": 1.0,
        "rule": "most frequent",
        "votes": [{**vote, "blocker": WORDS, "smallest_change": None}],
        "failed": [{"member": "critic", "reason": WORDS}],
        "cut": ["skeptic"],
        "receipt": {"calls": 3, "elapsed_s": 1.0, "cost_usd": None},
        "report": f"/{'folder/' * 20}oracle.md",
    }
    shown = io.StringIO()
    show(Console(file=shown, width=80), data)
    lines = shown.getvalue().splitlines()
    members = lines[1:-3]
    assert all(line[:10].strip() in {"STOP", "failed", "cut", ""} for line in members)
    assert max(map(len, members)) <= 80
    assert lines[-1] == data["report"]
