"""Which definitions others may name: by keyword, by the form of the name, by what a file says it exports."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from fanout_mcp.source.captured import Found

_HIDDEN: Final = re.compile(r"\b(?:private|protected|fileprivate)\b|^#")


_HIDING: Final[Mapping[str, str | tuple[str, ...]]] = {
    "Lua": "local ",
    "Elixir": ("defp ", "defmacrop ", "defguardp ", "@typep ", "defnp "),
}
"""How a definition begins that its file keeps to itself."""


def given(found: Sequence[Found], exported: set[str], data: bytes) -> list[Found]:
    """Tell a script's variables that others may name; keep an export where nothing else has its name.

    A script that exports nothing gives all that it defines at the top: it shares its page's names.
    """
    own = {one.name.rpartition(".")[2] for one in found if one.kind not in {"export", "method"}}
    exported = exported | {one.name for one in found if one.kind == "export"}
    is_open = b"export" not in data
    kept = []
    for one in found:
        if one.kind == "export":
            if one.name in own:
                continue
            own.add(one.name)
        elif one.kind == "variable":
            if b"require(" in data[one.node.start_byte : one.node.end_byte]:
                continue
            if is_open or one.name in exported:
                kept.append(one._replace(kind="constant"))
                continue
        kept.append(one)
    return kept


def is_public(name: str, signature: str, kind: str, language: str) -> bool:
    if language == "Go":
        return name[:1].isupper()
    if language == "Rust":
        return signature.startswith("pub") or (
            kind in {"impl", "method", "macro"} and not name.startswith("_")
        )
    if language == "Zig":
        return signature.startswith(("pub ", "export ")) or kind == "impl"
    if language in _HIDING:
        return not signature.startswith(_HIDING[language]) and not name.startswith("_")
    if language == "HCL":
        return True
    if language == "Solidity":
        return not re.search(r"\b(?:private|internal)\b", signature)
    if language == "C":
        return not signature.startswith("static ")
    if name.startswith("__") and name.endswith("__"):
        return name in {"__init__", "__call__", "__enter__", "__aenter__", "__iter__"}
    if language == "Python":
        return not name.startswith("_")
    # Before the parameters: one of them may be called private.
    return kind != "variable" and not name.startswith("_") and not _HIDDEN.search(signature.partition("(")[0])
