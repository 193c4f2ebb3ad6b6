"""The syntheses of a council's rounds, written one after another: each tells what changed since the last."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import anyio

from fanout_mcp.engine.run import Started
from fanout_mcp.panel import synthesis
from fanout_mcp.panel.council import Council, Written
from fanout_mcp.panel.deliberation import Closed, changed, standing
from fanout_mcp.panel.events import Synthesised
from fanout_mcp.panel.ledger import Leg
from fanout_mcp.panel.synthesis import Synthesis
from fanout_mcp.types import Ask, Job, Outcome


class Start(Protocol):
    """Starts calls in the background, within the council's deadline and budget."""

    def __call__(self, jobs: tuple[Job, ...], ask: Ask, heard: Callable[[Outcome], None], /) -> Started: ...


@dataclass(slots=True, eq=False)
class _Draft:
    rounds: tuple[Closed, ...]
    leg: Leg
    run: Started | None = None
    began: float = 0.0
    written: Written | None = None

    @property
    def n(self) -> int:
        return self.leg.n


class Scribe:
    """Writes one synthesis at a time, in the order of the rounds; `go_on` starts the next one due."""

    def __init__(
        self, council: Council, ask: Callable[[Leg], Ask], start: Start, spent: Callable[[], str]
    ) -> None:
        """`spent` says why nothing more may be started, "" while it may."""
        self._council, self._ask, self._start, self._spent = council, ask, start, spent
        self._drafts: list[_Draft] = []

    @property
    def is_through(self) -> bool:
        """Nothing is being written or waits for it."""
        return all(draft.written is not None for draft in self._drafts)

    def of(self, n: int) -> Written | None:
        return next((draft.written for draft in self._drafts if draft.n == n), None)

    def write(self, rounds: Sequence[Closed]) -> None:
        """Have the last of these rounds written up."""
        self._drafts.append(_Draft(tuple(rounds), Leg(rounds[-1].n, "synthesis")))
        self.go_on()

    def discard(self, n: int) -> None:
        """Cancel the synthesis of a round that is to be written again."""
        for draft in [draft for draft in self._drafts if draft.n == n]:
            self._drafts.remove(draft)
            draft.leg.discarded = True
            if draft.run is not None:
                draft.run.cancel()

    def go_on(self) -> None:
        for draft in self._drafts:
            if draft.written is None and draft.run is None:
                self._begin(draft)
            if draft.written is None:
                return

    def _begin(self, draft: _Draft) -> None:
        if why := self._spent():
            self._settle(draft, Written(None, f"not started: {why}", 0.0))
            return
        moved = changed(draft.rounds[-1], standing(draft.rounds[:-1]))
        told = synthesis.Told(draft.n, standing(draft.rounds), moved, self._last())
        council = self._council
        job = synthesis.job(council.asked, told, council.synthesis_model, council.terms.provider)

        def heard(outcome: Outcome) -> None:
            self._end(draft, outcome)

        draft.began = anyio.current_time()
        draft.run = self._start((job,), self._ask(draft.leg), heard)

    def _end(self, draft: _Draft, outcome: Outcome) -> None:
        found = synthesis.read(outcome.answer) if outcome.answer is not None else None
        reason = outcome.reason or ("" if found else "the writer's answer could not be read")
        self._settle(draft, Written(found, reason, anyio.current_time() - draft.began))

    def _settle(self, draft: _Draft, written: Written) -> None:
        draft.written = written
        self._council.tell(Synthesised(draft.n, written.reason))

    def _last(self) -> Synthesis | None:
        """Return the newest synthesis that there is."""
        written = [draft.written.synthesis for draft in self._drafts if draft.written is not None]
        return next((one for one in reversed(written) if one is not None), None)
