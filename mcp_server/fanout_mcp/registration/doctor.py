"""`fanout doctor`: which models would be asked and why, what is missing, and what Claude Code has of it.

`--check` asks each model of the default panel, and the first of every provider in use, one short question.
"""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, Literal, NamedTuple

from fanout_hooks.adoption.check import path_in_use
from fanout_hooks.adoption.entries import each, is_log_and_gate, is_ours, problems
from fanout_hooks.client.home import state_folder
from fanout_hooks.gate import watch
from fanout_hooks.learn.memory import path_of
from fanout_mcp.backends.choose import IS_CHILD, NO_CLAUDE, NOT_AGREED, Choice, choose, providers_of
from fanout_mcp.commands.flags import FINDINGS, OK
from fanout_mcp.commands.shell import put, put_json, run_async
from fanout_mcp.engine.budget import dollars
from fanout_mcp.errors import AllThinking, BackendError, SettingsError
from fanout_mcp.registration.places import SCOPES, places, plugin_in, project_of, value_in
from fanout_mcp.registration.plan import ALLOW, PLUGIN_RULE, RULE, is_server_entry
from fanout_mcp.state import policy, settings
from fanout_mcp.state.folder import find_program, refused_program
from fanout_mcp.state.settings import OPENROUTER_URL, Settings
from fanout_mcp.types import Backend, Job, Prompt

# --- What `fanout doctor` finds on this machine. No key is ever part of it: only whether there is one. ------

State = Literal["good", "missing", "bad"]

PROGRAMS: Final = {
    "claude": "Claude Code itself, and the `claude` backend",
    "git": "finding files, and reviewing changes",
    "uv": "only makes environments faster",
}

OLD: Final = ("cache", "state/receipts.jsonl", "state/receipts.old.jsonl", "state/hooks_baseline.json")
"""What older versions kept in `.claude/fanout` and now lies in the user's own folders. The rest of `state` is
in use: adopted hooks have their originals there."""

OWN_FOLDERS: Final = ("FANOUT_STATE_DIR", "XDG_CACHE_HOME", "XDG_STATE_HOME")


class Finding(NamedTuple):
    """`missing` is not an error: something could be used and isn't there."""

    what: str
    state: State
    detail: str
    do: str = ""


def look(had: Settings | None, error: str = "") -> list[Finding]:
    """Look at everything. `had` is None where the settings can't be read, and `error` says why."""
    root = had.project if had is not None else Path.cwd()
    return [
        *_policy(),
        *(_backend(had) if had is not None else [Finding("settings", "bad", error)]),
        Finding("python", "good", f"{platform.python_version()}, {sys.executable}"),
        *(_own(had.config_dir) if had is not None else []),
        *(_kept(had) if had is not None else []),
        *(_redis(had.redis_url) if had is not None and had.redis_url else []),
        *_programs(root),
        *_registered(root),
        *_hooks(root),
    ]


def _policy() -> Iterator[Finding]:
    """Name the company's policy and all that it forbids."""
    try:
        found = policy.current()
    except SettingsError as error:
        yield Finding("policy", "bad", str(error))
        return
    if found.is_there:
        yield Finding(
            "policy", "good", f"{policy.PLACE}: {'; '.join(found.forbids()) or 'it forbids nothing'}"
        )


def _backend(had: Settings) -> Iterator[Finding]:
    try:
        choice = choose(had)
    except SettingsError as error:
        yield Finding("backend", "bad", str(error))
        return
    if choice.name == "plan":
        yield Finding("backend", "missing", f"plan: {choice.why}", _how_to_a_model(had, choice))
    else:
        yield Finding("backend", "good", f"{choice.name}: {choice.why}")
    yield from _providers(had)
    if had.base_url:
        key = "with a key (not shown)" if had.api_key else "without a key"
        do = "Set OPENROUTER_API_KEY." if had.base_url == OPENROUTER_URL and not had.api_key else ""
        yield Finding("endpoint", "bad" if do else "good", f"{had.base_url}, {key}", do)
    if had.model:
        yield Finding("model", "good", f"{had.model}, for every seat that names no other")
    elif choice.name == "http" and had.base_url and had.base_url != OPENROUTER_URL:
        yield Finding("model", "good", "the first that the endpoint lists: FANOUT_MODEL names none")


def _providers(had: Settings) -> Iterator[Finding]:
    """Name the providers in use, and those that are found and not enabled."""
    try:
        found = providers_of(had)
    except SettingsError as error:
        yield Finding("providers", "bad", str(error))
        return
    if found.usable:
        yield Finding("providers", "good", ", ".join(row.title for row in found.usable.values()))
    for name in had.enabled:
        if missing := found.missing(found.rows[name]):
            yield Finding(f"provider {name}", "bad", "enabled, and can't be asked", f"{missing}.")
    for row in found.rows.values():
        if row.name not in {*found.usable, *had.enabled} and row.name != "claude" and found.is_there(row):
            yield Finding(f"provider {row.name}", "missing", "found, and not in use", found.missing(row))


def _how_to_a_model(had: Settings, choice: Choice) -> str:
    """Say what is missing, and nothing that is there."""
    if had.backend == "plan":
        return "Ask for another backend there, or for none, to have a model asked."
    ways = ["set OPENROUTER_API_KEY", "FANOUT_BASE_URL for a local server"]
    if IS_CHILD not in choice.missing:
        if NO_CLAUDE in choice.missing:
            ways.append(
                "put `claude` on PATH" + (", which you agreed to already" if had.claude_agreed else "")
            )
        if NOT_AGREED in choice.missing:
            ways.append("agree to `claude`: fanout install --claude-backend")
    listed = ", or ".join(ways)
    return f"{listed[0].upper()}{listed[1:]}."


def _own(config_dir: Path) -> Iterator[Finding]:
    """Report what is wrong with the user's own personas and presets; each costs itself alone."""
    from fanout_mcp.panel.personas import read

    for why in read(config_dir).broken.values():
        yield Finding("panel", "bad", why, "It is ignored until then.")


def _kept(had: Settings) -> Iterator[Finding]:
    """Name the user's own folders for this project, and what older versions left in the project itself."""
    hooks = state_folder(dict(os.environ))
    yield Finding("cache", "good", f"{had.cache} (fanout cache)")
    yield Finding("receipts", "good", str(had.records))
    yield Finding("votes", "good", f"{had.votes} (fanout record)")
    yield Finding("learned", "good", path_of(hooks, str(had.project)))
    names = [name for name in OWN_FOLDERS if os.environ.get(name)]
    inside = [name for name in names if Path(os.environ[name]).resolve().is_relative_to(had.project)]
    if inside:
        found = (
            f"{' and '.join(inside)} names a folder inside the project, and no cache or state is opened there"
        )
        yield Finding("own folders", "bad", found, "Name a folder outside the project.")
    old = [folder for name in OLD if os.path.lexists(folder := had.project / ".claude" / "fanout" / name)]
    if old:
        found = f"{' and '.join(map(str, old))}: no longer read"
        yield Finding("old state", "missing", found, f"Delete it: rm -r {shlex.join(map(str, old))}")


def _redis(url: str) -> Iterator[Finding]:
    from fanout_mcp.scale.shared import check as check_redis
    from fanout_mcp.scale.shared import shown

    try:
        check_redis(url)
    except SettingsError as error:
        yield Finding("redis", "bad", str(error))
    else:
        yield Finding("redis", "good", f"{shown(url)}, for answers, limits and the queue")


def _programs(project: Path) -> Iterator[Finding]:
    for name, use in PROGRAMS.items():
        path = find_program(name, project)
        refused = "" if path else refused_program(name, project)
        yield Finding(name, "good" if path else "missing", path or f"{refused or 'not on PATH'} ({use})")


def _registered(root: Path) -> Iterator[Finding]:
    project = project_of(root)
    here = {scope: places(scope, project) for scope in SCOPES}
    plugins = [f"plugin {plugin}" for plugin in [plugin_in(project)] if plugin]
    servers = [
        scope for scope, where in here.items() if is_server_entry(value_in(where.servers, where.server_keys))
    ]
    do = "fanout install, or claude --plugin-dir FOLDER"
    yield _found("server", [*servers, *plugins], "not registered", do)
    rules = {RULE: servers, PLUGIN_RULE: plugins}
    needed = [rule for rule, is_needed in rules.items() if is_needed]
    lists = [value_in(where.settings, ALLOW) for where in here.values()]
    allowed = [rule for rules in lists if isinstance(rules, list) for rule in rules]
    lacking = [rule for rule in needed or [RULE] if rule not in allowed]
    if lacking:
        do = "fanout install --allow-tools, else Claude asks at each tool's first use."
        yield Finding("permission", "missing", f"permissions.allow lacks {', '.join(lacking)}", do)
    else:
        yield Finding("permission", "good", f"{', '.join(needed)} in permissions.allow")
    skills = [scope for scope, where in here.items() if where.skill.is_file()]
    yield _found("skill", [*skills, *plugins], "not installed")


def _found(what: str, names: Sequence[str], without: str, do: str = "") -> Finding:
    return Finding(what, "good", ", ".join(names)) if names else Finding(what, "missing", without, do)


def _hooks(root: Path) -> Iterator[Finding]:
    project = project_of(root)
    holders: list[str] = []
    for scope in SCOPES:
        path = places(scope, project).settings
        hooks = value_in(path, ("hooks",)) or {}
        if any(is_ours(entry) and is_log_and_gate(entry) for _, _, entry in each(hooks)):
            holders.append(scope)
        if wrong := problems(hooks):
            do = "Claude Code refuses the file; fix it first."
            yield Finding("hooks", "bad", f"{path}: {wrong[0]}", do)
    if plugin := plugin_in(project):
        holders.append(f"plugin {plugin}")
    if holders:
        yield Finding("hooks", "good", f"log and gate: {', '.join(holders)}")
        yield _gate(project)
    else:
        yield Finding("hooks", "missing", "no hook log and no gate", "fanout install")
    used = path_in_use(str(root), dict(os.environ))
    yield Finding("hooks path", "good", f"{used.path}: {used.why}")


def _gate(project: Path) -> Finding:
    """Report the gate's mode for this project, or what should set it and doesn't."""
    env = {**os.environ, "CLAUDE_PROJECT_DIR": str(project)}
    chosen = watch.choose({}, env, watch.DEFAULT)
    if chosen.problem:
        return Finding("gate", "bad", f"{chosen.mode}, for the gate {chosen.problem}", "Fix it there.")
    means = {
        "smart": "agents launched one by one for no reason are sent back",
        "strict": "an agent launched alone after others is sent back",
        "warn": "agents launched one by one are advised against",
        "off": "agents may be launched one by one",
    }[chosen.mode]
    return Finding("gate", "missing" if chosen.mode == "off" else "good", f"{chosen.mode}: {means}")


# --- doctor ------------------------------------------------------------------------------------------

QUESTION = Prompt("You answer with one word.", "Answer with the word: ready")
CHECK_S = 60.0
MARKS = {"good": ("green", "✓"), "missing": ("yellow", "·"), "bad": ("red", "✗")}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--check", action="store_true", help="also ask every model of the default panel one short question")
    add("--json", action="store_true", help="print the findings as JSON, nothing else")


def run(args: argparse.Namespace) -> int:
    had, error = None, ""
    try:
        had = settings.read()
    except SettingsError as problem:
        error = str(problem)
    found = look(had, error)
    if args.check and had is not None:
        found += check(had)
    if args.json:
        put_json([one._asdict() for one in found])
    else:
        show(found)
    return FINDINGS if any(one.state == "bad" for one in found) else OK


def check(had: settings.Settings) -> list[Finding]:
    import anyio

    from fanout_mcp.backends.choose import open_backend

    async def ask() -> list[Finding]:
        async with open_backend(had) as backend:
            if not backend.has_model:
                return [Finding("check", "missing", "there is no model to ask")]
            models = _models(had, backend)
            found: dict[str | None, Finding] = {}

            async def one(model: str | None) -> None:
                found[model] = await _answered(backend, model)

            async with anyio.create_task_group() as tasks:
                for model in models:
                    tasks.start_soon(one, model)
            return [found[model] for model in models]

    try:
        return run_async(ask)
    except (BackendError, SettingsError) as error:
        return [Finding("check", "bad", str(error))]


def _models(had: settings.Settings, backend: Backend) -> list[str | None]:
    """Return the models of the default panel, the synthesis and the summaries, and one of each provider."""
    from fanout_mcp.panel.personas import read

    seat = backend.seating()
    panel = [seat(one.name) for one in read(had.config_dir).choose("all", None)]
    others = [backend.default_model(purpose) for purpose in ("synthesis", "summary")]
    asked = list(dict.fromkeys([*panel, *others]))
    providers = {backend.route(model).provider for model in asked}
    for name, row in providers_of(had).usable.items():
        if (row.host or name) not in providers:
            asked.append(row.first)
    return asked


async def _answered(backend: Backend, model: str | None) -> Finding:
    from time import monotonic

    import anyio

    from fanout_mcp.engine.retry import larger_budget

    what = f"check {model}" if model else "check"
    began = monotonic()
    job = Job("doctor", QUESTION, model, max_tokens=200)
    try:
        with anyio.fail_after(CHECK_S):
            try:
                answer = await backend.ask(job)
            except AllThinking:  # it can be reached, and thinks
                answer = await backend.ask(replace(job, max_tokens=larger_budget(job.max_tokens)))
    except AllThinking as error:
        return Finding(what, "good", f"reachable; it thought and wrote nothing: {error}")
    except (BackendError, SettingsError) as error:
        following = backend.route(model).fallbacks
        instead = f"{following[0]} is asked in its place." if following else ""
        return Finding(what, "bad", str(error), instead)
    except TimeoutError:
        return Finding(what, "bad", f"no answer within {CHECK_S:.0f} s")
    used, seconds = answer.usage, monotonic() - began
    cost = "price unknown" if used.cost_usd is None else dollars(used.cost_usd)
    tokens = f"{used.tokens_in} tokens in, {used.tokens_out} out"
    return Finding(what, "good", f"{answer.model} answered in {seconds:.1f} s; {tokens}; {cost}")


def show(found: list[Finding]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 1))
    for one in found:
        colour, mark = MARKS[one.state]
        advice = Text(f"\n{one.do}", style="dim") if one.do else Text()
        table.add_row(Text(mark, style=colour), Text(one.what, style="bold"), Text(one.detail) + advice)
    put(lambda console: console.print(table))
