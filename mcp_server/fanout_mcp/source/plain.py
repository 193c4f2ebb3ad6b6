"""Files without a grammar: Markdown by its headings, configuration by its keys, anything else by its head."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import PurePosixPath
from typing import Final

from fanout_mcp.source.docs import RULER, first_sentence, plain_text, spoken

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
    "TOML": re.compile(r"^\[+([^\]\n]+)\]+|^([\w\"'.-]+)\s*="),
    "YAML": re.compile(r"^([\w\"'./-]+)\s*:"),
    "INI": re.compile(r"^\[([^\]\n]+)\]|^([\w.-]+)\s*="),
    "JSON": re.compile(r"^(?:  |\t|    )?\"([^\"\n]{1,80})\"\s*:"),
}


def describe(path: str, text: str) -> tuple[str, str, Places]:
    """Return what kind of file it is, its own words or head, and its headings or keys with their lines."""
    name = PurePosixPath(path)
    kind = _KINDS.get(name.suffix.lower(), "")
    if kind == "Markdown":
        return kind, *_markdown(text)
    if kind in _PATTERNS:
        return kind, _described(kind, text), _keys(kind, text)
    return kind or "text", _head(text), []


def _markdown(text: str) -> tuple[str, Places]:
    headings: Places = []
    paragraph: list[str] = []
    is_open = False
    fence = ""
    lines = text.split("\n")
    for number, line in enumerate(lines, 1):
        mark = re.match(r"\s{0,3}(```+|~~~+)", line)
        under = lines[number] if number < len(lines) else ""
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
