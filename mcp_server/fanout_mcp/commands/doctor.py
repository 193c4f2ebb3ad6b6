"""`fanout doctor`: which models would be asked and why, what is missing, and what Claude Code has of it.

`--check` asks each model of the default panel, and the first of every provider in use, one short question.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING

from fanout_mcp import settings
from fanout_mcp.commands.shell import put, put_json, run_async
from fanout_mcp.engine.budget import dollars
from fanout_mcp.errors import AllThinking, BackendError, SettingsError
from fanout_mcp.registration.findings import Finding, look
from fanout_mcp.status import FINDINGS, OK
from fanout_mcp.types import Job, Prompt

if TYPE_CHECKING:
    from fanout_mcp.backends.base import Backend

QUESTION = Prompt("You answer with one word.", "Answer with the word: ready")
CHECK_S = 60.0
MARKS = {"good": ("green", "✓"), "missing": ("yellow", "·"), "bad": ("red", "✗")}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--check", action="store_true", help="also ask every model of the default panel one short question"
    )
    parser.add_argument("--json", action="store_true", help="print the findings as JSON, nothing else")


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
    """Ask each member's model one short question, all at once."""
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
    from fanout_mcp.backends.choose import providers_of
    from fanout_mcp.panel.personas import read

    seat = backend.seating()
    panel = [seat(one.name) for one in read(had.config_dir).choose("all", None)]
    others = [backend.default_model(purpose) for purpose in ("synthesis", "summary")]
    asked = list(dict.fromkeys([*panel, *others]))
    providers = {backend.route(model).provider for model in asked}
    for name, row in providers_of(had).usable.items():
        if (row.host or name) not in providers:
            asked.append(f"{name}:{next(iter(row.models_for('default')), '')}".rstrip(":"))
    return asked


async def _answered(backend: Backend, model: str | None) -> Finding:
    from time import monotonic

    import anyio

    from fanout_mcp.engine.retry import larger_budget

    what = f"check {model}" if model else "check"
    began = monotonic()
    job = Job("doctor", QUESTION, model, max_tokens=200, provider=backend.provider)
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
        table.add_row(Text(mark, style=colour), Text(one.what, style="bold"), Text(one.told) + advice)
    put(lambda console: console.print(table))
