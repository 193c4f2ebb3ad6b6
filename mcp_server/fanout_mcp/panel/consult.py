"""One round of a consultation: members asked at once, their positions counted, the rule applied."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from typing import Annotated, Final, Literal, NamedTuple

import anyio
from anyio.to_thread import run_sync
from pydantic import BaseModel, ConfigDict, Field

from fanout_mcp.backends.plan import agent_call, messages
from fanout_mcp.backends.providers import maker_of, thinking_tokens
from fanout_mcp.engine.budget import Budget, Estimate, Purse, check, dollars, estimate
from fanout_mcp.engine.retry import larger_budget
from fanout_mcp.engine.run import Plan
from fanout_mcp.errors import BackendError, BudgetExceeded, InvalidInput
from fanout_mcp.jsonish import LINES, MAYBE, NUMBER, TABLE, TEXT, rows
from fanout_mcp.panel import personas
from fanout_mcp.panel.answer import SCHEMA, Position
from fanout_mcp.panel.asking import (
    MAX_SHOWN,
    Asking,
    Material,
    for_agent,
    read_material,
    repair,
    until_decided,
)
from fanout_mcp.panel.personas import Member, seat
from fanout_mcp.panel.vote import Ballot, Decision, Stakes, decide, default_quorum, in_words
from fanout_mcp.source import receipt as source_receipt
from fanout_mcp.source.workers import Workers, in_own_thread
from fanout_mcp.state.settings import Settings
from fanout_mcp.text import clip
from fanout_mcp.types import Answer, Ask, Backend, Effort, Job, Json, ModelPrice, Outcome, Progress, Prompt
from fanout_mcp.usage import UNREPORTED, Usage

TOKENS_WITHOUT_PRICE = 600_000
"""What holds where no price is known: eight members with the largest attachments."""
MAX_TOKENS = 1_500
"""Of one answer; five reasons of a sentence each take about 300."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What is the same for every call of a consultation."""

    deadline_s: float
    max_cost_usd: float
    prices: Mapping[str | None, ModelPrice | None]
    max_tokens: int = TOKENS_WITHOUT_PRICE
    thinking: Mapping[str | None, int] = field(default_factory=dict)
    """By model: output tokens that its thinking takes beside the answer."""
    effort: Effort | None = None
    share: float = 1.0
    """Of the tokens for thinking, what the budget has room for."""

    @property
    def budget(self) -> Budget:
        return Budget(self.max_cost_usd, self.max_tokens)

    def price(self, one: Job) -> ModelPrice | None:
        return self.prices.get(one.model)


class Price(NamedTuple):
    """What a consultation may take: every member asked, and once more where its answer can't be read."""

    at_most: Estimate
    purse: Purse
    """Holds it to that: every further call has to ask it."""


@dataclass(frozen=True, slots=True)
class Ruling:
    """What a panel's answers come to by its rule."""

    decision: Decision
    agreement: float
    positions: Mapping[str, Position]
    """By member's key, those that answered."""
    failed: Mapping[str, str]
    cut: Sequence[str]


def member_job(member: Member, prompt: Prompt, terms: Terms, key: str | None = None) -> Job:
    most = MAX_TOKENS + int(terms.share * terms.thinking.get(member.model, 0))
    return Job(key or member.key, prompt, member.model, SCHEMA, most, effort=terms.effort)


SHARES: Final = (1.0, 0.5, 0.25, 0.0)
LONG: Final = 20_000
"""Characters; the tokens of less are counted in under a millisecond, and a thread takes its time as well."""


async def within_budget(
    asked: Consultation, terms: Terms, jobs: Callable[[Terms], Sequence[Job]]
) -> tuple[Terms, Price]:
    """Do what `affordable` does, in a thread where much was attached. Raises BudgetExceeded."""
    if len(asked.question) + len(asked.material.text) <= LONG:
        return affordable(terms, jobs)
    return await run_sync(affordable, terms, jobs)


def affordable(terms: Terms, jobs: Callable[[Terms], Sequence[Job]]) -> tuple[Terms, Price]:
    """Return the terms with as many tokens for thinking as the budget has room for, and the price.

    A model that runs out of them is asked once more, as far as the budget goes. Raises BudgetExceeded where
    even the answers alone don't fit.
    """
    for share in SHARES:
        shared = replace(terms, share=share)
        with suppress(BudgetExceeded):
            return shared, priced(jobs(shared), shared)
        if not any(terms.thinking.values()):
            break
    return shared, priced(jobs(shared), shared)


def priced(jobs: Sequence[Job], terms: Terms) -> Price:
    """Say what these jobs may cost, and refuse what is over the budget. Raises BudgetExceeded."""
    count, more = cache(source_receipt.at_most), _of_repair()  # all members read the same question

    def of_prompt(prompt: Prompt) -> int:
        return _of_persona(prompt.system) + count(prompt.user)

    planned = estimate(jobs, of_prompt, terms.price)
    check(planned, terms.budget)
    members = [replace(one, max_tokens=larger_budget(one.max_tokens)) for one in jobs if one.schema is SCHEMA]
    most = planned + estimate(members, lambda prompt: of_prompt(prompt) + more, terms.price)
    allowed = terms.budget.within(most)
    return Price(
        replace(most, cost_usd=None if most.cost_usd is None else allowed.max_cost_usd),
        Purse(allowed, planned, of_prompt, terms.price),
    )


_of_persona: Final = lru_cache(maxsize=64)(source_receipt.at_most)
"""What is the same from call to call is counted once."""


@cache
def _of_repair() -> int:
    """Return the most tokens that asking for the form once more adds to a prompt."""
    asked = repair(Prompt("", ""), "words " * MAX_SHOWN, "why " * 50)
    return source_receipt.at_most(asked.system) + source_receipt.at_most(asked.user)


def plan(terms: Terms, progress: Progress, asking: Asking, ballot: Ballot, *, hedge: bool) -> Plan:
    def describe(outcome: Outcome) -> str:
        position = asking.positions.get(outcome.key) if outcome.is_answered else None
        if position is None:
            return f"{outcome.key} {outcome.status}: {outcome.reason}"
        sure = "" if position.confidence is None else f" ({position.confidence} % sure)"
        return f"{outcome.key}: {position.verdict}{sure}"

    stop = until_decided(asking, ballot)
    return Plan(terms.deadline_s, stop, hedge, terms.budget, progress, describe)


def close(outcomes: Sequence[Outcome], asking: Asking, ballot: Ballot) -> Ruling:
    positions = {one.key: asking.positions[one.key] for one in outcomes if one.is_answered}
    result = decide(asking.counts(outcomes), ballot)
    cut = [one.key for one in outcomes if one.cause == "decided"]
    failed = {one.key: one.reason for one in outcomes if one.key not in {*positions, *cut}}
    return Ruling(result.decision, result.agreement, positions, failed, cut)


# --- A consultation before its first call: its arguments, and what is gathered for them. --------------------

MAX_CHARS = 60_000
"""Of a question: longer ones are files, and files can be attached."""


class PanelArguments(BaseModel):
    """What every tool that asks a panel takes."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    question: Annotated[str, Field(min_length=1, description="All context: members see nothing else.")]
    preset: str = "quick"
    personas: list[str] | None = None
    models: Annotated[
        list[str] | None, Field(description="provider:model: one for all, one each, or persona=model.")
    ] = None
    files: Annotated[list[str] | None, Field(description="Project files to attach.")] = None
    stakes: Stakes = "production"
    quorum: Annotated[int | None, Field(ge=1)] = None
    deadline_s: Annotated[float, Field(gt=0, le=3600)] = 100
    max_cost_usd: Annotated[float, Field(gt=0)] = 1.0
    dry_run: Annotated[bool, Field(description="Only the members and the price.")] = False


FAR_S: Final = 0.3
"""For the prices of other providers, which are asked only if one fails: they are mostly in the cache."""
EFFORT: Final[dict[Stakes, Effort]] = {"exploration": "low", "production": "medium", "critical": "high"}
"""How hard reasoning models think, by what is at stake."""


@dataclass(frozen=True, slots=True)
class Consultation:
    """All that a consultation needs before its first call."""

    question: str
    members: Sequence[Member]
    material: Material
    ballot: Ballot
    ignored: tuple[str, ...] = ()
    """What is wrong with the user's own personas and presets; this consultation needs none of them."""


async def gather(
    settings: Settings, backend: Backend, args: PanelArguments, workers: Workers | None = None
) -> Consultation:
    """Read personas and files. Raises InvalidInput for whatever is wrong with the arguments."""
    question = args.question.strip()
    if not question:
        raise InvalidInput("question is empty; ask something that a panel can judge.")
    if len(question) > MAX_CHARS:
        raise InvalidInput(
            f"question has {len(question):,} characters; at most {MAX_CHARS:,}. Put long text into a file "
            "of the project and attach it with files."
        )
    has_own = personas.has_own(settings.config_dir)
    library = await run_sync(personas.read, settings.config_dir) if has_own else personas.built_in()
    members = seat(library.choose(args.preset, args.personas), args.models, backend.seating())
    quorum = args.quorum or default_quorum(len(members))
    if quorum > len(members):
        raise InvalidInput(f"quorum is {quorum}, but the panel has {len(members)} members.")
    attached = Material()
    if files := args.files:
        attached = await in_own_thread(lambda stop: read_material(settings.root, files, workers, stop))
    ballot = Ballot(len(members), quorum, args.stakes)
    return Consultation(question, members, attached, ballot, tuple(library.broken.values()))


async def terms_of(
    backend: Backend,
    models: Collection[str | None],
    args: PanelArguments,
    *,
    max_tokens: int = TOKENS_WITHOUT_PRICE,
) -> Terms:
    """Look up what the models cost, and those that may replace them. Raises InvalidInput for a wrong name.

    Prices get a third of the time at most: without a price tokens are bounded.
    """
    routes = [backend.route(model) for model in models]
    near = {*models, *(one for route in routes for one in route.fallbacks)}
    far = {one for route in routes for one in route.elsewhere} - near
    began = anyio.current_time()
    prices: dict[str | None, ModelPrice | None] = dict.fromkeys(near | far)
    for asked, most_s in ((near, args.deadline_s / 3), (far, FAR_S)):
        with anyio.move_on_after(most_s):
            for model in asked:
                prices[model] = await backend.price(model)
    left_s = args.deadline_s - (anyio.current_time() - began)
    effort = EFFORT[args.stakes]
    thinking = {model: thinking_tokens(model, effort) for model in models}
    return Terms(left_s, args.max_cost_usd, prices, max_tokens, thinking, effort)


def not_asked(asked: Consultation, backend: Backend, following: str) -> dict[str, Json]:
    """Without a model: ready agent calls that the host runs itself; `following`: before the rule."""
    calls = [
        agent_call(
            f"{member.persona.title} on the question",
            for_agent(member, asked.question, asked.material, asked.ballot.stakes),
        )
        for member in asked.members
    ]
    note = (
        f"No model is set up, so no one was asked. {getattr(backend, 'why', '')} Send the agent calls of "
        f"each message below side by side{following} apply the rule: {asked.ballot.rule}."
    )
    return {
        "headline": f"No model was asked: a plan of {len(calls)} Agent calls for you to send",
        "decision": "NOT_ASKED",
        "note": note,
        **ignored(asked),
        "plan": {"messages": messages(calls)},
    }


# --- ledger -------------------------------------------------------------------------------------------------
# Every call upstream of one consultation, and which were in vain: calls, tokens and money thrown away.
# Rules:
# 1. One entry a call, retries and repairs included, so that the count equals the provider's own.
# 2. A cancelled call sends no usage. Of what was wasted its prompt is counted (estimated) and priced, since
#    it was sent; what the model had written by then is not known, so the sum is the least that it was.
#    Whether the provider stops billing at a cancel is its matter.
# 3. Where no price is known, the cost is None, never 0.

State = Literal["open", "answered", "failed", "cut"]


@dataclass(slots=True, eq=False)
class Leg:
    """One run of calls: a round's panel, or a synthesis."""

    n: int
    kind: Literal["panel", "synthesis"]
    discarded: bool = False


@dataclass(slots=True)
class Entry:
    leg: Leg
    job: Job
    state: State = "open"
    requests: int = 0
    """More than one where the backend asked again in another form."""
    reported: Usage = field(default_factory=Usage)


@dataclass(frozen=True, slots=True)
class Waste:
    calls: int = 0
    usage: Usage = field(default_factory=Usage)


class Ledger:
    """Wraps the way to the models; `of` gives each leg its own `ask`."""

    def __init__(self, ask: Ask, prices: Mapping[str | None, ModelPrice | None]) -> None:
        self._ask, self._prices = ask, prices
        self.entries: list[Entry] = []

    def of(self, leg: Leg) -> Ask:
        async def ask(job: Job, /) -> Answer:
            entry = Entry(leg, job)
            self.entries.append(entry)
            upper = job.on_request

            def on_request(billed: Usage) -> None:
                entry.requests += 1
                entry.reported = billed
                if upper is not None:
                    upper(billed)

            try:
                answer = await self._ask(replace(job, on_request=on_request))
            except BackendError as error:
                entry.state, entry.reported = "failed", error.usage
                raise
            except Exception:
                entry.state = "failed"
                raise
            finally:
                if entry.state == "open":
                    entry.state, entry.reported = "cut", entry.reported + UNREPORTED
            entry.state, entry.reported = "answered", answer.usage
            return answer

        return ask

    @property
    def calls(self) -> int:
        """Requests sent upstream; a backend that reports none sends one a call."""
        return sum(max(1, entry.requests) for entry in self.entries)

    @property
    def usage(self) -> Usage:
        """What the provider reported, of wasted answers too."""
        return sum((entry.reported for entry in self.entries), Usage())

    def waste(self, is_used: Callable[[Entry], bool], n: int | None = None) -> Waste:
        unused = [one for one in self.entries if n in {None, one.leg.n} and not is_used(one)]
        return Waste(
            sum(max(1, one.requests) for one in unused), sum((self._spent(one) for one in unused), Usage())
        )

    def _spent(self, entry: Entry) -> Usage:
        if entry.state != "cut":
            return entry.reported
        sent = source_receipt.count(entry.job.prompt.system) + source_receipt.count(entry.job.prompt.user)
        price = self._prices.get(entry.job.model)
        cost = None if price is None else sent * price.usd_per_mtok_in / 1e6
        return entry.reported + Usage(sent, 0, cost, is_partial=True)


# --- A consultation's result in short: what the model reads, bounded by the number of members. --------------

WIDTHS: Final = ((3, 300), (8, 214), (24, 100))
"""Up to so many members, so many characters for the texts of each: three in about 1 kB, eight under 4 kB."""

MAX_IGNORED: Final = 3


def width(members: int) -> int:
    return next((wide for most, wide in WIDTHS if members <= most), WIDTHS[-1][1])


def short_verdict(asked: Consultation, closed: Ruling, spent: Mapping[str, Json]) -> dict[str, Json]:
    wide = width(len(asked.members))
    members = {member.key: member for member in asked.members}
    counts: Counter[str] = Counter(position.verdict for position in closed.positions.values())
    return {
        "headline": in_words(counts, asked.ballot),
        "decision": closed.decision,
        "rule": rule(asked, closed),
        "agreement": closed.agreement,
        "votes": [vote(members[key], closed, wide) for key in members if key in closed.positions],
        "failed": [{"member": key, "reason": clip(why, wide)} for key, why in closed.failed.items()],
        "cut": list(closed.cut),
        "receipt": {**spent, **makers(asked.members), **stand_ins(members, closed)},
        **ignored(asked),
    }


def makers(members: Sequence[Member]) -> dict[str, Json]:
    """Of how many makers the models are that were asked; those whose maker is not known count as one."""
    named = [(maker_of(member.model), member.model) for member in members if member.model]
    found = {"" if maker == model else maker for maker, model in named}
    return {"makers": len(found)} if found else {}


def stand_ins(members: Mapping[str, Member], closed: Ruling) -> dict[str, Json]:
    """Who answered for whom and why; nothing where each member's own model did."""
    answered = [
        {
            "member": key,
            "asked": members[key].model,
            "answered": position.model,
            "why": clip(position.instead, 160),
        }
        for key, position in closed.positions.items()
        if position.model
    ]
    return {"fallbacks": answered} if answered else {}


def ignored(asked: Consultation) -> dict[str, Json]:
    """What was passed over of the user's own files; nothing where all is well."""
    reasons = [clip(why, 300) for why in asked.ignored[:MAX_IGNORED]]
    return {"ignored": reasons} if reasons else {}


def rule(asked: Consultation, closed: Ruling) -> str:
    return asked.ballot.applied(sum(bool(position.missing) for position in closed.positions.values()))


def vote(member: Member, closed: Ruling, wide: int) -> dict[str, Json]:
    position = closed.positions[member.key]
    summary, blocker, change = fitted(
        (
            f"{position.summary} ({position.note})" if position.note else position.summary,
            position.blocker,
            position.smallest_change,
        ),
        wide,
    )
    return {
        "member": member.key,
        "persona": member.persona.name,
        "model": position.model or member.model,
        **({"instead_of": member.model} if position.model else {}),
        "verdict": position.verdict,
        "confidence": position.confidence,
        "summary": summary,
        "blocker": blocker or None,
        "smallest_change": change or None,
    }


def receipt(calls: int, used: Usage, elapsed_s: float) -> dict[str, Json]:
    return {"calls": calls, **used.fields(), "elapsed_s": round(elapsed_s, 2)}


def dry(asked: Consultation, expected: Estimate) -> dict[str, Json]:
    cost = "cost unknown" if expected.cost_usd is None else f"at most {dollars(expected.cost_usd)}"
    return {
        "headline": f"Would ask {len(asked.members)} members, {expected.calls} calls, {cost}",
        "dry_run": True,
        "members": [
            {"member": one.key, "persona": one.persona.name, "model": one.model} for one in asked.members
        ],
        "rule": asked.ballot.rule,
        "at_most": {
            "calls": expected.calls,
            "tokens_in": expected.tokens_in,
            "tokens_out": expected.tokens_out,
            "cost_usd": "unknown" if expected.cost_usd is None else round(expected.cost_usd, 6),
        },
        **ignored(asked),
    }


VERDICT_FORM: Final[Mapping[str, Json]] = {
    "decision": {"enum": ["PROCEED", "SIMPLIFY", "STOP", "NO_VERDICT", "NOT_ASKED"]},
    "rule": TEXT,
    "agreement": NUMBER,
    "votes": rows(
        **dict.fromkeys(("member", "persona", "verdict", "summary"), TEXT),
        **dict.fromkeys(("model", "blocker", "smallest_change"), MAYBE),
        confidence={"type": ["integer", "null"]},
    ),
    "failed": rows(member=TEXT, reason=TEXT),
    "cut": LINES,
    "receipt": TABLE,
    "report": TEXT,
    "plan": TABLE,
}
"""JSON schemas of a verdict's fields, as short_verdict, dry and not_asked fill them."""


def fitted(texts: Sequence[str], wide: int) -> list[str]:
    """Clip texts to so many characters together; what a short one leaves goes to the longer ones."""
    shown, left = list(texts), wide
    shortest_first = sorted(range(len(texts)), key=lambda place: len(texts[place]))
    for taken, place in enumerate(shortest_first):
        shown[place] = clip(texts[place], left // (len(texts) - taken))
        left -= len(shown[place])
    return shown
