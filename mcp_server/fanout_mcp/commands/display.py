"""What the commands print for people: paragraphs, what a call took, plans.

Text is broken between words and never inside one, so that a path can be clicked and copied.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from fanout_hooks.printable import printable
from fanout_mcp.engine.budget import cost
from fanout_mcp.text import counted, flat
from fanout_mcp.types import Json

NARROWEST: Final = 20
WORD: Final = re.compile(r"\s{0,99}\S+\s{0,99}")
"""With the white space around it: only the first has some before it."""
AFTER_A_CITATION: Final = re.compile(r"(?<=\]\.) +(?=\S)")


def paragraph(console: Console, text: Text | str, style: str = "", indent: int = 0, hanging: int = 0) -> None:
    """Print one paragraph `indent` columns in, all lines but its first `hanging` columns more.

    A word that is longer than the terminal is wide stays whole: terminals join what they broke themselves.
    """
    whole = text.copy() if isinstance(text, Text) else Text(text, style)
    whole.expand_tabs(4)
    width = max(console.width - indent - hanging, NARROWEST)
    number = 0
    for own in whole.split("\n"):
        for line in own.divide(breaks(own.plain, width)):  # rich itself breaks long words, or cuts them
            line.rstrip()
            console.print(Text(" " * (indent + hanging * bool(number))) + line, soft_wrap=True)
            number += 1


def breaks(line: str, width: int) -> list[int]:
    """Return where to break a line so that each part fits, as far as its words do."""
    found, used = [], 0
    for word in WORD.finditer(line):
        size = cell_len(word[0])
        if word.start() and used + cell_len(word[0].rstrip()) > width:
            found.append(word.start())
            used = 0
        used += size
    return found


def claims(report: str) -> list[str]:
    return AFTER_A_CITATION.split(report)


# --- How the commands say what a call took: money, tokens, and the files that were left out and why. --------

MAX_NAMED: Final = 3
"""Files of one reason that are named; the others are counted."""


def at_most(expected: Mapping[str, Json]) -> str:
    tokens = f"{expected['tokens_in']:,} tokens in and {expected['tokens_out']:,} out"
    return f"{counted(expected['calls'], 'call')}, {tokens}, cost {cost(expected)}"


def tokens(receipt: Mapping[str, Json], of: str = "") -> str:
    """What an answer has of its sources' tokens: a saving, or none for a handful of short files."""
    raw, returned = receipt["tokens_raw"], receipt["tokens_returned"]
    if returned < raw and "saving_percent" in receipt:
        return f", {raw:,} tokens{of} as {returned:,} (saves {receipt['saving_percent']} %)"
    return f", {raw:,} tokens{of}, {returned:,} in the answer" if raw else ""


def took(receipt: Mapping[str, Json], *, is_page: bool = False) -> str:
    """The last line of a source tool: files, tokens, calls, time. A page's tokens are of what it shows."""
    of = " of those shown" if is_page else ""
    read = f"{counted(receipt['read'], 'file')} read{tokens(receipt, of)}"
    calls = counted(receipt["calls"], "call") + (f", cost {cost(receipt)}" if receipt["calls"] else "")
    return f"{read}, {calls}, {receipt['elapsed_s']} s"


def lines(what: str, by_reason: Mapping[str, Json], noun: str = "file") -> Iterator[str]:
    """A line for each reason of a receipt: how many files, and the first of them by name."""
    for reason, found in by_reason.items():
        named = [flat(path) for path in found["paths"][:MAX_NAMED]]
        more = found["count"] - len(named)
        names = [*named, *([f"{more:,} more"] if named and more > 0 else [])]
        line = f"{what} {counted(found['count'], noun)}, {flat(reason).rstrip('.')}"
        yield f"{line}: {', '.join(names)}" if names else line


def sentences(*parts: str | None) -> str:
    """Several texts as one, each ended before the next begins."""
    kept = [part.strip() for part in parts if part and part.strip()]
    return " ".join(part if part[-1] in ".!?:;…" else f"{part}." for part in kept)


def show_receipt(console: Console, receipt: Mapping[str, Json], *, is_page: bool = False) -> None:
    """What was skipped and why, what failed and why, then what it took."""
    for line in lines("skipped", receipt.get("skipped", {})):
        paragraph(console, line, "yellow", hanging=2)
    for line in lines("not answered for", receipt.get("failed", {})):
        paragraph(console, line, "magenta", hanging=2)
    paragraph(console, took(receipt, is_page=is_page), "dim")


# --- plans --------------------------------------------------------------------------------------------------
# What a person is shown of a plan: the agents that Claude would start, or the members a panel would have.

MAX_OF_A_PROMPT: Final = 200
"""Characters: whole they are in the JSON."""


def show(console: Console, data: Json) -> None:
    """Show a plan: the agents that the host runs itself, message by message, one a line."""
    from rich.table import Table

    sent = data["plan"]["messages"]
    console.print(Text(data.get("note") or data.get("how") or "No one was asked."))
    console.print(Text("In Claude Code these agents are started instead, side by side:"))
    longest = max(len(f"Agent: {call['description']}") for message in sent for call in message)
    table = Table.grid(padding=(0, 2, 0, 0), expand=True)
    table.add_column(no_wrap=True, width=min(longest, console.width // 2), overflow="ellipsis")
    table.add_column(no_wrap=True, style="dim", overflow="ellipsis", ratio=1)
    for number, message in enumerate(sent, 1):
        if len(sent) > 1:
            table.add_row(Text(f"message {number}", "cyan"), "")
        for call in message:
            task = " ".join(call["prompt"].split())[:MAX_OF_A_PROMPT]
            table.add_row(Text(f"Agent: {flat(call['description'])}", "bold"), Text(task))
    console.print(table)
    if "next_cursor" in data:
        console.print(Text(f"These are not all: go on with --cursor {data['next_cursor']}."))


def show_dry(console: Console, data: Json) -> None:
    from rich.table import Table

    rounds = f" in at most {data['rounds']} rounds" if "rounds" in data else ""
    console.print(Text(f"No one was asked yet. Without --dry-run these are{rounds}:"))
    table = Table.grid(padding=(0, 2, 0, 0))
    for one in data["members"]:
        table.add_row(f"  {flat(one['member'])}", Text(flat(one["model"] or "the backend's model"), "dim"))
    console.print(table)
    console.print(Text(f"Rule: {data['rule']}.", "dim"))
    console.print(Text(f"At most {at_most(data['at_most'])}.", "dim"))


# --- the terminal -------------------------------------------------------------------------------------------
# Rich itself lets ESC and bidirectional marks through. Here every piece of text is made printable after it
# was laid out; what Rich adds itself (colours, the cursor of a progress bar) is not text and stays.


class Screen(Console):
    """The terminal as our commands print on it: no character of what they draw can command it."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=printable(segment.text))
