"""Review by models: groups of files times reviewers as jobs, and their answers as checked findings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fanout_mcp.review.finding import Finding, Focus
from fanout_mcp.review.group import Group, grouped
from fanout_mcp.review.merge import merge
from fanout_mcp.review.parse import SCHEMA, parse
from fanout_mcp.review.prompts import fence, prompt, reviewers_for
from fanout_mcp.review.verify import Text, verify
from fanout_mcp.source.tokens import budgeted
from fanout_mcp.types import Job, Outcome

GROUP_TOKENS = 16_000
"""Files of one review: far below any window, since findings get lost in the middle of long prompts."""
ANSWER_TOKENS = 4_000


@dataclass(frozen=True, slots=True)
class Asked:
    """A job, and what its reviewer is shown: the only text that its quotes may come from."""

    job: Job
    reviewer: str
    group: Group


@dataclass(frozen=True, slots=True)
class Answered:
    findings: tuple[Finding, ...]
    dropped: Mapping[str, int]
    """Claims that were thrown away, by reason."""
    failed: Mapping[str, str]
    """Reviews that were lost, by job: their files count as not analysed by that reviewer."""
    not_analysed: Mapping[str, str]
    """Files that no reviewer answered for."""


def plan(
    texts: Mapping[str, str], focus: Focus, reviewers: int, models: Sequence[str | None], provider: str
) -> list[Asked]:
    """Return the jobs for files whose secrets are already taken out.

    There are as many reviewers as were asked for, or as models were named if those are more: a second model
    finds more than a second stance.
    """
    groups = grouped(sorted(texts.items()), GROUP_TOKENS, budgeted)
    stances = reviewers_for(focus, reviewers)
    asked = []
    for number in range(max(len(stances), len(models))):
        reviewer, model = stances[number % len(stances)], models[number % len(models)]
        name = f"{reviewer.name}@{model}" if model and len(set(models)) > 1 else reviewer.name
        for place, group in enumerate(groups):
            job = Job(
                f"{name}:{place}",
                prompt(group, focus, reviewer, fence()),
                model,
                SCHEMA,
                ANSWER_TOKENS,
                provider,
            )
            asked.append(Asked(job, name, group))
    return asked


def collect(asked: Sequence[Asked], outcomes: Sequence[Outcome]) -> Answered:
    """Read, check and unite what came back; identity is by job key, never by position."""
    by_key = {outcome.key: outcome for outcome in outcomes}
    findings: list[Finding] = []
    dropped: Counter[str] = Counter()
    failed: dict[str, str] = {}
    answered: set[str] = set()
    for one in asked:
        outcome = by_key.get(one.job.key)
        if outcome is None or outcome.answer is None:
            failed[one.job.key] = outcome.reason if outcome else "no outcome"
            continue
        parsed = parse(outcome.answer.text, one.reviewer, outcome.answer.data)
        if not parsed.is_readable:
            failed[one.job.key] = "the answer held no findings in JSON"
            continue
        answered.update(one.group.paths)
        if outcome.answer.truncated:
            failed[one.job.key] = "the answer was cut at its token limit; what came before is kept"
        kept, gone = _checked(parsed.findings, one.group)
        findings += kept
        dropped.update(gone)
        dropped.update({"not a whole finding": parsed.bad} if parsed.bad else {})
    missing = {path for one in asked for path in one.group.paths} - answered
    return Answered(
        tuple(merge(findings)),
        dict(sorted(dropped.items())),
        failed,
        dict.fromkeys(sorted(missing), "no reviewer answered"),
    )


def _checked(findings: Sequence[Finding], group: Group) -> tuple[list[Finding], Counter[str]]:
    """Check each finding against the parts shown; a file may be there in several."""
    parts: dict[str, list[Text]] = {}
    for part in group.parts:
        parts.setdefault(part.path, []).append(Text(part.text, part.first_line))
    kept: list[Finding] = []
    dropped: Counter[str] = Counter()
    for finding in findings:
        results = [verify([finding], {finding.path: text}) for text in parts.get(finding.path, [])]
        results = results or [verify([finding], {})]
        good = sorted((r.kept[0] for r in results if r.kept), key=lambda f: f.verified)
        if good and (good[0].verified == "exact" or len(good) == 1):
            kept.append(good[0])
        else:
            dropped.update({"quote stands in several other places": 1} if good else results[0].dropped)
    return kept, dropped
