"""The user's agreement that `claude` may spend their subscription: one line of config.toml."""

from __future__ import annotations

import re
from typing import Final

LINE: Final = "claude_agreed = true"
ANY: Final = re.compile(r"^[ \t]*claude_agreed[ \t]*=.*$", re.MULTILINE)
TABLE: Final = re.compile(r"^[ \t]*\[", re.MULTILINE)


def agreed(text: str) -> tuple[str, str]:
    """Return config.toml with the agreement, and the line that stood there before ("" when none did)."""
    table = TABLE.search(text)
    found = ANY.search(text, 0, table.start() if table else len(text))
    if found is not None:
        return f"{text[: found.start()]}{LINE}{text[found.end() :]}", found.group()
    return f"{LINE}\n{text}", ""  # first: below a [table] it would belong to that table


def taken_back(text: str, line: str) -> str:
    """Return config.toml as it was before `agreed`, whatever else changed since."""
    if line:
        return text.replace(LINE, line, 1)
    return text.replace(f"{LINE}\n", "", 1)
