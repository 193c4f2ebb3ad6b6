"""What a repository may have planted where fanout looks: a FIFO holds nobody up, a device is never read."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fanout_hooks import regular

END_S = 60.0
"""By far longer than any of it takes: a reader that waits for a FIFO waits for ever."""

FILES = (
    ".mcp.json",
    ".claude/settings.json",
    ".claude/settings.local.json",
    ".claude/fanout/hooks.json",
    ".claude/fanout/hooks.local.json",
    ".claude/fanout/config.json",
    ".claude/fanout/state/receipts.jsonl",
    ".claude/fanout/state/hooks_baseline.json",
    ".claude/fanout/cache/outlines.sqlite",
    ".claude/memory/hook_performance.jsonl",
)


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        os.mkfifo(tmp_path / name)
    (tmp_path / "x.py").write_text('"""Adds numbers."""\n')
    return tmp_path


@pytest.mark.parametrize("command", ["report", "doctor", "audit", "summarize x.py", "install"])
def test_no_command_waits_for_a_fifo(planted: Path, command: str) -> None:
    end(planted, "fanout_mcp", command)


@pytest.mark.parametrize("command", ["check", "report", "adopt"])
def test_no_command_for_hooks_waits_for_a_fifo(planted: Path, command: str) -> None:
    end(planted, "fanout_hooks", command)


@pytest.mark.parametrize("name", FILES)
def test_a_single_fifo_holds_up_neither_the_report_nor_the_doctor(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(tmp_path / name)
    for command in ("report", "doctor"):
        end(tmp_path, "fanout_mcp", command)


def end(project: Path, module: str, command: str) -> None:
    """Run it to its end; whatever it says, no defect of ours may show."""
    done = subprocess.run(
        [sys.executable, "-I", "-m", module, *command.split()],
        cwd=project,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=END_S,
    )
    assert "Traceback" not in done.stderr


def test_only_regular_files_within_the_bound_are_read(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"12345")
    (tmp_path / "link").symlink_to("real")
    os.mkfifo(tmp_path / "pipe")
    assert regular.read(tmp_path / "real") == b"12345"
    assert regular.read(tmp_path / "link", follow=True) == b"12345"
    for name, at_most in (("link", 9), ("pipe", 9), ("real", 4)):
        with pytest.raises(OSError, match=name):
            regular.read(tmp_path / name, at_most)
    with pytest.raises(OSError, match="not a regular file"):
        regular.read("/dev/zero")
