"""`fanout providers [enable|disable NAME]`: who can be asked, who is, and what a call costs."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Final, NamedTuple

from fanout_hooks.client.settings import Refused, read_text, write_text
from fanout_mcp.commands.flags import OK
from fanout_mcp.commands.shell import put, put_json, run_async
from fanout_mcp.errors import SettingsError
from fanout_mcp.registration.plan import STATE
from fanout_mcp.state import settings
from fanout_mcp.text import hint

if TYPE_CHECKING:
    from fanout_mcp.backends.providers import Providers, Row

CALL_TOKENS: Final = (2_000, 600)
"""Of one member's question and answer in a usual consultation: what a call costs is shown for that."""


class Listed(NamedTuple):
    """One provider as it is shown."""

    name: str
    title: str
    state: str
    """`in use`, `found` (it could be enabled) or `missing`."""
    to_do: str
    models: tuple[str, ...]
    cost_usd: float | None
    """Of one call to the first of its models; None where its price is not known."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", nargs="?", choices=("list", "enable", "disable"), default="list")
    parser.add_argument("name", nargs="?", metavar="NAME", help="the provider to enable or disable")
    parser.add_argument("--prices", action="store_true", help="also ask those in use for their price lists")
    parser.add_argument("--json", action="store_true", help="print the list as JSON, nothing else")


def run(args: argparse.Namespace) -> int:
    from fanout_mcp.backends.choose import providers_of

    had = settings.read()
    found = providers_of(had)
    if args.action != "list":
        sys.stdout.write(f"{switch(found, args.action, args.name)}\n")
        return OK
    listed = look(found, costs(found) if args.prices else {})
    if args.json:
        put_json([one._asdict() for one in listed])
    else:
        show(listed)
    return OK


def switch(found: Providers, action: str, name: str | None) -> str:
    if name is None or name not in found.rows:
        what = f"There is no provider {name!r}" if name else "Name a provider"
        raise SettingsError(f"{what}; {hint(name or '', found.rows)}")
    now = list(found.settings.enabled)
    wanted = [one for one in now if one != name] + ([name] if action == "enable" else [])
    path = found.settings.config_dir / "config.toml"
    try:
        before = read_text(str(path))
        if wanted != now:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_text(
                before, settings.with_setting(before.text, "enabled", wanted)[0], str(path.parent / STATE)
            )
    except Refused as error:
        raise SettingsError(f"{str(error).rstrip('.')}.") from None
    row = found.rows[name]
    if action == "disable":
        return f"{row.title} is not asked any more ({path})."
    missing = found.missing(row)
    left = "" if not missing or missing.startswith("fanout providers") else f" Still to do: {missing}."
    return f"{row.title} may be asked from now on, as {name}:MODEL and in default panels ({path}).{left}"


def look(found: Providers, cost: dict[str, float | None]) -> list[Listed]:
    """List every provider: those in use first, then what is found and not enabled, then the rest."""
    listed = [_listed(found, row, cost.get(row.name)) for row in found.rows.values()]
    order = ("in use", "found", "missing")
    return sorted(listed, key=lambda one: order.index(one.state))


def _listed(found: Providers, row: Row, cost: float | None) -> Listed:
    to_do = found.missing(row)
    state = "in use" if not to_do else "found" if found.is_there(row) else "missing"
    return Listed(row.name, row.title, state, to_do, row.models_for("default")[:3], cost)


def costs(found: Providers) -> dict[str, float | None]:
    """Ask the providers in use what a usual call to the first of their models costs."""
    from fanout_mcp.backends.choose import open_backend

    async def ask() -> dict[str, float | None]:
        priced: dict[str, float | None] = {}
        async with open_backend(found.settings, found.env) as backend:
            for name, row in found.usable.items():
                price = await backend.price(row.first)
                priced[name] = price.of(*CALL_TOKENS) if price else None
        return priced

    return run_async(ask)


def show(listed: list[Listed]) -> None:
    from rich.table import Table
    from rich.text import Text

    from fanout_mcp.engine.budget import dollars

    marks = {"in use": ("green", "✓"), "found": ("yellow", "·"), "missing": ("dim", " ")}
    table = Table.grid(padding=(0, 2, 0, 0))
    for one in listed:
        colour, mark = marks[one.state]
        models = ", ".join(one.models) or "its server's own models"
        shown = models if one.state == "in use" else one.to_do
        cost = "" if one.cost_usd is None else f"about {dollars(round(one.cost_usd, 4))} a call"
        table.add_row(Text(mark, colour), Text(one.name, "bold"), one.title, Text(shown, "dim"), cost)
    put(lambda console: console.print(table))
