"""The terminal as our commands print on it: whatever they draw, no character of it can command the terminal.

Rich itself lets ESC and bidirectional marks through. Here every piece of text is made printable after it was
laid out; what Rich adds itself (colours, the cursor of a progress bar) is not text and stays.
"""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from fanout_hooks.printable import printable


class Screen(Console):
    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=printable(segment.text))
