"""A hostile file costs a worker and its own result, nothing else."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from fanout_mcp.source.workers import Failure, Workers, in_own_thread

pytestmark = pytest.mark.both_loops
PROBE = "fanout_mcp.source.workers_main:probe"


@pytest.fixture
def pool() -> Iterator[Workers]:
    workers = Workers(2)
    yield workers
    workers.close()


def reasons(pool: Workers, items: list[object], timeout_s: float = 5.0) -> list[object]:
    return [
        result.reason.partition(";")[0] if isinstance(result, Failure) else result["echo"]
        for _, result in pool.map_now(PROBE, items, timeout_s=timeout_s)
    ]


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        ("crash", "the parser crashed (SIGSEGV)"),
        ("hang", "took longer than 0.3 s"),
        ("eat", "ran out of memory"),
        ("raise", "analysing it failed, which is a defect of fanout"),
    ],
)
def test_what_dies_of_an_item_is_that_item_alone(pool: Workers, item: str, reason: str) -> None:
    items: list[object] = [*range(20), item, *range(20)]
    expected: list[object] = [*range(20), reason, *range(20)]
    assert reasons(pool, items, timeout_s=0.3 if item == "hang" else 5.0) == expected


def test_results_come_in_the_order_of_the_items(pool: Workers) -> None:
    assert reasons(pool, list(range(500))) == list(range(500))


def test_noise_on_stdout_is_no_answer(pool: Workers) -> None:
    assert reasons(pool, ["print", "print"]) == ["print", "print"]


def test_large_items_and_results_do_not_block_each_other(pool: Workers) -> None:
    items: list[object] = ["x" * 400_000 for _ in range(40)]
    assert reasons(pool, items) == items


def test_names_that_are_no_text_survive_the_way(pool: Workers) -> None:
    items: list[object] = ["\udcff\n\u202e", "\ud800"]
    assert reasons(pool, items) == items


def test_nothing_outside_our_own_package_is_called(pool: Workers) -> None:
    [(_, result)] = pool.map_now("os:getcwd", [None])
    assert isinstance(result, Failure)
    assert "not one of ours" in result.reason


def test_two_calls_share_the_pool() -> None:
    pool = Workers(1)
    done: list[int] = []
    calls = [
        threading.Thread(target=lambda: done.append(len(pool.map_now(PROBE, list(range(200))))))
        for _ in range(3)
    ]
    for call in calls:
        call.start()
    for call in calls:
        call.join(30)
    pool.close()
    assert done == [200, 200, 200]


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_closing_ends_the_workers() -> None:
    async with Workers(2) as pool:
        results = await pool.map(PROBE, list(range(50)))
    assert not any(is_alive(result["pid"]) for _, result in results if not isinstance(result, Failure))


async def test_cancelling_a_call_gives_its_workers_up_and_the_pool_goes_on() -> None:
    async with Workers(1) as pool:
        with anyio.move_on_after(0.2) as scope:
            await pool.map(PROBE, ["hang"], timeout_s=60)
        assert scope.cancelled_caught
        with anyio.fail_after(30):
            [(_, result)] = await pool.map(PROBE, ["after"])
    assert not isinstance(result, Failure)
    assert result["echo"] == "after"


async def test_however_many_wait_for_a_worker_a_thread_is_free_for_others() -> None:
    async with anyio.create_task_group() as calls:
        for _ in range(60):
            calls.start_soon(in_own_thread, lambda stop: stop.wait(30))
        await anyio.wait_all_tasks_blocked()
        with anyio.fail_after(5):
            await anyio.to_thread.run_sync(int)
        calls.cancel_scope.cancel()


async def test_variables_of_a_repository_run_none_of_its_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    async with Workers(1) as pool:
        [(_, result)] = await pool.map(PROBE, ["here"])
    assert not isinstance(result, Failure)
    assert not (tmp_path / "ran").exists()


async def test_progress_counts_every_item(pool: Workers) -> None:
    seen: list[int] = []
    await pool.map(PROBE, list(range(30)), on_done=seen.append)
    assert seen == list(range(1, 31))
