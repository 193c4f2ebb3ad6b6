"""The user's agreement that `claude` may spend their subscription: one line of config.toml."""

from __future__ import annotations

import re
from typing import Final

LINE: Final = "claude_agreed = true"
ANY: Final = re.compile(r"^claude_agreed\s*=.*$", re.MULTILINE)


def agreed(text: str) -> tuple[str, str]:
    """Return config.toml with the agreement, and the line that stood there before ("" when none did)."""
    found = ANY.search(text)
    if found is not None:
        return ANY.sub(LINE, text, count=1), found.group()
    return f"{LINE}\n{text}", ""  # first: below a [table] it would belong to that table


def taken_back(text: str, line: str) -> str:
    """Return config.toml as it was before `agreed`, whatever else changed since."""
    if line:
        return text.replace(LINE, line, 1)
    return text.replace(f"{LINE}\n", "", 1)
