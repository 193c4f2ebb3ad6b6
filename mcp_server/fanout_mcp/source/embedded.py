"""Code inside other files: a notebook's cells and a component's script, each at the lines where it stands.

Both become a text with as many lines as the file, blank where there is no code: every line number that comes
out of it is the file's own, and a citation of it opens at the right place.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from fanout_mcp.structure.documents import first_sentence
from fanout_mcp.structure.languages import Language, language_of

_SCRIPT: Final = re.compile(r"<script\b([^>]*)>(.*?)</script\s*>", re.DOTALL | re.IGNORECASE)
_KINDS: Final = {".vue": "Vue", ".svelte": "Svelte", ".astro": "Astro"}
_FRONT: Final = re.compile(r"\A---\r?\n(.*?)^---", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Script:
    """`text`: of the script at its own lines. `doc`: the component's own words, outside of the script."""

    kind: str
    name: str
    text: str
    language: Language
    doc: str = ""


def script_of(path: str, text: str) -> Script | None:
    """Return the script of a component or the code of a notebook; None for any other file."""
    name = PurePosixPath(path)
    if name.suffix == ".ipynb":
        language = language_of("cells.py")
        return Script("Notebook", "", _code(text), language, _first_words(text)) if language else None
    kind = _KINDS.get(name.suffix.lower())
    if kind is None:
        return None
    places = [(match.start(2), match.end(2), match[1]) for match in _SCRIPT.finditer(text)]
    front = _FRONT.match(text) if kind == "Astro" else None
    if front:
        places.append((front.start(1), front.end(1), 'lang="ts"'))
    is_typed = any(re.search(r"lang\s*=\s*[\"']?tsx?", attributes) for _, _, attributes in places)
    language = language_of("script.ts" if is_typed else "script.js")
    comment = re.match(r"\s*<!--(.*?)-->", text, re.DOTALL)
    doc = first_sentence(comment[1]) if comment and "@component" not in comment[1][:20] else ""
    code = _only(text, [(start, end) for start, end, _ in places])
    return Script(kind, name.stem, code, language, doc) if language else None


def _only(text: str, places: list[tuple[int, int]]) -> str:
    """Blank all but the places; line ends stay."""
    kept, at = [], 0
    for start, end in sorted(places):
        kept += [re.sub(r"[^\n]", "", text[at:start]), text[start:end]]
        at = end
    return "".join([*kept, re.sub(r"[^\n]", "", text[at:])])


def cells(text: str) -> str:
    """Return a notebook's cells at the lines of the file, without outputs; the text itself if it is none.

    A line of a cell is a line of the file, as Jupyter writes it. Prose is marked as a comment. A file that
    holds everything in a few lines gives its cells one after another.
    """
    try:
        notebook = json.loads(text)
        found = [(cell["cell_type"], _lines(cell["source"])) for cell in notebook["cells"]]
    except (ValueError, KeyError, TypeError, RecursionError):
        return text
    rows = text.split("\n")
    if len(rows) < sum(len(lines) for _, lines in found):
        return "\n".join(_shown(kind, line) for kind, lines in found for line in lines) + "\n"
    placed = [""] * len(rows)
    at = 0
    for kind, lines in found:
        for line in lines:
            written = {
                json.dumps(part, ensure_ascii=plain)
                for part in (line, line + "\n")
                for plain in (True, False)
            }
            hit = next(
                (
                    n
                    for n in range(at, len(rows))
                    if rows[n].strip().rstrip(",").split('"source": [')[-1].rstrip("]") in written
                ),
                None,
            )
            if hit is not None:
                placed[hit] = _shown(kind, line)
                at = hit + 1
    return "\n".join(placed)


def _shown(kind: str, line: str) -> str:
    """Mark prose, and commands of the notebook's own, as comments of the code."""
    return line if kind == "code" and not line.lstrip().startswith(("%", "!")) else f"#| {line}".rstrip()


def _lines(source: object) -> list[str]:
    whole = "".join(source) if isinstance(source, list) else str(source)
    return whole.split("\n") if whole else []


def _code(text: str) -> str:
    return "\n".join("" if line.startswith("#| ") else line for line in text.split("\n"))


def _first_words(text: str) -> str:
    prose = [line[3:].strip() for line in text.split("\n") if line.startswith("#| ")]
    words = [line.lstrip("# ") for line in prose if re.search(r"[A-Za-z]{2}", line) and line[:1] not in "%!<"]
    return first_sentence(words[0]) if words else ""
