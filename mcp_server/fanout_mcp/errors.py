"""What can go wrong, named by what happened and who must act.

FanoutError                 every sentence says what is wrong and what to do
|- InvalidInput             the caller: an argument, a path, a preset (nearest valid one named)
|- SettingsError            the user: environment or configuration file
|- BudgetExceeded           the caller: raise the budget or ask for less
|- NoVerdict                no one at fault: fewer valid answers than the quorum
|- StillRunning             no one at fault: workers go on with a batch that this call can't wait for
`- BackendError             one call to a model failed; a job's failure is a value, see types.Outcome
   |- Unreachable           no connection, or it broke: retried
   |- PushedBack            retried after what the provider asks for, which holds for all calls to it
   |  |- RateLimited        429: too many calls or tokens of this key
   |  `- Overloaded         529, 503: too many of all keys
   |- ServerFault           other 5xx, 408, 409, 425: retried
   |- Rejected              other 4xx: never retried
   |  |- AuthRejected       401, 403: the key; never retried, never echoed
   |  |- NotAllowed         region, licence, a model that this key may not use: another model is asked
   |  |- QuotaSpent         402, no credit left, a key's own limit: another provider is asked
   |  |- ModelGone          retired, unknown, not loaded, too large for its machine: another model is asked
   |  |- ContextTooSmall    the prompt does not fit: another model is asked
   |  `- Filtered           moderation, content filters: never asked again, also not elsewhere
   |- BadAnswer             200 with something that is not an answer (HTML, empty, cut JSON): retried once
   |  `- AllThinking        the output budget went into thinking: asked once more with a larger one
   |- UnreadableAnswer      a panel member's was not in the form, also when asked again: lost
   |- OverBudget            another call for the same job might pass the budget: not made
   |- TooLarge              more bytes than the cap: never retried
   `- DeadlineExceeded      the call's time was up
"""

from __future__ import annotations

from typing import Self

from fanout_mcp.usage import Usage


def why(error: Exception) -> str:
    """Return the reason that a system call, a parser or a database gave, without its number and path."""
    return getattr(error, "strerror", None) or str(error)


class FanoutError(Exception):
    """The root: its text is a sentence for the one who must act."""


class InvalidInput(FanoutError): ...


class SettingsError(FanoutError): ...


class BudgetExceeded(FanoutError): ...


class NoVerdict(FanoutError): ...


class StillRunning(FanoutError):
    """The call's time is up, its batch is not; the text has the batch's handle."""


class BackendError(FanoutError):
    """One call to a model failed. `usage`: what it was billed all the same, as far as it is known."""

    usage: Usage = Usage()
    words: str = ""
    """The provider's whole message without any key, of which the sentence itself shows the first part; of a
    connection that failed, what the system or TLS gave as the reason."""
    is_by_status: bool = False
    """Neither a code nor words of the refusal said more than its status."""

    def billed(self, used: Usage) -> Self:
        """The same error, with what was used up to it."""
        self.usage += used
        return self


class Unreachable(BackendError): ...


class PushedBack(BackendError):
    """The provider wants fewer calls. `retry_after` in seconds, None when it did not say."""

    def __init__(
        self, message: str, retry_after: float | None = None, *, for_all_models: bool = False
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.for_all_models = for_all_models
        """The provider reported that the limit is the account's, not this model's."""


class RateLimited(PushedBack): ...


class Overloaded(PushedBack): ...


class ServerFault(BackendError): ...


class Rejected(BackendError): ...


class AuthRejected(Rejected): ...


class NotAllowed(Rejected): ...


class QuotaSpent(Rejected): ...


class ModelGone(Rejected): ...


class ContextTooSmall(Rejected):
    """The prompt and the wanted output don't fit into the model's context.

    `limit` and `prompt` in tokens as the provider counted them, None when it did not say.
    """

    def __init__(self, message: str, limit: int | None = None, prompt: int | None = None) -> None:
        super().__init__(message)
        self.limit = limit
        self.prompt = prompt


class Filtered(Rejected): ...


class BadAnswer(BackendError): ...


class AllThinking(BadAnswer): ...


class UnreadableAnswer(BackendError): ...


class OverBudget(BackendError): ...


class TooLarge(BackendError): ...


class DeadlineExceeded(BackendError): ...
