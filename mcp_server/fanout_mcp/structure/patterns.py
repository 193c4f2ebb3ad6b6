"""Languages without a grammar here: definitions and imports by the patterns of patterns.toml, line by line.

Comments and strings of several lines are blanked first, so that nothing in them is taken for a definition.
What comes of it is labelled: a pattern sees a definition's first line, not where it ends.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from fanout_mcp.structure.documents import spoken

MAX_DEFINITIONS: Final = 2_000
MAX_SIGNATURE: Final = 160

Definition = tuple[str, str, int, str, str]
"""Kind, name, line, signature, doc."""


@dataclass(frozen=True, slots=True)
class Form:
    """`definitions`: kind to pattern, whose last group is the name; `%` in a kind takes the first group."""

    name: str
    comments: tuple[str, ...]
    definitions: tuple[tuple[str, str], ...]
    endings: tuple[str, ...] = ()
    block: tuple[str, str] | None = None
    imports: str = r"(?!)"
    files: tuple[str, ...] = ()
    is_blind: bool = False
    """Letters' case does not matter."""


_SQL_PART: Final = r"(?:[\w$]+|\"[^\"\n]+\"|`[^`\n]+`|\[[^\]\n]+\])"
_PARTS: Final = {
    "<NAME>": rf"({_SQL_PART}(?:\s*\.\s*{_SQL_PART})*)",
    "<OR>": r"(?:\s+or\s+(?:replace|alter))?",
    "<IF>": r"(?:\s+if\s+not\s+exists)?",
}
"""What patterns of SQL have in common."""


def _form(row: Mapping[str, Any]) -> Form:
    fields: dict[str, Any] = {
        k: tuple(value) if isinstance(value, list) else value for k, value in row.items()
    }
    fields["definitions"] = tuple((kind, _whole(pattern)) for kind, pattern in row["definitions"])
    return Form(**fields)


def _whole(pattern: str) -> str:
    for name, part in _PARTS.items():
        pattern = pattern.replace(name, part)
    return pattern


_TABLE: Final = Path(__file__).with_name("patterns.toml")
FORMS: Final = tuple(_form(row) for row in tomllib.loads(_TABLE.read_text(encoding="utf-8"))["form"])
_BY_ENDING: Final = {ending: form for form in FORMS for ending in form.endings}
_BY_NAME: Final = {name: form for form in FORMS for name in form.files}


@dataclass(frozen=True, slots=True)
class Read:
    language: str
    doc: str
    definitions: tuple[Definition, ...]
    imports: tuple[tuple[str, int], ...]
    """Names with their lines."""


def form_of(path: str) -> Form | None:
    """Return the form of a file by its ending or name; None for what has no patterns."""
    name = PurePosixPath(path).name.lower()
    return (
        _BY_NAME.get(name)
        or _BY_ENDING.get(PurePosixPath(name).suffix)
        or _BY_NAME.get(name.partition(".")[0] if name.startswith(("dockerfile.", "makefile.")) else "")
    )


def read(path: str, text: str) -> Read:
    """Read definitions and imports; raises ValueError for a file without a form."""
    form = form_of(path)
    if form is None:
        raise ValueError(f"{path} has no patterns")
    lines = text.split("\n")
    code = _without_blocks(text, form)
    flags = re.MULTILINE | (re.IGNORECASE if form.is_blind else 0)
    found: dict[tuple[int, str], Definition] = {}
    for what, pattern in form.definitions:
        for match in re.finditer(pattern, code, flags):
            groups = [group for group in match.groups() if group]
            name = " ".join(groups[-1].strip("'\"`[]" if form.name == "SQL" else "'\"`").split())
            at = match.start(match.lastindex or 0)
            line = code.count("\n", 0, at) + 1
            kind = groups[0].lower() if what == "%" else what
            signature = " ".join(lines[line - 1].split()).rstrip("{ (")[:MAX_SIGNATURE]
            doc = spoken(_above(lines, line - 1 - match[0][: at - match.start()].count("\n"), form))
            found.setdefault((line, name), (kind, name, line, signature, doc))
    imports = {
        match[1]: code.count("\n", 0, match.start(1)) + 1
        for match in reversed(list(re.finditer(form.imports, code, flags)))
    }
    ordered = sorted(found.values(), key=lambda one: one[2])[:MAX_DEFINITIONS]
    return Read(form.name, _head(lines, form), tuple(ordered), tuple(reversed(imports.items())))


def _without_blocks(text: str, form: Form) -> str:
    """Blank comments: their line ends stay."""
    if form.block:
        opens, closes = map(re.escape, form.block)
        text = re.sub(
            rf"{opens}.*?(?:{closes}|\Z)", lambda m: re.sub(r"[^\n]", " ", m[0]), text, flags=re.DOTALL
        )
    if form.name == "Perl":
        text = re.sub(
            r"(?ms)^=[a-z]\w*.*?(?:^=cut\b|\Z)|^__(?:END|DATA)__.*",
            lambda m: re.sub(r"[^\n]", " ", m[0]),
            text,
        )
    if form.name in {"Julia", "GraphQL", "Groovy"}:
        text = re.sub(
            r'"""(?:[^"\\]|\\[\s\S]|"(?!""))*+(?:"""|\\?\Z)', lambda m: re.sub(r"[^\n]", " ", m[0]), text
        )
    return re.sub(rf"(?m)^[ \t]*(?:{'|'.join(map(re.escape, form.comments))})(?!import).*", "", text)


def _above(lines: list[str], row: int, form: Form) -> Iterator[str]:
    """Yield the comment that ends right above `row` (from 0), without its marks."""
    start = row
    while start > 0 and start > row - 40 and _is_comment(lines[start - 1], form):
        start -= 1
    if (
        start == row
        and form.name in {"Julia", "GraphQL"}
        and row > 0
        and lines[row - 1].rstrip().endswith('"""')
    ):
        start = row - 1
        while (
            start > 0 and (start == row - 1 or '"""' not in lines[start]) and lines[row - 1].count('"""') < 2
        ):
            start -= 1
        yield from (line.strip().strip('"').strip() for line in lines[start:row] if line.strip().strip('"'))
        return
    yield from (_unmarked(line, form) for line in lines[start:row])


def _is_comment(line: str, form: Form) -> bool:
    stripped = line.strip()
    return stripped.startswith(form.comments) or bool(
        form.block and (stripped.startswith((form.block[0], "*")) or stripped.endswith(form.block[1]))
    )


def _unmarked(line: str, form: Form) -> str:
    text = line.strip()
    for mark in (*(form.block or ()), "*/", "/**", *form.comments):
        text = text.removeprefix(mark).removesuffix(mark if len(mark) > 1 else "\0")
    return re.sub(r"^(?:[#/;%'*!-]+\s?|\s+)", "", text)


def _head(lines: list[str], form: Form) -> str:
    """Return the file's own words: its first comment that stands apart from code."""
    group: list[str] = []
    in_block = False
    for number, line in enumerate([*lines[:120], ""]):
        if (in_block or _is_comment(line, form)) and not (number == 0 and line.startswith("#!")):
            group.append(_unmarked(line, form))
            if form.block:
                opened = form.block[0] in line or in_block
                in_block = opened and form.block[1] not in line
        elif not line.strip():
            sentence = spoken(group)
            if sentence:
                return sentence
            group = []
        elif not line.startswith("#!"):
            starts = re.match(
                r"(?i)\s*(?:syntax|package|import|use|using|library|create\s+extension|set\b|begin\b)", line
            )
            return spoken(group) if starts else ""
    return ""
