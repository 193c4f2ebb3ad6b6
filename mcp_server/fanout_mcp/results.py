"""From a tool's result to what goes over the wire: compact, clean, and never longer than the client takes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from fanout_mcp.clean import clean
from fanout_mcp.services import ToolResult
from fanout_mcp.types import Json

if TYPE_CHECKING:
    from pathlib import Path

    from mcp.types import CallToolResult

MAX_CHARACTERS: Final = 50_000
"""The client shows at most so many of one result, then 2 kB of preview (docs/operations.md)."""

PREVIEW: Final = 2_000


def compact(data: Json) -> str:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def wire(name: str, result: ToolResult, state: Path | None) -> CallToolResult:
    """Build the SDK's result: one compact JSON, as text and as structure, so that either may be shown.

    A refusal is its sentence alone: the client shows the text of an error, and JSON around it is noise.
    """
    from mcp.types import CallToolResult, TextContent

    data = clean(result.data)
    if result.is_error and isinstance(data, dict) and set(data) == {"error"}:
        return CallToolResult(content=[TextContent(type="text", text=str(data["error"]))], is_error=True)
    if isinstance(data, dict) and "headline" in data:
        data = {"headline": data["headline"], **data}  # the client folds a call to its first line
    text = compact(data)
    if len(text) > MAX_CHARACTERS:
        data = _refused(name, text, state)
        text = compact(data)
    structured = data if isinstance(data, dict) else {"result": data}
    return CallToolResult(
        content=[TextContent(type="text", text=text)], structured_content=structured, is_error=result.is_error
    )


def _refused(name: str, text: str, state: Path | None) -> dict[str, Json]:
    """The last line: tools bound themselves. The work is done and paid for, so the rest is kept in a file."""
    size = f"The result has {len(text):,} characters, more than the {MAX_CHARACTERS:,} that can be shown."
    path = _keep(name, text, state)
    if path is None:
        return {
            "headline": size,
            "too_long": f"{size} It could not be written to a file; ask for less.",
            "start": text[:PREVIEW],
        }
    return {
        "headline": size,
        "too_long": f"{size} All of it stands in the report; read it in parts.",
        "report": str(path),
        "start": text[:PREVIEW],
    }


def _keep(name: str, text: str, state: Path | None) -> Path | None:
    if state is None:
        return None
    from fanout_mcp.state import write_report

    try:
        return write_report(state, name, "json", text)
    except OSError:
        return None
