"""Every call upstream of one consultation, and which were in vain: calls, tokens and money thrown away.

Rules:
1. One entry a call, retries and repairs included, so that the count equals the provider's own.
2. A cancelled call sends no usage. Of what was wasted its prompt is counted (estimated) and priced, since it
   was sent; what the model had written by then is not known, so the sum is the least that it was. Whether the
   provider stops billing at a cancel is its matter.
3. Where no price is known, the cost is None, never 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from fanout_mcp.errors import BackendError
from fanout_mcp.source import tokens
from fanout_mcp.types import Answer, Ask, Job, ModelPrice
from fanout_mcp.usage import UNTOLD, Usage

State = Literal["open", "answered", "failed", "cut"]


@dataclass(slots=True, eq=False)
class Leg:
    """One run of calls: a round's panel, or a synthesis."""

    n: int
    kind: Literal["panel", "synthesis"]
    discarded: bool = False


@dataclass(slots=True)
class Entry:
    """One call upstream."""

    leg: Leg
    job: Job
    state: State = "open"
    requests: int = 0
    """More than one where the backend asked again in another form."""
    reported: Usage = field(default_factory=Usage)


@dataclass(frozen=True, slots=True)
class Waste:
    """What was thrown away."""

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

            def on_request() -> None:
                entry.requests += 1
                if upper is not None:
                    upper()

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
                    entry.state, entry.reported = "cut", UNTOLD
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
        """Add up the entries that were not used, of one round or of all."""
        unused = [one for one in self.entries if n in {None, one.leg.n} and not is_used(one)]
        return Waste(
            sum(max(1, one.requests) for one in unused), sum((self._spent(one) for one in unused), Usage())
        )

    def _spent(self, entry: Entry) -> Usage:
        if entry.state != "cut":
            return entry.reported
        sent = tokens.count(entry.job.prompt.system) + tokens.count(entry.job.prompt.user)
        price = self._prices.get(entry.job.model)
        cost = None if price is None else sent * price.usd_per_mtok_in / 1e6
        return Usage(sent, 0, cost, is_partial=True)
