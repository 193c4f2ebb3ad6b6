"""`fanout install` and `uninstall`: register server, skill and hooks with Claude Code, or remove them."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.text import Text

from fanout_hooks.adoption import consent, restore
from fanout_hooks.adoption.entries import is_ours
from fanout_hooks.adoption.restore import Restoration
from fanout_hooks.client import places as client_places
from fanout_hooks.client.home import state_folder
from fanout_hooks.client.places import MARK, Place
from fanout_hooks.client.places import project_of as adopting_project
from fanout_hooks.client.settings import Edit, Refused, locked
from fanout_hooks.crash import system_refusal
from fanout_mcp.commands.display import paragraph
from fanout_mcp.commands.flags import OK, Command
from fanout_mcp.commands.shell import talking
from fanout_mcp.errors import InvalidInput
from fanout_mcp.registration import places as registration_places
from fanout_mcp.registration import plan
from fanout_mcp.registration.places import SCOPES, Installed, Places, places, plugin_in, project_of
from fanout_mcp.registration.plan import Change, Choices, Plan
from fanout_mcp.state import settings
from fanout_mcp.state.folder import find_program
from fanout_mcp.text import clip, counted
from fanout_mcp.types import Json

# --- summary ------------------------------------------------------------------------------------------------
# What a change adds and takes out, in a line each: read before the diff, or instead of it.

MAX_LENGTH: Final = 100
"""Characters of a value that is not ours."""


def of(change: Change) -> list[str]:
    """Return a line for each thing that comes, goes or changes."""
    if not change.is_json:
        return [_text(change)]
    before, after = (json.loads(text) if text else {} for text in (change.before, change.after))
    return list(_changes((), before, after))


def _text(change: Change) -> str:
    old, new = ((text or "").splitlines() for text in (change.before, change.after))
    if change.before is None:
        return f"+ a new file of {counted(len(new), 'line')}"
    if change.after is None:
        return f"- the file, {counted(len(old), 'line')}"
    come, go = (len([line for line in one if line not in other]) for one, other in ((new, old), (old, new)))
    return f"~ {counted(come, 'line')} instead of {go}" if go else f"+ {counted(come, 'line')}"


def _changes(keys: tuple[str, ...], before: Json, after: Json) -> Iterator[str]:
    if isinstance(before, list) and isinstance(after, list):
        yield from (_said("-", keys, item) for item in before if item not in after)
        yield from (_said("+", keys, item) for item in after if item not in before)
        return
    for key in [*before, *(key for key in after if key not in before)]:
        old, new = before.get(key), after.get(key)
        inner = (*keys, key)
        if old == new and (key in before) == (key in after):
            continue
        if _is_opened(old, new):
            empty: Json = [] if isinstance(old if new is None else new, list) else {}
            yield from _changes(inner, empty if old is None else old, empty if new is None else new)
        else:
            yield from [_said("-", inner, old)] if key in before else []
            yield from [_said("+", inner, new)] if key in after else []


def _is_opened(old: Json, new: Json) -> bool:
    """Whether what is inside is worth more than the whole: not of a thing that stands for itself."""
    there = [one for one in (old, new) if one is not None]
    if all(isinstance(one, list) for one in there):
        return True
    return all(
        isinstance(one, dict) and all(isinstance(value, dict | list) for value in one.values())
        for one in there
    )


def _said(sign: str, keys: tuple[str, ...], value: Json) -> str:
    name = ".".join(keys)
    if isinstance(value, dict) and isinstance(value.get("hooks"), list):
        matcher = f" [{value['matcher']}]" if value.get("matcher") else ""
        return f"{sign} {name}{matcher}: {', '.join(map(_entry, value['hooks']))}"
    if isinstance(value, dict) and isinstance(value.get("command"), str):
        text = " ".join([value["command"], *map(str, value.get("args", []))])
    else:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"{sign} {name}: {clip(text, MAX_LENGTH)}"


def _entry(entry: Json) -> str:
    if not isinstance(entry, dict):
        return clip(json.dumps(entry), MAX_LENGTH)
    if entry.get("type") == "mcp_tool":
        return f"a call of the server {entry.get('server')}"
    command = str(entry.get("command", ""))
    if is_ours(entry) and command.startswith(MARK):
        return "a line of sh for when the server isn't there"
    return clip(command or str(entry.get("url") or entry.get("type")), MAX_LENGTH)


# --- What `install` and `uninstall` share: show every change as a diff, ask, write. -------------------------

WAIT_S = 30.0
"""For others that are writing right now, each of them for milliseconds."""

COLOURS = {"+": "green", "-": "red", "@": "cyan"}


@contextmanager
def refusing() -> Iterator[None]:
    """A file that is left as it is ends the command with the reason."""
    try:
        yield
    except Refused as error:
        reason = str(error).rstrip(".")
        rest = "" if "nothing was written" in reason or "put back" in reason else " Nothing more was written."
        raise InvalidInput(f"{reason}.{rest}") from None
    except OSError as error:
        raise InvalidInput(f"{system_refusal(error) or error}. Nothing more was written.") from None


def carry_out(
    console: Console,
    make: Callable[[], Plan],
    write: Callable[[Plan], None],
    lock: Path,
    *,
    yes: bool,
    diff: str = "short",
) -> Plan | None:
    """Show a plan, ask, and write it; return what was planned, None when it wasn't wanted.

    No lock is held while the user decides: it is taken for writing, and where another process wrote first,
    the plan is made and shown again.
    """
    with refusing():
        planned = make()
        while True:
            show(console, planned, diff)
            if not planned.changes:
                return planned
            count = len(planned.changes)
            if not is_wanted(f"Write {'this file' if count == 1 else f'these {count} files'}?", yes=yes):
                return None
            with locked("installing", str(lock), WAIT_S):
                now = make()
                if now == planned:
                    write(planned)
                    return planned
            planned = now


def show(console: Console, plan: Plan, form: str) -> None:
    show_changes(console, plan.changes, form)
    for note in plan.notes:
        paragraph(console, note)


def show_changes(console: Console, changes: Sequence[Change], form: str) -> None:
    """Print what comes and goes, a line each, then the diffs: in short unless `form` is full."""
    for change in changes:
        paragraph(console, str(change.path), "bold")
        for line in of(change):
            paragraph(console, Text(line, COLOURS.get(line[0], "")), indent=2, hanging=2)
    is_cut = False
    for change in changes if form != "none" else ():
        whole = change.diff
        shown = whole if form == "full" else consent.of(whole, is_json=change.is_json)
        is_cut |= shown != whole
        console.print()
        for line in shown.splitlines():
            style = "bold" if line.startswith(("+++ ", "--- ")) else COLOURS.get(line[:1], "dim")
            console.print(Text(line, style=style), soft_wrap=True)
    if is_cut:
        paragraph(console, consent.HOW_TO_SEE_ALL, "dim")
    if changes:
        console.print()


def is_wanted(question: str, *, yes: bool) -> bool:
    """Ask at a terminal; without one only --yes is an answer. Raises InvalidInput where neither is there."""
    if yes:
        return True
    if not is_terminal():
        raise InvalidInput("no terminal to ask at, so nothing was written. Add --yes to write this.")
    return ask(question, default=False)


def ask(question: str, *, default: bool) -> bool:
    try:
        answer = input(f"{question} [{'Y/n' if default else 'y/N'}] ").strip().lower()
    except EOFError:  # Ctrl-D is not consent
        sys.stdout.write("\n")
        return False
    return answer in {"y", "yes"} if answer else default


def is_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


# --- install ------------------------------------------------------------------------------------------


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--scope", choices=SCOPES, default="user", help="user (default), local (only here), project (shared)")
    add(
        "--yes",
        action="store_true",
        help="write without asking; grants no permission and agrees to no spending",
    )
    consent.add_flag(parser)
    add("--no-log", action="store_true", help="leave out the hook log and its daily report")
    add("--no-gate", action="store_true", help="leave out the gate on agents")
    add("--no-hooks", action="store_true", help="leave out both")
    add("--no-skill", action="store_true", help="leave out the skill")
    add("--allow-tools", action="store_true", help="let Claude use fanout's tools without asking each time")
    add(
        "--claude-backend",
        action="store_true",
        help="if there is no API key, ask your own `claude -p`, which spends your subscription",
    )


def run(args: argparse.Namespace) -> int:
    console, had = talking(), settings.read()
    project = project_of(had.project)
    where, plugin = places(args.scope, project), plugin_in(project)
    wanted = Choices(
        log=not (args.no_log or args.no_hooks),
        gate=not (args.no_gate or args.no_hooks),
        skill=not args.no_skill,
        allow_tools=args.allow_tools,
        claude_backend=args.claude_backend,
    )
    if plugin:
        console.print(f"The plugin {plugin} is on and brings server, skill and gate.")
        wanted = wanted.beside_the_plugin

    def make() -> plan.Plan:
        old = registration_places.read(had.config_dir).scopes.get(where.name, registration_places.Installed())
        return plan.installing(where, wanted, old, had.config_dir / "config.toml")

    if is_terminal() and not args.yes:
        with refusing():
            show(console, make(), "none")
        wanted = _asked(wanted, had)

    def write(planned: plan.Plan) -> None:
        before = registration_places.read(had.config_dir)
        if planned.installed is not None:  # first: what is remembered too much does no harm
            scopes = {**before.scopes, where.name: planned.installed}
            registration_places.write(had.config_dir, registration_places.Record(scopes=scopes))
        try:
            plan.perform(planned, had.config_dir)
        except Refused:
            with suppress(Refused, OSError):
                registration_places.write(had.config_dir, before)
            raise

    planned = carry_out(console, make, write, had.config_dir / plan.STATE, yes=args.yes, diff=args.diff)
    if planned is None:
        console.print("Nothing was written.")
    elif not planned.changes:
        console.print("Everything is installed already.")
    else:
        console.print("Installed. Restart Claude Code; `fanout uninstall` removes exactly this.")
    return OK


GATE: Final = (
    "Gate on agents: when Claude sends agents one by one that could run together, it is asked once to send "
    "them in one message; from 20 at once you get a warning?"
)
LOG: Final = "Hook log: times of hooks and a daily report, in .claude/memory of each project?"


def _asked(wanted: Choices, had: settings.Settings) -> Choices:
    """Ask a person at a terminal about each part that runs, writes or spends; a flag has answered already."""
    log, gate = wanted.log and ask(LOG, default=True), wanted.gate and ask(GATE, default=True)
    allow = wanted.allow_tools or ask(
        "Let Claude use fanout's tools without asking each time?", default=False
    )
    claude = wanted.claude_backend
    if not claude and not had.claude_agreed and find_program("claude", had.project):
        claude = ask(
            "Without an API key, let fanout call your own `claude`? It spends your subscription.",
            default=False,
        )
    return replace(wanted, log=log, gate=gate, allow_tools=allow, claude_backend=claude)


# --- The hooks that `fanout-hooks adopt` took over: they come back before the server that they call goes. ---
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
    def line(self) -> str:
        if self.plan is None:
            shared, own = self.place.settings, self.place.beside
            return f"{shared} stays as it is, for all who share it; its calls in {own} go."
        how = "byte for byte" if self.plan.is_exact else "as they now stand in hooks.json"
        return f"{self.place.settings} gets its hooks back, {how}: {', '.join(self.plan.back)}."


def returning(installed: Installed, here: Places, project: str) -> list[Return]:
    """Return what has to come back when this installation goes: nothing where a server stays."""
    record = installed.json_files.get(str(here.servers))
    if record is None or all(one.keys != here.server_keys for one in record.made.additions):
        return []
    scopes = {"user": OWN_SCOPES, "local": ("local",), "project": ()}[here.scope]
    alone = [scope for scope in (*scopes, "shared") if _is_last_server(scope, project)]
    return [found for scope in alone if (found := _returning(scope, project)) is not None]


def _returning(scope: str, project: str) -> Return | None:
    own = client_places.find(scope, project, dict(os.environ))
    if scope == "shared":
        edit = restore.without_calls(own)
        if edit is None or not edit.is_change:
            return None
        after = edit.text if json.loads(edit.text) else None
        return Return(own, Change(Path(edit.file.path), edit.file.text, after, edit.file), None)
    plan = restore.plan_restoration(own)
    if plan is None:
        return None
    file, text = plan.settings
    return Return(own, Change(Path(own.settings), file.text, text, file), plan)


def bring_back(wanted: list[Return]) -> None:
    for one in wanted:
        again = _returning(one.place.scope, one.place.project)  # two of them may share a file
        if again is None:
            continue
        if again.plan is not None:
            restore.perform(again.plan, again.place)
        else:
            restore.take_out_calls(again.place, Edit(again.change.file, again.change.after or "{}"))


def elsewhere(here: Places, project: str) -> list[str]:
    """Return other projects whose own hooks are adopted, as far as Claude Code remembers them."""
    if here.scope != "user":
        return []
    return [path for path in _known_projects(here.servers) if path != project and _calls(path)]


def _known_projects(servers: Path) -> list[str]:
    projects = registration_places.value_in(servers, ("projects",))
    return list(projects) if isinstance(projects, dict) else []


def _calls(project: str) -> bool:
    own = client_places.find("local", project, dict(os.environ))
    return Path(own.hooks).is_file() or Path(own._replace(scope="shared").warm).is_file()


def _is_last_server(scope: str, project: str) -> bool:
    """Whether this scope's sessions have but one: a project's own server is none for the user's hooks."""
    return len(client_places.registered(client_places.find(scope, project, dict(os.environ)))) <= 1


# --- uninstall ------------------------------------------------------------------------------------------


def _add_uninstall(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--scope", choices=SCOPES, default="user", help="the scope it was installed in (default: user)")
    add("--yes", action="store_true", help="write without asking; also restores adopted hooks")
    consent.add_flag(parser)


def _run_uninstall(args: argparse.Namespace) -> int:
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


uninstall = Command(_add_uninstall, _run_uninstall)


def _hooks_are_back(
    console: Console, installed: registration_places.Installed, where: Places, *, yes: bool, diff: str
) -> bool:
    """Bring adopted hooks back first, where no server is left to run them; False when it isn't wanted."""
    project = adopting_project(str(Path.cwd()), str(Path.home()))
    with refusing():
        found = returning(installed, where, project)
        show_changes(console, [one.change for one in found], diff)
        for one in found:
            paragraph(console, one.line)
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
    """Return what stays on the disk: copies that may be wanted back, logs, and what was measured."""
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
