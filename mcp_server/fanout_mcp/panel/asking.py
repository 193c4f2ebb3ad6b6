"""Asking a member: one call, one repair where the answer can't be read, then it is lost."""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fanout_mcp.engine.retry import ONCE, larger_budget, rule_for
from fanout_mcp.engine.run import StopRule
from fanout_mcp.errors import BackendError, ContextTooSmall, InvalidInput, UnreadableAnswer
from fanout_mcp.panel.answer import FORM, PARSE, Position, Unreadable, parse, position_of
from fanout_mcp.panel.personas import Member
from fanout_mcp.panel.vote import Ballot, Stakes, is_decided
from fanout_mcp.source.pack import RULE, new_fence
from fanout_mcp.source.read import Skipped, read
from fanout_mcp.source.secrets import SMALL, scrub
from fanout_mcp.source.workers import Failure, Workers
from fanout_mcp.state import policy
from fanout_mcp.types import Answer, Ask, Job, Outcome, Prompt
from fanout_mcp.usage import Usage

# --- Files attached to a question: bounded, below the root, without secrets, fenced as data. ----------------

MAX_FILES = 20
MAX_FILE_BYTES = 400_000
"""Of one file; a longer one says little to a panel, and summarize_files is the tool for it."""
MAX_MATERIAL_CHARS = 200_000
"""Of all files together: about 50,000 tokens, which every default model takes."""


@dataclass(frozen=True, slots=True)
class Material:
    """What goes behind the question; empty when no file was attached."""

    text: str = ""
    files: tuple[str, ...] = ()
    redacted: int = 0
    digests: tuple[str, ...] = ()
    """SHA-256 of each file."""


def read_material(
    root: Path, files: Sequence[str], workers: Workers | None = None, stop: threading.Event | None = None
) -> Material:
    """Read attached files without their secrets. Raises InvalidInput: which can't be sent, and why."""
    if not files:
        return Material()
    if not policy.current().sources_may_leave:
        raise InvalidInput(f"No file is attached: the policy {policy.PLACE} lets none leave; {policy.ASK}.")
    if len(files) > MAX_FILES:
        raise InvalidInput(f"{len(files):,} files are too many; attach at most {MAX_FILES}.")
    fence = new_fence()
    parts, redacted = [RULE.format(fence=fence)], 0
    texts: list[tuple[str, str]] = []
    digests: list[str] = []
    for name in dict.fromkeys(_relative(root, file) for file in files):
        source = read(root, name, at_most=MAX_FILE_BYTES)
        if isinstance(source, Skipped):
            is_inside = Path(os.path.normpath(root / name)).is_relative_to(root)
            is_clear = is_inside and source.reason != "not there"
            where = "" if is_clear else f" Files must lie below {root}."
            raise InvalidInput(f"{name[:200]!r} can't be attached: {source.reason}.{where}")
        texts.append((name, source.text))
        digests.append(source.digest)
    for (name, _), scrubbed in zip(texts, scrub(workers, texts, stop), strict=True):
        if isinstance(scrubbed, Failure):
            raise InvalidInput(f"{name[:200]!r} can't be attached: taking secrets out {scrubbed.reason}.")
        text, found = scrubbed
        redacted += found
        parts.append(f"{fence} begin {name!r}\n{text}\n{fence} end {name!r}")
    material = "\n\n".join(parts)
    if len(material) > MAX_MATERIAL_CHARS:
        raise InvalidInput(
            f"The attached files have {len(material):,} characters; at most {MAX_MATERIAL_CHARS:,} can be "
            "sent. Attach fewer, or ask summarize_files first."
        )
    return Material(material, tuple(name for name, _ in texts), redacted, tuple(digests))


def _relative(root: Path, file: str) -> str:
    """An absolute path below the root is taken as relative to it; everything else is `read`'s to judge."""
    path = Path(file)
    if path.is_absolute() and path.is_relative_to(root):
        return path.relative_to(root).as_posix()
    return file.removeprefix("./")


# --- What members are asked: the question, the stakes, the material, the form of the answer. ----------------

STAKES: dict[Stakes, str] = {
    "exploration": "The stakes are low: an exploration that can be thrown away. Lean towards trying it.",
    "production": "This is for production: it will be used, and it can be changed later.",
    "critical": "The stakes are critical: a mistake would be costly or could not be undone. Be sure.",
}
MAX_SHOWN = 6_000
"""Characters of an answer that its author is shown again."""
LANGUAGE = "Write in the language of the question. Be concrete and short."


def system(member: Member) -> str:
    return f"{member.persona.system}\n\n{LANGUAGE}\n\n{FORM}"


def first_prompt(member: Member, question: str, material: Material, stakes: Stakes) -> Prompt:
    """The question as a member gets it, alone and without any other member's opinion."""
    parts = [f"Question:\n{question.strip()}", STAKES[stakes]]
    if material.text:
        parts.append(f"Attached files:\n{material.text}")
    return Prompt(system(member), "\n\n".join(parts), material.digests)


def repair(prompt: Prompt, answer: str, why: str) -> Prompt:
    """Ask once more for an answer in the form, with what was wrong."""
    shown = answer.strip()[:MAX_SHOWN]
    yours = f"Your answer was:\n{shown}\n\n" if shown else ""
    return Prompt(
        prompt.system,
        f"{prompt.user}\n\nYou have answered this, but it could not be read: {why}.\n{yours}"
        "Send the same judgement again as the one JSON object, and nothing else.",
    )


CHARS_A_TOKEN = 3
"""Code has three; prose four."""
LEFT_OUT = "[The rest, {count:,} characters, was left out: it does not fit into this model's context.]"
MIN_SHARE = 0.1
"""Of a prompt: with less of it no one could judge."""


def packed(prompt: Prompt, tokens: int, max_tokens: int) -> Prompt | None:
    """Shorten a prompt for a context of so many tokens, None where too little of it would be left.

    The question is at its head, so the end goes: what was attached, or what others said.
    """
    answer = min(max_tokens, max(tokens // 3, MIN_ANSWER))
    room = (tokens - answer) * CHARS_A_TOKEN - len(prompt.system) - len(LEFT_OUT) - 20
    if room < MIN_SHARE * len(prompt.user) or room >= len(prompt.user):
        return None
    at = prompt.user.rfind("\n", 0, room)
    kept = prompt.user[: at if at > room // 2 else room]
    return replace(prompt, user=f"{kept}\n{LEFT_OUT.format(count=len(prompt.user) - len(kept))}")


MIN_ANSWER = 400
"""Tokens that an answer in the form takes."""


def for_agent(member: Member, question: str, material: Material, stakes: Stakes) -> str:
    """The same for an agent of the host, which answers in words."""
    asked = first_prompt(member, question, Material(), stakes)
    files = f"\n\nRead first: {', '.join(material.files)}" if material.files else ""
    return f"{asked.system}\n\n{asked.user}{files}"


# --- asking ------------------------------------------------------------------------------------------

DECIDED = "the vote was decided without it"


class Asking:
    """The `ask` of one round: reads each answer, a long one in `workers`, and repairs it once."""

    def __init__(self, ask: Ask, workers: Workers | None = None) -> None:
        self._ask, self._workers = ask, workers
        self._began: dict[str, str | None] = {}
        """The model that each member was asked with first."""
        self._failed: dict[str, str] = {}
        self._unread: dict[tuple[str, str | None], tuple[Answer, Unreadable]] = {}
        """By member and model: an answer that could not be read, to be asked for again."""
        self._shortened: set[str] = set()
        """Members that got less than the whole prompt."""
        self.positions: dict[str, Position] = {}
        self.answers: dict[str, str] = {}
        """What each member wrote, word for word, readable or not."""

    async def __call__(self, job: Job, /) -> Answer:
        own = self._began.setdefault(job.key, job.model)
        place, usage = (job.key, job.model), Usage()
        if place not in self._unread:
            answer, read = await self._once(job)
            usage = answer.usage
            if isinstance(read, Unreadable):
                self._unread[place] = answer, read
        if place in self._unread:
            answer, read = await self._again(job, *self._unread[place], usage)
        if isinstance(read, Unreadable):
            lost = UnreadableAnswer(f"the answer could not be read, also when asked again: {read.why}")
            raise lost.billed(answer.usage)
        if job.model != own:
            read = replace(read, model=job.model or "", instead=self._failed.get(job.key, ""))
        if job.key in self._shortened:
            read = replace(read, is_shortened=True)
        self.positions[job.key] = read
        return answer

    async def _again(
        self, job: Job, unread: Answer, problem: Unreadable, usage: Usage
    ) -> tuple[Answer, Position | Unreadable]:
        """Ask for the form once more; `usage`: of the unread answer, where it is this call's."""
        wanted = larger_budget(job.max_tokens) if unread.truncated else job.max_tokens
        prompt = repair(job.prompt, "" if unread.truncated else unread.text, problem.why)
        try:
            second, read = await self._once(replace(job, prompt=prompt, max_tokens=wanted))
        except BackendError as error:
            reason = f"the answer could not be read, and the second try failed: {error}"
            if rule_for(error) is ONCE:
                raise UnreadableAnswer(reason).billed(usage + error.usage) from error
            error.args = (reason,)  # the engine tries it again, and comes straight here
            error.billed(usage)
            raise
        return replace(second, usage=usage + second.usage), read

    async def _once(self, job: Job) -> tuple[Answer, Position | Unreadable]:
        try:
            answer = await self._ask_packed(job)
        except BackendError as error:
            self._failed[job.key] = str(error)
            raise
        self.answers[job.key] = answer.text
        return answer, await self._read(answer)

    async def _read(self, answer: Answer) -> Position | Unreadable:
        if self._workers is None or len(answer.text) <= SMALL:
            return parse(answer.text, answer.data, is_cut=answer.truncated)
        [(_, read)] = await self._workers.map(PARSE, [[answer.text, answer.data, answer.truncated]])
        return Unreadable(f"reading it {read.reason}") if isinstance(read, Failure) else position_of(read)

    async def _ask_packed(self, job: Job) -> Answer:
        """Ask; once more with a shorter prompt where the context is too small and no other takes over."""
        try:
            return await self._ask(job)
        except ContextTooSmall as error:
            short = packed(job.prompt, error.limit, job.max_tokens) if error.limit else None
            if job.fallbacks or short is None:
                raise
            answer = await self._ask(replace(job, prompt=short))
            self._shortened.add(job.key)
            return replace(answer, usage=error.usage + answer.usage)

    def counts(self, outcomes: Collection[Outcome]) -> dict[str, int]:
        found: dict[str, int] = {}
        for outcome in outcomes:
            position = self.positions.get(outcome.key) if outcome.is_answered else None
            if position is not None:
                found[position.verdict] = found.get(position.verdict, 0) + 1
        return found


def until_decided(asking: Asking, ballot: Ballot) -> StopRule:
    """Return the stop rule of a panel: the rest doesn't matter once it can't change the decision."""
    return lambda outcomes, out: DECIDED if is_decided(asking.counts(outcomes), len(out), ballot) else ""
