"""Equal questions are one call, whoever asks; a run that was killed repeats at most what was in flight."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from fakes.scripted import Reply, Scripted
from fakes.upstream import Rule, serving
from fanout_mcp.engine.limits import Limits
from fanout_mcp.engine.run import Plan
from fanout_mcp.errors import Rejected
from fanout_mcp.journal import Journal, Portion, Question, Remaining, one_at_a_time, open_journal
from fanout_mcp.state.cache import Cache, open_cache
from fanout_mcp.state.settings import Settings
from fanout_mcp.types import Answer, Job, Outcome, Progress, Prompt, no_progress

pytestmark = pytest.mark.both_loops
PLAN = Plan(deadline_s=30)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "project").mkdir()
    return Settings(root=tmp_path / "project", config_dir=tmp_path / "user")


def questions(count: int, fence: str = "", **job: Any) -> list[Question]:
    return [
        Question(Job(f"file{n}", Prompt("system", f"{fence} what is {n}?"), **job), fence)
        for n in range(count)
    ]


def journal(
    settings: Settings, backend: Scripted, total: int = 5, progress: Progress = no_progress
) -> AbstractAsyncContextManager[Journal]:
    return open_journal(settings, backend, Limits(4), progress, total)


async def asked(settings: Settings, backend: Scripted, given: Sequence[Question]) -> list[Outcome]:
    async with journal(settings, backend) as one:
        return await one.ask(given, PLAN)


async def test_the_second_run_costs_no_call(settings: Settings) -> None:
    backend = Scripted()
    first = await asked(settings, backend, questions(5))
    second = await asked(settings, backend, questions(5))
    assert len(backend.asked) == 5
    assert [outcome.status for outcome in first] == ["answered"] * 5
    assert [(o.key, o.status, o.calls, o.usage.tokens_in) for o in second] == [
        (f"file{n}", "cached", 0, 0) for n in range(5)
    ]
    assert [outcome.answer and outcome.answer.text for outcome in second] == [
        outcome.answer and outcome.answer.text for outcome in first
    ]


async def test_a_new_fence_is_no_new_question(settings: Settings) -> None:
    backend = Scripted()
    await asked(settings, backend, questions(3, "FENCE-one"))
    await asked(settings, backend, questions(3, "FENCE-two"))
    assert len(backend.asked) == 3


@pytest.mark.parametrize(
    "change",
    [{"model": "another"}, {"max_tokens": 1}, {"schema": {"type": "object"}}],
)
async def test_whatever_may_change_the_answer_is_a_new_question(
    settings: Settings, change: dict[str, Any]
) -> None:
    backend = Scripted()
    await asked(settings, backend, questions(1))
    await asked(settings, backend, questions(1, **change))
    assert len(backend.asked) == 2


async def test_another_provider_is_asked_anew(settings: Settings) -> None:
    other = Scripted(provider="another")
    await asked(settings, Scripted(), questions(1))
    await asked(settings, other, questions(1))
    assert len(other.asked) == 1


async def test_what_an_agent_may_read_is_part_of_its_question(settings: Settings) -> None:
    backend = Scripted()
    job = Job("module", Prompt("s", "u"))
    for material in ("digest 1", "digest 1", "digest 2"):
        await asked(settings, backend, [Question(job, material=material)])
    assert len(backend.asked) == 2


async def test_failures_cut_answers_and_bad_ones_are_asked_again(settings: Settings) -> None:
    backend = Scripted(
        {
            "file0": [Reply(error=Rejected("no")), Reply("good")],
            "file1": [Reply("cut", truncated=True), Reply("good")],
            "file2": [Reply("bad"), Reply("good")],
        }
    )
    for expected in (["", "cut", "bad"], ["good"] * 3):
        async with journal(settings, backend) as one:
            outcomes = await one.ask(
                questions(3), PLAN, lambda answer: answer.text == "good" and not answer.truncated
            )
        assert [outcome.answer.text if outcome.answer else "" for outcome in outcomes] == expected
    assert [outcome.status for outcome in await asked(settings, backend, questions(3))] == ["cached"] * 3


async def test_equal_questions_at_once_are_one_call(settings: Settings) -> None:
    backend = Scripted(default=Reply(delay_s=0.2))
    results: list[list[Outcome]] = []

    async def one() -> None:
        results.append(await asked(settings, backend, questions(5)))

    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(one)
    assert len(backend.asked) == 5
    statuses = sorted(outcome.status for outcomes in results for outcome in outcomes)
    assert statuses == ["answered"] * 5 + ["cached"] * 15
    assert sum(outcome.calls for outcomes in results for outcome in outcomes) == 5


async def test_a_cancelled_call_is_taken_over_at_once(settings: Settings) -> None:
    backend = Scripted({"file0": [Reply(delay_s=3600), Reply("taken over")]})
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(asked, settings, backend, questions(1))
            await anyio.wait_all_tasks_blocked()
            while not backend.in_flight:  # the claim goes through a thread
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
        [outcome] = await asked(settings, backend, questions(1))
    assert outcome.answer
    assert outcome.answer.text == "taken over"


@pytest.mark.parametrize(
    ("error", "learned"),
    [
        (RuntimeError("can't start new thread"), "can't start new thread"),
        (KeyboardInterrupt(), "interrupted"),
    ],
    ids=["no thread", "interrupted"],
)
async def test_work_whose_thread_never_ran_has_failed_for_each_of_its_callers(
    error: BaseException, learned: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_turn, first_runs, failed = one_at_a_time(), anyio.Event(), list[str]()
    turns: list[int] = []

    async def run_sync(work: Callable[[], list[None]]) -> list[None]:
        turns.append(len(turns))
        if len(turns) == 2:
            raise error
        first_runs.set()
        await anyio.wait_all_tasks_blocked()  # the others queue up behind this turn
        return work()

    async def ask() -> None:
        try:
            assert await in_turn(lambda: "done") == "done"
        except BaseException as caught:  # noqa: BLE001 - which one is the question
            failed.append(str(caught) or type(caught).__name__)

    monkeypatch.setattr(anyio.to_thread, "run_sync", run_sync)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as calls:
            calls.start_soon(ask)
            await first_runs.wait()
            for _ in range(3):
                calls.start_soon(ask)
    assert sorted(failed) == sorted([str(error) or type(error).__name__, learned, learned])
    assert len(turns) == 2
    assert await in_turn(lambda: "later") == "later"


async def test_without_a_cache_everything_is_asked(settings: Settings) -> None:
    settings.cache.parent.mkdir(parents=True)
    settings.cache.write_text("no folder")
    backend = Scripted()
    for _ in range(2):
        async with journal(settings, backend) as one:
            outcomes = await one.ask(questions(3), PLAN)
            assert "went on without the cache" in one.problem
        assert [outcome.status for outcome in outcomes] == ["answered"] * 3
    assert len(backend.asked) == 6


class Hiccup(Cache):
    """Is away for some looks."""

    looks = 0

    @property
    def is_away(self) -> bool:
        return self.looks > 0

    def known(self, keys: Sequence[str]) -> dict[str, Answer]:
        if self.looks:
            self.looks -= 1
            return {}
        return super().known(keys)


@dataclass
class Elsewhere:
    """A worker that answers everything, and leaves answers in the cache or sends them along."""

    cache: Hiccup
    looks: int = 0
    """At which the cache is away afterwards."""
    is_kept: bool = True
    is_on: bool = True
    problem: str = ""

    async def begin(self, portion: Portion, total: int) -> Remaining:
        del total
        answer = Answer("from a worker", "m")

        async def remaining() -> list[Outcome]:
            for job in portion.missing if self.is_kept else ():
                self.cache.keep(portion.keys[job.key], answer)
            self.cache.looks = self.looks
            return [Outcome(job, "answered", None if self.is_kept else answer) for job in portion.missing]

        return remaining

    async def leave(self, *, is_wanted: bool) -> None: ...


async def asked_elsewhere(
    settings: Settings, *, looks: int = 0, is_kept: bool = True, plan: Plan = PLAN
) -> tuple[list[Outcome], Journal]:
    opened: list[Hiccup] = []

    def opens(folder: Path, config_folder: Path) -> Cache:
        opened.append(Hiccup(open_cache(folder, config_folder)._connection, b"secret"))
        return opened[0]

    async with open_journal(settings, Scripted(), Limits(4), no_progress, 2, opens=opens) as one:
        one.remote = Elsewhere(opened[0], looks, is_kept)
        return await one.ask(questions(2), plan), one


async def test_answers_of_workers_are_waited_for_while_the_cache_is_away(settings: Settings) -> None:
    outcomes, one = await asked_elsewhere(settings, looks=3)
    assert [each.answer and each.answer.text for each in outcomes] == ["from a worker"] * 2
    assert one.tally.failed == 0


async def test_a_cache_that_stays_away_is_waited_for_until_the_deadline(settings: Settings) -> None:
    outcomes, one = await asked_elsewhere(settings, looks=10**9, plan=Plan(deadline_s=0.1))
    assert [each.status for each in outcomes] == ["failed"] * 2
    assert one.tally.failed == 2


async def test_an_answer_that_a_worker_sends_along_is_no_failure(settings: Settings) -> None:
    outcomes, one = await asked_elsewhere(settings, is_kept=False)
    assert [each.status for each in outcomes] == ["answered"] * 2
    assert one.tally.failed == 0


async def test_progress_says_what_is_done_cached_failed_spent_and_left(settings: Settings) -> None:
    told: list[tuple[int, int | None, str]] = []
    backend = Scripted({"file1": Reply(error=Rejected("no"))})
    await asked(settings, backend, questions(1))
    async with journal(settings, backend, 3, lambda *line: told.append(line)) as one:
        await one.ask(questions(3), PLAN)
    assert told[-1] == (3, 3, "3 of 3 done, 1 cached, 1 failed, $0.001")
    assert [done for done, _, _ in told] == sorted(done for done, _, _ in told)


RUN = """
import anyio, sys
from pathlib import Path
from fanout_mcp.engine.limits import Limits
from fanout_mcp.engine.run import Plan
from fanout_mcp.backends.http import open_http
from fanout_mcp.journal import Question, open_journal
from fanout_mcp.state.settings import Settings
from fanout_mcp.types import Job, Prompt, no_progress

async def main(root, url):
    settings = Settings(root=Path(root), config_dir=Path(root) / "user", base_url=url, api_key="k")
    questions = [Question(Job(f"j{n}", Prompt("s", f"question {n}."), model="m")) for n in range(120)]
    async with open_http(settings) as backend:
        async with open_journal(settings, backend, Limits(4), no_progress, 120) as one:
            outcomes = await one.ask(questions, Plan(deadline_s=60))
    print(sum(outcome.is_answered for outcome in outcomes))

anyio.run(main, *sys.argv[1:])
"""


def start(root: Path, url: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-P", "-c", textwrap.dedent(RUN), str(root), url], stdout=subprocess.PIPE, text=True
    )


@pytest.mark.slow
def test_a_killed_run_started_again_repeats_at_most_what_was_in_flight(tmp_path: Path) -> None:
    with serving(Rule(delay=0.05)) as upstream:
        first = start(tmp_path, upstream.url)
        while sum(seen.finished is not None for seen in upstream.log) < 40:
            assert first.poll() is None
        first.send_signal(signal.SIGKILL)
        first.communicate()
        again = start(tmp_path, upstream.url)
        assert again.communicate(timeout=60)[0].strip() == "120"
        assert len(upstream.log) <= 120 + 4


@pytest.mark.slow
def test_processes_that_ask_the_same_share_the_calls(tmp_path: Path) -> None:
    with serving(Rule(delay=0.02)) as upstream:
        running = [start(tmp_path, upstream.url) for _ in range(3)]
        assert [process.communicate(timeout=90)[0].strip() for process in running] == ["120"] * 3
        assert len(upstream.log) == 120
