"""Findings as Markdown that a pull request's comment can hold: the worst first, the rest counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from fanout_mcp.counted import counted
from fanout_mcp.review.finding import SEVERITIES, Finding

MAX_CHARACTERS: Final = 60_000
"""GitHub takes 65,536 for a comment."""
MAX_LISTED: Final = 100
LONGEST_QUOTE: Final = 200
LONGEST_TEXT: Final = 700


def to_markdown(title: str, findings: Sequence[Finding], notes: Sequence[str] = ()) -> str:
    """Return a heading, what was found in one line, a list of findings, and notes below it."""
    counts = Counter(finding.severity for finding in findings)
    said = ", ".join(f"{counts[severity]} {severity}" for severity in SEVERITIES if counts[severity])
    head = f"### {title}\n\n{said or 'Nothing found'}.\n"
    tail = "".join(f"\n{_plain(note)}\n" for note in notes)
    items: list[str] = []
    room = MAX_CHARACTERS - len(head) - len(tail) - 100
    for finding in findings[:MAX_LISTED]:
        item = _item(finding)
        room -= len(item)
        if room < 0:
            break
        items.append(item)
    left = len(findings) - len(items)
    more = f"\n… and {counted(left, 'more finding')}.\n" if left else ""
    return "\n".join([head, *items]) + more + tail


def _item(finding: Finding) -> str:
    place = f"{finding.path}:{finding.line}" if finding.line else finding.path
    head = f"- **{finding.severity}**" + (f" `{_code(place)}`" if place else "")
    who = f" ({finding.change})" if finding.change else ""
    text = _plain(finding.text)
    text = text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 1] + "…"
    lines = [f"{head}{who} {text}"]
    facts = [f"`{_code(finding.rule)}`"] if finding.rule else []
    facts += [f"CWE-{finding.cwe}"] if finding.cwe else []
    facts += [f"named by {_plain(', '.join(finding.reviewers))}"] if finding.reviewers else []
    if finding.probability is not None and len(finding.reviewers) > 1:
        facts.append(f"about {finding.probability:.0%}")
    facts += ["not verified"] if finding.verified == "unverified" else []
    lines += [f"  <sub>{', '.join(facts)}</sub>"] if facts else []
    quote = finding.quote.split("\n")[0].strip()[:LONGEST_QUOTE]
    lines += [f"  `{_code(quote)}`"] if quote else []
    return "  \n".join(lines) + "\n"


def _plain(text: str) -> str:
    """Keep a reviewer's words from becoming markup, a mention or a link to another issue."""
    for sign in ("\\", "`", "*", "_", "[", "]", "<", ">", "|", "~"):
        text = text.replace(sign, f"\\{sign}")
    return " ".join(text.replace("@", "@\u200b").replace("#", "#\u200b").split())


def _code(text: str) -> str:
    return " ".join(text.replace("`", "'").split())
