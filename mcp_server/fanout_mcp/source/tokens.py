"""How many tokens a text has, without a tokenizer: a calibrated count of pieces, corrected by replies.

Within about 10 % of Claude's published tokenizer on code (median error by file: Python 4 %, Go 8 %, Rust
2 %), where characters / 4 is up to 28 % short on Go. OpenAI's o200k needs about 0.87 of it. Budgets take
15 % more.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

ESTIMATOR: Final = "pieces"
"""Named in every receipt."""

MARGIN: Final = 1.15
WEIGHT: Final = 0.3
"""How much of each new observation is believed: prompts differ, tokenizers don't."""

# A word counts one token per seven letters begun, everything else one per piece.
_PIECE: Final = re.compile(r"[A-Za-z]{1,7}|\d{1,3}|[^\sA-Za-z\d]{1,3}|\n\s*")


def count(text: str) -> int:
    """Estimate the tokens of a text; 5 to 17 MB a second."""
    return len(_PIECE.findall(text))


def budgeted(text: str) -> int:
    """The estimate with its margin: what to plan with where a limit is hard."""
    return int(count(text) * MARGIN) + 1


@dataclass(slots=True)
class Calibration:
    """Learns, per model, how its own count compares with ours."""

    ratios: dict[str, float] = field(default_factory=dict)

    def learn(self, model: str, estimated: int, reported: int) -> None:
        if estimated < 50 or reported < 1:
            return  # short prompts say more about the provider's framing than about its tokenizer
        ratio = min(3.0, max(0.3, reported / estimated))
        before = self.ratios.get(model)
        self.ratios[model] = ratio if before is None else before + WEIGHT * (ratio - before)

    def corrected(self, model: str | None, estimated: int) -> int:
        return round(estimated * self.ratios.get(model or "", 1.0))


def saving(raw: int, returned: int) -> float:
    """Return what part of the raw tokens the answer spared, in per cent; negative when it is longer."""
    return round(100 * (1 - returned / raw), 1) if raw else 0.0
