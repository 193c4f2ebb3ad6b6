"""batch_review: many files reviewed at once, every finding with words that were found at its place."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field

from fanout_mcp.backends.plan import Engine, chosen
from fanout_mcp.engine.budget import Budget
from fanout_mcp.errors import InvalidInput
from fanout_mcp.jsonish import COUNT, LINES, NUMBER, TABLE, TEXT
from fanout_mcp.review.finding import SEVERITIES, Focus
from fanout_mcp.review.result import Request
from fanout_mcp.review.review import Calls, Means, review
from fanout_mcp.source.receipt import Detail, Receipt
from fanout_mcp.tools.services import (
    MAX_TOTAL_TOKENS,
    Arguments,
    MaxCost,
    Services,
    Tool,
    ToolResult,
    Wanted,
    check_price,
    entries,
    in_tree,
    planned,
)
from fanout_mcp.types import Backend, Json, Progress

MAX_REVIEWERS = 8


def _as_list(value: object) -> object:
    """Take one word for a list of it; "tests,docs" too."""
    return [one.strip() for one in value.split(",") if one.strip()] if isinstance(value, str) else value


class Args(Arguments):
    patterns: list[str]
    focus: Annotated[list[Focus], BeforeValidator(_as_list)] = Field(default=["security", "bugs"])
    include: Annotated[list[str], BeforeValidator(_as_list)] = Field(default=[])
    """Kinds of files that are left out else; of scope.INCLUDES."""
    base: str | None = None
    engine: Engine = "auto"
    reviewers: Annotated[int, Field(ge=1)] = 1
    models: list[str] | None = None
    with_findings: Any = None
    """What other reviewers found, in any of the forms that review/foreign.py reads."""
    sarif: bool = False
    cursor: Annotated[int, Field(ge=0)] = 0
    detail: Detail = "auto"
    """Whole findings, never a line each: more pages instead."""
    max_files: Annotated[int, Field(ge=1)] = 5000
    max_cost_usd: MaxCost = 1.0


async def call(services: Services, args: Args, progress: Progress) -> ToolResult:
    _check(args, services.backend)
    receipt = Receipt()
    services, patterns = await in_tree(services, args.patterns, receipt)
    request = Request(
        patterns=patterns or (),
        focus=args.focus,
        include=args.include,
        base=args.base,
        engine=chosen(args.engine, services.backend),
        has_analysers=args.engine != "model",
        reviewers=args.reviewers,
        models=args.models or (),
        with_findings=args.with_findings or (),
        max_files=args.max_files,
        budget=Budget(max_cost_usd=args.max_cost_usd, max_tokens=MAX_TOTAL_TOKENS),
        sarif=args.sarif,
        cursor=args.cursor,
        detail=args.detail,
    )

    async def check_cost(calls: Sequence[Calls]) -> None:
        await check_price(services.backend, [Wanted(*one) for one in calls], request.budget)

    means = Means(
        *(services.settings, services.backend, services.workers, progress, check_cost),
        lambda agents, receipt: planned(agents, args.cursor, receipt),
        partial(services.journal, progress),
    )
    data, is_lost = await review(means, request, receipt)
    return ToolResult(data, is_error=is_lost)


def _check(args: Args, backend: Backend) -> None:
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
    if args.models and not backend.has_model and args.engine != "plan":
        raise InvalidInput(f"`models` names whom to ask, but there is no model. {backend.why}".rstrip())


FINDING: Final[Json] = {
    "path": TEXT,
    "line": COUNT,
    "quote": TEXT,
    "severity": {**TEXT, "enum": list(SEVERITIES)},
    **dict.fromkeys(("rule", "cwe", "title", "why", "fix"), TEXT),
    "reviewers": LINES,
    "verified": TEXT,
    "id": TEXT,
    "probability": NUMBER,
}

TOOL = Tool(
    name="batch_review",
    title="Review files",
    description="Review files or the diff since `base`; quotes are checked. `with_findings`: to merge.",
    arguments=Args,
    call=call,
    output={
        "findings": entries("Worst first: objects, or a line each where they are many.", FINDING),
        "counts": {**TABLE, "description": "Findings by severity."},
        "left_out": {**TABLE, "description": "Files by the kind that `include` takes."},
        "passed_over": {**TABLE, "description": "Findings that a mark or the accepted list covers."},
        "coverage": {**TABLE, "description": "Focus, then language, to the number of rules."},
        "dropped": {**TABLE, "description": "Claims thrown away, by reason."},
        "not_analysed": {**TABLE, "description": "Files that no one reviewed, by reason."},
        "failed_reviews": TABLE,
        "more_of_a_rule": TABLE,
        "next_cursor": COUNT,
        **dict.fromkeys(("report", "sarif", "note", "measured_on"), TEXT),
        "plan": TABLE,
        "receipt": TABLE,
    },
    search_hint="code review security audit findings diff SARIF",
)
