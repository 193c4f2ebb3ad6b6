"""Files without a grammar: Markdown by its headings, configuration by its keys, anything else by its head."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import PurePosixPath
from typing import Final

from fanout_mcp.source.docs import RULER, first_sentence

MOST_KEYS: Final = 60
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
    ".mk": "Make",
}
_NAMES: Final = {"makefile": "Make", "gnumakefile": "Make", "dockerfile": "Docker"}
_PATTERNS: Final = {
    "TOML": re.compile(r"^\[+([^\]\n]+)\]+|^([\w\"'.-]+)\s*="),
    "YAML": re.compile(r"^([\w\"'./-]+)\s*:"),
    "INI": re.compile(r"^\[([^\]\n]+)\]|^([\w.-]+)\s*="),
    "Make": re.compile(r"^([A-Za-z][\w./%-]*)\s*:(?!=)"),
    "Docker": re.compile(r"^((?:FROM|EXPOSE|ENTRYPOINT|CMD)\b[^\n]{0,80})"),
    "JSON": re.compile(r"^(?:  |\t|    )?\"([^\"\n]{1,80})\"\s*:"),
}


def describe(path: str, text: str) -> tuple[str, str, Places]:
    """Return what kind of file it is, its own words or head, and its headings or keys with their lines."""
    name = PurePosixPath(path)
    kind = _KINDS.get(name.suffix.lower()) or _NAMES.get(name.name.lower(), "")
    if kind == "Markdown":
        return kind, *_markdown(text)
    if kind in _PATTERNS:
        return kind, _described(kind, text), _keys(kind, text)
    return kind or "text", _head(text), []


def package(path: str, text: str) -> tuple[str, int] | None:
    """Return the name by which others import what a manifest describes, and its line."""
    match PurePosixPath(path).name:
        case "go.mod":
            found = re.search(r"(?m)^module\s+\"?([^\s\"]+)", text)
        case "package.json":
            found = re.search(r"(?m)^(?: {1,4}|\t|\{\s*)\"name\"\s*:\s*\"([^\"\n]+)\"", text)
        case "Cargo.toml":
            found = re.search(r"(?m)^\[package\][^\[]*?^name\s*=\s*\"([^\"\n]+)\"", text)
        case _:
            return None
    return (found[1], text.count("\n", 0, found.start(1)) + 1) if found else None


def _markdown(text: str) -> tuple[str, Places]:
    headings: Places = []
    prose = ""
    fence = ""
    for number, line in enumerate(text.split("\n"), 1):
        mark = re.match(r"\s{0,3}(```+|~~~+)", line)
        if mark:
            fence = "" if fence and mark[1].startswith(fence) else fence or mark[1][:3]
        elif not fence and re.match(r"#{1,6}\s", line):
            headings.append((line.rstrip(" #"), number))
        elif not fence and not prose and re.match(r"[A-Za-z*_`\"]", line):
            prose = first_sentence(line)
    title = headings[0][0].lstrip("# ") if headings else ""
    return ": ".join(part for part in (title, prose) if part), headings[:MOST_KEYS]


def _keys(kind: str, text: str) -> Places:
    keys: dict[str, int] = {}
    for number, line in enumerate(text.split("\n"), 1):
        match = _PATTERNS[kind].match(line)
        if match:
            keys.setdefault(next(group for group in match.groups() if group), number)
    wanted = _top_level(kind, text)
    if wanted is not None:
        keys = {key: keys.get(key) or _line_of(key, text) for key in wanted[:MOST_KEYS]}
    return list(keys.items())[:MOST_KEYS]


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
    lines = text[:2000].split("\n")
    words = " ".join(" ".join(line for line in lines if not RULER.match(line)).split())
    return "begins: " + (words if len(words) <= 160 else words[:159] + "…") if words else "empty"
