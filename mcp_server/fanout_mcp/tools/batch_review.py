"""batch_review: many files reviewed at once, every finding with words that were found at its place."""

from __future__ import annotations

import json
import os
import secrets
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Literal

import anyio.to_thread
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from fanout_mcp.backends.plan import agent_call, messages
from fanout_mcp.engine.budget import Budget, check, estimate
from fanout_mcp.engine.run import Plan, run
from fanout_mcp.errors import InvalidInput
from fanout_mcp.review.finding import Finding, Focus, as_json, is_test, one_line
from fanout_mcp.review.gather import Gathered, gather
from fanout_mcp.review.merge import capped, merge, ranked
from fanout_mcp.review.model import Answered, collect, plan
from fanout_mcp.review.prompts import agent_prompts
from fanout_mcp.review.sarif import to_sarif
from fanout_mcp.review.static import Analysed, review_static
from fanout_mcp.services import Services, Tool, ToolResult
from fanout_mcp.source import tokens
from fanout_mcp.source.discover import reasons
from fanout_mcp.source.secrets import redact
from fanout_mcp.types import Job, Json, Outcome, Progress, Usage

MOST_CHARACTERS = 40_000
"""Of findings in one result: the client takes 50,000 in all."""
PER_RULE = 20
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
    detail: bool = False
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
    return reviewed.engine == "model" and bool(lost) and all(lost)


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
    answered, outcomes = await _ask(services, args, texts, progress)
    both = merge([*answered.findings, *analysed.findings])
    missing = {
        p: r for p, r in answered.not_analysed.items() if not with_static or p in analysed.not_analysed
    }
    return Reviewed(
        tuple(both), answered.dropped, answered.failed, missing, outcomes, "both" if with_static else "model"
    )


async def _ask(
    services: Services, args: Args, texts: Mapping[str, str], progress: Progress
) -> tuple[Answered, Sequence[Outcome]]:
    clean = await anyio.to_thread.run_sync(lambda: {path: redact(text)[0] for path, text in texts.items()})
    models: list[str | None] = [*args.models] if args.models else [services.backend.default_model("review")]
    asked = plan(clean, args.focus, args.reviewers, models, services.backend.provider)
    outcomes = await _run(services, args, [one.job for one in asked], progress)
    return collect(asked, outcomes), outcomes


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
    sizes = {source.path: source.size for source in gathered.files}
    prompts = agent_prompts(list(sizes), args.focus, lambda path: sizes[path])
    calls = [agent_call(description, prompt) for description, prompt in prompts] if sizes else []
    return {
        "plan": messages(calls),
        "how": "Send all Agent calls of a list in ONE message; they run at once.",
        "receipt": {
            "files_read": len(sizes),
            "files_skipped": reasons(gathered.skipped.values()),
            "engine": "plan",
        },
    }


def _render(
    services: Services, args: Args, gathered: Gathered, reviewed: Reviewed, findings: list[Finding]
) -> dict[str, Json]:
    # A quote may hold a key; it stays in the file and out of every result.
    findings = [replace(finding, quote=redact(finding.quote)[0]) for finding in findings]
    listed, over = capped(findings, PER_RULE)
    first = set(listed)
    findings = [*listed, *(finding for finding in findings if finding not in first)]
    end = len(listed) if args.cursor < len(listed) else len(findings)
    items, following = _page(findings, end, args)
    not_analysed = dict(reviewed.not_analysed or {})
    data: dict[str, Json] = {"findings": items, "counts": dict(Counter(f.severity for f in findings))}
    if any(is_test(finding.path) for finding in findings):
        data["in_tests"] = sum(is_test(finding.path) for finding in findings)
    data["dropped"] = dict(reviewed.dropped or {})
    if not_analysed:
        data["not_analysed"] = _few(not_analysed)
    if reviewed.failed:
        data["failed_reviews"] = _few(dict(reviewed.failed))
    if over and end == len(listed):
        data["more_of_a_rule"] = over
    state = services.settings.state
    if following is not None:
        data["cursor"] = following
    if following is not None and not args.cursor:
        data["report"] = _write(state, "review", _report(findings, reviewed))
    if args.sarif:
        log = to_sarif(findings, version("fanout-mcp"), not_analysed | gathered.skipped)
        data["sarif"] = _write(state, "review", log, suffix=".sarif")
    if reviewed.engine == "static":
        data["note"] = NOT_FOUND_STATICALLY
    data["receipt"] = _receipt(gathered, reviewed, items)
    return data


def _page(findings: Sequence[Finding], end: int, args: Args) -> tuple[list[Json], int | None]:
    """Return what fits from the cursor on, and where the rest begins; a line each when all do not fit."""
    rest = findings[args.cursor : end]
    full = [as_json(finding) for finding in rest]
    is_full = args.detail or _size(full) <= MOST_CHARACTERS
    items: list[Json] = list(full) if is_full else [redact(one_line(finding))[0] for finding in rest]
    used = 0
    for number, item in enumerate(items):
        used += _size(item) + 1
        if used > MOST_CHARACTERS and number:
            return items[:number], args.cursor + number
    return items, end if end < len(findings) else None


def _size(value: Json) -> int:
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def _few(reasons_by_name: Mapping[str, str]) -> dict[str, Json]:
    """Count by reason and name the first few; a thousand names help nobody."""
    first = dict(list(reasons_by_name.items())[:5])
    return {
        "count": len(reasons_by_name),
        "by_reason": dict(list(reasons(reasons_by_name.values()).items())[:10]),
        "first": first,
    }


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
    return {
        "engine": reviewed.engine,
        "files_read": len(gathered.files),
        "files_skipped": reasons(gathered.skipped.values()),
        "tokens_raw": raw,
        "tokens_returned": returned,
        "saving_percent": tokens.saving(raw, returned),
        "estimator": "own regex",
        "calls": sum(outcome.calls for outcome in reviewed.outcomes),
        "cached": sum(outcome.status == "cached" for outcome in reviewed.outcomes),
        "tokens_in": usage.tokens_in,
        "tokens_out": usage.tokens_out,
        "cost_usd": cost,
    }


def _write(state: Path, name: str, value: Json, suffix: str = ".json") -> str:
    """Write a report into the project's state folder; a new file each time, never through a link."""
    folder = state / "reports"
    path = folder / f"{name}-{secrets.token_hex(4)}{suffix}"
    text = json.dumps(value, ensure_ascii=False, indent=1).encode("utf-8", "replace")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        ignore = state / ".gitignore"
        if not ignore.exists():
            ignore.write_text("reports/\nstate/\ncache/\n", encoding="utf-8")
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(text)
    except OSError as error:
        return f"could not be written: {error.strerror}"
    return str(path)


async def _run(services: Services, args: Args, jobs: Sequence[Job], progress: Progress) -> list[Outcome]:
    """Price first: BudgetExceeded comes before the first call."""
    prices = {job.model: await services.backend.price(job.model) for job in jobs}
    budget = Budget(max_cost_usd=args.max_cost_usd, max_tokens=MOST_TOKENS)
    expected = estimate(
        jobs, lambda prompt: tokens.count(prompt.system + prompt.user), lambda job: prices[job.model]
    )
    check(expected, budget)
    going = Plan(deadline_s=DEADLINE_S, budget=budget, progress=progress)
    return await run(jobs, services.backend.ask, going, services.limits)


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
