"""`fanout install`: register server, skill and hooks with Claude Code."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fanout_hooks.adoption import consent
from fanout_hooks.adoption.entries import is_ours
from fanout_hooks.client.places import MARK
from fanout_hooks.client.settings import Refused, locked
from fanout_hooks.crash import system_refusal
from fanout_mcp.commands.display import paragraph
from fanout_mcp.commands.flags import OK
from fanout_mcp.commands.shell import talking
from fanout_mcp.errors import InvalidInput
from fanout_mcp.registration import places as registration_places
from fanout_mcp.registration import plan
from fanout_mcp.registration.places import SCOPES, places, plugin_in, project_of
from fanout_mcp.registration.plan import Change, Choices, Plan
from fanout_mcp.state import settings
from fanout_mcp.state.folder import find_program
from fanout_mcp.text import counted
from fanout_mcp.types import Json

if TYPE_CHECKING:
    from rich.console import Console


# --- summary ------------------------------------------------------------------------------------------------
# What a change adds and takes out, in a line each: what somebody reads before the diff, or instead of it.

MAX_LENGTH: Final = 100
"""Of a value of somebody else's."""


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
        return f"{sign} {name}: {_short(' '.join([value['command'], *map(str, value.get('args', []))]))}"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"{sign} {name}: {_short(text)}"


def _entry(entry: Json) -> str:
    if not isinstance(entry, dict):
        return _short(json.dumps(entry))
    if entry.get("type") == "mcp_tool":
        return f"a call of the server {entry.get('server')}"
    command = str(entry.get("command", ""))
    if is_ours(entry) and command.startswith(MARK):
        return "a line of sh for when the server isn't there"
    return _short(command or str(entry.get("url") or entry.get("type")))


def _short(text: str) -> str:
    return text if len(text) <= MAX_LENGTH else f"{text[: MAX_LENGTH - 1]}…"


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
        said = str(error).rstrip(".")
        rest = "" if "nothing was written" in said or "put back" in said else " Nothing more was written."
        raise InvalidInput(f"{said}.{rest}") from None
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

    Nobody waits while somebody thinks: the lock is taken for writing, and what another process wrote
    before that is planned for, and shown, anew.
    """
    with refusing():
        planned = make()
        while True:
            show(console, planned, diff)
            if not planned.changes:
                return planned
            if not is_wanted(f"Write {_count(planned)}?", yes=yes):
                return None
            with locked("installing", str(lock), WAIT_S):
                now = make()
                if now == planned:
                    write(planned)
                    return planned
            planned = now


def _count(planned: Plan) -> str:
    return "this file" if len(planned.changes) == 1 else f"these {len(planned.changes)} files"


def show(console: Console, plan: Plan, form: str) -> None:
    show_changes(console, plan.changes, form)
    for note in plan.notes:
        paragraph(console, note)


def show_changes(console: Console, changes: Sequence[Change], form: str) -> None:
    """Print what comes and goes, a line each, then the diffs: in short unless `form` is full."""
    from rich.text import Text

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
        raise InvalidInput("nobody can be asked here, so nothing was written. Add --yes to write this.")
    return ask(question, default=False)


def ask(question: str, *, default: bool) -> bool:
    try:
        answer = input(f"{question} [{'Y/n' if default else 'y/N'}] ").strip().lower()
    except EOFError:  # Ctrl-D: whoever leaves has agreed to nothing
        sys.stdout.write("\n")
        return False
    return answer in {"y", "yes"} if answer else default


def is_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


# --- install ------------------------------------------------------------------------------------------


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--scope", choices=SCOPES, default="user", help="user (default), local (only here), project (shared)"
    )
    parser.add_argument("--yes", action="store_true", help="write without asking; agrees to nothing else")
    consent.add_flag(parser)
    parser.add_argument("--no-log", action="store_true", help="without the hook log and its daily report")
    parser.add_argument("--no-gate", action="store_true", help="without the gate on agents")
    parser.add_argument("--no-hooks", action="store_true", help="with neither of the two")
    parser.add_argument("--no-skill", action="store_true", help="without the skill")
    parser.add_argument(
        "--allow-tools", action="store_true", help="let Claude use fanout's tools without asking each time"
    )
    parser.add_argument(
        "--claude-backend",
        action="store_true",
        help="where there is no API key, ask your own `claude -p`: it spends your subscription",
    )


def run(args: argparse.Namespace) -> int:
    console, had = talking(), settings.read()
    project = project_of(had.project)
    where, plugin = places(args.scope, project), plugin_in(project)
    wanted = _flags(args)
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
        console.print("Installed. Start Claude Code anew; `fanout uninstall` takes exactly this out again.")
    return OK


def _flags(args: argparse.Namespace) -> Choices:
    """Return what the command line says."""
    return Choices(
        log=not (args.no_log or args.no_hooks),
        gate=not (args.no_gate or args.no_hooks),
        skill=not args.no_skill,
        allow_tools=args.allow_tools,
        claude_backend=args.claude_backend,
    )


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
