"""What a person is shown of a plan: the agents that Claude would start, or the members a panel would have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fanout_mcp.clean import flat
from fanout_mcp.commands.words import at_most
from fanout_mcp.types import Json

if TYPE_CHECKING:
    from rich.console import Console

MOST_OF_A_PROMPT: Final = 200
"""Characters: whole they are in the JSON."""


def show(console: Console, data: Json) -> None:
    """Where nobody is asked: what the host runs itself, message by message, an agent a line."""
    from rich.table import Table
    from rich.text import Text

    sent = data["plan"]["messages"]
    console.print(Text(data.get("note") or data.get("how") or "Nobody was asked."))
    console.print(Text("In Claude Code these agents are started instead, side by side:"))
    longest = max(len(f"Agent: {call['description']}") for message in sent for call in message)
    table = Table.grid(padding=(0, 2, 0, 0), expand=True)
    table.add_column(no_wrap=True, width=min(longest, console.width // 2), overflow="ellipsis")
    table.add_column(no_wrap=True, style="dim", overflow="ellipsis", ratio=1)
    for number, message in enumerate(sent, 1):
        if len(sent) > 1:
            table.add_row(Text(f"message {number}", "cyan"), "")
        for call in message:
            task = " ".join(call["prompt"].split())[:MOST_OF_A_PROMPT]
            table.add_row(Text(f"Agent: {flat(call['description'])}", "bold"), Text(task))
    console.print(table)
    if "next_cursor" in data:
        console.print(Text(f"These are not all: go on with --cursor {data['next_cursor']}."))


def show_dry(console: Console, data: Json) -> None:
    """Who would be asked, and what it may cost."""
    from rich.table import Table
    from rich.text import Text

    rounds = f" in at most {data['rounds']} rounds" if "rounds" in data else ""
    console.print(Text(f"Nobody was asked yet. Without --dry-run these are{rounds}:"))
    table = Table.grid(padding=(0, 2, 0, 0))
    for one in data["members"]:
        table.add_row(f"  {flat(one['member'])}", Text(flat(one["model"] or "the backend's model"), "dim"))
    console.print(table)
    console.print(Text(f"Rule: {data['rule']}.", "dim"))
    console.print(Text(f"At most {at_most(data['at_most'])}.", "dim"))
