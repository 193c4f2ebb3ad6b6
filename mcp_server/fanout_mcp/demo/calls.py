"""With which arguments the demo calls each tool."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fanout_mcp.types import Json

QUESTION: Final = "Should this project cut its first public release now, or is something essential missing?"
TASK: Final = "Find what would surprise a new contributor to this project."

ARGUMENTS: Final[Mapping[str, dict[str, Json]]] = {
    "oracle_batch": {"question": QUESTION},
    "council": {"question": QUESTION, "rounds": 2},
    "explore_modules": {"focus": "architecture"},
    "summarize_files": {"paths": ["."]},
    "batch_review": {"patterns": ["**/*"], "focus": "security"},
    "agent_swarm": {"task": TASK, "count": 6},
    "hook_report": {},
}


def arguments_for(name: str, schema: Mapping[str, Json]) -> dict[str, Json] | None:
    """Return the arguments; None for a tool that is new here and can't be called without any."""
    if name in ARGUMENTS:
        return dict(ARGUMENTS[name])
    return None if schema.get("required") else {}
