"""batch_review: many files reviewed at once, every finding with words that were found at its place."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from typing import Annotated, Literal, NamedTuple

import anyio.to_thread
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from fanout_mcp.backends.plan import agent_call, messages
from fanout_mcp.engine.budget import Budget, check, estimate
from fanout_mcp.engine.run import Plan
from fanout_mcp.errors import InvalidInput
from fanout_mcp.journal import Question, open_journal
from fanout_mcp.review.finding import Finding, Focus, as_json, is_test
from fanout_mcp.review.gather import Gathered, gather
from fanout_mcp.review.merge import capped, merge, ranked
from fanout_mcp.review.model import Answered, Asked, collect, is_good, plan, seats
from fanout_mcp.review.pages import MOST_CHARACTERS, few, page, size, write
from fanout_mcp.review.prompts import agent_prompts
from fanout_mcp.review.remember import keys, recall, remember
from fanout_mcp.review.sarif import to_sarif
from fanout_mcp.review.static import Analysed, review_static
from fanout_mcp.services import Services, Tool, ToolResult
from fanout_mcp.source import tokens
from fanout_mcp.source.bound import Detail
from fanout_mcp.source.discover import reasons
from fanout_mcp.source.secrets import redact
from fanout_mcp.types import Json, Outcome, Progress, Usage

PER_RULE: dict[Focus, int] = {"security": 20, "bugs": 20, "performance": 10, "architecture": 10, "style": 3}
"""Findings of one rule that are listed; critical and high ones all are, the report has the rest."""
DEADLINE_S = 600.0
MOST_REVIEWERS = 8
MOST_TOKENS = 5_000_000
"""Holds where no price is known."""

NOT_FOUND_STATICALLY = (
    "Static review finds known patterns. It can't find logic bugs: wrong rules, missing checks of who may do "
    "what, races, wrong results. No finding doesn't mean no defect."
)


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
    engine: Literal["auto", "model", "static", "plan"] = "auto"
    reviewers: Annotated[int, _at_least(1)] = 1
    models: list[str] | None = None
    sarif: bool = False
    cursor: Annotated[int, _at_least(0)] = 0
    detail: Detail = "auto"
    """Whole findings, never a line each: more pages instead."""
    max_files: Annotated[int, _at_least(1)] = 5000
    max_cost_usd: Annotated[float, _at_least(0)] = 1.0


@dataclass(frozen=True, slots=True)
class Reviewed:
    """What the engines said, before it is cut to size."""

    findings: tuple[Finding, ...] = ()
    dropped: Mapping[str, int] | None = None
    failed: Mapping[str, str] | None = None
    not_analysed: Mapping[str, str] | None = None
    outcomes: Sequence[Outcome] = ()
    engine: str = "static"
    known: int = 0
    """Files, a reviewer each, that a model read before: they cost no call."""
    problem: str = ""
    """Why answers are not kept; empty while they are."""


class Asking(NamedTuple):
    answered: Answered
    outcomes: Sequence[Outcome]
    known: int
    problem: str


async def call(services: Services, args: Args, progress: Progress) -> ToolResult:
    started = time.monotonic()
    if not args.patterns or args.reviewers > MOST_REVIEWERS:
        raise InvalidInput(f"`patterns` needs a path or more, `reviewers` is at most {MOST_REVIEWERS}.")
    root = services.settings.root
    gathered = await gather(root, args.patterns, args.base, services.workers, args.max_files)
    if args.engine == "plan":
        return ToolResult(_plan(gathered, args))
    reviewed = await _perform(services, args, gathered, progress)
    findings = _chosen(reviewed.findings, gathered)
    data = await anyio.to_thread.run_sync(partial(_render, services, args, gathered, reviewed, findings))
    data["receipt"]["elapsed_s"] = round(time.monotonic() - started, 2)
    return ToolResult(data, is_error=_is_lost(reviewed))


def _is_lost(reviewed: Reviewed) -> bool:
    """Every review by a model was lost, and nothing else reviewed the files."""
    lost = [outcome.answer is None for outcome in reviewed.outcomes]
    return reviewed.engine == "model" and bool(lost) and all(lost) and not reviewed.known


async def _perform(services: Services, args: Args, gathered: Gathered, progress: Progress) -> Reviewed:
    has_model = services.backend.has_model
    if args.engine == "model" and not has_model:
        raise InvalidInput(
            'There is no model: set one up (`fanout doctor`), or use engine="static" or "plan".'
        )
    texts = {source.path: source.text for source in gathered.files}
    with_static = args.engine != "model"
    with_model = args.engine == "model" or (args.engine == "auto" and has_model)
    total = len(texts)
    analysed = Analysed((), {})
    if with_static:
        analysed = await review_static(
            texts, args.focus, services.workers, lambda done: progress(done, total, "files analysed")
        )
    if not with_model:
        return Reviewed(analysed.findings, {}, {}, analysed.not_analysed, (), "static")
    answered, outcomes, known, problem = await _ask(services, args, texts, progress)
    both = merge([*answered.findings, *analysed.findings])
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
    clean = await anyio.to_thread.run_sync(lambda: {path: redact(text)[0] for path, text in texts.items()})
    sitting = seats(args.focus, args.reviewers, args.models or [backend.default_model("review")])
    async with open_journal(services.settings, backend, services.limits, progress, 0) as journal:
        places = keys(journal.cache, clean, args.focus, sitting, backend.name)
        known = await anyio.to_thread.run_sync(recall, journal.cache, places)
        asked = plan(clean, args.focus, sitting, backend.provider, known)
        going = Plan(deadline_s=DEADLINE_S, budget=await _affordable(services, args, asked))
        journal.tally.total = len(asked)
        outcomes = await journal.ask([Question(one.job, one.fence) for one in asked], going, is_good)
        answered = collect(asked, outcomes, known)
        await anyio.to_thread.run_sync(remember, journal.cache, places, answered.said)
        return Asking(answered, outcomes, len(known), journal.problem)


def _chosen(findings: Sequence[Finding], gathered: Gathered) -> list[Finding]:
    """Keep what touches changed lines in the order a reader wants it."""
    changed = gathered.changed
    kept = [
        finding
        for finding in findings
        if changed is None
        or any((finding.path, n) in changed for n in range(finding.line, finding.end_line + 1))
    ]
    return ranked(kept, changed or frozenset())


def _plan(gathered: Gathered, args: Args) -> dict[str, Json]:
    """Hand the host its agents, message by message; what does not fit comes with the cursor."""
    prompts = agent_prompts([source.path for source in gathered.files], args.focus)
    waves: list[Json] = [*messages([agent_call(description, prompt) for description, prompt in prompts])]
    shown: list[Json] = []
    for wave in waves[args.cursor :]:
        if shown and size([*shown, wave]) > MOST_CHARACTERS:
            break
        shown.append(wave)
    after = args.cursor + len(shown)
    return {
        "plan": shown,
        "how": "Send all Agent calls of a list in ONE message; they run at once.",
        **({"cursor": after} if after < len(waves) else {}),
        "receipt": {
            "files_read": len(gathered.files),
            "files_skipped": reasons(gathered.skipped.values()),
            "engine": "plan",
        },
    }


def _render(
    services: Services, args: Args, gathered: Gathered, reviewed: Reviewed, findings: list[Finding]
) -> dict[str, Json]:
    # A quote may hold a key; it stays in the file and out of every result.
    findings = [replace(finding, quote=redact(finding.quote)[0]) for finding in findings]
    listed, over = capped(findings, PER_RULE[args.focus])
    first = set(listed)
    findings = [*listed, *(finding for finding in findings if finding not in first)]
    end = len(listed) if args.cursor < len(listed) else len(findings)
    items, following = page(findings, args.cursor, end, args.detail)
    not_analysed = dict(reviewed.not_analysed or {})
    data: dict[str, Json] = {"findings": items, "counts": dict(Counter(f.severity for f in findings))}
    if any(is_test(finding.path) for finding in findings):
        data["in_tests"] = sum(is_test(finding.path) for finding in findings)
    data["dropped"] = dict(reviewed.dropped or {})
    if not_analysed:
        data["not_analysed"] = few(not_analysed)
    if reviewed.failed:
        data["failed_reviews"] = few(dict(reviewed.failed))
    if over and end == len(listed):
        data["more_of_a_rule"] = over
    state = services.settings.state
    if following is not None:
        data["cursor"] = following
    if following is not None and not args.cursor:
        data["report"] = write(state, _report(findings, reviewed))
    if args.sarif:
        log = to_sarif(findings, version("fanout-mcp"), not_analysed | gathered.skipped)
        data["sarif"] = write(state, log, "sarif")
    if reviewed.engine == "static":
        data["note"] = NOT_FOUND_STATICALLY
    data["receipt"] = _receipt(gathered, reviewed, items)
    return data


def _report(findings: Sequence[Finding], reviewed: Reviewed) -> dict[str, Json]:
    return {
        "findings": [as_json(finding) for finding in findings],
        "dropped": dict(reviewed.dropped or {}),
        "failed_reviews": dict(reviewed.failed or {}),
        "not_analysed": dict(reviewed.not_analysed or {}),
    }


def _receipt(gathered: Gathered, reviewed: Reviewed, items: Json) -> dict[str, Json]:
    raw = sum(tokens.count(source.text) for source in gathered.files)
    returned = tokens.count(json.dumps(items, ensure_ascii=False))
    usage = sum((outcome.usage for outcome in reviewed.outcomes), Usage())
    cost = usage.cost_usd if reviewed.outcomes else 0
    receipt: dict[str, Json] = {
        "engine": reviewed.engine,
        "files_read": len(gathered.files),
        "files_skipped": reasons(gathered.skipped.values()),
        "tokens_raw": raw,
        "tokens_returned": returned,
        "saving_percent": tokens.saving(raw, returned),
        "estimator": "own regex",
        "calls": sum(outcome.calls for outcome in reviewed.outcomes),
        "cached": sum(outcome.status == "cached" for outcome in reviewed.outcomes) + reviewed.known,
        "tokens_in": usage.tokens_in,
        "tokens_out": usage.tokens_out,
        "cost_usd": cost,
    }
    if gathered.base is not None:
        receipt["base"] = gathered.base
    if reviewed.problem:
        receipt["cache"] = reviewed.problem
    return receipt


async def _affordable(services: Services, args: Args, asked: Sequence[Asked]) -> Budget:
    """Price first: BudgetExceeded comes before the first call."""
    jobs = [one.job for one in asked]
    prices = {job.model: await services.backend.price(job.model) for job in jobs}
    budget = Budget(max_cost_usd=args.max_cost_usd, max_tokens=MOST_TOKENS)
    expected = estimate(
        jobs, lambda prompt: tokens.count(prompt.system + prompt.user), lambda job: prices[job.model]
    )
    check(expected, budget)
    return budget


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
