"""batch_review: many files reviewed at once, every finding with words that were found at its place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeVar

import anyio.to_thread
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict

from fanout_mcp.backends.plan import Engine, agent_call, chosen
from fanout_mcp.engine.budget import Budget
from fanout_mcp.engine.run import Plan
from fanout_mcp.errors import InvalidInput
from fanout_mcp.journal import Question, open_journal
from fanout_mcp.review.answers import verify_in_tree
from fanout_mcp.review.finding import ID_LENGTH, Finding, Focus
from fanout_mcp.review.foreign import read_values
from fanout_mcp.review.gather import Gathered, gather
from fanout_mcp.review.merge import merge, rated
from fanout_mcp.review.result import Reviewed, is_lost, render
from fanout_mcp.review.result import Wanted as Shown
from fanout_mcp.review.reviewers import (
    ANSWER_TOKENS,
    Answered,
    Asked,
    Review,
    agent_prompts,
    ask,
    collect,
    is_good,
    keys,
    plan,
    recall,
    remember,
    seats,
)
from fanout_mcp.review.scope import accepted, check_include, identity, left_out, only_new, touches, unmarked
from fanout_mcp.review.static.analyse import Analysed, coverage, review_all
from fanout_mcp.source.kinds import Kind
from fanout_mcp.source.receipt import Detail, Receipt
from fanout_mcp.source.secrets import in_thread, scrub
from fanout_mcp.source.workers import Failure
from fanout_mcp.tools.services import (
    MAX_TOTAL_TOKENS,
    Services,
    Tool,
    ToolResult,
    Wanted,
    check_price,
    planned,
)
from fanout_mcp.types import Json, Outcome, Progress

T = TypeVar("T")

DEADLINE_S = 600.0
MAX_REVIEWERS = 8


def _at_least(least: float) -> AfterValidator:
    """Check a bound without a word of it in the schema, which every conversation pays for."""

    def check_bound(value: float) -> float:
        if value < least:
            raise ValueError(f"must be at least {least:g}")
        return value

    return AfterValidator(check_bound)


def _as_list(value: object) -> object:
    """Take one word for a list of it; "tests,docs" too."""
    return [one.strip() for one in value.split(",") if one.strip()] if isinstance(value, str) else value


class Args(BaseModel):
    model_config = ConfigDict(extra="forbid")

    patterns: list[str]
    focus: Annotated[list[Focus], BeforeValidator(_as_list)] = ["security", "bugs"]
    include: Annotated[list[str], BeforeValidator(_as_list)] = []
    """Kinds of files that are left out else; of scope.INCLUDES."""
    base: str | None = None
    engine: Engine = "auto"
    reviewers: Annotated[int, _at_least(1)] = 1
    models: list[str] | None = None
    with_findings: Any = None
    """What other reviewers found, in any of the forms that review/foreign.py reads."""
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
    check_include(args.include)
    taken = accepted(root)  # before anything is spent
    gathered = await gather(root, args.patterns, args.base, services.workers, args.max_files)
    await _in_thread(lambda: receipt.skip_all(gathered.skipped))
    others = await _in_thread(lambda: left_out(gathered.files, args.patterns, args.include))
    if engine == "plan":
        return ToolResult(await _in_thread(lambda: _plan(gathered, others, args, receipt)))
    receipt.read = len(gathered.files)
    reviewed = await _perform(services, args, engine, _Asked(gathered, others), progress)
    reviewed = await _in_thread(lambda: _without(reviewed, gathered, taken))
    wanted = Shown(args.focus, args.cursor, args.detail, args.sarif)
    drawn = partial(render, services.settings.state, wanted, gathered, reviewed, receipt)
    return ToolResult(await _in_thread(drawn), is_error=is_lost(gathered, reviewed))


class _Asked(NamedTuple):
    """What a review is about, and which of its files are left out, by their kind."""

    gathered: Gathered
    others: Mapping[str, Kind]


def _without(reviewed: Reviewed, gathered: Gathered, taken: AbstractSet[str]) -> Reviewed:
    """Take out what a mark in the code, or the project's list, passes over."""
    texts = {source.path: source.text for source in gathered.files}
    kept, marked = unmarked(reviewed.findings, texts)
    left = [finding for finding in kept if not taken or identity(finding)[:ID_LENGTH] not in taken]
    passed = {"marked": marked, "accepted": len(kept) - len(left)}
    return replace(reviewed, findings=tuple(left), passed_over=passed)


async def _in_thread(work: Callable[[], T]) -> T:
    """Do in a thread what may take more than a moment: hook events pass through this loop."""
    return await anyio.to_thread.run_sync(work)


def _check(args: Args, *, has_model: bool) -> None:
    if not args.patterns:
        raise InvalidInput("`patterns` is empty; name a path, a folder or a glob.")
    if not args.focus:
        raise InvalidInput("`focus` is empty; name one, or leave it out.")
    if args.with_findings is not None and not isinstance(args.with_findings, list):
        raise InvalidInput(
            "`with_findings` must be a list of findings: objects with a `text` and a `reviewer`."
        )
    if args.reviewers > MAX_REVIEWERS:
        raise InvalidInput(f"`reviewers` is {args.reviewers}; at most {MAX_REVIEWERS} read the same file.")
    if args.models == []:
        raise InvalidInput("`models` is empty; name one, or leave it out.")
    if args.models and not has_model and args.engine != "plan":
        raise InvalidInput("`models` names whom to ask, but there is no model: set one up (`fanout doctor`).")


async def _perform(
    services: Services, args: Args, engine: Engine, asked: _Asked, progress: Progress
) -> Reviewed:
    gathered, others = asked
    texts = {source.path: source.text for source in gathered.files if source.path not in others}
    with_static = args.engine != "model"
    handed, dropped = await _in_thread(lambda: _handed(args.with_findings, services.settings.root))
    analysed = Analysed((), {})
    if with_static:
        analysed = await _analyse(services, args, asked, texts, progress)
    counts = await _in_thread(lambda: coverage(texts, args.focus)) if with_static else None
    reviewed = Reviewed(left_out=others, coverage=counts, not_analysed=analysed.not_analysed)
    if engine == "static":
        both = await _in_thread(lambda: _united([*analysed.findings, *handed]))
        return replace(reviewed, findings=both, dropped=dropped, failed={})
    answered, outcomes, known, problem = await _ask(services, args, texts, gathered, progress)
    said = [one for one in answered.findings if gathered.changed is None or touches(one, gathered.near)]
    missing = {
        p: r for p, r in answered.not_analysed.items() if not with_static or p in analysed.not_analysed
    }
    return replace(
        reviewed,
        findings=await _in_thread(lambda: _united([*said, *analysed.findings, *handed])),
        dropped=Counter(answered.dropped) + Counter(dropped),
        failed=answered.failed,
        not_analysed=missing,
        outcomes=outcomes,
        engine="both" if with_static else "model",
        known=known,
        problem=problem,
    )


async def _analyse(
    services: Services, args: Args, asked: _Asked, texts: Mapping[str, str], progress: Progress
) -> Analysed:
    """Run the analysers; with a base over what changed as it was too, so that only new findings are left."""
    gathered, others = asked
    total = len(texts)
    keys_in = {source.path: source.text for source in gathered.files if source.path in others}
    analysed = await review_all(
        texts, args.focus, services.workers, lambda done: progress(done, total, "files analysed"), keys_in
    )
    if gathered.changed is None:
        return analysed
    before = await review_all(gathered.old, args.focus, services.workers, keys_in=gathered.old)
    new = await _in_thread(lambda: tuple(only_new(analysed.findings, before.findings)))
    return Analysed(new, analysed.not_analysed)


def _handed(values: Sequence[Json] | None, root: Path) -> tuple[list[Finding], Mapping[str, int]]:
    """Read and check what other reviewers found; what is disproved is counted by its reason."""
    if not values:
        return [], {}
    foreign = read_values(values, "handed over")
    checked = verify_in_tree(foreign.findings, root)
    return list(checked.kept), dict(sorted((Counter(foreign.bad) + Counter(checked.dropped)).items()))


def _united(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Unite; where several models or agents spoke, say how often a claim was real that so many made."""
    models = {name for finding in findings if finding.source == "model" for name in finding.reviewers}
    return tuple(rated(findings) if len(models) > 1 else merge(findings))


async def _scrubbed(services: Services, texts: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Take secrets out of texts; return those that may be sent, and why the others may not."""
    done = await in_thread(lambda stop: scrub(services.workers, list(texts.items()), stop))
    pairs = list(zip(texts, done, strict=True))
    unread = {path: f"taking secrets out {one.reason}" for path, one in pairs if isinstance(one, Failure)}
    return {path: one[0] for path, one in pairs if not isinstance(one, Failure)}, unread


async def _ask(
    services: Services, args: Args, texts: Mapping[str, str], gathered: Gathered, progress: Progress
) -> Asking:
    """Ask for what was not said of the same content before; what is said now is kept for the next time."""
    backend = services.backend
    clean, unread = await _scrubbed(services, texts)
    diffs, _ = await _scrubbed(
        services, {path: diff for path, diff in gathered.diffs.items() if path in clean}
    )
    batch = seats(args.focus, args.reviewers, args.models or [backend.default_model("review")])
    async with open_journal(services.settings, backend, services.limits, progress, 0) as journal:
        places = await _in_thread(lambda: keys(journal.cache, clean, args.focus, batch, backend, diffs))
        known = await _in_thread(lambda: recall(journal.cache, places))
        reviews = await _in_thread(lambda: plan(clean, batch, known, diffs))
        budget = Budget(max_cost_usd=args.max_cost_usd, max_tokens=MAX_TOTAL_TOKENS)
        await check_price(backend, await _in_thread(lambda: _wanted(reviews)), budget)
        asked = await _in_thread(lambda: ask(reviews, args.focus, backend.provider))
        journal.tally.total = len(asked)
        outcomes = await journal.ask(_questions(asked), Plan(DEADLINE_S, budget=budget), is_good)
        answered = await _in_thread(lambda: collect(asked, outcomes, known))
        await _in_thread(lambda: remember(journal.cache, places, answered.said))
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


def _plan(gathered: Gathered, others: Mapping[str, Kind], args: Args, receipt: Receipt) -> Json:
    paths = [source.path for source in gathered.files if source.path not in others]
    prompts = agent_prompts(paths, args.focus)
    return planned([agent_call(*prompt) for prompt in prompts], args.cursor, receipt)


TOOL = Tool(
    name="batch_review",
    title="Review files",
    description="Review files or the diff since `base`; quotes are checked. `with_findings`: to merge.",
    arguments=Args,
    call=call,
    search_hint="code review security audit findings diff SARIF",
)
