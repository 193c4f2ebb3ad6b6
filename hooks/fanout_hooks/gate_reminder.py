"""The reminder: a line of context for a prompt that looks like work for several agents. Off by default.

On with `gate_reminder = true` in the user's config.toml. It speaks only when the prompt itself counts or
lists several things, or says that it wants the whole of something.
"""

from __future__ import annotations

import re

TEXT = (
    "fanout: this looks like work for several agents. If its parts don't need one another, send all "
    "Agent calls in ONE message (3 to 6, each with its own files and 50 to 200 words back), or use "
    "explore_modules, summarize_files or batch_review in one call."
)
LOOKS_LARGE = re.compile(
    r"\b(?:all|every|each|both|several|various|multiple|many|(?:two|three|four|five|six|seven|eight|nine|ten|\d+))\s+"
    r"(?:of\s+)?(?:the\s+|our\s+)?(?:\w+\s+)?(?:modules?|packages?|services?|files|folders|directories|components?|"
    r"endpoints?|repositories|repos|agents|areas|layers|subsystems?|plugins?|crates|apps?)\b|"
    r"\b(?:whole|entire|full)\s+(?:code\s?base|repository|repo|project|application|system)\b|\bin\s+parallel\b|"
    r"\bcodebase[\s-]wide\b|\bacross\s+the\s+(?:code\s?base|repository|repo|project)\b",
    re.IGNORECASE,
)
WORK = re.compile(
    r"\b(?:explore|explain|review|audit|analy[sz]e|summari[sz]e|document|investigate|understand|map|survey|compare|"
    r"research|check|inspect|test|refactor|migrate|update|find|describe|assess|look)\b",
    re.IGNORECASE,
)
LISTED = re.compile(r"^[ \t]{0,99}(?:[-*•]|\d{1,4}[.)])[ \t]{1,99}\S", re.MULTILINE)
PATHS = re.compile(r"(?<![\w/.-])[\w.-]+(?:/[\w.-]+)+")
FROM = 3


def for_prompt(prompt: str) -> str:
    """Return the reminder when the prompt looks like work for several agents, else ""."""
    if prompt.lstrip().startswith(("/", "<")) or not WORK.search(prompt):
        return ""
    several = len(LISTED.findall(prompt)) >= FROM or len(set(PATHS.findall(prompt))) >= FROM
    return TEXT if several or LOOKS_LARGE.search(prompt) else ""
