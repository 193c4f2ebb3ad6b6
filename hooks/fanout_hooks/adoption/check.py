"""Report what is wrong with a project's hooks, what stays native, and which path its events take.

findings(project, env)         everything that `fanout-hooks check` says, in its order
path_in_use(project, env)      the path alone, for `fanout doctor`
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Literal, NamedTuple

from fanout_hooks.adoption import adopt, entries, native, pitfalls
from fanout_hooks.adoption.consent import OK, WRONG, add_project, project_of, say, say_json, say_wrapped
from fanout_hooks.adoption.native import Hooks
from fanout_hooks.client import config, events, files, places
from fanout_hooks.client.places import Place, claude_folder
from fanout_hooks.client.settings import Refused, read
from fanout_hooks.log import append as log_append
from fanout_hooks.warm.command import split, which

Level = Literal["wrong", "note", "good"]


class Finding(NamedTuple):
    """One line of the check. `wrong` makes it fail."""

    level: Level
    where: str
    text: str


class PathInUse(NamedTuple):
    path: Literal["warm", "cold", "native", "off"]
    why: str


def findings(project: str, env: dict[str, str]) -> list[Finding]:
    found: list[Finding] = []
    found += policies(project, claude_folder(env))
    for own, hooks, why in adopt.registered(project, env):
        if why:
            found.append(Finding("wrong", own.settings, why))
            continue
        found += [
            Finding("note", own.settings, f"Claude Code ignores a part of it: {part}")
            for part in entries.ignored(hooks)
        ]
        found += _scope(own, hooks, env)
        if _switched_off(own):
            found.append(Finding("wrong", own.settings, "disableAllHooks is on: no hook runs at all"))
    found += [Finding("note", "hooks", sentence) for sentence in pitfalls.of(project, env)]
    log = log_append.path_of(project)
    found += [Finding("note", log, sentence) for sentence in pitfalls.failures(records(project))]
    path, why = path_in_use(project, env)
    return [*found, Finding("good" if path == "warm" else "note", "path", f"{path}: {why}")]


def adopted_scopes(project: str, env: dict[str, str]) -> list[Place]:
    return [own for own, hooks, _ in adopt.registered(project, env) if native.is_adopted(hooks, own.scope)]


def path_in_use(project: str, env: dict[str, str]) -> PathInUse:
    """Say which path events take, from the settings and from what the log says of the last ones."""
    scopes = adopted_scopes(project, env)
    if not scopes:
        return PathInUse("native", "no hooks are adopted: Claude Code runs them itself")
    if any(_switched_off(own) for own in scopes):
        return PathInUse("off", "disableAllHooks is on")
    seen = paths(project)
    servers = [places.server_of(own) for own in scopes]
    if not all(servers):
        return PathInUse("cold", f"no server `fanout` is registered for it; `fanout install` does{seen}")
    if silent := ", ".join(own.scope for own in scopes if not _calls(own)):
        why = f"the entries ({silent}) don't call the server; `fanout-hooks adopt` again{seen}"
        return PathInUse("cold", why)
    return PathInUse("warm", f"by the server {servers[0]!r}, cold where it isn't running{seen}")


def _calls(own: Place) -> bool:
    """Say whether some entry of a scope asks the server. Scopes with cold events only need none."""
    return not any(hook.event in events.WARM for hook in own.held().hooks) or bool(_server_now(own))


def _switched_off(own: Place) -> bool:
    try:
        return bool(read(own.settings).data.get("disableAllHooks"))
    except Refused:
        return False


# --- What settings files forbid hooks: Claude Code itself heeds it ------------------------------------------

MANAGED = "/etc/claude-code"
FOR_HTTP = ("allowedHttpHookUrls", "httpHookAllowedEnvVars")
SWITCHES = {
    "allowManagedHooksOnly": "only hooks of managed settings run; fanout's entries elsewhere don't",
    "disableAllHooks": "no hook runs at all",
    "strictPluginOnlyCustomization": "hooks may have to come from a plugin",
}
MANAGED_ONLY = ("allowManagedHooksOnly", "strictPluginOnlyCustomization")


def policies(project: str, claude: str, managed: str = MANAGED) -> Iterator[Finding]:
    """Yield what the settings files of a project's sessions forbid, the managed ones last."""
    more = os.path.join(managed, "managed-settings.d")
    names = sorted(os.listdir(more)) if os.path.isdir(more) else []
    paths = [
        *(places.settings_file(scope, project, claude) for scope in config.SCOPES),
        os.path.join(managed, "managed-settings.json"),
        *(os.path.join(more, name) for name in names if name.endswith(".json") and not name.startswith(".")),
    ]
    for path in paths:
        data = places.json_of(path)
        for key in filter(data.__contains__, FOR_HTTP):
            shown = json.dumps(data[key], ensure_ascii=True)[:300]
            yield Finding("note", path, f"{key} is in force for http hooks: {shown}")
        for key in filter(data.get, SWITCHES):
            if key not in MANAGED_ONLY or path.startswith(managed):
                yield Finding("note", path, f"{key} is in force: {SWITCHES[key]}")


# --- Findings of one scope ----------------------------------------------------------------------------------


def _scope(own: Place, hooks: Hooks, env: dict[str, str]) -> Iterator[Finding]:
    is_adopted = native.is_adopted(hooks, own.scope)
    theirs = entries.without_ours(hooks)
    taken = native.runnable(theirs)
    held = {hook.event for hook in own.held().hooks}
    slow = adopt.without_gain(taken, held, _server_now(own), own.project) if is_adopted else {}
    for left in native.left(theirs, slow):
        if left.why:
            yield Finding("note", own.settings, f"{left.event}: {left.name} stays native: {left.why}")
        elif is_adopted:
            yield Finding(
                "note", own.settings, f"{left.event}: {left.name} is new and runs natively; `adopt` takes it"
            )
    if not is_adopted:
        if os.path.exists(own.hooks):
            yield Finding("note", own.hooks, f"no entry of {own.settings} leads to it: it is not in use")
        return
    yield from _adopted(own, hooks, env)


def _adopted(own: Place, hooks: Hooks, env: dict[str, str]) -> Iterator[Finding]:
    found = own.held()
    for problem in found.problems:
        yield Finding("wrong", own.hooks, problem.removeprefix(f"{own.hooks}: "))
    wrong = [(hook, why) for hook in found.hooks if (why := _why_it_fails(hook, own.project, env))]
    for hook, why in wrong:
        yield Finding("wrong", own.hooks, f"{hook.event}: {hook.name}: {why}")
    yield from _launches(hooks, own)
    try:
        plan = adopt.plan_adoption(own, _server_now(own))
    except Refused as refused:
        yield Finding("wrong", own.settings, str(refused))
        return
    if plan.programs or (plan.is_change and not plan.taken):
        what = ", ".join(map(os.path.basename, plan.programs)) or "what we registered"
        yield Finding(
            "wrong",
            own.settings,
            f"not what this version makes of hooks.json any more: {what}; `adopt` writes it again",
        )
    elif not found.problems:
        count = len(found.hooks)
        run = f"{'1 hook runs' if count == 1 else f'{count} hooks run'} through fanout"
        rest = f", {len(wrong)} of them can't do their work"
        yield Finding("note", own.hooks, run + rest) if wrong else Finding("good", own.hooks, run)


def _server_now(own: Place) -> str:
    """Return the server that the entries call now; whether they should is `path_in_use`'s business."""
    hooks = adopt.hooks_of(read(own.beside or own.settings))
    is_own = native.owned_by(own.scope)
    return next(
        (
            str(entry["server"])
            for _, _, entry in entries.each(hooks)
            if is_own(entry) and entry["type"] == "mcp_tool"
        ),
        "",
    )


_SCRIPT_PATH = re.compile(rf".*\.(?:{config.SCRIPTS})")


def _why_it_fails(hook: config.Hook, project: str, env: dict[str, str]) -> str:
    own = env | {"CLAUDE_PROJECT_DIR": project}
    words = [hook.command, *hook.args] if hook.args is not None else split(hook.command, own)
    if not words:  # the shell makes more of it than we can read
        name = split_variable(hook.command, own)
        return f'the shell splits ${name} at its space; put it in quotes: "${name}"' if name else ""
    if hook.args is not None and which(words[0], own, project) is None:
        return f"there is no program {words[0]}"
    script = _script_of(words)
    if script and "/" in script and not os.path.exists(os.path.join(project, script)):
        return f"there is no {script}"
    return ""


_RUNNERS = re.compile(r"(?:python[0-9.]*|node|bun|deno|sh|bash|dash|zsh|ruby|perl|php)\Z")
_PROGRAM_TEXT = re.compile(r"-[a-zA-Z]*[cempr]\Z|--(?:eval|print|require|import|check)\b|-\Z")
"""Options after which a runner takes a program, a module or something to look up: no file of ours."""


def _script_of(words: list[str]) -> str:
    """Return the file that a command surely starts, "" where it may look it up by itself."""
    runner, *rest = words
    if not _RUNNERS.match(os.path.basename(runner)):
        return runner if _SCRIPT_PATH.fullmatch(runner) else ""
    for word in rest:
        if _PROGRAM_TEXT.match(word):
            return ""
        if not word.startswith("-"):
            return word if _SCRIPT_PATH.fullmatch(word) else ""
    return ""


_PATHS = re.compile(r"; p=(?P<python>.{1,400}?); m=(?P<script>.{1,400}?); \[ -x ")


def _launches(hooks: Hooks, own: Place) -> Iterator[Finding]:
    """Look whether what the entries would start is still there."""
    is_own = native.owned_by(own.scope)
    seen: dict[str, None] = {}
    for _, _, entry in entries.each(hooks):
        match = _PATHS.search(str(entry.get("command", ""))) if is_own(entry) else None
        if match and match["python"]:
            seen |= dict.fromkeys(shlex.split(f"{match['python']} {match['script']}"))
    for path in seen:
        if not os.path.exists(path):
            yield Finding("wrong", own.settings, f"the entries start {path}, which is gone; `adopt` again")


# --- `fanout-hooks check`: a line for each finding; exit status 1 when something is wrong. ------------------


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_project(parser)
    parser.add_argument("--json", action="store_true", help="print the findings as JSON, nothing else")


def run(args: argparse.Namespace) -> int:
    found = findings(project_of(args), dict(os.environ))
    if args.json:
        say_json([finding._asdict() for finding in found])
    else:
        where = ""
        for finding in found:
            if finding.where != where:
                where = finding.where
                say(where)
            say_wrapped(f"{finding.level:<5}  {finding.text}", 2)
    return WRONG if any(finding.level == "wrong" for finding in found) else OK


# --- Which path the last events of a project took, as its log says. -----------------------------------------

TAIL_BYTES = 1 << 18
LAST = 100


def records(project: str, last: int = LAST) -> list[dict[str, Any]]:
    """Return the last records of the log, oldest first; other lines are left out."""
    try:
        with files.opened(log_append.path_of(project)) as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL_BYTES))
            lines = file.read().splitlines()[-last:]
    except OSError:
        return []
    found = []
    for line in lines:
        with suppress(ValueError, RecursionError):
            found.append(json.loads(line))
    return [record for record in found if isinstance(record, dict)]


def paths(project: str) -> str:
    """Return a clause about the last events that could be warm, "" when there were none."""
    seen = [own for own in records(project) if own.get("phase") in events.WARM]
    counts = Counter(str(own.get("path")) for own in seen)
    if not counts:
        return ""
    words = " and ".join(f"{count} {path}" for path, count in counts.most_common())
    return f" (of the last {len(seen)} events that have a warm path {words})"


# --- Variables that the shell will split --------------------------------------------------------------------
# Finds the variable of a hook's command that is outside quotes and whose value the shell will split.
# `python3 $CLAUDE_PROJECT_DIR/check.py` works until the project lies in "my project": then it starts
# `/home/me/my`, ends with 2, and so blocks. Read as the runtime reads commands (warm/command.py): a command
# that is simple with every variable's value a plain word, and is not with one's real value, holds that one
# unquoted.

_SPLIT = re.compile(r"[ \t\n]")
_QUOTED_OR_END = re.compile(r"""\\.|'[^']*'|"(?:\\.|[^"\\])*"|[<>]&|(&&|\|\||[;|&\n])""", re.DOTALL)
_REDIRECTION = re.compile(r"\d{0,9}(?:>>|>|<)\s{0,99}(?:&\d|&-|[^\s;|&<>]+)")
"""The shell doesn't split where it redirects to."""
_BEFORE = re.compile(
    r"\s*(?:(?:if|then|elif|else|while|until|do|exec)\s+)*(?:[A-Za-z_]\w{0,99}=[^\s'\"\\]*(?:\s+|$))*"
)
"""Nor what it assigns before a command."""
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_LEFT_WHOLE = ("echo", "printf", "export", "readonly", "local", "case")
"""To these the value is the same in one piece or several, or the shell doesn't split it there."""


def split_variable(command: str, env: dict[str, str]) -> str:
    """Return the name of a variable that breaks this command, "" where there is none or it can't be known."""
    names = [name for name, value in env.items() if _SPLIT.search(value) and name in command]
    if not names or "<<" in command:
        return ""
    plain = {name: "x" if value else "" for name, value in env.items()}
    for part in _simple_commands(command):
        words = split(part, plain)
        if not words or _ASSIGNMENT.match(words[0]) or words[0] in _LEFT_WHOLE:
            continue
        for name in names:
            if split(part, plain | {name: env[name]}) is None:
                return name
    return ""


def _simple_commands(command: str) -> Iterator[str]:
    began = 0
    for match in _QUOTED_OR_END.finditer(command):
        if match[1]:
            yield _bare(command[began : match.start()])
            began = match.end()
    yield _bare(command[began:])


def _bare(part: str) -> str:
    return _BEFORE.sub("", _REDIRECTION.sub(" ", part), count=1)
