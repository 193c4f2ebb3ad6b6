"""Make text from outside (files, settings, answers, logs) safe to show on a terminal.

    printable(text)      nothing in it moves the cursor, sets a title or the clipboard, or turns text around
    flat(text)           the same on one line: a name must not forge a line of ours
    json_printable(json) a JSON text whose strings hold such characters as escapes: nothing of them is lost

What can't be seen is replaced by U+FFFD, so that its place is seen.
"""

from __future__ import annotations

import re

_CONTROLS = "\x00-\x08\x0b-\x1f\x7f-\x9f"
"""All but tab and newline. A lone return lets a line overwrite itself."""
_UNSEEN = (
    "\u00ad\u061c\u115f\u1160\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\u3164\ufeff\uffa0\ufff9-\ufffb"
)
"""Zero-width and bidirectional marks, fillers, line ends that only some programs see."""
_TAGS = "\U000e0000-\U000e007f"
_SURROGATES = "\ud800-\udfff"
_UNPRINTABLE = re.compile(
    f"[{_CONTROLS}{_UNSEEN}{_TAGS}{_SURROGATES}]"
    # Joiners shape letters of many scripts and join emoji; beside ASCII they only hide.
    "|(?<![^\x00-\x7f])[\u200c\u200d]|[\u200c\u200d](?![^\x00-\x7f])"
)


def printable(text: str) -> str:
    """Return the text with everything that a terminal would obey, or not show, replaced."""
    if text.isascii() and text.isprintable():
        return text
    return _UNPRINTABLE.sub("\ufffd", text.replace("\r\n", "\n"))


def flat(text: str) -> str:
    return printable(text).replace("\n", "\ufffd")


def json_printable(text: str) -> str:
    """Escape in a JSON text what must not reach a terminal: outside of strings JSON has none of it."""
    return _UNPRINTABLE.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    units = match[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
