"""What calls consumed: tokens, and money as far as it is known. A sum keeps the part that is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Usage:
    """`cost_usd` is the part whose price is known; None where no price is known, never 0."""

    tokens_in: int = 0
    tokens_out: int = 0
    cost_usd: float | None = None
    is_partial: bool = False
    """More was consumed than these figures say."""

    def __add__(self, other: Usage) -> Usage:
        if other == NOTHING:
            return self
        if self == NOTHING:
            return other
        costs = [cost for cost in (self.cost_usd, other.cost_usd) if cost is not None]
        return Usage(
            self.tokens_in + other.tokens_in,
            self.tokens_out + other.tokens_out,
            sum(costs) if costs else None,
            self.is_partial or other.is_partial or len(costs) == 1,
        )

    @property
    def total_tokens(self) -> int:
        return self.tokens_in + self.tokens_out

    def fields(self) -> dict[str, float | None]:
        return {"tokens_in": self.tokens_in, "tokens_out": self.tokens_out, **self.cost_fields()}

    def cost_fields(self) -> dict[str, float | None]:
        """`cost_is_at_least` is there only where the cost is known in part."""
        cost = None if self.cost_usd is None else round(self.cost_usd, 6)
        is_part = self.is_partial and cost is not None
        return {"cost_usd": cost, **({"cost_is_at_least": True} if is_part else {})}


NOTHING: Final = Usage()
UNREPORTED: Final = Usage(is_partial=True)
"""Of a call that was cancelled: its question was sent, and its bill never came."""
