"""The hooks that `fanout-hooks adopt` took over: they come back before the server that they call goes.

Taken out alone, the server would leave entries that call it at every event. A committed file keeps its
entries, which need no server and are the whole team's; the calls for them in the user's own file go.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fanout_hooks import place as where
from fanout_hooks import regular, restore
from fanout_hooks.place import Place
from fanout_hooks.restore import Restoration
from fanout_mcp.registration.places import Places
from fanout_mcp.registration.plan import Change
from fanout_mcp.registration.record import Installed

OWN_SCOPES: Final = ("user", "local")


@dataclass(frozen=True, slots=True)
class Return:
    """What one scope gets back."""

    place: Place
    change: Change
    plan: Restoration | None
    """None: only the calls for a committed file's hooks are taken out."""

    @property
    def told(self) -> str:
        if self.plan is None:
            shared, own = self.place.settings, self.place.beside
            return f"{shared} stays as it is, for all who share it; its calls in {own} go."
        how = "byte for byte" if self.plan.is_exact else "as they now stand in hooks.json"
        return f"{self.place.settings} gets its hooks back, {how}: {', '.join(self.plan.back)}."


def returning(installed: Installed, here: Places, project: str) -> list[Return]:
    """Return what has to come back when this installation goes: nothing where a server stays."""
    if not _has_server(installed, here):
        return []
    scopes = {"user": OWN_SCOPES, "local": ("local",), "project": ()}[here.scope]
    alone = [scope for scope in (*scopes, "shared") if _is_last_server(scope, project)]
    return [found for scope in alone if (found := _returning(scope, project)) is not None]


def _returning(scope: str, project: str) -> Return | None:
    own = where.find(scope, project, dict(os.environ))
    if scope == "shared":
        file, text = restore.without_calls(own)
        if file is None or text == file.text:
            return None
        after = text if json.loads(text) else None
        return Return(own, Change(Path(file.path), file.text, after, file), None)
    plan = restore.plan_restoration(own)
    if plan is None:
        return None
    return Return(
        own, Change(Path(own.settings), plan.settings.text, plan.settings_text, plan.settings), plan
    )


def bring_back(wanted: list[Return]) -> None:
    """Write it. Raises Refused, OSError."""
    for one in wanted:
        again = _returning(one.place.scope, one.place.project)  # two of them may share a file
        if again is None:
            continue
        if again.plan is not None:
            restore.perform(again.plan, again.place)
        else:
            restore.take_out_calls(again.place, again.change.file, again.change.after or "{}")


def elsewhere(here: Places, project: str) -> list[str]:
    """Return other projects whose own hooks are adopted, as far as Claude Code remembers them."""
    if here.scope != "user":
        return []
    return [path for path in _known_projects(here.servers) if path != project and _calls(path)]


def _known_projects(servers: Path) -> Iterator[str]:
    try:
        projects = json.loads(regular.read(str(servers), follow=True)).get("projects")
    except (OSError, ValueError, AttributeError, RecursionError):
        return
    yield from projects if isinstance(projects, dict) else ()


def _calls(project: str) -> bool:
    own = where.find("local", project, dict(os.environ))
    return Path(own.hooks).is_file() or Path(own._replace(scope="shared").warm).is_file()


def _has_server(installed: Installed, here: Places) -> bool:
    record = installed.json_files.get(str(here.servers))
    return record is not None and any(one.keys == here.server_keys for one in record.made.additions)


def _is_last_server(scope: str, project: str) -> bool:
    """Whether this scope's sessions have but one: a project's own server is none for the user's hooks."""
    return len(where.registered(where.find(scope, project, dict(os.environ)))) <= 1
