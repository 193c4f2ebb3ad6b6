"""`fanout uninstall`: take out exactly what `fanout install` put in."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fanout_hooks.adoption import consent, restore
from fanout_hooks.adoption.restore import Restoration
from fanout_hooks.client import files
from fanout_hooks.client import places as where
from fanout_hooks.client.places import Place, state_folder
from fanout_hooks.client.places import project_of as adopting_project
from fanout_mcp.commands.display import paragraph
from fanout_mcp.commands.flags import OK
from fanout_mcp.commands.shell import talking
from fanout_mcp.registration import places as registration_places
from fanout_mcp.registration import plan
from fanout_mcp.registration.install import carry_out, is_wanted, refusing, show_changes
from fanout_mcp.registration.places import SCOPES, Installed, Places, places, project_of
from fanout_mcp.registration.plan import Change
from fanout_mcp.state import settings

if TYPE_CHECKING:
    from rich.console import Console


# --- adopted ------------------------------------------------------------------------------------------------
# The hooks that `fanout-hooks adopt` took over: they come back before the server that they call goes.
# Taken out alone, the server would leave entries that call it at every event. A committed file keeps its
# entries, which need no server and are the whole team's; the calls for them in the user's own file go.

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
        projects = json.loads(files.read(str(servers), follow=True)).get("projects")
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


# --- uninstall ------------------------------------------------------------------------------------------


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--scope", choices=SCOPES, default="user", help="as it was installed (default: user)")
    parser.add_argument(
        "--yes", action="store_true", help="write without asking; adopted hooks come back, too"
    )
    consent.add_flag(parser)


def run(args: argparse.Namespace) -> int:
    console, had = talking(), settings.read()
    where, kept = places(args.scope, project_of(had.project)), registration_places.read(had.config_dir)
    if where.name not in kept.scopes:
        there = f" There is: {', '.join(kept.scopes)}." if kept.scopes else ""
        paragraph(console, f"Nothing of fanout is installed for scope {args.scope}.{there}")
        return OK

    def make() -> plan.Plan:
        old = registration_places.read(had.config_dir).scopes.get(where.name, registration_places.Installed())
        return plan.uninstalling(old, had.config_dir / "config.toml")

    def write(planned: plan.Plan) -> None:
        plan.perform(planned, had.config_dir)
        forget()

    def forget() -> None:
        kept = registration_places.read(had.config_dir)
        kept.scopes.pop(where.name, None)
        registration_places.write(had.config_dir, kept)

    if not _hooks_are_back(console, kept.scopes[where.name], where, yes=args.yes, diff=args.diff):
        console.print("Nothing was written: without the server these hooks would fail at every event.")
        return OK
    planned = carry_out(console, make, write, had.config_dir / plan.STATE, yes=args.yes, diff=args.diff)
    if planned is None:
        console.print("Nothing was written.")
        return OK
    if not planned.changes:  # the user has taken it all out by hand
        forget()
    console.print("fanout is out.")
    for line in _left(had, where):
        paragraph(console, line, hanging=4)
    return OK


def _hooks_are_back(
    console: Console, installed: registration_places.Installed, where: Places, *, yes: bool, diff: str
) -> bool:
    """Bring adopted hooks back first, where no server is left to run them; False when it isn't wanted."""
    project = adopting_project(str(Path.cwd()), str(Path.home()))
    with refusing():
        found = returning(installed, where, project)
        show_changes(console, [one.change for one in found], diff)
        for one in found:
            paragraph(console, one.told)
        for path in elsewhere(where, project):
            paragraph(console, f"Hooks of {path} are adopted, too: run `fanout-hooks restore` there.")
        if not found:
            return True
        if not is_wanted("Bring these hooks back, and take fanout out?", yes=yes):
            return False
        bring_back(found)
    return True


IN_PROJECTS: Final = {
    ".claude/memory/hook_performance.jsonl": "the hook log",
    ".claude/memory/hook_performance_report.md": "its daily report",
    ".claude/fanout": "reports, and what was set for the project",
}
"""What fanout leaves in a project, relative to its root. `.claude/memory` may hold what others wrote."""


def _left(had: settings.Settings, here: Places) -> list[str]:
    """Return what stays on the disk: copies that somebody may want back, logs, and what was measured."""
    found = {
        had.config_dir / plan.STATE: "the files as they were before each change",
        Path(
            state_folder(dict(os.environ))
        ).parent: "the same of adopted hooks, and what was learned of them",
    }
    projects = dict.fromkeys([str(had.project), *_known_projects(here.servers)])
    found |= {Path(project, name): what for project in projects for name, what in IN_PROJECTS.items()}
    kept = [f"  {path}: {what}" for path, what in found.items() if path.exists()]
    return ["These stay; remove them when you don't need them any more:", *kept] if kept else []
