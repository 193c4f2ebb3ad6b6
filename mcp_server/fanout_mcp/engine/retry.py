"""Which failures are tried again, how often, and after how long. A table; everything here is pure.

Rules:
1. Other 4xx are never tried again: the same question would be refused again.
2. A 429 or 529 waits as long as the provider says, if that fits into the deadline and a minute; else it
   fails now and names the time. These waits pace the load, so they are not counted against the retry
   budget.
3. An answer that was all thinking is asked for once more with a larger output budget, never the same one.
4. All other retries of a run share a budget of max(3, 10 % of its calls): when everything fails, fail soon.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from fanout_mcp import errors

MAX_WAIT_S = 60.0
THINKING_TOKENS = 8_000
"""The least output budget of a second try after one that was all thinking; four times the first where that is
more. The money and tokens that are left bound it (budget.py)."""
BUDGET_MIN, BUDGET_SHARE = 3, 0.1


@dataclass(frozen=True, slots=True)
class Rule:
    """At most `tries` calls in all; before each retry at most that wait in seconds (the last one repeats)."""

    tries: int
    waits: tuple[float, ...]
    paced: bool = False
    """Paced by the provider (rule 2)."""


FALLS_BACK: tuple[type[errors.BackendError], ...] = (
    *(errors.ModelGone, errors.NotAllowed, errors.QuotaSpent, errors.ContextTooSmall, errors.PushedBack),
)
"""Given up for one of these, a job goes to its next model: another one may well answer. The last is only
given up where the wait is longer than the deadline."""

CROSSES: tuple[type[errors.BackendError], ...] = (errors.QuotaSpent, errors.AuthRejected)
"""These hold for all models of a provider's key: another provider is asked, where the user agreed to one."""

ONCE = Rule(1, ())
RULES: tuple[tuple[type[errors.BackendError], Rule], ...] = (
    (errors.RateLimited, Rule(8, (0.5, 1.0, 2.0, 4.0, 8.0), paced=True)),
    (errors.Overloaded, Rule(6, (0.5, 1.0, 2.0, 4.0), paced=True)),
    (errors.ServerFault, Rule(3, (0.5, 1.0))),
    (errors.Unreachable, Rule(3, (0.5, 1.0))),
    (errors.AllThinking, Rule(2, (0.0,), paced=True)),
    (errors.BadAnswer, Rule(2, (0.0,))),
)
"""The first match counts; what is not listed is tried once."""


@dataclass(frozen=True, slots=True)
class Again:
    wait_s: float
    counted: bool
    """Counts against the run's retry budget."""


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Don't; `why` completes the sentence that the error began, or is empty."""

    why: str = ""


def rule_for(error: errors.BackendError) -> Rule:
    return next((rule for kind, rule in RULES if isinstance(error, kind)), ONCE)


def decide(
    error: errors.BackendError, tries: int, remaining_s: float, budget_left: int, chance: float
) -> Again | GiveUp:
    """Decide after the `tries`-th call that failed by one rule. `chance` in [0, 1) spreads the waits."""
    rule = rule_for(error)
    if tries >= rule.tries:
        return GiveUp(f"given up after {tries} tries" if tries > 1 else "")
    asked = error.retry_after if isinstance(error, errors.PushedBack) else None
    if asked is not None:
        if asked > min(MAX_WAIT_S, remaining_s):
            return GiveUp(f"it asks to wait {asked:.0f} s, which is longer than this call can wait")
        return Again(max(0.0, asked), counted=False)
    if not rule.paced and budget_left <= 0:
        return GiveUp("not tried again: this run's retries are used up")
    longest = rule.waits[min(tries, len(rule.waits)) - 1]
    wait = longest * (0.5 + 0.5 * chance)
    if wait >= remaining_s:
        return GiveUp("the deadline leaves no time for another try")
    return Again(wait, counted=not rule.paced)


def larger_budget(max_tokens: int) -> int:
    """Return the output budget of the second try, after thinking used up the first."""
    return max(THINKING_TOKENS, 4 * max_tokens)


def budget(calls: int) -> int:
    """Return how many counted retries a run of so many first calls may make."""
    return max(BUDGET_MIN, int(calls * BUDGET_SHARE))


# --- When a silent call gets a twin. Off by default: a hedge may double the cost of what it hedges. ---------
# The delay is the provider's observed p95, with at least 20 samples, and at most 2 % of the latest calls to
# it are twins ("The Tail at Scale", Dean and Barroso 2013: most of the gain for that little). They are
# counted by provider, not by run: of a panel of three, one twin would be a third.


MIN_SAMPLES, QUANTILE, TWINS = 20, 0.95, 0.02


def late_after(durations: Collection[float]) -> float | None:
    """Return after how many seconds a call is late, None while too little is known."""
    if len(durations) < MIN_SAMPLES:
        return None
    return sorted(durations)[int(QUANTILE * len(durations))]


def allows_twin(latest: Collection[bool]) -> bool:
    """Whether one more twin is within the share; `latest`: of each call, whether it was a twin."""
    return sum(latest) + 1 <= TWINS * len(latest)
