"""`fanout doctor`: which backend would be used and why, what is missing, and what Claude Code has of it."""

from __future__ import annotations

import argparse

from fanout_mcp import settings
from fanout_mcp.commands.shell import put, put_json, run_async
from fanout_mcp.engine.budget import dollars
from fanout_mcp.errors import BackendError, SettingsError
from fanout_mcp.registration.findings import Finding, look
from fanout_mcp.status import FINDINGS, OK
from fanout_mcp.types import Job, Prompt

QUESTION = Prompt("You answer with one word.", "Answer with the word: ready")
CHECK_S = 60.0
MARKS = {"good": ("green", "✓"), "missing": ("yellow", "·"), "bad": ("red", "✗")}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--check", action="store_true", help="also ask the backend one short question (one cheap call)"
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
        found.append(check(had))
    if args.json:
        put_json([one._asdict() for one in found])
    else:
        show(found)
    return FINDINGS if any(one.state == "bad" for one in found) else OK


def check(had: settings.Settings) -> Finding:
    """Ask the backend one short question."""
    from time import monotonic

    import anyio

    from fanout_mcp.backends.choose import open_backend

    async def ask() -> Finding:
        async with open_backend(had) as backend:
            if not backend.has_model:
                return Finding("check", "missing", "there is no model to ask")
            began = monotonic()
            job = Job("doctor", QUESTION, max_tokens=200, provider=backend.provider)
            with anyio.fail_after(CHECK_S):
                answer = await backend.ask(job)
            used, seconds = answer.usage, monotonic() - began
            cost = "price unknown" if used.cost_usd is None else dollars(used.cost_usd)
            tokens = f"{used.tokens_in} tokens in, {used.tokens_out} out"
            return Finding("check", "good", f"{answer.model} answered in {seconds:.1f} s; {tokens}; {cost}")

    try:
        return run_async(ask)
    except (BackendError, SettingsError) as error:
        return Finding("check", "bad", str(error))
    except TimeoutError:
        return Finding("check", "bad", f"no answer within {CHECK_S:.0f} s")


def show(found: list[Finding]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 1))
    for one in found:
        colour, mark = MARKS[one.state]
        advice = Text(f"\n{one.do}", style="dim") if one.do else Text()
        table.add_row(Text(mark, style=colour), Text(one.what, style="bold"), Text(one.told) + advice)
    put(lambda console: console.print(table))
