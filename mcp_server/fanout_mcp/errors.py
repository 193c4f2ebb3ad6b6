"""What can go wrong, named by what happened and who must act.

FanoutError                 every sentence says what is wrong and what to do
|- InvalidInput             the caller: an argument, a path, a preset (nearest valid one named)
|- SettingsError            the user: environment or configuration file
|- BudgetExceeded           the caller: raise the budget or ask for less
|- NoVerdict                nobody at fault: fewer valid answers than the quorum
`- BackendError             one call to a model failed; a job's failure is a value, see types.Outcome
   |- Unreachable           no connection, or it broke: retried
   |- RateLimited           429: retried, the cool-down is shared by all calls to the provider
   |- Overloaded            529, 503: retried, and counts as a sign of too much concurrency
   |- ServerFault           other 5xx, 408, 409, 425: retried
   |- Rejected              other 4xx: never retried
   |  `- AuthRejected       401, 403: the key; never retried, never echoed
   |- BadAnswer             200 with something that is no answer (HTML, empty, cut JSON): retried once
   |- UnreadableAnswer      a panel member's was not in the form, also when asked again: lost
   |- OverBudget            another call for the same job might pass the budget: not made
   |- TooLarge              more bytes than the cap: never retried
   `- DeadlineExceeded      the call's time was up
"""

from __future__ import annotations

from typing import Self

from fanout_mcp.usage import Usage


def why(error: OSError | ValueError) -> str:
    """What a system call or a parser said, without its number and without the path that we name ourselves."""
    return getattr(error, "strerror", None) or str(error)


class FanoutError(Exception):
    """The root: its text is a sentence for whoever must act."""


class InvalidInput(FanoutError):
    """An argument is wrong; the text names it and the nearest valid value."""


class SettingsError(FanoutError):
    """The environment or a configuration file of the user is wrong."""


class BudgetExceeded(FanoutError):
    """The plan costs more than its budget; nothing was started."""


class NoVerdict(FanoutError):
    """Fewer valid answers than the quorum."""


class BackendError(FanoutError):
    """One call to a model failed. `usage`: what it was billed all the same, as far as the provider told."""

    usage: Usage = Usage()

    def billed(self, used: Usage) -> Self:
        """The same error, with what was used up to it."""
        self.usage += used
        return self


class Unreachable(BackendError):
    """No connection, or it broke before the answer was whole."""


class RateLimited(BackendError):
    """429. `retry_after` in seconds, None when the provider did not say."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Overloaded(BackendError):
    """529 or 503. `retry_after` as RateLimited."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ServerFault(BackendError):
    """Another 5xx, or 408, 409, 425."""


class Rejected(BackendError):
    """A 4xx that a second try would not change."""


class AuthRejected(Rejected):
    """401 or 403: the key is missing, wrong or may not use this model."""


class BadAnswer(BackendError):
    """The provider said 200 and sent something that is no answer."""


class UnreadableAnswer(BackendError):
    """A member's answer was not in the form, also when asked again; it is lost, never agreement."""


class OverBudget(BackendError):
    """Another call for the same job might pass the budget, so it was not made."""


class TooLarge(BackendError):
    """The answer passed the byte cap and was cut off."""


class DeadlineExceeded(BackendError):
    """The call's time was up before the answer was whole."""
