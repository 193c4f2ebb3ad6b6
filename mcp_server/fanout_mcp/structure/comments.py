"""What a file or a definition says of itself: the first sentence of its docstring or comment.

Rules:
1. Never a licence. Paragraph by paragraph, legal text, credits, a tool's directive, an author's line and the
   file's own name are passed over, and the first paragraph of prose counts.
2. A comment that touches code belongs to that code, unless the code is what every file begins with (its
   package, imports, shell options): then it is the file's.
3. Tags (`@param`, `:param`) end the prose; `@notice`, `@dev`, `.SYNOPSIS` and doxygen's `brief` begin it.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import dropwhile, takewhile
from string import whitespace
from typing import TYPE_CHECKING, Final

from fanout_mcp.structure.languages import Commented, Language, text_of
from fanout_mcp.text import clip

if TYPE_CHECKING:
    from tree_sitter import Node


MAX_LENGTH: Final = 160
HEAD_LINES: Final = 150
"""Lines of a file that its own words are looked for in: a licence may take fifty."""

_OPENING: Final = re.compile(r"[rbuRBU]{0,2}(?:\"{3}|'{3}|\"|')")
_CLOSING: Final = ('"""', "'''", '"', "'")
_BEFORE: Final = f"{whitespace}/*#!;-"
_BEHIND: Final = f"{whitespace}*/"
"""What comment marks leave around a line."""

_LEGAL: Final = re.compile(
    r"(?i)copyright|©|(?-i:\([cC]\)\s+(?:\d{4}|[A-Z]))|\blicen[sc]ed?\b|spdx-"
    r"|all rights reserved|redistributions?\b"
    r"|permission is hereby granted"
    r"|\bas is\b|without warrant|any warranty|warranties|damages|liab(?:le|ility)"
    r"|unless required by applicable"
    r"|you may (?:not use|obtain a copy)|free software|gnu (?:general|lesser|affero)"
    r"|part of the .{1,60}project"
    r"|this (?:file|program) is (?:part of|free|distributed)|unencumbered|names? of (?:its"
    r"|the) (?:contributors|authors)"
    r"|^(?:\W*)(?:created|written|authored|maintained) by\b|^\W*authors?\b"
    r"|^(?:\W*+\w++:?){0,2}\W*+https?://\S+$"
    r"|^\W*(?:see|for) .{0,60}licen[sc]e|^\W*from \S+$"
    r"|(?:^\W*|\b(?:was|were|is|are|been|\w+ly) )(?:taken|copied|ported|adapted|borrowed|converted|derived)"
    r" (?:\w{1,20} ){0,3}from [^.\n]{0,80}https?://"
)
_NAMES: Final = (
    r"[\"'`*_(<@]{0,3}[A-ZÀ-Þ][^\s,:]{0,60}(?:,?(?: and| &)? [A-ZÀ-Þ][^\s,:]{0,60}){0,8}"
    r"(?: (?:for|from|in|on|at|of|and|with|via|who|which|that|version)\b[^,:.!?]{0,80}| [^\s,:]{1,30})?"
    r"[.!?)\s]{0,3}(?:\Z|(?<=[.!?)] ))"
)
_CREDIT: Final = re.compile(
    r"\W{0,40}(?i:(?:many |special )?thanks? (?:you )?to|based on|inspired by"
    r"|(?:reimplemented|adapted|ported|taken|copied|borrowed|derived) from):? {1,4}"
    rf"(?:(?:[^\s,:]{{1,30}} ){{0,6}}(?:<?https?://\S{{1,300}}(?<!,)(?: |\Z)|by {_NAMES})"
    rf"|(?:[a-z][^\s,:]{{0,30}} ){{0,3}}{_NAMES})"
)
"""Whom or what a text owes itself to, by name: "Based on the settings, chooses a theme" is prose."""

CUT_OFF: Final = re.compile(r"(?:[;{:]|\b(?:with|using|via|like|by|as|to|from|follows|this|and|or|the))\s*$")
"""How a paragraph ends that an example or a list completes, and code."""

_STATUS: Final = re.compile(
    r"(?i)\b(?:is|are) (?:still |currently |now )?(?:an? )?(?:experimental|deprecated|unstable)\b"
    r"|^(?:be sure to|make sure|please|don't|do not|remember to|note:|note that|warning:|see |empty\W*$"
    r"|for (?:more|further) )"
)
"""What says how finished a thing is, tells its editor what to do or where to read on, not what it is for."""

_TOOL: Final = re.compile(
    r"(?i)^\W*(?:eslint|tslint|jshint|jslint|oxlint|biome-ignore|@ts-|-\*-|vim?:|ex:|coding[:=]"
    r"|use strict|nullable (?:en|dis)able|go:build|(?-i:globals?)\s+[\w$]+(?:\s*[:,]\s*[\w$]+)*\W*$"
    r"|\+build|pragma\b|shellcheck|@flow|@jsx|@license|@preserve|@file:|noinspection|prettier|istanbul"
    r"|v8 ignore"
    r"|ruff:|mypy:|type:|pylint|flake8|pyright|noqa|fmt:|isort:|yapf|nosec|frozen_string_literal|rubocop|encoding:"
    r"|<?/?reference|@charset|clang-format|nolint|swiftlint|swift-tools-version|ktlint|detekt|sourcery|credo:"
    r"|dart format|mark:|ignore_for_file|language-server|solhint|phpcs|@phpstan|psalm|cspell|stylelint"
    r"|language\s+\w+"
    r"|(?:module|maintainer|stability|portability)\s*:|@format|@generated|#region|#endregion|\{-#|options_ghc"
    r"|(?:(?:stdlib|standard library|third[- ]party|local|internal|external|module|public|private) )?"
    r"(?:imports?|includes?|exports?|requires?|dependenc(?:y|ies)|constants|types|variables|helpers)\W*$"
    r"|https?://\S+\s*$|(?:exit|abort|stop|fail) (?:\w+ )?(?:on|if|when|fast)\b|todo\b|fixme\b|xxx\b)"
)
RULER: Final = re.compile(r"^\s*([=\-~^\"'*+#.:_`])\1{2,}\s*$")
"""A line of RST under a title, or above it, or between two parts."""

_TAG: Final = re.compile(
    r"\s*(?:[@\\](?:param|tparam|returns?|type|typedef|template|throws?|exception|example|see|since|deprecated|default"
    r"|private|protected|public|callback|property|overload|this|version|author|extends|implements|copyright|license"
    r"|package|category|link|internal|ingroup|addtogroup|sa|inheritdoc|note|date|module|namespace|fileoverview|file)\b"
    r"|:(?:param|return|returns|raises|rtype|type|members)\b"
    r"|<(?:param|typeparam|returns|remarks|value|example|exception|permission|inheritdoc)\b)"
)
_MARK: Final = re.compile(r"\s*@\w")
"""A line that begins with a tag that no one here knows says something to a tool."""

_BRIEF: Final = re.compile(
    r"^\s*[@\\](?:notice|dev|brief|summary|file(?:overview)?|overview|description|desc|title)\b:?\s*|^[|^]\s+|^Description\s*:\s*"
    r"|^\s*\.(?i:synopsis|description)\b\s*"
)
_XML_NAME: Final = re.compile(r"<\w+ \w+=\"(?:\w:)?([^\"]*)\"\s*/>")
_XML_MARK: Final = re.compile(r"</?(?:summary|para|c|code|b|i|see|seealso|description)\b[^<>]*>")
"""Of .NET's documents: a reference stands for its name, other marks for nothing."""

_JAVADOC: Final = re.compile(
    r"\{@(?:link(?:plain)?\s++[^{}\s(]++(?:\([^(){}]*\))?(?=\s++[^{}\s])|\w++)\s++([^{}]++)\}"
    r"|</?(?:p|b|i|em|code|tt|strong|a [^<>]*|a)/?>"
)
"""A link stands for its label, else for what it leads to; marks of HTML for nothing."""

_ATTRIBUTE: Final = re.compile(r"\s*(?:#!?\[|@|export\s*$|template\s*<|\[)")
_OPENS: Final = re.compile(
    r"\s*(?:#!\[|package\b|module\b|namespace\b|library\b|pragma\b|#pragma|#ifndef|#define|#if|set\s+-"
    r"|['\"]use strict|@file:|declare\(|defmodule\b|terraform\b|part of\b"
    r"|(?i:syntax|set|begin|create\s+extension)\b)"
)
"""What begins a file: its own words may still follow."""

_LOADS: Final = re.compile(
    r"\s*(?:import\b|from\b|(?i:use)\b|using\b|include\b|require|#include|@testable|extern crate"
    r"|(?:pub )?mod\s|local\s+\w+\s*=\s*(?:require|\{)|const\s++.*require\(|exports?\b\s*[{*]|export\s+\*)"
)
"""What a file takes from others: a comment above it may be the file's, one below is about what follows."""

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
    return clip(sentence, MAX_LENGTH)


def docstring(text: str) -> str:
    """Return the first sentence of a docstring, or nothing where it is a licence or an example."""
    sentence = first_sentence(text)
    return "" if _is_no_prose(sentence) else sentence


def plain_text(text: str) -> str:
    """Take the marks of Markdown and RST out of a line: links, images, roles, tags, emphasis."""
    text = _INLINE.sub(lambda match: match[1] or (match[2] or "").rstrip(), text.replace("![", "["))
    text = re.sub(
        r"\[(`[^`]+`)\]|\{[\w:-]+\}(?=`)", r"\1", text
    )  # a link of Rust's documents, a role of MyST's
    return " ".join(text.replace("**", "").replace("``", "`").split())


def _unquoted(text: str) -> str:
    opening = _OPENING.match(text)
    text = text[opening.end() :] if opening else text
    closing = next((mark for mark in _CLOSING if text.endswith(mark)), "")
    return text.removesuffix(closing)


_REFERS: Final = re.compile(r"\s*(?:See (?!how\b|what\b)|@see\b)")
"""A line that only leads elsewhere: what is above it needn't have ended in a full stop."""


def _titled(lines: list[str]) -> list[str]:
    """Return the lines up to a reference or to a title's underline, as RST has it, without that title."""
    lines = lines[1:] if RULER.match(lines[0]) else lines
    ends = (
        number for number, line in enumerate(lines) if RULER.match(line) or (number and _REFERS.match(line))
    )
    end = next(ends, len(lines))
    return lines[:end]


def spoken(lines: Iterable[str], name: str = "") -> str:
    """Return the first sentence of a comment's lines that is prose; `name`: of the file, which is none."""
    paragraph: list[str] = []
    fallback = ""
    in_example = False
    lines = [*lines, ""]
    if all(line.startswith("\t") for line in lines if line.strip()):
        lines = [line[1:] for line in lines]
    for line in lines:
        is_fence = line.lstrip().startswith(("```", "~~~"))
        in_example ^= is_fence
        if line.strip() and not is_fence and not RULER.match(line):
            paragraph += [] if in_example else [line]
            continue
        sentence, is_title = _paragraph(paragraph, name)
        if sentence and not is_title:
            return sentence
        fallback = fallback or sentence
        paragraph = []
    return fallback


def _paragraph(lines: Sequence[str], name: str) -> tuple[str, bool]:
    """Return its sentence, and whether it is but a title: a single word, or an @title."""
    lines = list(dropwhile(lambda line: _OWN_TAG.match(line) and not _BRIEF.match(line), lines))
    prose = list(takewhile(lambda line: not _TAG.match(line) or _BRIEF.match(line), lines))
    if any("<summary>" in line for line in prose):
        summary = "\n".join(prose).partition("</summary>")[0].partition("<summary>")[2]
        prose = html.unescape(_XML_MARK.sub("", _XML_NAME.sub(r"\1", summary))).strip().split("\n")
    prose = [
        line for line in prose if not _TOOL.match(line) and (not _MARK.match(line) or _BRIEF.match(line))
    ]
    if prose and prose[0].startswith("\t"):
        return "", False  # code, as Go's comments show it
    if len(prose) > 1 and all(_ITEM.match(line) for line in prose):
        return "", False  # a list
    if prose and re.fullmatch(r"\s*[^\s/]+\.\w+\s*", prose[0]):
        del prose[0]  # the file's name, as an editor writes it above the project's
        if len(prose) < NAMES_ALONE and len(" ".join(prose).split()) <= NAMES_ALONE:
            return "", False
    whole = "\n".join(prose)
    prose = _JAVADOC.sub(lambda match: " ".join((match[1] or "").split()), whole).split("\n")
    whole = " ".join(prose)
    whole = whole.rstrip()
    if (
        not re.search(r"[^\W\d_]{2}", whole)
        or _is_drawn(whole)
        or _is_no_prose(whole)
        or CUT_OFF.search(whole)
    ):
        return (
            "",
            False,
        )  # without a word, a drawing, a licence's, code that was commented out, or before an example
    is_title = False
    if len(prose) > 1 and re.match(r"\s*@title\b", prose[0]):
        prose = prose[1:]
    sentence = first_sentence("\n".join(_BRIEF.sub("", line) for line in prose))
    if _STATUS.search(sentence):
        return "", False
    if name and sentence.rstrip(".").lower() in {name.lower(), name.rpartition(".")[0].lower()}:
        return "", False
    if len(sentence.split()) == 1:
        is_title = True
        if "." in sentence.rstrip(".") or "/" in sentence:
            return "", False
    return sentence, is_title


_ITEM: Final = re.compile(r"\s*[-*•+]\s")


def _is_drawn(text: str) -> bool:
    """Tell whether a paragraph is a drawing or a table: most of its characters are signs."""
    seen = [sign for sign in text if not sign.isspace()]
    return sum(sign.isalnum() for sign in seen) < len(seen) / 2


NAMES_ALONE: Final = 2
"""Lines of a paragraph that only names its file and project."""


_CODE: Final = re.compile(
    r"\s*(?:>>> |(?:(?:const|let|var|val|auto) )?[\w.]+ (?::=|=|<-) |[\w.]+\([^()]*\);?\s*$)"
)
"""How an example begins that a document has in the place of a sentence."""


def _is_no_prose(text: str) -> bool:
    """Tell whether a paragraph is legal text, a credit or code."""
    return (
        _LEGAL.search(text) is not None
        or _CREDIT.match(" ".join(text.split())) is not None
        or _CODE.match(text) is not None
    )


def doc_above(lines: Sequence[str], row: int, form: Commented) -> str:
    """Return the first sentence of the comment that ends right above `row` (from 0)."""
    row -= 1
    while row >= 0 and _ATTRIBUTE.match(lines[row]) and not lines[row].rstrip().endswith((";", "*/")):
        row -= 1
    last = lines[row].strip() if row >= 0 else ""
    block = next((block for block in form.blocks if last.endswith(block[1])), None)
    found: list[str] = []
    while row >= 0 and len(found) < MAX_ABOVE:
        line = lines[row].strip()
        if block is None and not line.startswith(form.comments):
            if found and line.endswith(tuple(end for _, end in form.blocks)):
                return doc_above(lines, row + 1, form)  # a document, with a remark below it
            break
        found.append(line)
        # The mark that ends a block may be the one that begins it.
        if block and line.startswith(block[0]) and (len(found) > 1 or line != block[1]):
            return spoken(map(unmarked, reversed(found)))
        row -= 1
    return spoken(map(unmarked, reversed(found))) if block is None else ""


MAX_ABOVE: Final = 300
_MARKS_BEFORE: Final = re.compile(
    r"(?:/\*+!?|\*+/|\*\)|\*|//+!?/?|#+[!=]?|=#|<#|#>|--\[\[|\]\]"
    r"|-->|--+\|?|<!--|\{-\|?|-\}|\(\*+|'{3}|\"{3}|;+|%+|!+) ?"
)
_MARKS_BEHIND: Final = ("*/", "-}", "]]", "*)", "#>", "=#", "-->", '"""')


def unmarked(line: str) -> str:
    """Return a comment's line without the marks of any language."""
    line = line.strip()
    begun = _MARKS_BEFORE.match(line)
    line = line[begun.end() :] if begun else line
    end = next((mark for mark in _MARKS_BEHIND if line.endswith(mark)), "")
    return line.removesuffix(end).rstrip("*").rstrip() if end else line


def opening(text: str, root: Node, language: Language, name: str = "") -> str:
    """Return the file's own first sentence about itself, past shebangs and licences, or nothing."""
    if language.name == "Python":
        for node in root.named_children[:4]:
            child = first_child(node) if node.type == "expression_statement" else node
            if child is not None and child.type == "string":
                return docstring(text_of(child))
            if node.type != "comment":
                break
    return first_comment(text, language, name)


def first_comment(text: str, form: Commented, name: str = "") -> str:
    """Return what the comments above a file's code say of the file; `name`: its own."""
    for number, (group, code) in enumerate(groups(text, form)):
        if code and number and (form.name == "Python" or code.lstrip().startswith("#include")):
            break  # from the second on a comment above an import is about that import
        is_own = (
            not code
            or group[0].lstrip().startswith(("//!", "/*!"))
            or name == "package-info.java"  # annotations may come before its package
            or _is_first(code, form)
            or any(_OWN_TAG.match(unmarked(line)) for line in group)
        )
        sentence = spoken(map(unmarked, group), name) if is_own else ""
        if sentence:
            return sentence
    return ""


def _is_first(code: str, form: Commented) -> bool:
    if form.name == "Bash":
        return not re.match(r"\s*(?:function\s|[\w-]+\s*\(\))", code)
    return (_OPENS.match(code) or _LOADS.match(code)) is not None


def groups(text: str, form: Commented) -> Iterator[tuple[list[str], str]]:
    """Yield the comments above the first line of code, each with the line of code that it touches, or ""."""
    group: list[str] = []
    closes = ""
    for number, line in enumerate(text[:12_000].split("\n")[:HEAD_LINES]):
        stripped = line.strip()
        block = next((block for block in form.blocks if stripped.startswith(block[0])), None)
        if block and not closes:
            closes, stripped = block[1], stripped[len(block[0]) :]
        if closes:
            group.append(line)
            closes = "" if closes in stripped else closes
        elif number == 0 and stripped.startswith("#!"):
            continue
        elif stripped.startswith(form.comments):
            group.append(line)
        elif not stripped or stripped.startswith("<?php"):
            if group:
                yield group, ""
            group = []
        else:
            if group:
                yield group, line
            # Without a grammar what comes after the first code may be anything.
            is_known = isinstance(form, Language) and (form.name != "Bash" or _OPTIONS.match(line))
            is_open = form.name == "Bash" or _OPENS.match(line)
            if not is_known or not is_open or _BODY.match(line):
                return
            group = []
    if group:
        yield group, ""


_OPTIONS: Final = re.compile(r"\s*set\s+-")

_BODY: Final = re.compile(r"\s*+(?:defmodule|module|namespace)\s++[^;\s({]++(?:\s*+(?:do|\{))?\s*+$")
"""What holds the rest of its file: a comment below it belongs to something inside."""

_OWN_TAG: Final = re.compile(r"\s*@(?:module|classmod|script|file|fileoverview|packageDocumentation)\b")
"""A tag that makes a comment its file's, whatever it touches."""


def elixir_doc(node: Node, lines: Sequence[str], language: Language) -> str:
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
        or doc_above(lines, node.start_point[0], language)
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
            return first_sentence(re.sub(r"^~[sS]", "", text_of(string)))
    return ""


def block_doc(node: Node, lines: Sequence[str], language: Language) -> str:
    """Return the description of a Terraform block, else the comment above it."""
    body = next((child for child in node.named_children if child.type == "body"), None)
    for attribute in body.named_children if body is not None else ():
        match = re.match(r'description\s*=\s*"((?:[^"\\]|\\.)*)"', text_of(attribute))
        if match:
            return first_sentence(match[1])
    return doc_above(lines, node.start_point[0], language)


def first_child(node: Node | None) -> Node | None:
    """Return the first named child; the binding raises where there is none."""
    return node.named_child(0) if node is not None and node.named_child_count else None
