"""Review by models: groups of files times reviewers as jobs, and their answers as checked findings."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from fanout_mcp.review.finding import Finding, Focus
from fanout_mcp.review.group import Group, grouped
from fanout_mcp.review.merge import merge
from fanout_mcp.review.parse import SCHEMA, parse
from fanout_mcp.review.prompts import Reviewer, prompt, reviewers_for
from fanout_mcp.review.verify import verify
from fanout_mcp.source import pack
from fanout_mcp.source.quotes import Text
from fanout_mcp.source.tokens import MARGIN, count
from fanout_mcp.types import Answer, Job, Outcome

GROUP_TOKENS = int(16_000 / MARGIN)
"""Files of one review: far below any window, since findings get lost in the middle of long prompts."""
ANSWER_TOKENS = 4_000
NUMBER_TOKENS = 3
"""Of a line's number and its bar, up to a million lines."""


class Seat(NamedTuple):
    """A reviewer: a stance, and the model that takes it."""

    name: str
    reviewer: Reviewer
    model: str | None


@dataclass(frozen=True, slots=True)
class Review:
    """A group of files for a seat; put into words only when its price is known to fit."""

    key: str
    seat: Seat
    group: Group
    diffs: Mapping[str, str] = field(default_factory=dict)

    @property
    def tokens(self) -> int:
        lines = sum(part.text.count("\n") + 1 for part in self.group.parts)
        diffs = sum(count(self.diffs[path]) for path in self.group.paths if path in self.diffs)
        return self.group.tokens + NUMBER_TOKENS * lines + diffs


@dataclass(frozen=True, slots=True)
class Asked:
    """A job, and what its reviewer is shown: the only text that its quotes may come from."""

    job: Job
    seat: Seat
    group: Group
    fence: str


@dataclass(frozen=True, slots=True)
class Said:
    """What one reviewer said of one whole file, checked; `dropped`: claims thrown away, by reason."""

    findings: tuple[Finding, ...] = ()
    dropped: Mapping[str, int] = field(default_factory=dict)


SaidBy = Mapping[tuple[str, str], Said]
"""By seat's name and path."""


@dataclass(frozen=True, slots=True)
class Answered:
    findings: tuple[Finding, ...]
    dropped: Mapping[str, int]
    """Claims that were thrown away, by reason."""
    failed: Mapping[str, str]
    """Reviews that were lost, by job: their files count as not analysed by that reviewer."""
    not_analysed: Mapping[str, str]
    """Files that no reviewer answered for."""
    said: SaidBy
    """By whole file; only reviewers who answered in full for it."""


def seats(focuses: Sequence[Focus], reviewers: int, models: Sequence[str | None]) -> list[Seat]:
    """Return as many as reviewers were asked for, or models named if those are more.

    A second model finds more than a second stance.
    """
    stances = reviewers_for(focuses, reviewers)
    chosen = []
    for number in range(max(len(stances), len(models))):
        reviewer, model = stances[number % len(stances)], models[number % len(models)]
        name = f"{reviewer.name}@{model}" if model and len(set(models)) > 1 else reviewer.name
        chosen.append(Seat(name, reviewer, model))
    return chosen


def plan(
    texts: Mapping[str, str],
    sitting: Iterable[Seat],
    known: SaidBy | None = None,
    diffs: Mapping[str, str] | None = None,
) -> list[Review]:
    """Return the reviews of files whose secrets are already taken out; what is known is not asked again."""
    groups: dict[tuple[str, ...], list[Group]] = {}
    reviews = []
    for seat in sitting:
        wanted = tuple(path for path in sorted(texts) if (seat.name, path) not in (known or {}))
        if wanted not in groups:  # most seats read the same
            groups[wanted] = grouped([(path, texts[path]) for path in wanted], GROUP_TOKENS, count)
        reviews += [
            Review(f"{seat.name}:{n}", seat, group, diffs or {}) for n, group in enumerate(groups[wanted])
        ]
    return reviews


def ask(reviews: Iterable[Review], focuses: Sequence[Focus], provider: str) -> list[Asked]:
    """Put reviews into words."""
    asked = []
    for review in reviews:
        fence = pack.new_fence()
        words = prompt(review.group, focuses, review.seat.reviewer, fence, review.diffs)
        job = Job(review.key, words, review.seat.model, SCHEMA, ANSWER_TOKENS, provider)
        asked.append(Asked(job, review.seat, review.group, fence))
    return asked


def collect(asked: Sequence[Asked], outcomes: Sequence[Outcome], known: SaidBy | None = None) -> Answered:
    """Read, check and unite what came back with what was known; identity is by job key, never by position."""
    by_key = {outcome.key: outcome for outcome in outcomes}
    findings: defaultdict[tuple[str, str], list[Finding]] = defaultdict(list)
    dropped: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    failed: dict[str, str] = {}
    lost: set[tuple[str, str]] = set()
    answered = {path for _, path in known or {}}
    for one in asked:
        here = [(one.seat.name, path) for path in one.group.paths]
        kept, gone, problem = _read(one, by_key.get(one.job.key))
        if problem:
            failed[one.job.key] = problem.reason
            lost.update(here)
        if problem is None or problem.is_partial:
            answered.update(one.group.paths)
        for finding in kept:
            findings[one.seat.name, finding.path].append(finding)
        for path, reason in gone:
            dropped[one.seat.name, path][reason] += 1
    every = {(one.seat.name, path) for one in asked for path in one.group.paths}
    said = {place: Said(tuple(findings[place]), dict(dropped[place])) for place in sorted(every)}
    united = [*said.values(), *(known or {}).values()]
    total: Counter[str] = Counter()
    for one_said in united:
        total.update(one_said.dropped)
    return Answered(
        tuple(merge(finding for one_said in united for finding in one_said.findings)),
        dict(sorted(total.items())),
        failed,
        dict.fromkeys(sorted({path for _, path in every} - answered), "no reviewer answered"),
        {place: one_said for place, one_said in said.items() if place not in lost},
    )


def is_good(answer: Answer) -> bool:
    """Tell whether an answer is worth keeping: whole, and findings in JSON."""
    return not answer.truncated and parse(answer.text, "", answer.data).is_readable


class _Problem(NamedTuple):
    reason: str
    is_partial: bool = False


def _read(
    one: Asked, outcome: Outcome | None
) -> tuple[list[Finding], list[tuple[str, str]], _Problem | None]:
    """Return what stands up, (path, reason) of what doesn't, and what is wrong with the answer itself."""
    if outcome is None or outcome.answer is None:
        return [], [], _Problem(outcome.reason if outcome else "no outcome")
    parsed = parse(outcome.answer.text, one.seat.name, outcome.answer.data)
    if not parsed.is_readable:
        return [], [], _Problem("the answer held no findings in JSON")
    kept, gone = _checked(parsed.findings, one.group)
    gone += [(one.group.paths[0], "not a whole finding")] * parsed.bad
    is_cut = outcome.answer.truncated
    return kept, gone, _Problem("the answer was cut at its token limit", is_partial=True) if is_cut else None


def _checked(findings: Sequence[Finding], group: Group) -> tuple[list[Finding], list[tuple[str, str]]]:
    """Check each finding against the parts shown; a file may be there in several."""
    parts: dict[str, list[Text]] = {}
    for part in group.parts:
        parts.setdefault(part.path, []).append(Text(part.text, part.first_line))
    kept: list[Finding] = []
    dropped: list[tuple[str, str]] = []
    for finding in findings:
        results = [verify([finding], {finding.path: text}) for text in parts.get(finding.path, [])]
        results = results or [verify([finding], {})]
        good = sorted((r.kept[0] for r in results if r.kept), key=lambda f: f.verified)
        if good and (good[0].verified == "exact" or len(good) == 1):
            kept.append(good[0])
        else:
            reason = "quote stands in several other places" if good else next(iter(results[0].dropped))
            dropped.append((finding.path if finding.path in parts else group.paths[0], reason))
    return kept, dropped
