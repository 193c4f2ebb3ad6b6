"""One review from its patterns to its result: gather, analyse, ask, unite, pass over, render.

Whatever may take more than a moment is done in a thread: hook events pass through the same loop.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from anyio.to_thread import run_sync as in_thread

from fanout_mcp.backends.plan import agent_call
from fanout_mcp.engine.run import Plan
from fanout_mcp.journal import Journal, Question
from fanout_mcp.review import reviewers
from fanout_mcp.review.answers import verify_in_tree
from fanout_mcp.review.finding import ID_LENGTH, Finding, touches
from fanout_mcp.review.foreign import read_values
from fanout_mcp.review.gather import Gathered, gather
from fanout_mcp.review.merge import merge, rated
from fanout_mcp.review.result import Request, Reviewed, is_lost, render
from fanout_mcp.review.scope import accepted, check_include, identity, left_out, only_new, unmarked
from fanout_mcp.review.static.analyse import Analysed, coverage, read_own, review_all
from fanout_mcp.source import secrets
from fanout_mcp.source.kinds import Kind
from fanout_mcp.source.receipt import Receipt
from fanout_mcp.source.workers import Failure, Workers, in_own_thread
from fanout_mcp.state.settings import Settings
from fanout_mcp.types import Backend, Json, Progress

DEADLINE_S = 600.0

Calls = tuple[str | None, int, int, int]
"""A model, its calls, the tokens of source that go into all of them, and the most that each answers."""


@dataclass(frozen=True, slots=True)
class Means:
    """What a review works with; the tool hands it down."""

    settings: Settings
    backend: Backend
    workers: Workers
    progress: Progress
    check_price: Callable[[Sequence[Calls]], Awaitable[None]]
    """Raises BudgetExceeded when the calls may cost more than the request's budget."""
    planned: Callable[[list[dict[str, Json]], Receipt], Json]
    """Makes the result of engine="plan" of agent calls."""
    journal: Callable[[], AbstractAsyncContextManager[Journal]]


async def review(means: Means, request: Request, receipt: Receipt) -> tuple[Json, bool]:
    """Return the result, and whether no one reviewed anything. Raises InvalidInput, BudgetExceeded."""
    check_include(request.include)
    root = means.settings.root
    taken = await in_thread(accepted, root)  # before anything is spent, as the next line
    own = await in_thread(read_own, means.settings.config_dir / "rules") if request.has_analysers else ""

    gathered = await gather(root, request.patterns, request.base, means.workers, request.max_files)
    await in_thread(receipt.skip_all, gathered.skipped)
    others = await in_thread(left_out, gathered.files, request.patterns, request.include)
    texts = {source.path: source.text for source in gathered.files if source.path not in others}
    if request.engine == "plan":
        prompts = await in_thread(reviewers.agent_prompts, list(texts), request.focus)
        return means.planned([agent_call(*prompt) for prompt in prompts], receipt), False
    receipt.read = len(gathered.files)

    handed, disproved = await in_thread(_handed, request.with_findings, root)
    analysed, counts = Analysed((), {}), {}
    if request.has_analysers:
        analysed = await _analyse(means, request, gathered, others, texts, own=own)
        counts = await in_thread(coverage, texts, request.focus, own)
    answers = reviewers.Answered()
    if request.engine == "model":
        answers = await _ask(means, request, gathered, texts)

    # Of a model what is at or beside a change; all of it where there is no base.
    found = [one for one in answers.findings if gathered.changed is None or touches(one, gathered.near)]
    united = await in_thread(_united, [*found, *analysed.findings, *handed])
    kept, passed = await in_thread(_without, united, gathered, taken)
    reviewed = Reviewed(
        findings=kept,
        dropped=Counter(answers.dropped) + Counter(disproved),
        not_analysed=_by_no_one(request, analysed, answers),
        answers=answers,
        engine="both" if request.engine == "model" and request.has_analysers else request.engine,
        left_out=others,
        coverage=counts,
        passed_over=passed,
    )
    data = await in_thread(render, means.settings.state, request, gathered, reviewed, receipt)
    return data, is_lost(gathered, reviewed)


def _handed(values: Sequence[Json], root: Path) -> tuple[list[Finding], Mapping[str, int]]:
    """Read and check what other reviewers found; what is disproved is counted by its reason."""
    if not values:
        return [], {}
    foreign = read_values(values, "handed over")
    checked = verify_in_tree(foreign.findings, root)
    return list(checked.kept), dict(sorted((Counter(foreign.bad) + Counter(checked.dropped)).items()))


async def _analyse(
    means: Means,
    request: Request,
    gathered: Gathered,
    others: Mapping[str, Kind],
    texts: Mapping[str, str],
    *,
    own: str,
) -> Analysed:
    """Run the analysers; with a base over what changed as it was too, so that only new findings are left."""
    keys_in = {source.path: source.text for source in gathered.files if source.path in others}

    def on_done(done: int) -> None:
        means.progress(done, len(texts), "files analysed")

    analysed = await review_all(texts, request.focus, means.workers, on_done, keys_in, own=own)
    if gathered.changed is None:
        return analysed
    before = await review_all(gathered.old, request.focus, means.workers, keys_in=gathered.old, own=own)
    new = await in_thread(only_new, analysed.findings, before.findings)
    return Analysed(tuple(new), analysed.not_analysed)


async def _ask(
    means: Means, request: Request, gathered: Gathered, texts: Mapping[str, str]
) -> reviewers.Answered:
    """Ask what was not answered of the same content before; what comes back is kept for the next time."""
    backend, focus = means.backend, request.focus
    clean, unread = await _scrubbed(means.workers, texts)
    own = {path: diff for path, diff in gathered.diffs.items() if path in clean}
    diffs, _ = await _scrubbed(means.workers, own)
    batch = reviewers.seats(focus, request.reviewers, request.models or [backend.default_model("review")])
    async with means.journal() as journal:
        places = await in_thread(reviewers.keys, journal.cache, clean, focus, batch, backend, diffs)
        known = await in_thread(reviewers.recall, journal.cache, places)
        reviews = await in_thread(reviewers.plan, clean, batch, known, diffs)
        await means.check_price(await in_thread(_calls, reviews))
        digests = {source.path: source.digest for source in gathered.files}
        asked = await in_thread(reviewers.ask, reviews, focus, digests)
        journal.tally.total = len(asked)
        questions = [Question(one.job, one.fence) for one in asked]
        outcomes = await journal.ask(questions, Plan(DEADLINE_S, budget=request.budget), reviewers.is_good)
        answered = await in_thread(reviewers.collect, asked, outcomes, known)
        await in_thread(reviewers.remember, journal.cache, places, answered.by_file)
        lost = {**answered.not_analysed, **unread}
        reported = replace(answered, not_analysed=lost, problem=journal.problem)
        return replace(reported, outcomes=outcomes, known=len(known))


async def _scrubbed(workers: Workers, texts: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Take secrets out of texts; return those that may be sent, and why the others may not."""
    done = await in_own_thread(lambda stop: secrets.scrub(workers, list(texts.items()), stop))
    pairs = list(zip(texts, done, strict=True))
    unread = {path: f"taking secrets out {one.reason}" for path, one in pairs if isinstance(one, Failure)}
    return {path: one[0] for path, one in pairs if not isinstance(one, Failure)}, unread


def _calls(reviews: Sequence[reviewers.Review]) -> list[Calls]:
    """Count what is to be asked of each model: its price comes before a word of it is made."""
    calls = Counter(review.seat.model for review in reviews)
    tokens: Counter[str | None] = Counter()
    for one in reviews:
        tokens[one.seat.model] += one.tokens
    return [(model, count, tokens[model], reviewers.ANSWER_TOKENS) for model, count in calls.items()]


def _united(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Merge; where several models or agents answered, rate a claim by how many of them made it."""
    models = {name for finding in findings if finding.source == "model" for name in finding.reviewers}
    return tuple(rated(findings) if len(models) > 1 else merge(findings))


def _by_no_one(request: Request, analysed: Analysed, answers: reviewers.Answered) -> Mapping[str, str]:
    """Return path -> reason of the files that neither analysers nor a model reviewed."""
    if request.engine == "static":
        return analysed.not_analysed
    silent = answers.not_analysed.items()
    return {
        path: reason for path, reason in silent if path in analysed.not_analysed or not request.has_analysers
    }


def _without(
    findings: Sequence[Finding], gathered: Gathered, taken: Mapping[str, Json]
) -> tuple[tuple[Finding, ...], Mapping[str, int]]:
    """Take out, and count, what a mark in the code or the project's list passes over."""
    texts = {source.path: source.text for source in gathered.files}
    kept, marked = unmarked(findings, texts)
    left = [finding for finding in kept if not taken or identity(finding)[:ID_LENGTH] not in taken]
    passed = {"marked": marked, "accepted": len(kept) - len(left)}
    return tuple(left), {why: count for why, count in passed.items() if count}
