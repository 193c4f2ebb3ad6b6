"""Files and sections that are generated from the code: `make generate` writes them, test_generated compares.

A section of a Markdown file is what is between `<!-- NAME: make generate -->` and `<!-- end -->`.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

import icon
import tools_json
from fanout_hooks.adoption import entries
from fanout_mcp import __version__
from fanout_mcp.cli import COMMANDS, load
from fanout_mcp.panel.personas import built_in

ROOT: Final = Path(__file__).parents[1]
PACKAGES: Final = ("hooks/fanout_hooks", "mcp_server/fanout_mcp", "mcp_server/launcher")
ROUNDED_TO: Final = 50
"""Lines: the budget table is printed in these steps, so that not every change touches it."""


def table(head: str, rows: Iterable[Sequence[str | int]]) -> str:
    lines = [f"| {' | '.join(map(str, row))} |" for row in rows]
    return "\n".join([head, "|" + "---|" * (head.count("|") - 1), *lines])


def of_personas() -> str:
    return table("| persona | sees |", [(f"`{one.name}`", one.sees) for one in built_in().personas.values()])


def of_presets() -> str:
    presets = built_in().presets.items()
    return table("| preset | members |", [(f"`{name}`", ", ".join(members)) for name, members in presets])


def of_commands() -> str:
    """Each command with what it takes beside flags."""
    return table("| command | does |", [(f"`{_usage(name)}`", line) for name, (_, line) in COMMANDS.items()])


def _usage(name: str) -> str:
    parser = argparse.ArgumentParser()
    load(name).add_arguments(parser)
    operands = [
        str(one.metavar or "|".join(one.choices or ())) + ("..." if one.nargs in {"*", "+"} else "")
        for one in parser._get_positional_actions()
    ]
    return " ".join(["fanout", name, *operands]).replace("|", "\\|")


def owner() -> str:
    """Return who publishes the repository, "" until `make owner NAME=...` has written it."""
    found = re.search(
        r'^urls = .*github\.com/([^/]+)/fanout"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE
    )
    return found[1] if found else ""


def of_install() -> str:
    """One line for each way to install: by the public address, or in a clone while there is none."""
    name = owner()
    source = f"git+https://github.com/{name}/fanout" if name else "."
    place = f"{name}/fanout" if name else "./"
    clone = f"git clone https://github.com/{name}/fanout && cd fanout && " if name else ""
    ways = {
        f"uv tool install {source} && fanout install": "in every project",
        f"pipx install {source} && fanout install": "the same, with pipx",
        f"claude plugin marketplace add {place} && claude plugin install fanout@fanout": "as a plugin",
        f"{clone}claude": "the clone as it is",
    }
    head = (
        "One line; if in doubt, the first:"
        if name
        else "In a clone of this repository, one of these; if in doubt, the first:"
    )
    width = max(map(len, ways))
    lines = [f"$ {line:<{width}}  # {what}" for line, what in ways.items()]
    return "\n".join([head, "", "```console", *lines, "```"])


def sizes() -> dict[str, tuple[int, int]]:
    """Return modules and lines of each package: folder -> both, subpackages counted by themselves."""
    found: dict[str, tuple[int, int]] = {}
    for top in PACKAGES:
        for path in sorted((ROOT / top).rglob("*.py")):
            folder = str(path.parent.relative_to(ROOT))
            modules, lines = found.get(folder, (0, 0))
            is_module = path.name != "__init__.py"
            found[folder] = modules + is_module, lines + len(path.read_text(encoding="utf-8").splitlines())
    return dict(sorted(found.items()))


def of_budget() -> str:
    found = sizes()
    rows = [(f"`{name}`", modules, _rounded(lines)) for name, (modules, lines) in found.items()]
    modules, lines = (sum(column) for column in zip(*found.values(), strict=True))
    return table("| package | modules | lines, about |", [*rows, ("all", modules, _rounded(lines))])


def _rounded(lines: int) -> str:
    return f"{-(-lines // ROUNDED_TO) * ROUNDED_TO:,}"


SECTIONS: Final[dict[str, Callable[[], str]]] = {
    "personas": of_personas,
    "presets": of_presets,
    "commands": of_commands,
    "budget": of_budget,
    "install": of_install,
}
FILES: Final[dict[str, Callable[[], str]]] = {
    "mcp_server/fanout_mcp/edge/tools.json": lambda: (
        f"{json.dumps(tools_json.live(), indent=1, ensure_ascii=False)}\n"
    ),
    "server.json": lambda: versioned("server.json"),
    ".claude-plugin/plugin.json": lambda: versioned(".claude-plugin/plugin.json"),
    "hooks/hooks.json": lambda: json.dumps(entries.plugin_hooks(), indent=2) + "\n",
    "README.md": lambda: filled("README.md"),
    "docs/commands.md": lambda: filled("docs/commands.md"),
    "docs/panels.md": lambda: filled("docs/panels.md"),
    "CONTRIBUTING.md": lambda: filled("CONTRIBUTING.md"),
}
SECTION: Final = re.compile(r"(?<=<!-- )(\w+)(: make generate -->\n\n?)(.*?)(\n\n?<!-- end -->)", re.DOTALL)


def versioned(name: str) -> str:
    """Return a JSON file of ours with the package's version in it."""
    text = (ROOT / name).read_text(encoding="utf-8")
    return re.sub(r'"version": "[^"]*"', f'"version": "{__version__}"', text)


def filled(page: str) -> str:
    """Return the page with its sections as they must be."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return SECTION.sub(lambda found: f"{found[1]}{found[2]}{SECTIONS[found[1]]()}{found[4]}", text)


def main() -> None:
    (ROOT / icon.PATH).write_bytes(icon.png())
    for name, content in FILES.items():
        path, wanted = ROOT / name, content()
        is_new = path.read_text(encoding="utf-8") != wanted
        if is_new:
            path.write_text(wanted, encoding="utf-8")
        sys.stdout.write(f"{name}: {'written' if is_new else 'up to date'}\n")


if __name__ == "__main__":
    main()
