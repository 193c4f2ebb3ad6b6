"""agent_swarm: many agents on one task, each through another lens; what they say merged and ranked.

gather (lenses) -> plan (jobs, price; or the host's own agents) -> perform (one `await`) -> render.
"""

from __future__ import annotations

import math
import re
import time
import tomllib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Annotated, Final, Literal, NamedTuple

import anyio.to_thread
from pydantic import Field

from fanout_mcp import jsonish
from fanout_mcp.backends.plan import MAX, agent_call, messages
from fanout_mcp.backends.plan import chosen as engine_for
from fanout_mcp.engine.budget import Budget, Purse, check, estimate
from fanout_mcp.engine.run import Plan, StopRule, run
from fanout_mcp.errors import InvalidInput, UnreadableAnswer
from fanout_mcp.jsonish import COUNT, LINES, TABLE, TEXT, answer_form, rows
from fanout_mcp.panel.answer import words
from fanout_mcp.panel.asking import LANGUAGE
from fanout_mcp.panel.consult import receipt as receipt_of
from fanout_mcp.source import receipt
from fanout_mcp.source.secrets import SMALL
from fanout_mcp.source.workers import Failure, Workers
from fanout_mcp.text import clip, quoted
from fanout_mcp.tools.services import Arguments, Services, Tool, ToolResult
from fanout_mcp.types import Answer, Ask, Job, Json, ModelPrice, Outcome, Progress, Prompt
from fanout_mcp.usage import Usage

MAX_AGENTS: Final = 200
MAX_TASK_CHARS: Final = 30_000
"""Of a task: every agent gets it whole."""
MAX_PLANNED: Final = 100
"""Agents of the host: it runs six a message, so a hundred are seventeen messages."""
INLINE_CHARS: Final = 25_000
"""A plan longer than that, task repeated for each agent, sends the agents to read the task in a file."""


class Args(Arguments):
    task: Annotated[str, Field(min_length=1)]
    count: Annotated[
        int, Field(ge=1, le=MAX_AGENTS, description="Small 3-5, medium 10-20, large 50-100.")
    ] = 5
    lenses: Annotated[
        list[str] | None, Field(description="A kind (tests, hypotheses, approaches, angles) or your own.")
    ] = None
    engine: Literal["auto", "model", "plan"] = "auto"
    deadline_s: Annotated[float, Field(gt=0, le=3600)] = 100
    max_cost_usd: Annotated[float, Field(gt=0)] = 1.0


async def call(services: Services, args: Args, progress: Progress) -> ToolResult:
    task = args.task.strip()
    if not task:
        raise InvalidInput("task is empty; say what the agents are to do.")
    if len(task) > MAX_TASK_CHARS:
        raise InvalidInput(
            f"task has {len(task):,} characters; at most {MAX_TASK_CHARS:,}. Name files instead."
        )
    chosen = choose(task, args.count, args.lenses)
    if engine_for(args.engine, services.backend) != "model":
        return ToolResult(await anyio.to_thread.run_sync(_for_host, services, task, chosen))
    return await _perform(services, args, task, chosen, progress)


async def _perform(
    services: Services, args: Args, task: str, chosen: Chosen, progress: Progress
) -> ToolResult:
    backend = services.backend
    model = backend.default_model("swarm")
    todo = jobs(task, chosen, model)
    purse = priced(todo, await backend.price(model), args.max_cost_usd)
    plan = Plan(args.deadline_s, enough(len(todo)), budget=purse.allowed, progress=progress)
    began = time.monotonic()
    reading = Reading(purse.leg(backend.ask), services.workers)
    outcomes = await run(todo, reading, plan, services.limits)
    elapsed_s = time.monotonic() - began
    # In a thread: hundreds of answers are compared, and hook events pass through this loop.
    found = await anyio.to_thread.run_sync(unite, chosen, outcomes, reading.ideas)
    data = short(found)
    calls, used = sum(one.calls for one in outcomes), sum((one.usage for one in outcomes), Usage())
    data["receipt"] = receipt_of(calls, used, elapsed_s)
    data["report"] = await services.report("swarm", report(task, found))
    return ToolResult(data, is_error=not any(outcome.is_answered for outcome in outcomes))


def _for_host(services: Services, task: str, chosen: Chosen) -> dict[str, Json]:
    """Without a model: the agents as calls that the host sends itself, at most six a message."""
    if len(chosen.lenses) > MAX_PLANNED:
        raise InvalidInput(f"Without a model the host runs the agents: ask for at most {MAX_PLANNED}.")
    is_long = len(for_agent(task, chosen, chosen.lenses[0])) * len(chosen.lenses) > INLINE_CHARS
    path = services.keep("swarm-task", brief(task, chosen)) if is_long else None
    calls = [
        agent_call(
            clip(f"Look at: {lens.name}", 60),
            f"Read {path}: it holds your task. {_lens(lens)}" if path else for_agent(task, chosen, lens),
        )
        for lens in chosen.lenses
    ]
    why = getattr(services.backend, "why", "")
    return {
        "headline": f"No model was asked: a plan of {len(calls)} Agent calls for you to send",
        "note": f"No one was asked. {why} Send the Agent calls of one message side by side (at most "
        f"{MAX}), then those of the next. Then merge what is the same, and rank by how many said it.",
        "lenses": chosen.kind,
        "plan": {"messages": messages(calls)},
    }


# --- Lenses: where each agent of a swarm looks, so that many agents on one task don't say the same. ---------
# The built-in ones are data (lenses.toml), in four kinds. A caller may name a kind or give lenses of its own.

FALLBACK: Final = "approaches"
MAX_LENS_CHARS: Final = 300
"""Of a lens that the caller gives: a direction to look in, not a second task."""


@dataclass(frozen=True, slots=True)
class Lens:
    """`name` is its identity within a swarm."""

    name: str
    look: str


@dataclass(frozen=True, slots=True)
class Chosen:
    """The lenses of one swarm, and what its agents are to name."""

    kind: str
    ask: str
    lenses: Sequence[Lens]


@cache
def table() -> Json:
    """Return lenses.toml: viewpoints, and kinds with what to ask for, words of such tasks, and lenses."""
    return tomllib.loads(Path(__file__).with_name("lenses.toml").read_text(encoding="utf-8"))


def choose(task: str, count: int, given: Sequence[str] | None) -> Chosen:
    """Return `count` different lenses; `given` are kinds by name, or lenses. Raises InvalidInput."""
    kinds = table()["kinds"]
    names = [name.strip() for name in given or ()]
    kind = next((name for name in names if name in kinds), _kind_of(task))
    lenses: dict[str, Lens] = {}
    for name in names or [kind]:
        found = [Lens(*pair) for pair in kinds[name]["lenses"].items()] if name in kinds else [_own(name)]
        lenses |= {lens.name: lens for lens in found}
    most = len(lenses) * (1 + len(table()["viewpoints"]))
    if count > most:
        raise InvalidInput(
            f"{len(lenses)} lenses make at most {most} different agents, not {count}; give more lenses, "
            f"or a kind: {', '.join(kinds)}."
        )
    ask = kinds[kind]["ask"] if not names or any(name in kinds for name in names) else ""
    every = list(lenses.values())
    return Chosen(kind if ask else "given", ask, [_nth(every, place) for place in range(count)])


def _nth(lenses: Sequence[Lens], place: int) -> Lens:
    """Return each lens once as it is, then with one viewpoint after the other."""
    turn, lens = place // len(lenses), lenses[place % len(lenses)]
    if not turn:
        return lens
    return Lens(f"{lens.name} {turn + 1}", f"{lens.look}; {table()['viewpoints'][turn - 1]}")


def _own(text: str) -> Lens:
    if not text or len(text) > MAX_LENS_CHARS:
        raise InvalidInput(
            f"A lens has 1 to {MAX_LENS_CHARS} characters; long instructions belong into the task."
        )
    name, separator, look = text.partition(":")
    return Lens(name.strip(), look.strip()) if separator and look.strip() else Lens(text, text)


def _kind_of(task: str) -> str:
    """Return the kind that most words of the task speak for, the first of equals."""
    words = re.findall(r"[a-z]+", task.lower())
    hits = {name: sum(map(kind["words"].count, words)) for name, kind in table()["kinds"].items()}
    best = max(hits, key=lambda name: hits[name])
    return best if hits[best] else FALLBACK


# --- What the agents of a swarm answer: a few ideas each, the most important first. -------------------------

MAX_IDEAS: Final = 5
MAX_DETAIL_CHARS: Final = 2_000
"""Of one idea's detail: a longer one is not one idea."""
TITLE_CHARS: Final = 200

SCHEMA: Final = answer_form(ideas={"type": "array", "items": answer_form(title=TEXT, detail=TEXT)})
SYSTEM: Final = f"""You are one of many agents on the same task. Each looks through another lens; look through
yours alone, the others cover the rest. {LANGUAGE}
Answer with one JSON object and nothing else:
{{"ideas": [{{"title": "the point in one sentence", "detail": "one to three sentences: where, why, how"}}]}}
One to {MAX_IDEAS} ideas, the most important first. Nothing that everybody would say anyway; none is better
than a weak one: then send an empty list."""
IN_WORDS: Final = (
    f"Answer with one to {MAX_IDEAS} points, the most important first, each with one to three sentences."
)

_BULLET: Final = re.compile(r"^[ \t]*(?:[-*•]|\d+[.)])[ \t]+(\S.*)$", re.MULTILINE)
"""Within its line: models degenerate into endless line breaks, and each would be a start to look from."""


HAS_IDEAS: Final = jsonish.has("ideas", list)


@dataclass(frozen=True, slots=True)
class Idea:
    """What one agent said. `agent` is the name of its lens, `place` its rank among its own, from 0."""

    agent: str
    place: int
    title: str
    detail: str = ""


def for_agent(task: str, chosen: Chosen, lens: Lens) -> str:
    """The same for an agent of the host, which answers in words."""
    return f"{_asked(task, chosen, lens)}\n\n{IN_WORDS}"


def brief(task: str, chosen: Chosen) -> str:
    """What is the same for all agents of the host, to be read from a file."""
    return "\n\n".join(filter(None, (task, chosen.ask, IN_WORDS))) + "\n"


def read_ideas(agent: str, answer: Answer) -> list[Idea] | None:
    """Return the ideas of an answer, a list in words too; None when there is none to be found."""
    found = jsonish.best(answer.text, answer.data, HAS_IDEAS, is_cut=answer.truncated)
    if found is not None:
        pairs = islice(_pairs(found["ideas"]), MAX_IDEAS)
        return [Idea(agent, place, *pair) for place, pair in enumerate(pairs)]
    lines = [words(match[1]) for match in islice(_BULLET.finditer(jsonish.spoken(answer.text)), MAX_IDEAS)]
    return [Idea(agent, place, clip(line, TITLE_CHARS)) for place, line in enumerate(lines)] or None


READ: Final = "fanout_mcp.tools.agent_swarm:read_item"


def read_item(item: Json) -> Json:
    """`[agent, text, data, is_cut]` -> rows of ideas, None where there are none; for worker processes."""
    agent, text, data, is_cut = item
    ideas = read_ideas(agent, Answer(text, "", Usage(), data, truncated=is_cut))
    return ideas and [[one.agent, one.place, one.title, one.detail] for one in ideas]


def _asked(task: str, chosen: Chosen, lens: Lens) -> str:
    return "\n\n".join(filter(None, (f"Task:\n{task}", chosen.ask, _lens(lens))))


def _lens(lens: Lens) -> str:
    look = lens.look if lens.look == lens.name else f"{lens.name}: {lens.look}"
    return f"Your lens: {look}."


def _pairs(items: list[Json]) -> Iterator[tuple[str, str]]:
    for item in items:
        title, detail = (item.get("title"), item.get("detail")) if isinstance(item, dict) else (item, "")
        if isinstance(title, str) and title.strip():
            more = words(detail) if isinstance(detail, str) else ""
            yield clip(words(title), TITLE_CHARS), clip(more, MAX_DETAIL_CHARS)


# --- Near-duplicates: the same idea in other words is one idea, with everybody who had it. ------------------
# Theory of operation. Texts are compared by their words, each weighing the more the fewer ideas it is in: in
# a swarm on "input" that word distinguishes nothing. Two ideas are one when their titles share most of that
# weight, or their whole texts do. What turns a sentence round must agree: its negations and numbers. Missing
# a duplicate costs a line; merging two ideas loses one, so the bar is high.
#
# Rules:
# 1. Deterministic, and the order of equals is the order of the agents.
# 2. An idea joins the first group whose first idea it is alike to; groups never merge: no chains.
# 3. Ranked by how many agents said it, then by how early they did.

TITLES_ALIKE: Final = 0.8
"""Between one word of five missing (the same) and one of five replaced (another: empty list, huge list)."""
TEXTS_ALIKE: Final = 0.65
"""Where both have details: whole texts never share their words unless they are the same."""
HOPELESS: Final = 0.3
"""Share of plain words below which no weighing brings two texts together: it spares most comparisons."""

_WORD: Final = re.compile(r"[^\W\d_]+|\d+(?:\.\d+)?")
_EMPTY: Final = frozenset(
    _WORD.findall(
        "a an the and or of to in on at by for with from as is are was be been it its this that these those "
        "which who when where what how if then than so do does did can could may might must should would "
        "will has have had there here some any all each every other into out up down over under again"
    )
)
_TURNS: Final = frozenset(
    _WORD.findall("no not never without none nothing cannot except only before after first last zero one two")
)
_ENDINGS: Final = ("ations", "ation", "ings", "ing", "ies", "ied", "es", "ed", "ly", "s")


@dataclass(slots=True)
class Group:
    """One idea, and all that had it; the first stands for them."""

    ideas: list[Idea] = field(default_factory=list)

    @property
    def first(self) -> Idea:
        return self.ideas[0]

    @property
    def agents(self) -> list[str]:
        return list(dict.fromkeys(idea.agent for idea in self.ideas))


def merge(ideas: Sequence[Idea]) -> list[Group]:
    """Group what is alike, the most often said first."""
    texts = [_read_text(idea) for idea in ideas]
    weights = _weights(texts)
    bits = {word: 1 << place for place, word in enumerate(weights)}
    groups: list[tuple[_Text, Group]] = []
    for idea, plain in zip(ideas, texts, strict=True):
        title, whole = (sum(map(bits.__getitem__, words)) for words in (plain.title, plain.words))
        text = plain._replace(title_bits=title, words_bits=whole)
        group = next((group for first, group in groups if _is_alike(text, first, weights)), None)
        if group is None:
            group = Group()
            groups.append((text, group))
        group.ideas.append(idea)
    found = [group for _, group in groups]
    return sorted(
        found, key=lambda own: (-len(own.agents), sum(one.place for one in own.ideas) / len(own.ideas))
    )


class _Text(NamedTuple):
    title: frozenset[str]
    words: frozenset[str]
    """Of title and detail; none where there is no detail."""
    turns: frozenset[str]
    """Negations and numbers of the title."""
    title_bits: int = 0
    words_bits: int = 0
    """The words as bits, so that hopeless pairs are found without looking at words."""


def _read_text(idea: Idea) -> _Text:
    title = _WORD.findall(idea.title.lower().replace("n't", " not"))
    turns = frozenset(word for word in title if word in _TURNS or word[0].isdigit())
    stems = (frozenset(map(_stem, title)) - _EMPTY) or frozenset(title)
    more = frozenset(map(_stem, _WORD.findall(idea.detail.lower()))) - _EMPTY
    return _Text(stems, stems | more if more else frozenset(), turns)


def _is_alike(one: _Text, other: _Text, weights: Mapping[str, float]) -> bool:
    if one.turns != other.turns:
        return False
    return (
        _overlap(one.title_bits, other.title_bits) >= HOPELESS
        and _shared(one.title, other.title, weights) >= TITLES_ALIKE
    ) or (
        _overlap(one.words_bits, other.words_bits) >= HOPELESS
        and _shared(one.words, other.words, weights) >= TEXTS_ALIKE
    )


def _overlap(one: int, other: int) -> float:
    return 2 * (one & other).bit_count() / ((one.bit_count() + other.bit_count()) or 1)


def _shared(one: frozenset[str], other: frozenset[str], weights: Mapping[str, float]) -> float:
    """Dice's measure by weight: 1 for the same words, 0 for none in common."""
    total = sum(map(weights.__getitem__, one)) + sum(map(weights.__getitem__, other))
    return 2 * sum(map(weights.__getitem__, one & other)) / total if total else 0.0


def _weights(texts: Sequence[_Text]) -> dict[str, float]:
    often = Counter(word for text in texts for word in sorted(text.title | text.words))
    return {word: math.log(1 + len(texts) / times) for word, times in often.items()}


def _stem(word: str) -> str:
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            word = word.removesuffix(ending)
            break
    return word.removesuffix("e") if len(word) > 4 else word


# --- A swarm's jobs, price and stop rule; its result, short and whole. --------------------------------------

MAX_TOKENS: Final = 1_200
"""Of one agent's answer: five ideas of four sentences."""
MAX_TOTAL_TOKENS: Final = 2_000_000
"""What holds where no price is known: two hundred agents on a task of some 8,000 tokens."""
ENOUGH: Final = 0.9
"""Once so many have answered, the others get a grace: in a hundred calls there is always a slow one."""

MAX_SHOWN: Final = 25
MAX_DETAILED: Final = 10
MAX_NAMES: Final = 5
TITLE: Final = 160
DETAIL: Final = 240


@dataclass(frozen=True, slots=True)
class Swarm:
    chosen: Chosen
    groups: Sequence[Group]
    said: int
    """Ideas before near-duplicates were merged."""
    failed: Mapping[str, str]
    cut: Sequence[str]


def jobs(task: str, chosen: Chosen, model: str | None) -> list[Job]:
    return [
        Job(lens.name, Prompt(SYSTEM, _asked(task, chosen, lens)), model, SCHEMA, MAX_TOKENS)
        for lens in chosen.lenses
    ]


def priced(todo: Sequence[Job], price: ModelPrice | None, max_cost_usd: float) -> Purse:
    """Return the purse of these jobs. Raises BudgetExceeded when they may cost more than the budget."""
    allowed = Budget(max_cost_usd, MAX_TOTAL_TOKENS)
    same = cache(receipt.at_most)  # of two hundred prompts with one system prompt it is counted once

    def count(prompt: Prompt) -> int:
        return same(prompt.system) + same(prompt.user)

    planned = estimate(todo, count, lambda _: price)
    check(planned, allowed)
    return Purse(allowed, planned, count, lambda _: price)


def enough(count: int) -> StopRule:
    """Return the stop rule of a swarm of so many agents."""
    wanted = max(1, int(ENOUGH * count))

    def why(outcomes: Collection[Outcome], _: Collection[str]) -> str:
        if len(outcomes) < wanted:
            return ""
        answered = sum(outcome.is_answered for outcome in outcomes)
        return f"{answered} agents had answered" if answered >= wanted else ""

    return why


class Reading:
    """The `ask` of a swarm: reads each answer as it comes, a long one in `workers`."""

    def __init__(self, ask: Ask, workers: Workers | None = None) -> None:
        self._ask, self._workers = ask, workers
        self.ideas: dict[str, list[Idea]] = {}

    async def __call__(self, job: Job, /) -> Answer:
        answer = await self._ask(job)
        read = await self._read(job.key, answer)
        if read is None:
            raise UnreadableAnswer("its answer could not be read").billed(answer.usage)
        self.ideas[job.key] = read
        return answer

    async def _read(self, agent: str, answer: Answer) -> list[Idea] | None:
        if self._workers is None or len(answer.text) <= SMALL:
            return read_ideas(agent, answer)
        item = [agent, answer.text, answer.data, answer.truncated]
        [(_, rows)] = await self._workers.map(READ, [item])
        return None if isinstance(rows, Failure) or rows is None else [Idea(*row) for row in rows]


def unite(chosen: Chosen, outcomes: Sequence[Outcome], said: Mapping[str, Sequence[Idea]]) -> Swarm:
    """Merge what is alike of what was said, by job."""
    found = [idea for one in outcomes if one.is_answered for idea in said[one.key]]
    failed = {one.key: one.reason for one in outcomes if one.status == "failed"}
    cut = [one.key for one in outcomes if one.status == "cut"]
    return Swarm(chosen, merge(found), len(found), failed, cut)


def short(swarm: Swarm) -> dict[str, Json]:
    """The result as the model reads it: ranked and bounded, the rest is in the report."""
    more = len(swarm.groups) - MAX_SHOWN
    shared = sum(len(group.agents) > 1 for group in swarm.groups)
    return {
        "headline": f"{len(swarm.groups)} answers of {len(swarm.chosen.lenses)} agents, "
        f"{shared} named by more than one",
        "lenses": swarm.chosen.kind,
        "agents": len(swarm.chosen.lenses),
        "answers": [_answer(group, place) for place, group in enumerate(swarm.groups[:MAX_SHOWN])],
        **({"more": f"{more} more in the report"} if more > 0 else {}),
        "merged": swarm.said - len(swarm.groups),
        "failed": _reasons(swarm.failed),
        "cut": len(swarm.cut),
    }


def report(task: str, swarm: Swarm) -> str:
    """Every idea, who had it, and in which words the others said it."""
    parts = [
        f"# {len(swarm.groups)} answers of {len(swarm.chosen.lenses)} agents",
        f"{swarm.said} ideas, {swarm.said - len(swarm.groups)} merged as near-duplicates.",
        f"## Task\n\n{quoted(task)}",
    ]
    for place, group in enumerate(swarm.groups, 1):
        lines = [
            f"## {place}. {group.first.title}",
            group.first.detail,
            f"Said by {', '.join(group.agents)}.",
        ]
        others = [f"- {one.agent}: {one.title} {one.detail}".rstrip() for one in group.ideas[1:]]
        parts += [*filter(None, lines), *(["\n".join(others)] if others else [])]
    silent = [f"- {name}: {why}" for name, why in swarm.failed.items()]
    silent += [f"- {name}: cut, enough had answered" for name in swarm.cut]
    return "\n\n".join([*parts, *(["## No answer\n\n" + "\n".join(silent)] if silent else [])]) + "\n"


def _answer(group: Group, place: int) -> dict[str, Json]:
    names, first = group.agents, group.first
    shown = names[:MAX_NAMES] + ([f"+{len(names) - MAX_NAMES}"] if len(names) > MAX_NAMES else [])
    detail = {"detail": clip(first.detail, DETAIL)} if first.detail and place < MAX_DETAILED else {}
    return {"title": clip(first.title, TITLE), **detail, "said_by": [clip(name, 40) for name in shown]}


def _reasons(failed: Mapping[str, str]) -> list[dict[str, Json]]:
    """Each reason once, with how many failed for it."""
    often = Counter(clip(why, TITLE) for why in failed.values())
    return [{"agents": times, "reason": why} for why, times in islice(often.items(), MAX_NAMES)]


TOOL: Tool[Args] = Tool(
    name="agent_swarm",
    title="Many agents on one task, each through another lens",
    description=(
        "Many agents on one task, each through another lens; near-duplicates merged, the rest ranked."
    ),
    arguments=Args,
    call=call,
    output={
        "lenses": TEXT,
        "agents": COUNT,
        "answers": rows(title=TEXT, detail=TEXT, said_by=LINES),
        "merged": COUNT,
        "cut": COUNT,
        "receipt": TABLE,
        "report": TEXT,
        "plan": TABLE,
    },
    search_hint="swarm, brainstorm, many agents, test cases, hypotheses",
)
