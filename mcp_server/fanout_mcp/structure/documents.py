"""Files without a grammar: by headings, by keys, by a language's patterns, the rest by its head.

Also the code inside other files: a component's script, a notebook's cells.
"""

from __future__ import annotations

import json
import posixpath
import re
import tomllib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fanout_mcp.structure.comments import (
    CUT_OFF,
    MAX_LENGTH,
    RULER,
    doc_above,
    first_comment,
    first_sentence,
    groups,
    plain_text,
    spoken,
    unmarked,
)
from fanout_mcp.structure.languages import Commented, Language, frozen, language_of
from fanout_mcp.text import clip

MAX_KEYS: Final = 60
Places = list[tuple[str, int, bool]]
"""Headings and keys with their lines; whether one names a part of the file: a heading, a table."""

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
        return kind, *_markdown(text, is_readme=posixpath.basename(path).lower().startswith("readme"))
    if kind in _PATTERNS:
        return kind, _described(kind, text), _keys(kind, text)
    begun = text[:HEAD_OF_MARKUP].lstrip("\ufeff \t\r\n")
    markup = next((name for name, begins in _MARKUP if begins.match(begun)), "")
    if posixpath.basename(path).startswith("."):
        return kind or "text", "", []  # a tool's list: its first comment is about its first part
    return (markup, "", []) if markup and not kind else (kind or "text", _head(text), [])


_MARKUP: Final = (
    ("XML", re.compile(r"<[?!A-Za-z]")),
    ("PEM", re.compile(r"-----BEGIN ")),
    ("YAML", re.compile(r"%YAML|---[ \t]*$", re.MULTILINE)),
)
"""Data under an ending that no one knows, by how it begins."""
HEAD_OF_MARKUP: Final = 1000


def _markdown(text: str, *, is_readme: bool) -> tuple[str, Places]:
    headings: Places = []
    paragraph: list[str] = []
    title = ""
    begun = 0  # headings above the paragraph
    is_open = False
    fence = ""
    front = _FRONT.match(text)
    if front:
        own = re.search(r"^(?:description|summary|about)\s*:\s*([^\n>|]{8,})$", front[1], re.MULTILINE)
        text = "\n" * front[0].count("\n") + text[front.end() :]
        paragraph = [own[1].strip("\"' ")] if own else []
        named = re.search(r"^title\s*:\s*([^\n>|]+)$", front[1], re.MULTILINE)
        title = plain_text(named[1].strip("\"' ")) if named else ""
    lines = _REMARK.sub(lambda match: "\n" * match[0].count("\n"), text).split("\n")
    for number, line in enumerate(lines, 1):
        mark = re.match(r"\s{0,3}(```+|~~~+)", line)
        under = lines[number] if number < len(lines) else ""
        ends = paragraph and (mark or not line.strip())
        if ends and CUT_OFF.search(first_sentence(plain_text(" ".join(paragraph)))):
            paragraph, is_open = [], False  # it introduces a list or code, and says nothing by itself
        if mark:
            fence = "" if fence and mark[1].startswith(fence) else fence or mark[1][:3]
        elif fence:
            continue
        elif re.match(r"#{1,6}\s", line):
            headings.append((line.rstrip(" #"), number, True))
        elif re.match(r"[^\s>|<-]", line) and re.match(r"(?:=+|-{3,})\s*$", under):
            headings.append((f"{'#' if under.startswith('=') else '##'} {line.strip()}", number, True))
        elif not paragraph and re.match(r"[A-Za-z*_`\"\[]", line) and not _NO_PROSE.match(line):
            paragraph, is_open, begun = [line], True, len(headings)
        elif is_open and line.strip() and not re.match(r"\s*(?:=+|-{3,}|[-*+] |\d+\. |[<|])", line):
            paragraph.append(line)
        else:
            is_open = False
    words = plain_text(" ".join(paragraph))
    prose = ("*" if words.startswith("*") else "") + first_sentence(words) if paragraph else ""
    if headings and not title:
        is_title = headings[0][0].startswith("# ") or not any(lines[: headings[0][1] - 1])
        title = plain_text(headings[0][0].lstrip("# ")) if is_title else ""
        if _VERSION.match(title):
            return "", headings[:MAX_KEYS]  # a list of changes: its newest part says nothing of the whole
        if begun > is_title and not _ABOUT.match(headings[begun - 1][0]):
            prose = ""  # it is in a later section, not in what the first heading names
        prose = prose if title or is_readme else ""
    return ": ".join(part for part in (title, prose) if part), headings[:MAX_KEYS]


_REMARK: Final = re.compile(r"(?m)^[ \t]*<!--.*?(?:-->|\Z)", re.DOTALL)
_ABOUT: Final = re.compile(r"(?i)[#\W]*(?:about|introduction|overview|summary|description|what)\b")
_VERSION: Final = re.compile(
    r"(?i)\W*+(?:unreleased\b|next(?: release| version)?\W*$"
    r"|(?:version |release )?v?\d++\.\d[\W\d]*+(?:tbd|(?:rc|beta|alpha|dev)[\W\d]*+)?$)"
)
_NO_PROSE: Final = re.compile(
    r"(?:\[?!\[|\[[^\]]*\]\([^)]*\)\W*(?:$|\[)|\[[^\]]+\]:|\*\*\*|---|\* |_{3,})"
    r"|(?:\S+ )?(?:this (?:project|app|library)(?: was| is)? )?"
    r"(?i:(?:project|app) (?:was )?generated (?:with|using)|this is an? .{1,60}project bootstrapped"
    r"|bootstrapped with)"
)
"""A line that is no prose of its own: badges, link definitions, what a generator writes into every README."""


def _keys(kind: str, text: str) -> Places:
    keys: dict[str, int] = {}
    tables: set[str] = set()
    for number, line in enumerate(text.split("\n"), 1):
        match = _PATTERNS[kind].match(line)
        if match:
            keys.setdefault(next(group for group in match.groups() if group), number)
            tables.update(match.groups()[:1] if kind in {"TOML", "INI"} else ())
    if kind == "JSON":  # it has no line that says how deep it is
        with suppress(ValueError, RecursionError):
            value = json.loads(text)
            wanted = list(value)[:MAX_KEYS] if isinstance(value, dict) else []
            keys = {key: keys.get(key) or _line_of(key, text) for key in wanted}
    return [(key, line, key in tables) for key, line in list(keys.items())[:MAX_KEYS]]


def _line_of(key: str, text: str) -> int:
    """Find a JSON key that begins no line of its own: in a compact file several share one."""
    match = re.search(re.escape(json.dumps(key, ensure_ascii=False)) + r"\s*:", text)
    return text.count("\n", 0, match.start()) + 1 if match else 1


def _described(kind: str, text: str) -> str:
    """Return the description that package files carry, else the comment at the top, else YAML's `name`."""
    value = None
    with suppress(ValueError, RecursionError):  # of JSON with comments nothing is known
        value = json.loads(text) if kind == "JSON" else tomllib.loads(text) if kind == "TOML" else None
    for table in (value, value.get("project"), value.get("package")) if isinstance(value, dict) else ():
        if isinstance(table, dict) and isinstance(table.get("description"), str):
            return first_sentence(table["description"])
    if own := _yaml_value(text, "description", "title") if kind == "YAML" else "":
        return own
    comment = re.match(_FILE_COMMENT, text)
    said = spoken(map(unmarked, comment[0].split("\n"))) if comment else ""
    return said or (_yaml_value(text, "name") if kind == "YAML" and _STEPS.search(text) else "")


_STEPS: Final = re.compile(r"(?m)^[\"']?(?:on|jobs|runs|steps|tasks|services)[\"']?\s*:")
"""What a workflow or an action has, which is named after what it does; in data `name` is a value."""


def _yaml_value(text: str, *keys: str) -> str:
    """Return the first sentence of the first of some keys that has its value on its line."""
    for key in keys:
        named = re.search(rf"(?m)^{key}:[ \t]+([^\s|>{{&*#][^\n]*)$", text)
        if named:
            return first_sentence(named[1])
    return ""


_FILE_COMMENT: Final = r"(?:[#;][^\n]*\n)+(?=\s*(?:\n|\Z)|---|\[|(?:name|version|on)\b)"
"""A comment that touches a key is about that key, unless most files of the kind begin with it."""


def _head(text: str) -> str:
    """Return a text's own words: of code in an unknown language its first comment, never a licence."""
    comments = ((*group, "") for group, _ in groups(text, _UNKNOWN))
    sentence = spoken(unmarked(line).rstrip("*- ") for group in comments for line in group)
    if " " in sentence:  # one word is a mark of the data as often
        return sentence
    words = " ".join(line for line in text[:6000].split("\n")[:40] if not RULER.match(line))
    words = " ".join(words.split())
    return f"begins: {clip(words, MAX_LENGTH)}" if words else "empty"


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
        code = "\n".join("" if line.startswith("#| ") else line for line in text.split("\n"))
        return Script("Notebook", "", code, language, _first_words(text)) if language else None
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


def _first_words(text: str) -> str:
    prose = [line[3:].strip() for line in text.split("\n") if line.startswith("#| ")]
    words = [line.lstrip("# ") for line in prose if re.search(r"[A-Za-z]{2}", line) and line[:1] not in "%!<"]
    return first_sentence(words[0]) if words else ""


# --- Languages without a grammar here: definitions and imports by the patterns of patterns.toml. -----------
# Comments and strings of several lines are blanked first, so that nothing in them is taken for a definition.
# What comes of it is labelled: a pattern sees a definition's first line, not where it ends.

MAX_DEFINITIONS: Final = 2_000
MAX_SIGNATURE: Final = 160

_NEVER: Final = r"(?!)"

Definition = tuple[str, str, int, str, str]
"""Kind, name, line, signature, doc."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Form(Commented):
    """`definitions`: kind to pattern, whose last group is the name; `%` in a kind takes the first group."""

    definitions: tuple[tuple[str, str], ...]
    endings: tuple[str, ...] = ()
    blank: str = _NEVER
    """What is no code, beside comments."""
    imports: str = _NEVER
    files: tuple[str, ...] = ()
    is_blind: bool = False
    """Letters' case does not matter."""


_UNKNOWN: Final = Commented(
    comments=("//", "#", "--", ";", "%", "!"),
    blocks=(("/*", "*/"), ("(*", "*)"), ("<!--", "-->"), ("{-", "-}")),
)
"""Comments as most languages have them."""

_SQL_PART: Final = r"(?:[\w$]+|\"[^\"\n]+\"|`[^`\n]+`|\[[^\]\n]+\])"
_PARTS: Final = {
    "<NAME>": rf"({_SQL_PART}(?:\s*\.\s*{_SQL_PART})*)",
    "<OR>": r"(?:\s+or\s+(?:replace|alter))?",
    "<IF>": r"(?:\s+if\s+not\s+exists)?",
}
"""What patterns of SQL have in common."""


def _forms() -> tuple[Form, ...]:
    text = Path(__file__).with_name("patterns.toml").read_text(encoding="utf-8")
    for name, part in _PARTS.items():
        text = text.replace(name, part)
    return tuple(
        Form(**{name: frozen(value) for name, value in row.items()}) for row in tomllib.loads(text)["form"]
    )


FORMS: Final = _forms()
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


def read_patterns(text: str, form: Form) -> Read:
    """Read definitions and imports."""
    lines = text.split("\n")
    code = _without_comments(text, form)
    flags = re.MULTILINE | (re.IGNORECASE if form.is_blind else 0)
    found: dict[tuple[int, str], Definition] = {}
    for what, pattern in form.definitions:
        for match in re.finditer(pattern, code, flags):
            given = [group for group in match.groups() if group]
            name = " ".join(given[-1].strip("'\"`[]" if form.name == "SQL" else "'\"`").split())
            at = match.start(match.lastindex or 0)
            line = code.count("\n", 0, at) + 1
            kind = given[0].lower() if what == "%" else what
            signature = " ".join(lines[line - 1].split()).rstrip("{ (")[:MAX_SIGNATURE]
            doc = doc_above(lines, line - 1 - match[0][: at - match.start()].count("\n"), form)
            found.setdefault((line, name), (kind, name, line, signature, doc))
    imports = {
        match[1]: code.count("\n", 0, match.start(1)) + 1
        for match in reversed(list(re.finditer(form.imports, code, flags)))
    }
    ordered = sorted(found.values(), key=lambda one: one[2])[:MAX_DEFINITIONS]
    return Read(form.name, first_comment(text, form), tuple(ordered), tuple(reversed(imports.items())))


def _without_comments(text: str, form: Form) -> str:
    """Blank what is no code: line ends stay."""
    blocks = (rf"(?s:{re.escape(opens)}.*?(?:{re.escape(closes)}|\Z))" for opens, closes in form.blocks)
    for pattern in (*blocks, form.blank):
        text = re.sub(pattern, lambda m: re.sub(r"[^\n]", " ", m[0]), text)
    if not form.comments:
        return text
    return re.sub(rf"(?m)^[ \t]*(?:{'|'.join(map(re.escape, form.comments))})(?!import).*", "", text)
