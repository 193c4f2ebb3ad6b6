"""Files without a grammar: by headings, by keys, by a language's patterns, the rest by its head.

Also the code inside other files: a component's script, a notebook's cells.
"""

from __future__ import annotations

import json
import posixpath
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fanout_mcp.structure.comments import RULER, first_sentence, plain_text, spoken
from fanout_mcp.structure.languages import Language, language_of

MAX_KEYS: Final = 60
Places = list[tuple[str, int]]

_KINDS: Final = {
    ".md": "Markdown",
    ".markdown": "Markdown",
    ".rst": "reStructuredText",
    ".json": "JSON",
    ".toml": "TOML",
    ".yaml": "YAML",
    ".yml": "YAML",
    ".ini": "INI",
    ".cfg": "INI",
    ".conf": "INI",
    ".properties": "INI",
}
_PATTERNS: Final = {
    "TOML": re.compile(r"^\[++([^\]\n]++)\]+|^([\w\"'.-]+)\s*="),
    "YAML": re.compile(r"^([\w\"'./-]+)\s*:"),
    "INI": re.compile(r"^\[([^\]\n]+)\]|^([\w.-]+)\s*="),
    "JSON": re.compile(r"^(?:  |\t|    )?\"([^\"\n]{1,80})\"\s*:"),
}


def describe(path: str, text: str) -> tuple[str, str, Places]:
    """Return what kind of file it is, its own words or head, and its headings or keys with their lines."""
    kind = _KINDS.get(posixpath.splitext(path)[1].lower(), "")
    if kind == "Markdown":
        return kind, *_markdown(text)
    if kind in _PATTERNS:
        return kind, _described(kind, text), _keys(kind, text)
    begun = text[:HEAD_OF_MARKUP].lstrip("\ufeff \t\r\n")
    markup = next((name for name, begins in _MARKUP if begins.match(begun)), "")
    return (markup, "", []) if markup and not kind else (kind or "text", _head(text), [])


_MARKUP: Final = (
    ("XML", re.compile(r"<[?!A-Za-z]")),
    ("YAML", re.compile(r"%YAML|---[ \t]*$", re.MULTILINE)),
)
"""Data under an ending that no one knows, by how it begins."""
HEAD_OF_MARKUP: Final = 1000


def _markdown(text: str) -> tuple[str, Places]:
    headings: Places = []
    paragraph: list[str] = []
    is_open = False
    fence = ""
    front = _FRONT.match(text)
    if front:
        own = re.search(r"^(?:description|summary)\s*:\s*([^\n>|]{8,})$", front[1], re.MULTILINE)
        text = "\n" * front[0].count("\n") + text[front.end() :]
        paragraph = [own[1].strip("\"' ")] if own else []
    lines = text.split("\n")
    for number, line in enumerate(lines, 1):
        mark = re.match(r"\s{0,3}(```+|~~~+)", line)
        under = lines[number] if number < len(lines) else ""
        if paragraph and paragraph[-1].rstrip().endswith(":") and (mark or not line.strip()):
            paragraph, is_open = [], False  # it introduces a list or code, and says nothing by itself
        if mark:
            fence = "" if fence and mark[1].startswith(fence) else fence or mark[1][:3]
        elif fence:
            continue
        elif re.match(r"#{1,6}\s", line):
            headings.append((line.rstrip(" #"), number))
        elif re.match(r"[^\s>|<-]", line) and re.match(r"(?:=+|-{3,})\s*$", under):
            headings.append((f"{'#' if under.startswith('=') else '##'} {line.strip()}", number))
        elif not paragraph and re.match(r"[A-Za-z*_`\"\[]", line) and not _NO_PROSE.match(line):
            paragraph, is_open = [line], True
        elif is_open and line.strip() and not re.match(r"\s*(?:=+|-{3,}|[-*+] |\d+\. |[<|])", line):
            paragraph.append(line)
        else:
            is_open = False
    prose = first_sentence(plain_text(" ".join(paragraph))) if paragraph else ""
    title = plain_text(headings[0][0].lstrip("# ")) if headings else ""
    return ": ".join(part for part in (title, prose) if part), headings[:MAX_KEYS]


_NO_PROSE: Final = re.compile(
    r"(?:\[?!\[|\[[^\]]*\]\([^)]*\)\W*(?:$|\[)|\[[^\]]+\]:|\*\*\*|---|\* |_{3,})"
    r"|(?:\S+ )?(?:this (?:project|app|library)(?: was| is)? )?"
    r"(?i:(?:project|app) (?:was )?generated (?:with|using)|this is an? .{1,60}project bootstrapped"
    r"|bootstrapped with)"
)
"""A line that is no prose of its own: badges, link definitions, what a generator writes into every README."""


def _keys(kind: str, text: str) -> Places:
    keys: dict[str, int] = {}
    for number, line in enumerate(text.split("\n"), 1):
        match = _PATTERNS[kind].match(line)
        if match:
            keys.setdefault(next(group for group in match.groups() if group), number)
    wanted = _top_level(kind, text)
    if wanted is not None:
        keys = {key: keys.get(key) or _line_of(key, text) for key in wanted[:MAX_KEYS]}
    return list(keys.items())[:MAX_KEYS]


def _line_of(key: str, text: str) -> int:
    """Find a JSON key that begins no line of its own: in a compact file several share one."""
    match = re.search(re.escape(json.dumps(key, ensure_ascii=False)) + r"\s*:", text)
    return text.count("\n", 0, match.start()) + 1 if match else 1


def _top_level(kind: str, text: str) -> list[str] | None:
    """JSON has no line that says how deep it is; None when it can't be parsed."""
    if kind != "JSON":
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return list(value) if isinstance(value, dict) else []


def _described(kind: str, text: str) -> str:
    """Return the description that package files carry, else the comment at the top."""
    try:
        value = json.loads(text) if kind == "JSON" else tomllib.loads(text) if kind == "TOML" else {}
    except (ValueError, RecursionError):
        return "not valid " + kind
    for table in (value, value.get("project"), value.get("package")) if isinstance(value, dict) else ():
        if isinstance(table, dict) and isinstance(table.get("description"), str):
            return first_sentence(table["description"])
    comment = re.match(r"(?:[#;][^\n]*\n)+", text)
    return first_sentence(re.sub(r"(?m)^[#;]+ ?", "", comment[0])) if comment else ""


def _head(text: str) -> str:
    """Return a text's own words: of code in an unknown language its first comment, never a licence."""
    lines = text[:6000].split("\n")
    if _COMMENT.match(text):
        sentence = spoken(
            re.sub(
                r"^\s*(?:/\*+|\*+/|\*|//+[!/]?|#+!?|--+\|?|;+|%+|\(\*|\*\)|<!--|-->|\{-|-\}|!+)\s?", "", line
            ).rstrip("*/-> ")
            for line in _commented(lines)
        )
        if sentence:
            return sentence
    words = " ".join(" ".join(line for line in lines[:40] if not RULER.match(line)).split())
    return "begins: " + (words if len(words) <= 160 else words[:159] + "…") if words else "empty"


_COMMENT: Final = re.compile(r"\s*(?:/\*|//|#|--|;|%|\(\*|<!--|\{-|!)")


def _commented(lines: list[str]) -> list[str]:
    """Return the lines of the comments at the top, a blank line where there is none."""
    found: list[str] = []
    closing = ""
    for line in lines:
        text = line.strip()
        if closing:
            closing = "" if closing in text else closing
        elif text.startswith(("/*", "(*", "<!--", "{-")):
            closing = {"/*": "*/", "(*": "*)", "<!--": "-->", "{-": "-}"}[
                text[:4] if text.startswith("<!--") else text[:2]
            ]
            closing = "" if closing in text[2:] else closing
        elif text and not _COMMENT.match(line):
            break
        found.append("" if text.startswith("#!") else line)
    return found


# --- code inside other files: a component's script, a notebook's code, each at its own lines ----------------
# It becomes a text with as many lines as the file, blank where there is no code: every line number that comes
# out of it is the file's own.

_SCRIPT: Final = re.compile(r"<script\b([^<>]*)>(.*?)(?:</script\s*>|\Z)", re.DOTALL | re.IGNORECASE)
_COMPONENTS: Final = {".vue": "Vue", ".svelte": "Svelte", ".astro": "Astro"}
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
    stem, ending = posixpath.splitext(posixpath.basename(path))
    if ending == ".ipynb":
        language = language_of("cells.py")
        return Script("Notebook", "", _cell_code(text), language, _first_words(text)) if language else None
    kind = _COMPONENTS.get(ending.lower())
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
    code = _blanked(text, [(start, end) for start, end, _ in places])
    return Script(kind, stem, code, language, doc) if language else None


def _blanked(text: str, places: list[tuple[int, int]]) -> str:
    """Blank all but the places; line ends stay."""
    kept, at = [], 0
    for start, end in sorted(places):
        kept += [re.sub(r"[^\n]", "", text[at:start]), text[start:end]]
        at = end
    return "".join([*kept, re.sub(r"[^\n]", "", text[at:])])


def _cell_code(text: str) -> str:
    return "\n".join("" if line.startswith("#| ") else line for line in text.split("\n"))


def _first_words(text: str) -> str:
    prose = [line[3:].strip() for line in text.split("\n") if line.startswith("#| ")]
    words = [line.lstrip("# ") for line in prose if re.search(r"[A-Za-z]{2}", line) and line[:1] not in "%!<"]
    return first_sentence(words[0]) if words else ""


# --- Languages without a grammar here: definitions and imports by the patterns of patterns.toml. -----------
# Comments and strings of several lines are blanked first, so that nothing in them is taken for a definition.
# What comes of it is labelled: a pattern sees a definition's first line, not where it ends.

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
    name = posixpath.basename(path).lower()
    if name.endswith((".patch", ".diff")):
        return None
    return (
        _BY_NAME.get(name)
        or _BY_ENDING.get(posixpath.splitext(name)[1])
        or _BY_NAME.get(name.partition(".")[0] if name.startswith(("dockerfile.", "makefile.")) else "")
    )


def read_patterns(path: str, text: str) -> Read:
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
    return Read(form.name, _first_comment(lines, form), tuple(ordered), tuple(reversed(imports.items())))


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
    while start > 0 and start > row - 40 and _is_commented(lines[start - 1], form):
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
    yield from (_bare_line(line, form) for line in lines[start:row])


def _is_commented(line: str, form: Form) -> bool:
    stripped = line.strip()
    return stripped.startswith(form.comments) or bool(
        form.block and (stripped.startswith((form.block[0], "*")) or stripped.endswith(form.block[1]))
    )


def _bare_line(line: str, form: Form) -> str:
    text = line.strip()
    for mark in (*(form.block or ()), "*/", "/**", *form.comments):
        text = text.removeprefix(mark).removesuffix(mark if len(mark) > 1 else "\0")
    return re.sub(r"^(?:[#/;%'*!-]+\s?|\s+)", "", text)


def _first_comment(lines: list[str], form: Form) -> str:
    """Return the file's own words: its first comment that stands apart from code."""
    group: list[str] = []
    in_block = False
    for number, line in enumerate([*lines[:120], ""]):
        if (in_block or _is_commented(line, form)) and not (number == 0 and line.startswith("#!")):
            group.append(_bare_line(line, form))
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
