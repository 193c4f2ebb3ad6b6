"""The README's pictures: scenes of a real `fanout demo`, drawn as SVG in light and dark (`make picture`)."""

from __future__ import annotations

import io
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.terminal_theme import TerminalTheme

from fanout_mcp.commands import demo
from fanout_mcp.commands.display import Screen

FOLDER: Final = Path(__file__).parents[1] / "docs" / "pictures"
COLUMNS: Final = 84
PICTURES: Final = {"panel": ("Ask a panel", "Run hooks"), "review": ("Review a change",)}
"""Scenes whose text is the same in every folder, but for their figures."""

_DARK = [(72, 79, 88), (255, 123, 114), (63, 185, 80), (210, 153, 34), (88, 166, 255), (188, 140, 255)]
_LIGHT = [(110, 119, 129), (207, 34, 46), (26, 127, 55), (154, 103, 0), (9, 105, 218), (130, 80, 223)]
THEMES: Final = {
    "dark": TerminalTheme(
        (13, 17, 23), (230, 237, 243), [*_DARK, (57, 197, 207), (177, 186, 196)], [*_DARK, (86, 212, 221)]
    ),
    "light": TerminalTheme(
        (255, 255, 255), (31, 35, 40), [*_LIGHT, (27, 124, 131), (87, 96, 106)], [*_LIGHT, (49, 146, 170)]
    ),
}
FORM: Final = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-label="fanout demo">
<style>
.{unique_id}-matrix {{
  font: {char_height}px/{line_height}px ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace;
}}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""
"""As rich's own, but without fonts from elsewhere: a picture in a README may load nothing."""


def played(titles: Sequence[str]) -> Console:
    """Run scenes for real, and return the console that recorded them."""
    console = Screen(
        record=True, file=io.StringIO(), width=COLUMNS, color_system="truecolor", highlight=False
    )
    with tempfile.TemporaryDirectory(prefix="fanout-picture-") as folder:
        stage = demo.Stage(console, Path(folder).resolve())
        for title in titles:
            demo.open_scene(console, title)
            demo.SCENES[title](stage)
    console.print()  # rich's frame ends a little too early
    return console


def drawn(console: Console, theme: TerminalTheme) -> str:
    svg = console.export_svg(
        title="fanout demo", theme=theme, clear=False, code_format=FORM, unique_id="demo"
    )
    framed = svg.replace("rgba(255,255,255,0.35)", "rgba(128,128,128,0.5)")  # seen on white, too
    return re.sub(r"[ \t]+\n", "\n", framed)


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, titles in PICTURES.items():
        console = played(titles)
        for theme in THEMES:
            path = FOLDER / f"{name}-{theme}.svg"
            path.write_text(drawn(console, THEMES[theme]), encoding="utf-8")
            sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()
