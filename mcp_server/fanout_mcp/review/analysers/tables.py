"""Tables that a file in a language other than Python wrote down itself: what is looked up there is no input.

Neither is a name that a condition found in one, below a folder, or to match a pattern. A condition is taken
to hold for the rest of the function: whoever asks, asks before use.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Final

from fanout_mcp.linear import bounded

CONSTANT: Final = re.compile(r"(?!(ENV|ARGV|STDIN)$)[A-Z][A-Z0-9_]+")
_TABLE: Final = re.compile(
    r"^(Object\.freeze\(\s*)?(new\s+\w*(Map|Set|Dictionary|List)\b[^;]*[{(\[]\s*[^\s})\]]|"
    r"(Immutable)?(Map|Set|List)\.(of|ofEntries)\(|Arrays\.asList\(|[{\[]\s*[^\s}\]]|map\[|\[\]\w+\{|array\(|%w)"
)
_PAIRED: Final = r"[^()]*(?:\([^()]*\)[^()]*)*"
_LOOKUP: Final = re.compile(
    r"(?<![\w$])(?P<table>[\w$]+)(?:\?\.)?(?:\[[^\[\]]*(?:\[[^\[\]]*\][^\[\]]*)*\]|"
    rf"\.(?:get|getOrDefault|GetValueOrDefault|fetch|find|dig)(?:\({_PAIRED}\)|\s*\{{[^}}]*\}}))"
)
_CHECKS: Final = (
    re.compile(
        bounded(
            r"(?P<owner>[\w$]+)\.(?:has|includes|contains|Contains|containsKey|ContainsKey|indexOf|include\?|key\?|"
            r"member\?)\(\s*(?P<name>[\w$]+)"
        )
    ),
    re.compile(bounded(r"(?P<table>[\w$]+)\[\s*(?P<name>[\w$]+)\s*\]")),
    re.compile(bounded(r"\b(?:in_array|array_key_exists)\(\s*(?P<name>\$\w+)")),
    re.compile(bounded(r"\bisset\(\s*(?P<owner>\$\w+)\[\s*(?P<name>\$\w+)")),
    re.compile(bounded(r"\b(?:slices\.Contains|Object\.hasOwn|preg_match)\([^,]*,\s*(?P<name>[\w$]+)")),
    re.compile(bounded(r"(?P<name>[\w$]+)\.(?:startsWith|StartsWith|start_with\?)\(\s*(?=[A-Za-z_$])")),
    re.compile(
        bounded(
            r"\b(?:strings\.HasPrefix|strpos|str_starts_with)\(\s*(?P<name>[\w$]+)[\w$.]*\s*,\s*(?=[A-Za-z_$])"
        )
    ),
    re.compile(bounded(r"\.(?:test|MatchString|IsMatch|IsLocal|IsLocalUrl)\(\s*(?P<name>[\w$]+)")),
    re.compile(bounded(r"(?i)\b\w*(?:allow|valid|safe|trusted|permit)\w*[?!]?\(\s*(?P<name>[\w$]+)")),
)


def is_table(text: str) -> bool:
    """Tell whether an assigned expression writes down a container that is not empty."""
    return bool(_TABLE.match(text.strip()))


def without_lookups(text: str, tables: Collection[str]) -> str:
    """Return the text with what is looked up in tables replaced by the table's name."""

    def named(found: re.Match[str]) -> str:
        return found["table"] if _is_known(found["table"], tables) else found[0]

    return _LOOKUP.sub(named, text)


def checked_names(condition: str, tables: Collection[str], inputs: Collection[str]) -> Iterator[str]:
    """Yield the names in a condition (without its strings) that it compares with what is allowed."""
    tables = {*tables, ""}
    for check in _CHECKS:
        for found in check.finditer(condition):
            groups = found.groupdict()
            if groups.get("owner") not in inputs and _is_known(groups.get("table", ""), tables):
                yield found["name"]


def _is_known(name: str, tables: Collection[str]) -> bool:
    return name in tables or CONSTANT.fullmatch(name) is not None
