"""The tools: which there are, what the client is told of them, and how one is loaded when it is called.

Theory of operation: importing every tool takes longer than a client should wait for its handshake. So what
`tools/list` says is generated once into `tools.json`, a committed file that a test compares with the live
tools; the server answers from it, and so does the launcher while it builds an environment. A tool's own
module (named as the tool) is imported at its first call.

    python -P -m fanout_mcp.catalog      writes tools.json again
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import sys
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from fanout_mcp.services import Tool
from fanout_mcp.types import Json

SNAPSHOT: Final = Path(__file__).with_name("tools.json")

ORDER: Final = (
    "oracle_batch",
    "council",
    "explore_modules",
    "summarize_files",
    "batch_review",
    "agent_swarm",
    "hook_report",
)
"""As they are listed: the same at every start, so that the client's prompt cache holds."""

WHEN: Final = {
    "oracle_batch": "before a decision that is costly to undo (design, plan, risky change): N experts answer "
    "at once, one honest verdict.",
    "council": "when experts should read each other and answer again: contested or high-stakes questions.",
    "explore_modules": "to understand modules or an unknown codebase without reading the files yourself.",
    "summarize_files": "to learn what many files are for, in a line each.",
    "batch_review": "to review many files or a diff; every finding comes with a verified citation.",
    "agent_swarm": "to split one task over many agents; returns Agent calls to send in ONE message.",
    "hook_report": "when hooks seem slow or the user asks where hook time goes.",
}
"""The instructions name each tool and when to use it: the only prose a model sees before it loads a tool."""

HEAD: Final = (
    "fanout does many things at once, outside your context. Fan out inside ONE call: pass all paths, modules "
    "or personas together instead of calling again and again."
)
TAIL: Final = (
    "Without a model these tools still answer: from static analysis, or with a plan of agents; launch those "
    "Agent calls together in one message. Large results end with the path of a report to read from.\n"
    "Agents of your own: all independent ones in ONE message, 3 to 6, each with 4 to 5 files of its own and "
    "50 to 200 words back. Not for one file, one search, or work that needs an answer still out; an agent "
    "that does need an earlier answer says so in its prompt: `depends on: <that agent's description>`."
)


LOCAL: Final = frozenset({"hook_report"})
"""Answer from this machine alone, and the same when asked twice; the others may call models."""


def instructions(names: list[str]) -> str:
    lines = [f"- {name}: {WHEN[name]}" for name in names if name in WHEN]
    return "\n".join([HEAD, *lines, TAIL])


def load(name: str) -> Tool[Any]:
    """Import the tool's module and return it; ModuleNotFoundError when there is none."""
    tool: Tool[Any] = importlib.import_module(f"fanout_mcp.tools.{name}").TOOL
    return tool


def live() -> dict[str, Json]:
    """Build what the snapshot holds from the tools themselves."""
    from fanout_mcp import tools

    found = [load(module.name) for module in pkgutil.iter_modules(tools.__path__) if module.name in ORDER]
    found.sort(key=lambda tool: ORDER.index(tool.name))
    return {
        "version": version("fanout-mcp"),
        "instructions": instructions([tool.name for tool in found]),
        "tools": [describe(tool) for tool in found],
    }


def describe(tool: Tool[Any]) -> dict[str, Json]:
    """One entry of tools/list, as it goes over the wire."""
    from fanout_mcp.schema import input_schema, output_schema

    meta = {
        key: value
        for key, value in {
            "anthropic/alwaysLoad": tool.always_load,
            "anthropic/searchHint": tool.search_hint,
        }.items()
        if value
    }
    return {
        "name": tool.name,
        "title": tool.title,
        "description": tool.description,
        "inputSchema": input_schema(tool.arguments),
        **({"outputSchema": output_schema(tool.output)} if tool.output else {}),
        "annotations": {
            "readOnlyHint": True,
            "destructiveHint": False,
            "idempotentHint": tool.name in LOCAL,
            "openWorldHint": tool.name not in LOCAL,
        },
        **({"_meta": meta} if meta else {}),
    }


@cache
def snapshot() -> dict[str, Json]:
    """Read what the client is told. The file ships with the package."""
    content: dict[str, Json] = json.loads(SNAPSHOT.read_text(encoding="utf-8"))
    return content


def names() -> list[str]:
    return [tool["name"] for tool in snapshot()["tools"]]


def write() -> None:
    SNAPSHOT.write_text(json.dumps(live(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write()
    sys.stdout.write(f"{SNAPSHOT.name}: {len(snapshot()['tools'])} tools\n")
