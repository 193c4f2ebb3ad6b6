"""The client cuts an event, or the server goes: what was learned stays, and no hook runs on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import fanout_hooks
from fanout_hooks.event import to_stdin
from fanout_hooks.memory import Memory, path_of
from hooks.stage import Event, Stage, prompt

ENTRY = str(Path(fanout_hooks.__file__).with_name("__main__.py"))


def _cold(stage: Stage, event: Event) -> subprocess.Popen[bytes]:
    """Start an event as the client does: in a process group of its own."""
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", ENTRY, "cold", "--scopes", "local"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        env=stage.env | {"FANOUT_STATE_DIR": str(stage.state)},
        cwd=stage.project,
        start_new_session=True,
    )
    assert process.stdin is not None
    process.stdin.write(to_stdin(stage.here(event)))
    process.stdin.close()
    return process


@contextmanager
def _cut_when_it_says_so(stage: Stage, event: Event) -> Iterator[str]:
    """Run an event cold until one of its hooks writes into the FIFO `now`; then kill its process group."""
    now = stage.project / "now"
    if not now.exists():
        os.mkfifo(now)
    process = _cold(stage, event)
    try:
        said = now.read_text()
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    yield said


def test_what_a_cut_event_has_learned_stays_so_the_next_one_begins_further_on(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    first = stage.script("first", "open('ran', 'a').write('1')")
    cut = "open('ran', 'a').write('2'); open('now', 'w').write('cut'); import time; time.sleep(600)"
    stage.hooks("UserPromptSubmit", stage.python("first", first.read_text()), stage.python("second", cut))
    for runs in (1, 2):
        with _cut_when_it_says_so(stage, prompt(str(runs))):
            known = Memory(path_of(str(stage.state / "hooks"), str(stage.project)))
        assert known.of(str(first)).runs == runs
    assert (stage.project / "ran").read_text() == "1212"
