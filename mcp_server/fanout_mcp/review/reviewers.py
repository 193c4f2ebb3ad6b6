"""Review by models: groups of files times reviewers as jobs, and their answers as checked findings."""

from __future__ import annotations

import json
import tomllib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from importlib.resources import files
from itertools import groupby
from pathlib import PurePosixPath
from typing import Final, NamedTuple

from fanout_mcp.backends.plan import portions
from fanout_mcp.review.answers import SCHEMA, parse, verify
from fanout_mcp.review.finding import Finding, Focus, from_json
from fanout_mcp.review.merge import merge
from fanout_mcp.source import pack
from fanout_mcp.source.pack import Text
from fanout_mcp.source.receipt import MARGIN, count
from fanout_mcp.state.cache import Cache
from fanout_mcp.types import Answer, Backend, Job, Outcome, Prompt

# --- Pack files into as few reviews as fit a token budget, neighbours in one review. ------------------------
# Files of a folder belong together, so they are packed in path order, folder by folder; what is left over
# small is joined (first fit). A file beyond the budget is cut at line ends into parts that keep their
# numbers.


@dataclass(frozen=True, slots=True)
class Part:
    """A file, or a stretch of one that starts at `first_line`."""

    path: str
    text: str
    first_line: int = 1
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Group:
    parts: tuple[Part, ...]

    @property
    def tokens(self) -> int:
        return sum(part.tokens for part in self.parts)

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(part.path for part in self.parts))


def grouped(files: Iterable[tuple[str, str]], budget: int, count: Callable[[str], int]) -> list[Group]:
    """Group (path, text) pairs: every line in exactly one group, none over the budget unless one line is."""
    parts = sorted(
        (part for path, text in files for part in _parts(path, text, budget, count)),
        key=lambda part: (PurePosixPath(part.path).parent.parts, part.path, part.first_line),
    )
    bins: list[list[Part]] = []
    for _, folder in groupby(parts, key=lambda part: PurePosixPath(part.path).parent):
        bins += _in_order(list(folder), budget)
    return [Group(tuple(parts)) for parts in _joined(bins, budget)]


def _in_order(parts: Sequence[Part], budget: int) -> list[list[Part]]:
    bins: list[list[Part]] = []
    room = 0
    for part in parts:
        if not bins or part.tokens > room:
            bins.append([])
            room = budget
        bins[-1].append(part)
        room -= part.tokens
    return bins


def _joined(bins: list[list[Part]], budget: int) -> list[list[Part]]:
    joined: list[list[Part]] = []
    sizes: list[int] = []
    for parts in bins:
        size = sum(part.tokens for part in parts)
        # The last few only: folders near in path order are near in meaning, and the search stays linear.
        nearby = range(max(0, len(joined) - 8), len(joined))
        fit = next((index for index in nearby if sizes[index] + size <= budget), None)
        if fit is None:
            joined.append(list(parts))
            sizes.append(size)
        else:
            joined[fit] += parts
            sizes[fit] += size
    return joined


def _parts(path: str, text: str, budget: int, count: Callable[[str], int]) -> list[Part]:
    tokens = count(text)
    if tokens <= budget:
        return [Part(path, text, 1, tokens)]
    parts: list[Part] = []
    lines: list[str] = []
    first, size = 1, 0
    for number, line in enumerate(text.split("\n"), 1):
        cost = count(line + "\n")
        if lines and size + cost > budget:
            parts.append(Part(path, "\n".join(lines), first, size))
            lines, first, size = [], number, 0
        lines.append(line)
        size += cost
    return [*parts, Part(path, "\n".join(lines), first, size)]


# --- prompts ------------------------------------------------------------------------------------------------
# What reviewers are asked: who they are, what counts as a finding, and the files as data behind a fence.


class Reviewer(NamedTuple):
    name: str
    stance: str


_TABLES: Final = tomllib.loads(files("fanout_mcp.review").joinpath("reviewers.toml").read_text("utf-8"))
_WORDS: Final = _TABLES.pop("words")
REVIEWERS: Final = {focus: [Reviewer(*one) for one in rows.items()] for focus, rows in _TABLES.items()}

CHANGE: Final[str] = _WORDS["change"]
RULES: Final[str] = _WORDS["rules"]
PLAN_RULES: Final[str] = _WORDS["plan"]


def prompt(
    group: Group,
    focuses: Sequence[Focus],
    reviewer: Reviewer,
    fence: str,
    diffs: Mapping[str, str] | None = None,
    *,
    digests: Mapping[str, str] | None = None,
) -> Prompt:
    """Put a group of files before a reviewer, and what changed (`diffs`, by path); `digests`: of files."""
    files: list[str] = []
    for part in group.parts:
        files.append(pack.fenced(part.path, part.text, fence, part.first_line))
        if diffs and part.path in diffs and part.first_line == 1:
            files.append(f"{fence} diff of {part.path}\n{diffs[part.path]}\n{fence} end of the diff")
    user = "Review these files.\n\n" + "\n\n".join(files) + "\n\nNow the JSON object."
    rules = RULES.format(stance=reviewer.stance, focus=spoken(focuses), fence=fence)
    sources = tuple(dict.fromkeys((digests or {}).get(path, path) for path in group.paths))
    return Prompt(rules + (CHANGE if diffs else ""), user, sources)


def spoken(focuses: Sequence[Focus]) -> str:
    return " and ".join(focuses)


def reviewers_for(focuses: Sequence[Focus], count: int) -> list[Reviewer]:
    """Return `count` reviewers, of every focus in turn; past the tables' end they come again, with a number.

    Where there are fewer reviewers than focuses, the first take on the others' stances too.
    """
    tables = [REVIEWERS[focus] for focus in focuses]
    table = [one[row] for row in range(max(map(len, tables))) for one in tables if row < len(one)]
    chosen = []
    seen: Counter[str] = Counter()  # `skeptic` is in two tables
    for n in range(count):
        name, stance = table[n % len(table)]
        if count < len(focuses):
            stance = " ".join(dict.fromkeys(one[0].stance for one in tables[n::count]))
        seen[name] += 1
        chosen.append(Reviewer(f"{name}-{seen[name]}" if seen[name] > 1 else name, stance))
    return chosen


def agent_prompts(paths: Sequence[str], focuses: Sequence[Focus]) -> list[tuple[str, str]]:
    """Return (description, prompt) for agents of at most five files, neighbours together."""
    return [
        (
            f"Review {len(group)} file{'s' * (len(group) > 1)}",
            PLAN_RULES.format(focus=spoken(focuses), paths=pack.listed(group)),
        )
        for group in portions(sorted(paths))
    ]


# --- reviewers ------------------------------------------------------------------------------------------

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
class FileAnswer:
    """What one reviewer answered about one whole file, checked; `dropped`: claims thrown away, by reason."""

    findings: tuple[Finding, ...] = ()
    dropped: Mapping[str, int] = field(default_factory=dict)


AnswersByFile = Mapping[tuple[str, str], FileAnswer]
"""By seat's name and path."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What the reviewers answered, and what it took."""

    findings: tuple[Finding, ...] = ()
    dropped: Mapping[str, int] = field(default_factory=dict)
    """Claims that were thrown away, by reason."""
    failed: Mapping[str, str] = field(default_factory=dict)
    """Reviews that were lost, by job: their files count as not analysed by that reviewer."""
    not_analysed: Mapping[str, str] = field(default_factory=dict)
    """Files that no reviewer answered for."""
    by_file: AnswersByFile = field(default_factory=dict)
    """By whole file; only reviewers who answered in full for it."""
    outcomes: Sequence[Outcome] = ()
    known: int = 0
    """Files, a reviewer each, that a model read before: they cost no call."""
    problem: str = ""
    """Why answers are not kept; empty while they are."""


def seats(focuses: Sequence[Focus], reviewers: int, models: Sequence[str | None]) -> list[Seat]:
    """Return as many as reviewers, or models if those are more: a second model finds more than a stance."""
    stances = reviewers_for(focuses, reviewers)
    chosen = []
    for number in range(max(len(stances), len(models))):
        reviewer, model = stances[number % len(stances)], models[number % len(models)]
        name = f"{reviewer.name}@{model}" if model and len(set(models)) > 1 else reviewer.name
        chosen.append(Seat(name, reviewer, model))
    return chosen


def plan(
    texts: Mapping[str, str],
    batch: Iterable[Seat],
    known: AnswersByFile | None = None,
    diffs: Mapping[str, str] | None = None,
) -> list[Review]:
    """Return the reviews of files whose secrets are already taken out; what is known is not asked again."""
    groups: dict[tuple[str, ...], list[Group]] = {}
    reviews = []
    for seat in batch:
        wanted = tuple(path for path in sorted(texts) if (seat.name, path) not in (known or {}))
        if wanted not in groups:  # most seats read the same
            groups[wanted] = grouped([(path, texts[path]) for path in wanted], GROUP_TOKENS, count)
        reviews += [
            Review(f"{seat.name}:{n}", seat, group, diffs or {}) for n, group in enumerate(groups[wanted])
        ]
    return reviews


def ask(
    reviews: Iterable[Review],
    focuses: Sequence[Focus],
    digests: Mapping[str, str] | None = None,
) -> list[Asked]:
    asked = []
    for review in reviews:
        fence = pack.new_fence()
        words = prompt(review.group, focuses, review.seat.reviewer, fence, review.diffs, digests=digests)
        job = Job(review.key, words, review.seat.model, SCHEMA, ANSWER_TOKENS)
        asked.append(Asked(job, review.seat, review.group, fence))
    return asked


def collect(
    asked: Sequence[Asked], outcomes: Sequence[Outcome], known: AnswersByFile | None = None
) -> Answered:
    """Read, check and unite what came back with what was known; identity is by job key, never by position."""
    by_key = {outcome.key: outcome for outcome in outcomes}
    findings: defaultdict[tuple[str, str], list[Finding]] = defaultdict(list)
    dropped: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    failed: dict[str, str] = {}
    lost: set[tuple[str, str]] = set()
    answered = {path for _, path in known or {}}
    for one in asked:
        here = [(one.seat.name, path) for path in one.group.paths]
        kept, gone, problem = _read_outcome(one, by_key.get(one.job.key))
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
    answers = {place: FileAnswer(tuple(findings[place]), dict(dropped[place])) for place in sorted(every)}
    united = [*answers.values(), *(known or {}).values()]
    total: Counter[str] = Counter()
    for one_answer in united:
        total.update(one_answer.dropped)
    return Answered(
        tuple(merge(finding for one_answer in united for finding in one_answer.findings)),
        dict(sorted(total.items())),
        failed,
        dict.fromkeys(sorted({path for _, path in every} - answered), "no reviewer answered"),
        {place: one_answer for place, one_answer in answers.items() if place not in lost},
    )


def is_good(answer: Answer) -> bool:
    """Tell whether an answer is worth keeping: whole, and findings in JSON."""
    return not answer.truncated and parse(answer.text, "", answer.data).is_readable


class _Problem(NamedTuple):
    reason: str
    is_partial: bool = False


def _read_outcome(
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
    parts: dict[str, list[Text]] = {}
    for part in group.parts:
        parts.setdefault(part.path, []).append(Text(part.text, part.first_line))
    kept: list[Finding] = []
    dropped: list[tuple[str, str]] = []
    for finding in findings:
        checked = verify([finding], parts)
        path = finding.path if finding.path in parts else group.paths[0]
        kept += checked.kept
        dropped += [(path, reason) for reason in checked.dropped]
    return kept, dropped


# --- remember -----------------------------------------------------------------------------------------------
# What reviewers answered about files before: by content, so that a changed file costs one call and no other
# does.
# The journal keeps whole answers, by whole prompts. A prompt holds many files, and one that changes would
# have its unchanged neighbours read again; so what an answer says is kept by file as well.

FORM = 2
"""Of what is kept; another form is another key."""


def keys(  # noqa: PLR0917 - everything that an answer may depend on
    cache: Cache,
    texts: Mapping[str, str],
    focuses: Sequence[Focus],
    batch: Sequence[Seat],
    backend: Backend,
    diffs: Mapping[str, str],
) -> dict[tuple[str, str], str]:
    """Return the cache's key for each seat and file: everything that may change the answer about it."""
    digests = {
        path: sha256(f"{text}\0{diffs.get(path, '')}".encode("utf-8", "surrogatepass")).hexdigest()
        for path, text in texts.items()
    }
    asked = ["review", FORM, backend.name, backend.provider, RULES, CHANGE if diffs else "", list(focuses)]
    return {
        (seat.name, path): cache.key([*asked, seat.model, seat.reviewer.stance, path, digest])
        for seat in batch
        for path, digest in digests.items()
    }


def recall(cache: Cache, by_place: Mapping[tuple[str, str], str]) -> dict[tuple[str, str], FileAnswer]:
    found = cache.known(list(by_place.values()))
    return {place: _read_kept(found[key], place[0]) for place, key in by_place.items() if key in found}


def remember(cache: Cache, by_place: Mapping[tuple[str, str], str], answers: AnswersByFile) -> None:
    for place, one in answers.items():
        kept = {"findings": [asdict(finding) for finding in one.findings], "dropped": dict(one.dropped)}
        cache.keep(by_place[place], Answer(json.dumps(kept), ""))


def _read_kept(answer: Answer, reviewer: str) -> FileAnswer:
    kept = json.loads(answer.text)
    tables = [{**table, "reviewers": [reviewer]} for table in kept["findings"]]
    return FileAnswer(tuple(from_json(table) for table in tables), kept["dropped"])
