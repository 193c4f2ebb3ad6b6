"""Where Claude Code reads servers, settings and skills, by scope.

    user       this user, every project:   ~/.claude.json, ~/.claude/settings.json, ~/.claude/skills/
    local      this user, this project:    ~/.claude.json, .claude/settings.local.json, .claude/skills/
    project    whoever works in it:        .mcp.json, .claude/settings.json, .claude/skills/

With CLAUDE_CONFIG_DIR the user's own files are all in that folder.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from fanout_hooks.claude_folder import claude_folder, servers_file
from fanout_mcp.registration.additions import Keys
from fanout_mcp.source.git import repository

Scope = Literal["user", "local", "project"]
SCOPES: Final[tuple[Scope, ...]] = ("user", "local", "project")
SERVER: Final = "fanout"


@dataclass(frozen=True, slots=True)
class Places:
    """The files of one scope."""

    scope: Scope
    servers: Path
    server_keys: Keys
    """Where in `servers` our entry stands."""
    settings: Path
    skill: Path

    @property
    def name(self) -> str:
        """What an installation in this scope is remembered by."""
        return self.scope if self.scope == "user" else f"{self.scope} {self.settings.parents[1]}"


def places(scope: Scope, project: Path, env: Mapping[str, str] | None = None) -> Places:
    env = os.environ if env is None else env
    folder = Path(claude_folder(env)) if scope == "user" else project / ".claude"
    servers = project / ".mcp.json" if scope == "project" else Path(servers_file(env))
    below = ("projects", str(project)) if scope == "local" else ()
    return Places(
        scope,
        servers,
        (*below, "mcpServers", SERVER),
        folder / ("settings.local.json" if scope == "local" else "settings.json"),
        folder / "skills" / "fanout" / "SKILL.md",
    )


def project_of(folder: Path) -> Path:
    """Return the project a folder is in, as Claude Code tells projects apart: by its git repository."""
    found = repository(folder)
    return folder if isinstance(found, str) else found.top
