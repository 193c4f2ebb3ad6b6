"""batch_review: many files reviewed at once, every finding with words that were found at its place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated, NamedTuple, TypeVar

import anyio.to_thread
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from fanout_mcp.backends.plan import agent_call
from fanout_mcp.engine.budget import Budget
from fanout_mcp.engine.run import Plan
from fanout_mcp.errors import InvalidInput
from fanout_mcp.journal import Question, open_journal
from fanout_mcp.review.finding import Focus
from fanout_mcp.review.gather import Gathered, gather
from fanout_mcp.review.merge import merge
from fanout_mcp.review.model import ANSWER_TOKENS, Answered, Asked, Review, ask, collect, is_good, plan, seats
from fanout_mcp.review.prompts import agent_prompts
from fanout_mcp.review.remember import keys, recall, remember
from fanout_mcp.review.result import Reviewed, is_lost, render
from fanout_mcp.review.result import Wanted as Shown
from fanout_mcp.review.static import Analysed, review_static
from fanout_mcp.services import Services, Tool, ToolResult
from fanout_mcp.source.bound import Detail
from fanout_mcp.source.engines import Engine, chosen
from fanout_mcp.source.receipt import Receipt
from fanout_mcp.source.scrub import in_thread, scrub
from fanout_mcp.source.workers import Failure
from fanout_mcp.tools.affording import MOST_TOKENS, Wanted, check_price
from fanout_mcp.tools.planned import planned
from fanout_mcp.types import Json, Outcome, Progress

T = TypeVar("T")

DEADLINE_S = 600.0
MOST_REVIEWERS = 8


def _at_least(least: float) -> AfterValidator:
    """Check a bound without a word of it in the schema, which every conversation pays for."""

    def check_bound(value: float) -> float:
        if value < least:
            raise ValueError(f"must be at least {least:g}")
        return value

    return AfterValidator(check_bound)


class Args(BaseModel):
    model_config = ConfigDict(extra="forbid")

    patterns: Annotated[list[str], Field(description="paths, folders, globs")]
    focus: Focus = "security"
    base: str | None = None
    engine: Engine = "auto"
    reviewers: Annotated[int, _at_least(1)] = 1
    models: list[str] | None = None
    sarif: bool = False
    cursor: Annotated[int, _at_least(0)] = 0
    detail: Detail = "auto"
    """Whole findings, never a line each: more pages instead."""
    max_files: Annotated[int, _at_least(1)] = 5000
    max_cost_usd: Annotated[float, _at_least(0)] = 1.0


class Asking(NamedTuple):
    answered: Answered
    outcomes: Sequence[Outcome]
    known: int
    problem: str


async def call(services: Services, args: Args, progress: Progress) -> ToolResult:
    _check(args, has_model=services.backend.has_model)
    engine = chosen(args.engine, has_model=services.backend.has_model)
    receipt = Receipt()
    root = services.settings.root
    gathered = await gather(root, args.patterns, args.base, services.workers, args.max_files)
    await _aside(lambda: receipt.skip_all(gathered.skipped))
    if engine == "plan":
        return ToolResult(await _aside(lambda: _plan(gathered, args, receipt)))
    receipt.read = len(gathered.files)
    reviewed = await _perform(services, args, engine, gathered, progress)
    wanted = Shown(args.focus, args.cursor, args.detail, args.sarif)
    drawn = partial(render, services.settings.state, wanted, gathered, reviewed, receipt)
    return ToolResult(await _aside(drawn), is_error=is_lost(gathered, reviewed))


async def _aside(work: Callable[[], T]) -> T:
    """Do in a thread what may take more than a moment: hook events pass through this loop."""
    return await anyio.to_thread.run_sync(work)


def _check(args: Args, *, has_model: bool) -> None:
    if not args.patterns:
        raise InvalidInput("`patterns` is empty; name a path, a folder or a glob.")
    if args.reviewers > MOST_REVIEWERS:
        raise InvalidInput(f"`reviewers` is {args.reviewers}; at most {MOST_REVIEWERS} read the same file.")
    if args.models == []:
        raise InvalidInput("`models` is empty; name one, or leave it out.")
    if args.models and not has_model and args.engine != "plan":
        raise InvalidInput("`models` names whom to ask, but there is no model: set one up (`fanout doctor`).")


async def _perform(
    services: Services, args: Args, engine: Engine, gathered: Gathered, progress: Progress
) -> Reviewed:
    texts = {source.path: source.text for source in gathered.files}
    with_static = args.engine != "model"
    total = len(texts)
    analysed = Analysed((), {})
    if with_static:
        analysed = await review_static(
            texts, args.focus, services.workers, lambda done: progress(done, total, "files analysed")
        )
    if engine == "static":
        return Reviewed(analysed.findings, {}, {}, analysed.not_analysed, (), "static")
    answered, outcomes, known, problem = await _ask(services, args, texts, progress)
    both = await _aside(lambda: merge([*answered.findings, *analysed.findings]))
    missing = {
        p: r for p, r in answered.not_analysed.items() if not with_static or p in analysed.not_analysed
    }
    return Reviewed(
        tuple(both),
        answered.dropped,
        answered.failed,
        missing,
        outcomes,
        "both" if with_static else "model",
        known,
        problem,
    )


async def _ask(services: Services, args: Args, texts: Mapping[str, str], progress: Progress) -> Asking:
    """Ask for what was not said of the same content before; what is said now is kept for the next time."""
    backend = services.backend
    scrubbed = await in_thread(lambda stop: scrub(services.workers, list(texts.items()), stop))
    pairs = zip(texts, scrubbed, strict=True)
    unread = {path: f"taking secrets out {one.reason}" for path, one in pairs if isinstance(one, Failure)}
    clean = {path: one[0] for path, one in zip(texts, scrubbed, strict=True) if not isinstance(one, Failure)}
    sitting = seats(args.focus, args.reviewers, args.models or [backend.default_model("review")])
    async with open_journal(services.settings, backend, services.limits, progress, 0) as journal:
        places = await _aside(lambda: keys(journal.cache, clean, args.focus, sitting, backend))
        known = await _aside(lambda: recall(journal.cache, places))
        reviews = await _aside(lambda: plan(clean, sitting, known))
        budget = Budget(max_cost_usd=args.max_cost_usd, max_tokens=MOST_TOKENS)
        await check_price(backend, await _aside(lambda: _wanted(reviews)), budget)
        asked = await _aside(lambda: ask(reviews, args.focus, backend.provider))
        journal.tally.total = len(asked)
        outcomes = await journal.ask(_questions(asked), Plan(DEADLINE_S, budget=budget), is_good)
        answered = await _aside(lambda: collect(asked, outcomes, known))
        await _aside(lambda: remember(journal.cache, places, answered.said))
        answered = replace(answered, not_analysed={**answered.not_analysed, **unread})
        return Asking(answered, outcomes, len(known), journal.problem)


def _wanted(reviews: Sequence[Review]) -> list[Wanted]:
    """What is to be asked of each model: its price comes before a word of it is made."""
    calls = Counter(review.seat.model for review in reviews)
    tokens: Counter[str | None] = Counter()
    for review in reviews:
        tokens[review.seat.model] += review.tokens
    return [Wanted(model, count, tokens[model], ANSWER_TOKENS) for model, count in calls.items()]


def _questions(asked: Sequence[Asked]) -> list[Question]:
    return [Question(one.job, one.fence) for one in asked]


def _plan(gathered: Gathered, args: Args, receipt: Receipt) -> Json:
    prompts = agent_prompts([source.path for source in gathered.files], args.focus)
    return planned([agent_call(*prompt) for prompt in prompts], args.cursor, receipt)


TOOL = Tool(
    name="batch_review",
    title="Review files",
    description=(
        "Review many files at once. Every finding has a verbatim quote found at path:line. Works without a "
        "model too. Give `base` to review a diff."
    ),
    arguments=Args,
    call=call,
    search_hint="code review security audit findings diff SARIF",
)
