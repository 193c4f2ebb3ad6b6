"""Every regular expression of both packages takes linear time, whatever text it meets.

Patterns are collected: from all modules (tables and frozen objects included), from calls of `re` in the
sources, and from the rules of every language. For each, hostile texts are made from its own syntax tree: what
it repeats, what stands before that, and its whole beginning, each many times over, with an end that does not
fit. A pattern is used here as the sources use it: `match` where nothing ever searches with it.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import importlib
import pkgutil
import re
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from re import _constants as codes  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any, NamedTuple

import pytest

import fanout_hooks
import fanout_mcp
from fanout_mcp.linear import Linear
from fanout_mcp.review.static.grammars import GRAMMARS
from fanout_mcp.review.static.rules import rules_of

pytestmark = pytest.mark.patterns

FROM_S = 0.02
"""Times below this are noise."""
MAX_GROWTH = 2.5
"""A doubled text takes so many times as long at most; 2 is linear."""
MAX_SIZE = 1 << 20
"""Texts are bounded (files by 400 kB to 4 MB, answers by 4 MB); quadratic time shows long before."""


PROBE = 1 << 14
PROBE_S = 0.003


class Use(NamedTuple):
    where: str
    pattern: re.Pattern[str] | re.Pattern[bytes] | Linear
    is_anchored: bool
    """It is only ever asked whether a text begins with it."""


def sources() -> Iterator[tuple[str, Path]]:
    for package in (fanout_hooks, fanout_mcp):
        root = Path(next(iter(package.__path__)))
        for path in sorted(root.rglob("*.py")):
            yield (
                f"{package.__name__}.{path.relative_to(root).with_suffix('').as_posix().replace('/', '.')}",
                path,
            )


@functools.cache
def methods() -> dict[str, set[str]]:
    """Say how each name is used: `_WORD` -> {"match", "sub"}."""
    used: dict[str, set[str]] = {}
    for _, path in sources():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute):
                owners = [node.value]
                if isinstance(node.value, ast.IfExp):  # (ONE if so else OTHER).match(text)
                    owners = [node.value.body, node.value.orelse]
                for at in owners:
                    owner = at
                    while isinstance(owner, ast.Subscript):
                        owner = owner.value
                    name = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")
                    used.setdefault(name, set()).add(node.attr)
    return used


def held(value: Any, where: str, seen: set[int]) -> Iterator[tuple[str, Any]]:
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, re.Pattern | Linear):
        yield where, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from held(key, where, seen)
            yield from held(item, f"{where}[{key}]", seen)
    elif isinstance(value, list | tuple | set | frozenset):
        for number, item in enumerate(value):
            yield from held(item, f"{where}[{number}]", seen)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield from held(getattr(value, field.name, None), f"{where}.{field.name}", seen)


def inline() -> Iterator[Use]:
    """Patterns that are written where they are used; what an f-string fills in is taken for a word."""
    for name, path in sources():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args):
                continue
            if getattr(node.func.value, "id", "") != "re" or node.func.attr in {"escape", "compile"}:
                continue
            text = written(node.args[0])
            if text is not None:
                flags = re.IGNORECASE if "IGNORECASE" in ast.unparse(node) else re.NOFLAG
                anchored = node.func.attr in {"match", "fullmatch"}
                yield Use(f"{name}:{node.lineno}", re.compile(text, flags), anchored)


def written(node: ast.expr) -> Any:
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.JoinedStr):
        parts = [part.value if isinstance(part, ast.Constant) else "word" for part in node.values]
        return "".join(map(str, parts))
    return None


def collected() -> list[Use]:
    uses: dict[tuple[Any, ...], Use] = {}
    seen: set[int] = set()
    found: list[tuple[str, Any]] = []
    for package in (fanout_hooks, fanout_mcp):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                for name, value in vars(importlib.import_module(module.name)).items():
                    if not name.startswith("__"):
                        found += held(value, f"{module.name}.{name}", seen)
    for language in (*GRAMMARS, "dockerfile", "yaml", "settings", "markup"):
        found += held(rules_of(language), f"rules.{language}", seen)
    for where, pattern in found:
        names = re.split(r"[\[.]", where.split(".", 2)[-1] if where.count(".") > 1 else where)
        used = set().union(
            *(methods().get(part, set()) for part in names[-3:] if part.isupper() or "_" in part)
        )
        anchored = not used & {"search", "sub", "subn", "finditer", "findall", "split"} and bool(
            used & {"match", "fullmatch"}
        )
        uses.setdefault((pattern.pattern, anchored), Use(where, pattern, anchored))
    for use in inline():
        uses.setdefault((use.pattern.pattern, use.is_anchored), use)
    return list(uses.values())


def sample(tree: Any, *, most: int = 3) -> str:
    """Return a short text that a piece of a pattern matches, looked around aside."""
    out = ""
    for op, value in tree:
        if op in {codes.LITERAL, codes.RANGE}:
            out += chr(value if op is codes.LITERAL else value[0])
        elif op is codes.NOT_LITERAL:
            out += "a" if value != ord("a") else "b"
        elif op is codes.ANY:
            out += "a"
        elif op is codes.IN:
            out += one_of(value)
        elif op is codes.CATEGORY:
            out += one_of([(op, value)])
        elif op is codes.BRANCH:
            out += sample(value[1][0])
        elif op is codes.SUBPATTERN:
            out += sample(value[3])
        elif op in {codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT}:
            least, _, body = value
            out += sample(body) * max(min(least, 300), 1 if most and least == 0 else 0)
        elif op is codes.ATOMIC_GROUP:
            out += sample(value)
    return out


def one_of(choices: Any) -> str:
    matcher = re.compile(r"[\w\W]")
    for char in "a0 -_.:/=\"'(){}[]<>,;\n\t\\@#$%*+!?|&~^`ZyxX":
        if in_class(choices, char) and matcher.match(char):
            return char
    return next(
        (chr(code) for code in (*range(256), *range(0x2000, 0xE000)) if in_class(choices, chr(code))), "a"
    )


def in_class(choices: Any, char: str) -> bool:
    negated, hit = False, False
    for op, value in choices:
        if op is codes.NEGATE:
            negated = True
        elif op is codes.LITERAL:
            hit |= ord(char) == value
        elif op is codes.RANGE:
            hit |= value[0] <= ord(char) <= value[1]
        elif op is codes.CATEGORY:
            kind = str(value).rsplit("_", 1)[-1]
            is_not = "NOT" in str(value)
            hit |= {"DIGIT": char.isdigit(), "SPACE": char.isspace(), "WORD": char.isalnum() or char == "_"}[
                kind
            ] is not is_not
    return hit is not negated


def pumps(tree: Any, before: str = "") -> Iterator[tuple[str, str]]:
    """Yield (beginning, what is repeated) for every place that repeats and every beginning."""
    for number, (op, value) in enumerate(tree):
        head = before + sample(tree[:number])
        if head and len(head) < 2_000:
            yield "", head
        if op in {codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT}:
            body = value[2]
            one = sample(body) or "a"
            if value[1] > 8:
                yield head, one
                yield "", one
                yield "", head + one
            yield from pumps(body, head)
        elif op is codes.BRANCH:
            for branch in value[1]:
                yield from pumps(branch, head)
                yield "", head + sample(branch)
        elif op is codes.SUBPATTERN:
            yield from pumps(value[3], head)
        elif op is codes.ATOMIC_GROUP:
            yield from pumps(value, head)
        elif op in {codes.ASSERT, codes.ASSERT_NOT}:
            yield from pumps(value[1], head)
    yield "", before + sample(tree)


COMMON = [
    ("", one) for one in (" ", "a", "A", "0", "\n", '"', "(", "{", "[", "\\", "-", "_", ".", "/", ",", "a ")
]


def attacks(use: Use) -> list[tuple[str, str]]:
    pattern = use.pattern.pattern
    text = pattern.decode("latin-1") if isinstance(pattern, bytes) else pattern
    flags = 0 if isinstance(use.pattern, Linear) else use.pattern.flags & ~re.UNICODE
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = parser.parse(text.replace(r"\z", r"\Z"), flags)
    return [one for one in dict.fromkeys([*pumps(tree), *COMMON]) if one[1]]


def growth(run: Callable[[Any], object], make: Callable[[int], Any]) -> float:
    """Return how much longer a doubled text takes, from a size that takes FROM_S; 0 for no such size."""
    if least(run, make(PROBE), 1) < PROBE_S:
        return 0.0  # quadratic time would have shown: it takes 50 times as long there
    size, took = 512, 0.0
    while size <= MAX_SIZE and took < FROM_S:
        size *= 2
        took = least(run, make(size), 1)
    ratio = least(run, make(size * 2), 1) / took
    if ratio > MAX_GROWTH:
        ratio = least(run, make(size * 2), 5) / least(run, make(size), 5)
    return ratio if took >= FROM_S else 0.0


def least(run: Callable[[Any], object], text: Any, times: int) -> float:
    best = float("inf")
    for _ in range(times):
        began = time.process_time()
        run(text)
        best = min(best, time.process_time() - began)
    return best


def runner(use: Use) -> Callable[[Any], object]:
    pattern: Any = use.pattern
    if use.is_anchored:
        begins: Callable[[Any], object] = pattern.match
        return begins
    return lambda text: sum(1 for _ in pattern.finditer(text))


USES = collected()


def test_patterns_of_all_kinds_are_collected() -> None:
    where = {use.where.split(".")[0] for use in USES}
    assert {"fanout_hooks", "fanout_mcp", "rules"} <= where
    assert len(USES) >= 400
    assert any(isinstance(use.pattern, Linear) for use in USES)


@pytest.mark.parametrize("use", USES, ids=[use.where for use in USES])
def test_a_pattern_takes_linear_time_over_hostile_text(use: Use) -> None:
    is_bytes = isinstance(use.pattern, Linear) or isinstance(use.pattern.pattern, bytes)
    for head, pump in attacks(use):
        for end in ("", "\x00"):

            def make(size: int, head: str = head, pump: str = pump, end: str = end) -> Any:
                text = head + pump * (size // len(pump)) + end
                return text.encode("latin-1", "replace") if is_bytes else text

            found = growth(runner(use), make)
            assert found <= MAX_GROWTH, f"{head!r} + {pump!r} * n + {end!r}: {found:.1f} times as long"
