"""What the tools cost over time: a line a call with its receipt, in the user's own folder for the project.

Figures only, no question and no path. A ledger that can't be written costs its figures and nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from fanout_hooks.client import files
from fanout_mcp.engine.budget import dollars
from fanout_mcp.jsonish import whole
from fanout_mcp.state.cache import own_folder
from fanout_mcp.state.folder import append
from fanout_mcp.text import compact
from fanout_mcp.types import Json

NAME: Final = "receipts.jsonl"
FIELDS: Final = (
    *("calls", "cached", "tokens_in", "tokens_out", "cost_usd", "elapsed_s"),
    *("tokens_raw", "tokens_returned", "cost_is_at_least"),
)
MAX_BYTES: Final = 8 << 20
"""Some 40,000 calls; then a new file begins, with the old one kept beside it."""

MAX_FIGURE: Final = 1e15


def note(folder: Path | None, tool: str, data: Json) -> None:
    """Append the receipt of a tool's result, if it has one, to the project's records (settings.records)."""
    receipt = data.get("receipt") if isinstance(data, dict) else None
    if folder is None or not isinstance(receipt, dict):
        return
    figures = {name: receipt[name] for name in FIELDS if isinstance(receipt.get(name), int | float)}
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    with suppress(OSError):
        path = own_folder(folder) / NAME
        if append(path, compact({"timestamp": stamp, "tool": tool, **figures})) > MAX_BYTES:
            path.replace(path.with_suffix(".old.jsonl"))


def costs(folder: Path, since: str) -> list[dict[str, Json]]:
    """Sum the receipts from a day ("2026-11-24") on, a row per tool, the dearest first.

    `saved_tokens` is raw less returned, of the tools that read sources; `unpriced` counts calls of the tool
    of unknown price: an unknown price is never 0.
    """
    rows: dict[str, dict[str, Json]] = {}
    for line in _lines(folder, since):
        row = rows.setdefault(line["tool"], _empty(line["tool"]))
        row["uses"] += 1
        for name in ("calls", "cached", "tokens_in", "tokens_out"):
            row[name] += line.get(name, 0)
        row["saved_tokens"] += max(0, line.get("tokens_raw", 0) - line.get("tokens_returned", 0))
        if "cost_usd" in line:
            row["cost_usd"] = round(row["cost_usd"] + line["cost_usd"], 6)
        if line.get("calls") and ("cost_usd" not in line or line.get("cost_is_at_least")):
            row["unpriced"] += 1
    return sorted(rows.values(), key=lambda row: (-row["cost_usd"], -row["uses"], row["tool"]))


def money(row: Json) -> str:
    """Return a row's cost, with the number of calls whose price is unknown."""
    if row["unpriced"] and not row["cost_usd"]:
        return "unknown"
    known = dollars(row["cost_usd"])
    return f"{known} and {row['unpriced']} of unknown price" if row["unpriced"] else known


def _empty(tool: str) -> dict[str, Json]:
    zero = ("uses", "calls", "cached", "tokens_in", "tokens_out", "saved_tokens", "unpriced")
    return {"tool": tool, **dict.fromkeys(zero, 0), "cost_usd": 0.0}


def _lines(folder: Path, since: str) -> Iterator[dict[str, Json]]:
    for name in ("receipts.old.jsonl", NAME):
        try:
            # One line more than the bound: the file is renamed by the process that made it too long.
            text = files.read(folder / name, MAX_BYTES + (1 << 20)).decode("utf-8", "replace")
        except OSError:
            continue
        found = map(whole, text.splitlines())
        yield from (data for data in found if _is_ours(data) and data["timestamp"] >= since)


def _is_ours(data: Json) -> bool:
    """Tell a line that `note` could have written: another may have been planted, or damaged."""
    return (
        isinstance(data, dict)
        and all(isinstance(data.get(name), str) for name in ("tool", "timestamp"))
        and all(
            isinstance(data.get(name, 0), int | float) and 0 <= data.get(name, 0) < MAX_FIGURE
            for name in FIELDS
        )
    )
