"""What a grammar trips over though compilers take it, rewritten in place for another parse.

Every rewriting keeps each byte's place, so that lines and signatures still come from the file itself. Only a
file with errors is rewritten; which of its trees counts, languages.py decides.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

_BLANK: Final = bytes(32 if byte not in b"\t\r\n" else byte for byte in range(256))

# `export type * from` and variance in type parameters are newer than the TypeScript grammar.
_NEW: Final = re.compile(
    rb"(?m)(?<=^export )type(?= \*)|(?<=[<,] )(?:in|out)(?= \w+[,>])|(?<=<)in out(?= \w)"
)
# It takes a call signature for a part of the line before when that one ends without a semicolon.
_CALL_SIGNATURE: Final = re.compile(rb"([ \t]*)[ \t](?=[<(])")
_UNFINISHED: Final = re.compile(rb"(?:[=(,|&?:{\[;+<]|=>|^)$")

# The Kotlin grammar does not know an interface of one function.
_FUN_INTERFACE: Final = re.compile(rb"\bfun(?=[ \t]+interface\b)")

# C's macros that stand where a keyword, an attribute or a template parameter may; that only the preprocessor
# knows. Alone on a line, before a name, behind a parameter or its list.
_NAME: Final = rb"[A-Z][A-Z0-9]*_[A-Z0-9_]+"
_GIVEN: Final = rb"(?:\((?:[^()]++|\((?:[^()]++|\([^()]*+\))*+\))*+\))"
_MAX_LENGTH: Final = 1_000
"""Bytes of a line in which macros are looked for: from each of them to where its parentheses end."""

_MACRO: Final = re.compile(
    rb"^[ \t]*+" + _NAME + _GIVEN + rb"?[ \t]*;?\r?$"
    rb"|\b" + _NAME + _GIVEN + rb"?(?=[ \t]+[\w:~*&\[])"
    rb"|(?<=\)) " + _NAME + _GIVEN + rb"?(?=[ \t]*[;{])"
    rb"|(?<=[\w*&]) " + _NAME + rb"(?=[ \t]*[,)])"
)
_PARAMETER: Final = re.compile(rb"(?:^|(?<=,))([ \t]*)(" + _NAME + _GIVEN + rb")(?=[ \t]*[,>])")
_DIRECTIVE: Final = re.compile(rb"[ \t]*#[ \t]*(\w*)")
_OPENING: Final = frozenset({b"if", b"ifdef", b"ifndef"})
_OTHER: Final = frozenset({b"else", b"elif", b"elifdef", b"elifndef"})


# Between `class` and its name an attribute; behind a parameter list what a thread checker reads. The grammar
# makes something else of them and notices nothing, so they go before the first parse.
_EXPORT: Final = re.compile(
    rb"\b(class|struct|union)((?:[ \t]+(?!final\b|alignas\b)[A-Za-z_]\w*(?:\([^()\n]*\))?)+?)"
    rb"(?=[ \t]+[A-Za-z_]\w*(?:<[^<>\n;{}]*>)?(?:[ \t]+final)?[ \t\r\n]*(?::[^:]|\{))"
)
_GUARD: Final = re.compile(
    rb"(?<=\))((?:[ \t\r\n]+(?:const|noexcept|override|final))*)"
    rb"((?:[ \t\r\n]+[A-Z][A-Z0-9_]{2,}(?:\((?:[^()\n]|\([^()\n]*\))*\))?)+)(?=[ \t\r\n]*[;{]"
    rb"|[ \t\r\n]*=[ \t]*(?:0|default|delete))"
)


_GUARDED: Final = re.compile(
    rb"(?m)^([ \t]+[\w:<>,*& \t]*[\w>*&][ \t]+[*&]*\w+)"
    rb"([ \t]+[A-Z][A-Z0-9]*_[A-Z0-9_]*\([\w:>.*&-]*\))(?=[ \t]*[;={])"
)


def prepared(data: bytes, language: str) -> bytes:
    """Blank what the grammar would silently take for something else; each byte keeps its place."""
    if language not in {"C", "C++"}:
        return data
    data = _EXPORT.sub(lambda match: match[1] + match[2].translate(_BLANK), data)
    for pattern in (_GUARD, _GUARDED):
        data = pattern.sub(lambda match: match[1] + match[2].translate(_BLANK), data)
    return data


def rewritten(data: bytes, language: str) -> Iterator[bytes]:
    """Yield what may be parsed instead, each once; nothing for a language that has no rewriting."""
    seen = {data}
    for rewrite in _REWRITES.get(language, ()):
        data = rewrite(data)
        if data not in seen:
            seen.add(data)
            yield data


def _blank(match: re.Match[bytes]) -> bytes:
    return match[0].translate(_BLANK)


def _class(match: re.Match[bytes]) -> bytes:
    return match[1] + b"class".ljust(len(match[2]))


def _typescript(data: bytes) -> bytes:
    lines = _NEW.sub(_blank, data).split(b"\n")
    before = b""
    for number, line in enumerate(lines):
        signature = _CALL_SIGNATURE.match(line)
        if signature and not _UNFINISHED.search(before):
            lines[number] = signature[1] + b";" + line[signature.end() :]
        code = line.partition(b"//")[0].strip()
        if code and not code.startswith((b"*", b"/*")):
            before = code
    return b"\n".join(lines)


def _without_macros(data: bytes) -> bytes:
    lines = data.split(b"\n")
    in_directive = False
    for number, line in enumerate(lines):
        in_directive = in_directive or bool(_DIRECTIVE.match(line))
        if not in_directive and b"_" in line and len(line) <= _MAX_LENGTH:
            lines[number] = _MACRO.sub(_blank, _PARAMETER.sub(_class, line))
        in_directive = in_directive and line.rstrip(b"\r").endswith(b"\\")
    return b"\n".join(lines)


def _first_branches(data: bytes) -> bytes:
    """Of the branches for several platforms leave the first: together they need not have matching braces."""
    lines = data.split(b"\n")
    others: list[bool] = []
    word: bytes | None = None
    for number, line in enumerate(lines):
        if word is None:
            directive = _DIRECTIVE.match(line)
            word = directive[1] if directive else None
            if word in _OPENING:
                others.append(False)
            elif others and word in _OTHER:
                others[-1] = True
            elif others and word == b"endif":
                others.pop()
        if word in _OPENING or word in _OTHER or word == b"endif" or any(others):
            lines[number] = line.translate(_BLANK)
        if not line.rstrip(b"\r").endswith(b"\\"):
            word = None
    return b"\n".join(lines)


def _kotlin(data: bytes) -> bytes:
    return _FUN_INTERFACE.sub(_blank, data)


_REWRITES: Final[dict[str, tuple[Callable[[bytes], bytes], ...]]] = {
    "TypeScript": (_typescript,),
    "Kotlin": (_kotlin,),
    "C": (_without_macros, _first_branches),
    "C++": (_without_macros, _first_branches),
}
