"""What one hook writes is locked against every other that touches it, across events and sessions."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import fanout_hooks
from fakes.sandbox import PYTHON, Sandbox, pre_tool_use
from fanout_hooks.client.config import Hook
from fanout_hooks.client.hook_input import to_stdin
from fanout_hooks.learn.memory import TRIALS, Memory
from fanout_hooks.run import plan
from fanout_hooks.run.plan import Footprint, Writers
from fanout_hooks.run.state import Locks
from fanout_hooks.warm.loop import Loop

PATHS = st.sampled_from(
    [
        *("/p", "/p/s", "/p/s/x.json", "/p/s/y.json", "/p/s/d/z", "/q/x.json"),
        *("/p/*", "/p/s/*", "/p/s/*.json", "/p/s/x*", "/p/*/z", "/q/*"),
    ]
)
FOOTPRINTS = st.builds(
    lambda reads, writes, resources: Footprint("h", reads, writes, resources),
    st.frozensets(PATHS, max_size=3),
    st.frozensets(PATHS, max_size=3),
    st.frozensets(st.sampled_from(["git-index", "net"]), max_size=1),
)


def touches(*, reads: tuple[str, ...] = (), writes: tuple[str, ...] = ()) -> Footprint:
    return Footprint("h", frozenset(reads), frozenset(writes))


def exclude(one: Footprint, other: Footprint) -> bool:
    """Say whether the two can't hold their locks at once."""
    written = Writers.of(one.writes | other.writes)
    keys, others = (plan.lock_keys(each, written) for each in (one, other))
    return any(keys[key] or others[key] for key in keys.keys() & others.keys())


@given(FOOTPRINTS, FOOTPRINTS)
def test_every_two_hooks_that_wait_in_one_event_exclude_each_other_across_events(
    one: Footprint, other: Footprint
) -> None:
    if plan.clash(one, other):
        assert exclude(one, other)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (touches(writes=("/p/s/*",)), touches(writes=("/p/s/x",)), True),
        (touches(writes=("/p/s/*",)), touches(reads=("/p/s/x",)), True),
        (touches(writes=("/p/*",)), touches(writes=("/p/s/x",)), True),
        (touches(writes=("/p/a*",)), touches(writes=("/p/*b",)), True),
        (touches(writes=("/p/s/x",)), touches(reads=("/p/s",)), True),
        (touches(writes=("/p/s/x",)), touches(reads=("/p/s/*.json",)), False),
        (touches(writes=("/p/s/x",)), touches(writes=("/p/s/y",)), False),
        (touches(writes=("/p/s/x",)), touches(reads=("/p/s/y",)), False),
        (touches(reads=("/p/s",)), touches(reads=("/p/s",)), False),
    ],
)
def test_what_is_apart_stays_apart(one: Footprint, other: Footprint, *, expected: bool) -> None:
    assert exclude(one, other) is expected
    assert exclude(other, one) is expected


def test_two_patterns_that_one_file_may_match_are_written_one_after_another() -> None:
    assert plan.clash(touches(writes=("/p/a*",)), touches(writes=("/p/*b",)))
    assert not plan.clash(touches(writes=("/p/a*",)), touches(writes=("/p/b*",)))


def test_a_reader_is_locked_against_a_writer_that_is_only_declared(tmp_path: Path) -> None:
    state = str(tmp_path / "state.json")
    reader = Hook("reader", "PreToolUse", "local", command="cat state.json", reads=("state.json",))
    writer = Hook("writer", "Stop", "local", command="sh write", writes=("state.json",))
    declared = plan.declared([writer], str(tmp_path))
    made = plan.make([reader], str(tmp_path), str(tmp_path), {}, Memory("/nowhere"), declared)
    assert made.units[0].locks[state] is False


def test_who_has_learned_a_hook_waits_for_a_session_that_still_tries_it(tmp_path: Path) -> None:
    """That one planned before anything was known, and only then came to its turn."""
    script, known = tmp_path / "hook.py", Memory(str(tmp_path / "memory.json"))
    script.write_text("pass")
    hook = Hook("hook", "PreToolUse", "local", command=f"{PYTHON} {script}")

    def locks() -> dict[str, bool]:
        made = plan.make([hook], str(tmp_path), str(tmp_path), {}, known)
        return made.units[0].locks

    at_first = locks()
    for _ in range(TRIALS):
        effects = {"reads": [], "writes": [str(tmp_path / "n")], "spawns": False, "opaque": False}
        known.note(str(script), 1.0, effects=effects)
    learned = locks()
    shared = at_first.keys() & learned.keys()
    assert [at_first[key] for key in shared] == [True]
    assert [learned[key] for key in shared] == [False]


@pytest.mark.slow
def test_events_of_many_cold_processes_at_once_lose_no_update(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path)
    source = (
        "import os, time\nn = int(open('n').read()) if os.path.exists('n') else 0\n"
        "time.sleep(0.002)\nopen('n', 'w').write(str(n + 1))"
    )
    sandbox.hooks("PreToolUse", sandbox.python("count", source))
    run = Path(fanout_hooks.__file__).parents[1] / "run.py"
    command = [sys.executable, "-I", "-S", str(run), "cold", "--scopes", "local"]
    for round_of in range(2):
        started = [
            subprocess.Popen(command, stdin=subprocess.PIPE, env=sandbox.env, cwd=sandbox.project)
            for _ in range(6)
        ]
        for number, process in enumerate(started):
            given = sandbox.here(pre_tool_use(tool_use_id=f"toolu_{round_of}_{number}"))
            assert process.stdin is not None
            process.stdin.write(to_stdin(given))
            process.stdin.close()
        assert [process.wait() for process in started] == [0] * 6
    assert (sandbox.project / "n").read_text() == "12"


# --- taking them --------------------------------------------------------------------------------------------

HOLD = """
import sys
sys.path.insert(0, sys.argv[1])
from fanout_hooks.warm.loop import Loop
from fanout_hooks.run.state import Locks
loop = Loop()
locks = Locks(loop, sys.argv[2])
note = loop.run(locks.acquire({key: sys.argv[3] == "write" for key in sys.argv[4:]}))
print(note or "held", flush=True)
sys.stdin.read()
"""


class Session:
    """Another process that holds locks until it is ended."""

    def __init__(self, folder: Path, mode: str, *keys: str) -> None:
        top = str(Path(fanout_hooks.__file__).parents[1])
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", HOLD, top, str(folder), mode, *keys],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "held\n"

    def end(self) -> None:
        self.process.communicate()


def take(folder: Path, keys: dict[str, bool], max_wait_s: float = 0.0) -> str:
    with taking(folder) as (loop, locks):
        return loop.run(locks.acquire(keys, max_wait_s))


@contextmanager
def taking(folder: Path) -> Iterator[tuple[Loop, Locks]]:
    loop = Loop()
    locks = Locks(loop, str(folder))
    try:
        yield loop, locks
    finally:
        locks.close()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[tuple[Loop, Locks]]:
    with taking(tmp_path) as made:
        yield made


@pytest.mark.parametrize(
    ("theirs", "ours", "note"),
    [
        ("write", True, "went on without the lock of /p/x: another process keeps it"),
        ("write", False, "went on without the lock of /p/x: another process keeps it"),
        ("read", True, "went on without the lock of /p/x: another process keeps it"),
        ("read", False, ""),
    ],
)
def test_what_another_session_writes_is_waited_for_and_what_it_reads_is_shared(
    tmp_path: Path, theirs: str, note: str, *, ours: bool
) -> None:
    other = Session(tmp_path, theirs, "/p/x")
    try:
        assert take(tmp_path, {"/p/x": ours, "/p/y": True}) == note
    finally:
        other.end()
    assert take(tmp_path, {"/p/x": ours}) == ""


def test_any_number_of_locks_takes_one_descriptor_and_one_file(
    tmp_path: Path, own: tuple[Loop, Locks]
) -> None:
    loop, locks = own
    held = [{f"/p/{n}/{m}": True for m in range(256)} for n in range(8)]
    notes = [loop.run(locks.acquire(keys, 0.0)) for keys in held]
    open_before = len(list(Path("/dev/fd").iterdir()))
    assert not any(notes)
    assert len(list(tmp_path.iterdir())) == 1
    more = {"/p/more": True}
    loop.run(locks.acquire(more, 0.0))
    assert len(list(Path("/dev/fd").iterdir())) == open_before
    other = Session(tmp_path, "write", "/p/other")
    other.end()
    for one in [*held, more]:
        locks.release(one)
    Session(tmp_path, "write", *(f"/p/{n}/{m}" for n in range(8) for m in range(16))).end()


def test_a_hook_that_reads_on_keeps_its_lock_when_another_reader_ends(
    tmp_path: Path, own: tuple[Loop, Locks]
) -> None:
    loop, locks = own
    read = {"/p/x": False}
    for _ in range(2):
        loop.run(locks.acquire(read))
    locks.release(read)
    check = "import fcntl, sys; fcntl.lockf(open(sys.argv[1], 'r+b'), fcntl.LOCK_EX | fcntl.LOCK_NB)"
    file = next(tmp_path.iterdir())
    command = [sys.executable, "-I", "-S", "-c", check, str(file)]
    assert subprocess.run(command, check=False, capture_output=True).returncode == 1
    locks.release(read)
    assert subprocess.run(command, check=False, capture_output=True).returncode == 0


def test_a_lock_that_cannot_be_taken_at_all_is_noted_and_costs_no_hook(tmp_path: Path) -> None:
    folder = tmp_path / "locks"
    folder.write_text("in the way")
    assert take(folder, {"/p/x": True}).startswith(f"went on without locks: {folder}")


def test_locks_stand_again_after_their_file_was_cleared_away(tmp_path: Path, own: tuple[Loop, Locks]) -> None:
    loop, locks = own
    loop.run(locks.acquire({"/p/x": True}))
    locks.release({"/p/x": True})
    next(tmp_path.iterdir()).unlink()
    other = Session(tmp_path, "write", "/p/x")
    try:
        assert loop.run(locks.acquire({"/p/x": True}, 0.0))
    finally:
        other.end()


def test_hooks_of_one_session_take_turns_on_what_one_writes(own: tuple[Loop, Locks]) -> None:
    loop, locks = own
    turns: list[str] = []

    async def hook(name: str, keys: dict[str, bool]) -> None:
        await locks.acquire(keys)
        turns.append(f"{name} begins")
        await loop.sleep(0)
        turns.append(f"{name} ends")
        locks.release(keys)

    async def all_of_them() -> None:
        began = [loop.spawn(hook(name, {"/p/x": True, f"/p/{name}": True})) for name in "abc"]
        for one in began:
            await one

    loop.run(all_of_them())
    assert len(turns) == 6
    assert [turn.split()[0] for turn in turns[::2]] == [turn.split()[0] for turn in turns[1::2]]
