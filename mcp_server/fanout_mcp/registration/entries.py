"""What an installation consists of: the server's entry, the permission, the hooks, the skill."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import fanout_mcp
from fanout_hooks.registration import log_and_gate_entries
from fanout_mcp.errors import InvalidInput
from fanout_mcp.registration.additions import Addition
from fanout_mcp.registration.places import SERVER
from fanout_mcp.types import Json

ALLOW: Final = ("permissions", "allow")
RULE: Final = "mcp__fanout"
PLUGIN_RULE: Final = "mcp__plugin_fanout_fanout"
"""All tools of the server; none of them changes the project."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What the user wants of it. Spending and permissions are never implied by anything else."""

    server: bool = True
    hooks: bool = True
    skill: bool = True
    allow_tools: bool = False
    claude_backend: bool = False

    @property
    def beside_the_plugin(self) -> Choices:
        """The plugin brings server, hooks and skill; a second set would be one too many."""
        return replace(self, server=False, hooks=False, skill=False)


def server_entry() -> Json:
    """Return the server's entry: this very environment, by absolute path and isolated from the project."""
    if any(part.startswith("archive-v") for part in Path(sys.prefix).parts):
        raise InvalidInput(
            f"fanout runs from uvx's cache ({sys.prefix}), which may vanish. Install it first, with "
            "`uv tool install` or pip, and run `fanout install` again."
        )
    return {"type": "stdio", "command": sys.executable, "args": ["-I", "-m", "fanout_mcp", "serve"]}


def is_server_entry(entry: Json) -> bool:
    """Tell whether an entry starts our server, whoever wrote it: this command, or a clone's launcher."""
    words = entry.get("args") if isinstance(entry, dict) else None
    text = " ".join(map(str, words)) if isinstance(words, list) else ""
    return "-m fanout_mcp serve" in text or "mcp_server/launch.py" in text


def for_settings(choices: Choices) -> list[Addition]:
    """Return what goes into the settings file."""
    rule = RULE if choices.server else PLUGIN_RULE
    wanted = [Addition(keys=ALLOW, value=rule, is_item=True)] if choices.allow_tools else []
    if choices.hooks:
        wanted += [
            Addition(keys=("hooks", event), value=group, is_item=True)
            for event, groups in log_and_gate_entries(SERVER).items()
            for group in groups
        ]
    return wanted


def skill_text() -> str:
    """Return the skill: beside the package where it was installed, at the top of a checkout."""
    package = Path(fanout_mcp.__file__).parent
    for path in (package / "skill" / "SKILL.md", package.parents[1] / "skills" / "fanout" / "SKILL.md"):
        if path.is_file():
            return path.read_text(encoding="utf-8")
    raise InvalidInput("this installation has no skill in it; use --no-skill.")
