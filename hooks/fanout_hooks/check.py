"""What is wrong with a project's hooks, what stays native, and which path its events take, and why.

findings(project, env)         everything that `fanout-hooks check` says, in its order
path_in_use(project, env)      the path alone, for `fanout doctor`
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from typing import Literal, NamedTuple

from fanout_hooks import adopt, config, hooks_object, native, place, recent, registration
from fanout_hooks.claude_folder import claude_folder
from fanout_hooks.client import events, policy
from fanout_hooks.command import plain_python, split, which
from fanout_hooks.identity import is_shim
from fanout_hooks.native import Hooks
from fanout_hooks.place import Place
from fanout_hooks.settings import Refused, read
from fanout_hooks.unquoted import split_variable

Level = Literal["wrong", "note", "good"]


class Finding(NamedTuple):
    """One line of the check. `wrong` makes it fail."""

    level: Level
    where: str
    text: str


class PathInUse(NamedTuple):
    """How a project's events are run: warm, cold, or native where nothing is adopted."""

    path: Literal["warm", "cold", "native", "off"]
    why: str


def findings(project: str, env: dict[str, str]) -> list[Finding]:
    """Look at all scopes of a project."""
    found: list[Finding] = []
    registered: dict[str, Hooks] = {}
    in_force = policy.read(project, claude_folder(env))
    found += [Finding("note", path, sentence) for path, sentence in policy.sentences(in_force)]
    for scope in config.SCOPES:
        own = place.find(scope, project, env)
        try:
            file = read(own.settings)
            hooks = adopt.hooks_of(file)
        except Refused as refused:
            found.append(Finding("wrong", own.settings, str(refused)))
            continue
        registered[own.settings] = hooks
        found += [
            Finding("note", own.settings, f"Claude Code ignores a part of it: {why}")
            for why in hooks_object.ignored(hooks)
        ]
        found += _scope(own, hooks, env)
        if file.data.get("disableAllHooks"):
            found.append(Finding("wrong", own.settings, "disableAllHooks is on: no hook runs at all"))
    twice = registration.registered_twice(registered)
    if twice:
        where = f"the gate is registered here and in {twice[0]}"
        found.append(Finding("note", twice[-1], f"{where}; of each event one of them steps back"))
    path, why = path_in_use(project, env)
    return [*found, Finding("good" if path == "warm" else "note", "path", f"{path}: {why}")]


def adopted_scopes(project: str, env: dict[str, str]) -> list[Place]:
    """Return the scopes whose settings lead to a hooks.json."""
    found = []
    for scope in config.SCOPES:
        own = place.find(scope, project, env)
        try:
            hooks = adopt.hooks_of(read(own.settings))
        except Refused:
            continue
        if any(native.owned_by(scope)(entry) for _, _, entry in hooks_object.each(hooks)):
            found.append(own)
    return found


def path_in_use(project: str, env: dict[str, str]) -> PathInUse:
    """Say which path events take, from the settings and from what the log says of the last ones."""
    scopes = adopted_scopes(project, env)
    if not scopes:
        return PathInUse("native", "no hooks are adopted: Claude Code runs them itself")
    if any(_switched_off(own) for own in scopes):
        return PathInUse("off", "disableAllHooks is on")
    seen = recent.paths(project)
    without_call = [own.scope for own in scopes if not _calls(own)]
    without_server = [own.scope for own in scopes if not place.server_of(own)]
    if without_server:
        return PathInUse("cold", f"no server `fanout` is registered for it; `fanout install` does{seen}")
    if without_call:
        names = ", ".join(without_call)
        return PathInUse(
            "cold", f"the entries ({names}) don't call the server; `fanout-hooks adopt` again{seen}"
        )
    return PathInUse(
        "warm", f"by the server {place.server_of(scopes[0])!r}, cold where it isn't running{seen}"
    )


def _calls(own: Place) -> bool:
    """Say whether some entry of a scope asks the server. Scopes with cold events only need none."""
    held = config.load((own.scope,), own.project, own.claude).hooks
    if not any(hook.event in events.WARM for hook in held):
        return True
    hooks = adopt.hooks_of(read(own.beside or own.settings))
    is_own = native.owned_by(own.scope)
    return any(is_own(entry) and entry["type"] == "mcp_tool" for _, _, entry in hooks_object.each(hooks))


def _switched_off(own: Place) -> bool:
    try:
        return bool(read(own.settings).data.get("disableAllHooks"))
    except Refused:
        return False


# --- one scope ----------------------------------------------------------------------------------------------


def _scope(own: Place, hooks: Hooks, env: dict[str, str]) -> Iterator[Finding]:
    is_own = native.owned_by(own.scope)
    is_adopted = any(is_own(entry) for _, _, entry in hooks_object.each(hooks))
    for left in native.left(hooks_object.without_ours(hooks)):
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
    found = config.load((own.scope,), own.project, own.claude)
    for problem in found.problems:
        yield Finding("wrong", own.hooks, problem.removeprefix(f"{own.hooks}: "))
    wrong = [(hook, why) for hook in found.hooks if (why := _why_it_fails(hook, own.project, env))]
    for hook, why in wrong:
        yield Finding("wrong", own.hooks, f"{hook.event}: {hook.name}: {why}")
    yield from _shims(found.hooks, own, env)
    yield from _launches(hooks, own)
    try:
        plan = adopt.plan_adoption(own, _server_now(own))
    except Refused as refused:
        yield Finding("wrong", own.settings, str(refused))
        return
    if plan.is_change and not plan.taken:
        yield Finding(
            "wrong", own.settings, "our entries don't fit hooks.json any more; `adopt` writes them anew"
        )
    elif not found.problems:
        run = f"{_hooks(len(found.hooks))} through fanout"
        rest = f", {len(wrong)} of them can't do their work"
        yield Finding("note", own.hooks, run + rest) if wrong else Finding("good", own.hooks, run)


def _hooks(number: int) -> str:
    return "1 hook runs" if number == 1 else f"{number} hooks run"


def _server_now(own: Place) -> str:
    """Return the server that the entries call now; whether they should is `path_in_use`'s business."""
    hooks = adopt.hooks_of(read(own.beside or own.settings))
    is_own = native.owned_by(own.scope)
    return next(
        (
            str(entry["server"])
            for _, _, entry in hooks_object.each(hooks)
            if is_own(entry) and entry["type"] == "mcp_tool"
        ),
        "",
    )


_SCRIPT_PATH = re.compile(rf".*\.(?:{config.SCRIPTS})")


def _why_it_fails(hook: config.Hook, project: str, env: dict[str, str]) -> str:
    """Return why a command hook can't start here, as far as its words tell."""
    if hook.type != "command":
        return ""
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


def _shims(hooks: tuple[config.Hook, ...], own: Place, env: dict[str, str]) -> Iterator[Finding]:
    """Name the interpreters that are a version manager's script: each cold event waits for it."""
    found: dict[str, list[str]] = {}
    for hook in hooks:
        program = plain_python(
            hook.command, hook.args, env | {"CLAUDE_PROJECT_DIR": own.project}, own.project
        )
        if hook.type == "command" and program is not None and is_shim(program.exe):
            found.setdefault(program.exe, []).append(hook.name)
    for exe, names in found.items():
        few = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        yield Finding(
            "note", own.hooks, f"{few}: {exe} is a version manager's script; cold events wait for it"
        )


_PATHS = re.compile(r"; p=(?P<python>.{1,400}?); m=(?P<script>.{1,400}?); \[ -x ")


def _launches(hooks: Hooks, own: Place) -> Iterator[Finding]:
    """Look whether what the entries would start is still there."""
    is_own = native.owned_by(own.scope)
    seen: dict[str, None] = {}
    for _, _, entry in hooks_object.each(hooks):
        match = _PATHS.search(str(entry.get("command", ""))) if is_own(entry) else None
        if match and match["python"]:
            seen |= dict.fromkeys(shlex.split(f"{match['python']} {match['script']}"))
    for path in seen:
        if not os.path.exists(path):
            yield Finding("wrong", own.settings, f"the entries start {path}, which is gone; `adopt` again")
        elif is_shim(path) and not path.endswith(".py"):
            yield Finding("wrong", own.settings, f"the entries start {path}, a version manager's script")
