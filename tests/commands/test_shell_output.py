"""What the commands print, as it reaches a pipe, a file, a full disk and a terminal."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from fakes.few import few
from fanout_mcp.commands.flags import NO_VERDICT, OK
from fanout_mcp.commands.shell import STEPS, Lines, put

WORDS = "a path of a hundred folders/" * 20
MANY = 60


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "src").mkdir()
    for number in range(MANY):
        (tmp_path / "src" / f"module_{number}.py").write_text('"""Say hello."""\nimport os\n')
    return tmp_path


def command(*words: str) -> list[str]:
    return [sys.executable, "-P", "-m", "fanout_mcp", *words]


def environment(project: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(project.parent / "home"),
        "FANOUT_BACKEND": "plan",
        "TERM": "xterm",
    }


def test_into_a_pipe_no_line_is_broken_and_none_is_padded(capsys: pytest.CaptureFixture[str]) -> None:
    def draw(console: Console) -> None:
        from rich.table import Table

        table = Table.grid(padding=(0, 2))
        table.add_row("short", WORDS)
        table.add_row("short", "x")
        console.print(table)
        console.print(WORDS)

    put(draw)
    assert capsys.readouterr().out == f"short  {WORDS}\nshort  x\n{WORDS}\n"


def _run_into(output: int, project: Path, words: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*words),
        cwd=project,
        env=environment(project),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    "words", few([["summarize", "src"], ["report"], ["review", "src"], ["--help"]], ["report"]), ids=str
)
def test_a_reader_that_has_seen_enough_is_no_error(project: Path, words: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = _run_into(writer, project, words)
    os.close(writer)
    assert done.returncode == OK
    assert "Error" not in done.stderr


@pytest.mark.parametrize(
    "words", few([["summarize", "src"], ["report"], ["oracle", "Is it wise?"]], ["report"]), ids=str
)
def test_a_full_disk_is_one_sentence(project: Path, words: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = _run_into(full.fileno(), project, words)
    assert done.returncode == NO_VERDICT
    assert done.stderr.splitlines()[-1] == "fanout: the output can't be written: No space left on device."
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("total", "lines"), [(3, 3), (20, 20), (500, STEPS + 1), (100_000, STEPS + 1)])
def test_a_log_gets_some_twenty_lines_of_progress_the_last_one_too(total: int, lines: int) -> None:
    out = io.StringIO()
    tell = Lines(out)
    for done in range(1, total + 1):
        tell(done, total, "files read")
    told = out.getvalue().splitlines()
    assert len(told) == lines
    assert told[-1] == f"{total}/{total} files read"


def test_what_progress_says_stays_on_its_line() -> None:
    out = io.StringIO()
    Lines(out)(1, 3, "a name\n3/3 forged")
    assert out.getvalue() == "1/3 a name\ufffd3/3 forged\n"


@pytest.mark.slow
def test_on_a_terminal_progress_is_erased_and_never_grows(project: Path) -> None:
    controller, terminal = pty.openpty()
    done = subprocess.Popen(
        command("review", "src"),
        cwd=project,
        env=environment(project),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=terminal,
    )
    os.close(terminal)
    shown = b""
    with os.fdopen(controller, "rb", buffering=0) as screen:
        try:
            while part := screen.read(65_536):
                shown += part
        except OSError:  # Linux says so when the other side is closed
            pass
    assert done.wait(60) == OK
    assert shown.count(b"\n") < MANY / 2
    assert f"/{MANY}".encode() in shown
    assert shown.rstrip().endswith((b"\x1b[2K", b"\x1b[?25h"))


@pytest.mark.parametrize(
    "words", few([["doctor"], ["audit"], ["review", "src"], ["oracle", "Is it?"]], ["audit"]), ids=str
)
def test_no_command_pads_its_lines_in_a_pipe(project: Path, words: list[str]) -> None:
    done = subprocess.run(
        command(*words),
        cwd=project,
        env=environment(project),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    lines = done.stdout.splitlines()
    assert lines
    assert lines == [line.rstrip() for line in lines]
