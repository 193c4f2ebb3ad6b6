"""Files without a grammar: Markdown by its headings, configuration by its keys, anything else by its head."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import PurePosixPath
from string import whitespace
from typing import TYPE_CHECKING, Final

from fanout_mcp.structure.languages import Language, language_of

if TYPE_CHECKING:
    from tree_sitter import Node


# --- What a file or a definition says of itself: the first sentence of its docstring or comment. ------------
# Rules:
# 1. Never a licence. Paragraph by paragraph, legal text, a tool's directive, an author's line and the file's
#    own name are passed over, and the first paragraph of prose counts.
# 2. A comment that touches code belongs to that code, unless the code is what every file begins with (its
#    package, imports, shell options): then it is the file's.
# 3. Tags (`@param`, `:param`) end the prose; `@notice`, `@dev` and `\\brief` begin it.

MAX_LENGTH: Final = 160
HEAD_LINES: Final = 150
"""Lines of a file that its own words are looked for in: a licence may take fifty."""

_OPENING: Final = re.compile(r"[rbuRBU]{0,2}(?:\"{3}|'{3}|\"|')")
_CLOSING: Final = ('"""', "'''", '"', "'")
_BEFORE: Final = f"{whitespace}/*#!;-"
_BEHIND: Final = f"{whitespace}*/"
"""What comment marks leave around a line."""

_LEGAL: Final = re.compile(
    r"(?i)copyright|©|\blicen[sc]ed?\b|spdx-|all rights reserved|redistributions?\b"
    r"|permission is hereby granted"
    r"|\bas is\b|without warrant|any warranty|warranties|damages|liab(?:le|ility)"
    r"|unless required by applicable"
    r"|you may (?:not use|obtain a copy)|free software|gnu (?:general|lesser|affero)"
    r"|part of the .{1,60}project"
    r"|this (?:file|program) is (?:part of|free|distributed)|unencumbered|names? of (?:its"
    r"|the) (?:contributors|authors)"
    r"|^(?:\W*)(?:created|written|authored|maintained) by\b|^\W*authors?\b|^\W*https?://\S+$"
    r"|^\W*(?:see|for) .{0,60}licen[sc]e"
)
_TOOL: Final = re.compile(
    r"(?i)^\W*(?:eslint|tslint|jshint|jslint|oxlint|biome-ignore|@ts-|-\*-|vim?:|ex:|coding[:=]"
    r"|use strict|go:build"
    r"|\+build|pragma\b|shellcheck|@flow|@jsx|@license|@preserve|@file:|noinspection|prettier|istanbul"
    r"|v8 ignore"
    r"|ruff:|mypy:|type:|pylint|flake8|pyright|noqa|fmt:|isort:|yapf|nosec|frozen_string_literal|rubocop|encoding:"
    r"|<?/?reference|@charset|clang-format|nolint|swiftlint|swift-tools-version|ktlint|detekt|sourcery|credo:"
    r"|dart format|ignore_for_file|language-server|solhint|phpcs|@phpstan|psalm|cspell|stylelint"
    r"|language\s+\w+"
    r"|(?:module|maintainer|stability|portability)\s*:|@format|@generated|#region|#endregion|\{-#|options_ghc"
    r"|(?:stdlib|standard library|third[- ]party|local|internal) imports?\b|todo\b|fixme\b|xxx\b)"
)
RULER: Final = re.compile(r"^\s*([=\-~^\"'*+#.:_`])\1{2,}\s*$")
"""A line of RST under a title, or above it, or between two parts."""

_TAG: Final = re.compile(
    r"\s*(?:[@\\](?:param|tparam|returns?|type|typedef|template|throws?|exception|example|see|since|deprecated|default"
    r"|private|protected|public|callback|property|overload|this|version|author|extends|implements|copyright|license"
    r"|package|category|link|internal|ingroup|addtogroup|sa|inheritdoc|note|date|module|namespace|fileoverview|file)\b"
    r"|:(?:param|return|returns|raises|rtype|type|members)\b)"
)
_MARK: Final = re.compile(r"\s*@\w")
"""A line that begins with a tag that no one here knows says something to a tool."""

_BRIEF: Final = re.compile(
    r"^\s*[@\\](?:notice|dev|brief|summary|file(?:overview)?|overview|description|desc|title)\b:?\s*|^[|^]\s+|^Description\s*:\s*"
)
_ATTRIBUTE: Final = re.compile(rb"^\s*(?:#!?\[|@|export\s*$|template\s*<|\[)")
_FIRST_CODE: Final = re.compile(
    r"\s*(?:package\b|import\b|from\b|use\b|using\b|include\b|module\b|namespace\b|library\b|pragma\b|require|#include|#pragma"
    r"|#ifndef|#define|#if|set\s+-|local\s+\w+\s*=\s*(?:require|\{)|const\s++.*require\("
    r"|['\"]use strict|@file:|@testable|declare\("
    r"|defmodule\b|exports?\b\s*[{*]|export\s+\*|extern crate|mod\s|pub mod\s|terraform\b|part of\b)"
)
_ABBREVIATED: Final = re.compile(
    r"(?:\b(?:e\.g|i\.e|etc|vs|cf|resp|approx|a\.k\.a|incl|Dr|Mr|St|No)|\b[A-Z])\.$"
)
_INLINE: Final = re.compile(
    r"\[([^\[\]]+)\](?:\([^()\s]*\)|\[[^\[\]]*\])|:\w{1,40}+(?::\w{1,40}+){0,3}+:`~?([^`<]++)(?:<[^<>`]*>)?`|<[^<>\s][^<>]*>"
)


def first_sentence(text: str) -> str:
    """Return the first sentence of a docstring or comment, without its marks."""
    text = _unquoted(_unquoted(text.strip())).strip()
    paragraph = re.split(r"\n\s*\n", text, maxsplit=1)[0][:1000]
    words = " ".join(line.lstrip(_BEFORE).rstrip(_BEHIND) for line in _titled(paragraph.split("\n")))
    words = " ".join(words.split())
    sentence = words
    for end in re.finditer(r"[.!?](?=\s|$)", words):
        if not _ABBREVIATED.search(words[: end.end()]):
            sentence = words[: end.end()]
            break
    return sentence if len(sentence) <= MAX_LENGTH else sentence[: MAX_LENGTH - 1] + "…"


def plain_text(text: str) -> str:
    """Take the marks of Markdown and RST out of a line: links, roles, tags, emphasis."""
    text = _INLINE.sub(lambda match: match[1] or (match[2] or "").rstrip(), text)
    text = re.sub(r"\[(`[^`]+`)\]", r"\1", text)  # a link of Rust's documents
    return " ".join(text.replace("**", "").replace("``", "`").split())


def _unquoted(text: str) -> str:
    opening = _OPENING.match(text)
    text = text[opening.end() :] if opening else text
    closing = next((mark for mark in _CLOSING if text.endswith(mark)), "")
    return text.removesuffix(closing)


def _titled(lines: list[str]) -> list[str]:
    """Return the lines up to a title's underline, without the line above the title: RST has its heads so."""
    lines = lines[1:] if RULER.match(lines[0]) else lines
    end = next((number for number, line in enumerate(lines) if RULER.match(line)), len(lines))
    return lines[:end]


def spoken(lines: Iterable[str], name: str = "") -> str:
    """Return the first sentence of a comment's lines that is prose; `name`: of the file, which is none."""
    paragraph: list[str] = []
    fallback = ""
    for line in [*lines, ""]:
        if line.strip() and not RULER.match(line):
            paragraph.append(line)
            continue
        sentence, is_title = _paragraph(paragraph, name)
        if sentence and not is_title:
            return sentence
        fallback = fallback or sentence
        paragraph = []
    return fallback


def _paragraph(lines: Sequence[str], name: str) -> tuple[str, bool]:
    """Return its sentence, and whether it is but a title: a single word, or an @title."""
    prose = list(takewhile(lambda line: not _TAG.match(line) or _BRIEF.match(line), lines))
    prose = [
        line for line in prose if not _TOOL.match(line) and (not _MARK.match(line) or _BRIEF.match(line))
    ]
    whole = " ".join(prose)
    if not re.search(r"[^\W\d_]{2}", whole) or _LEGAL.search(whole):
        return "", False
    is_title = False
    if len(prose) > 1 and re.match(r"\s*@title\b", prose[0]):
        prose = prose[1:]
    sentence = first_sentence("\n".join(_BRIEF.sub("", line) for line in prose))
    if name and sentence.rstrip(".").lower() in {name.lower(), name.rpartition(".")[0].lower()}:
        return "", False
    if len(sentence.split()) == 1:
        is_title = True
        if "." in sentence.rstrip(".") or "/" in sentence:
            return "", False
    return sentence, is_title


def doc_above(source: list[bytes], row: int, language: Language) -> str:
    """Return the first sentence of the comment that ends right above `row` (from 0)."""
    marks = _marks(language)
    opens, closes = (mark.encode() for mark in language.block or ("\0", "\0"))
    row -= 1
    while row >= 0 and _ATTRIBUTE.match(source[row]):
        row -= 1
    found: list[bytes] = []
    in_block = language.block is not None and row >= 0 and source[row].rstrip().endswith(closes)
    while row >= 0 and len(found) < 60:
        line = source[row].strip()
        if not (in_block or line.startswith(marks)):
            break
        found.append(line)
        if in_block and line.startswith(opens):
            break
        row -= 1
    return spoken(_unmarked(line.decode("utf-8", "replace")) for line in reversed(found))


def _marks(language: Language) -> tuple[bytes, ...]:
    return (language.comment.encode(), b"//") if language.name == "HCL" else (language.comment.encode(),)


def _unmarked(line: str) -> str:
    line = re.sub(r"^(?:/\*+!?|\*+/|\*|///?!?/?|//!|#+!?|--\[\[|\]\]|---?\|?|\{-\|?|-\}|'''|;+)\s?", "", line)
    if line.endswith(("*/", "-}", "]]")):
        return line[:-2].rstrip("*" if line.endswith("*/") else "").rstrip()
    return line


def opening(text: str, root: Node, language: Language, name: str = "") -> str:
    """Return the file's own first sentence about itself, past shebangs and licences, or nothing."""
    if language.name == "Python":
        for node in root.named_children[:4]:
            child = first_child(node) if node.type == "expression_statement" else node
            if child is not None and child.type == "string":
                return _docstring((child.text or b"").decode("utf-8", "replace"))
            if node.type != "comment":
                break
    for number, (group, code) in enumerate(_groups(text, language)):
        if language.name == "Python" and code and number:
            break  # from the second on a comment above an import is about that import
        lines = [_unmarked(line.strip()) for line in group]
        is_own = not code or group[0].lstrip().startswith(("//!", "/*!")) or _is_first(code, language)
        sentence = spoken(lines, name) if is_own else ""
        if sentence:
            return sentence
    return ""


def _docstring(text: str) -> str:
    sentence = first_sentence(text)
    return "" if _LEGAL.search(sentence) else sentence


def _is_first(code: str, language: Language) -> bool:
    if language.name == "Bash":
        return not re.match(r"\s*(?:function\s|[\w-]+\s*\(\))", code)
    return _FIRST_CODE.match(code) is not None


def _groups(text: str, language: Language) -> Iterator[tuple[list[str], str]]:
    """Yield the comments above the first line of code, each with the line of code that it touches, or ""."""
    group: list[str] = []
    in_block = False
    opens, closes = language.block or ("\0", "\0")
    marks = tuple(mark.decode() for mark in _marks(language))
    for number, line in enumerate(text[:12_000].split("\n")[:HEAD_LINES]):
        stripped = line.strip()
        if in_block:
            group.append(line)
            in_block = closes not in stripped
        elif stripped.startswith(opens):
            group.append(line)
            in_block = closes not in stripped[len(opens) :]
        elif number == 0 and stripped.startswith("#!"):
            continue
        elif stripped.startswith(marks):
            group.append(line)
        elif not stripped or stripped.startswith("<?php"):
            if group:
                yield group, ""
            group = []
        else:
            if group:
                yield group, line
            if not _is_first(line, language) or language.name == "Bash":
                return
            group = []
    if group:
        yield group, ""


def elixir_doc(node: Node, source: list[bytes], language: Language) -> str:
    """Return what `@doc` says above a definition, or `@moduledoc` inside a module."""
    body = next((child for child in node.named_children if child.type == "do_block"), None)
    inside = _attribute(body.named_children[:6], "moduledoc") if body is not None else ""
    if inside:
        return inside
    before: list[Node] = []
    above = node.prev_named_sibling
    while above is not None and above.type == "unary_operator" and _BESIDE.match(above.text or b""):
        before.append(above)
        above = above.prev_named_sibling
    return (
        _attribute(before, "doc")
        or _attribute(before, "typedoc")
        or doc_above(source, node.start_point[0], language)
    )


_BESIDE: Final = re.compile(rb"@(?:doc|spec|impl|deprecated|since|dialyzer|typedoc|decorate)\b")
"""What may stand between a definition and its @doc."""


def _attribute(nodes: Sequence[Node], name: str) -> str:
    for node in nodes:
        operand = node.child_by_field_name("operand") if node.type == "unary_operator" else None
        target = operand.child_by_field_name("target") if operand is not None else None
        if operand is None or target is None or target.text != name.encode():
            continue
        string = first_child(operand.named_child(1)) if operand.named_child_count > 1 else None
        if string is not None and string.type in {"string", "sigil"}:
            text = (string.text or b"").decode("utf-8", "replace")
            return first_sentence(re.sub(r"^~[sS]", "", text))
    return ""


def block_doc(node: Node, source: list[bytes], language: Language) -> str:
    """Return the description of a Terraform block, else the comment above it."""
    body = next((child for child in node.named_children if child.type == "body"), None)
    for attribute in body.named_children if body is not None else ():
        text = (attribute.text or b"").decode("utf-8", "replace")
        match = re.match(r'description\s*=\s*"((?:[^"\\]|\\.)*)"', text)
        if match:
            return first_sentence(match[1])
    return doc_above(source, node.start_point[0], language)


def first_child(node: Node | None) -> Node | None:
    """Return the first named child; the binding raises where there is none."""
    return node.named_child(0) if node is not None and node.named_child_count else None


# --- documents ------------------------------------------------------------------------------------------

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
    name = PurePosixPath(path)
    if name.suffix == ".ipynb":
        language = language_of("cells.py")
        return Script("Notebook", "", _cell_code(text), language, _first_words(text)) if language else None
    kind = _COMPONENTS.get(name.suffix.lower())
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
    return Script(kind, name.stem, code, language, doc) if language else None


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
