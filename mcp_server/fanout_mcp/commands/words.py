"""How the commands say what a call took: money, tokens, and the files that were left out and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from fanout_mcp.clean import flat
from fanout_mcp.commands.paragraphs import paragraph
from fanout_mcp.counted import counted
from fanout_mcp.engine.budget import cost
from fanout_mcp.types import Json

if TYPE_CHECKING:
    from rich.console import Console

MOST_NAMED: Final = 3
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
        named = [flat(path) for path in found["paths"][:MOST_NAMED]]
        more = found["count"] - len(named)
        names = [*named, *([f"{more:,} more"] if named and more > 0 else [])]
        said = f"{what} {counted(found['count'], noun)}, {flat(reason).rstrip('.')}"
        yield f"{said}: {', '.join(names)}" if names else said


def sentences(*parts: str | None) -> str:
    """Several texts as one, each ended before the next begins."""
    said = [part.strip() for part in parts if part and part.strip()]
    return " ".join(part if part[-1] in ".!?:;…" else f"{part}." for part in said)


def show_receipt(console: Console, receipt: Mapping[str, Json], *, is_page: bool = False) -> None:
    """What was skipped and why, what failed and why, then what it took."""
    for line in lines("skipped", receipt.get("skipped", {})):
        paragraph(console, line, "yellow", hanging=2)
    for line in lines("not answered for", receipt.get("failed", {})):
        paragraph(console, line, "magenta", hanging=2)
    paragraph(console, took(receipt, is_page=is_page), "dim")
