"""The answer of engine="plan": agent calls for the host, as many as fit, and where the rest begins."""

from __future__ import annotations

from collections.abc import Sequence

from fanout_mcp.backends.plan import messages
from fanout_mcp.source.bound import page
from fanout_mcp.source.receipt import Receipt
from fanout_mcp.types import Json


def planned(calls: Sequence[dict[str, Json]], cursor: int, receipt: Receipt) -> Json:
    shown, following = page(calls, cursor)
    many = "1 Agent call" if len(calls) == 1 else f"{len(calls):,} Agent calls"
    data: dict[str, Json] = {
        "headline": f"No model was asked: a plan of {many} for you to send",
        "plan": {"messages": messages(shown)},
        "how": "Send each list as the Agent calls of ONE message.",
    }
    if following is not None:
        data |= {"total": len(calls), "next_cursor": following}
    return {**data, "receipt": receipt.as_json(data, 0)}
