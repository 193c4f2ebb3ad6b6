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
import random
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
from fanout_hooks.gate.dependence import Rule
from fanout_mcp.linear import Linear
from fanout_mcp.review.static.grammars import GRAMMARS
from fanout_mcp.review.static.rules import rules_of

FROM_S = 0.02
"""Times below this are noise."""
MAX_GROWTH = 2.5
"""A doubled text takes so many times as long at most; 2 is linear."""
MAX_SIZE = 1 << 20
"""Texts are bounded (files by 400 kB to 4 MB, answers by 4 MB); quadratic time shows long before."""


PROBE = 1 << 16
PROBE_S = 0.03
"""What takes less than this over a text of PROBE characters takes a second over 400 kB, were it quadratic."""
FEW = 6
"""Attacks on a pattern in the short form."""


SEARCHES = {"search", "sub", "subn", "finditer", "findall", "split"}


class Held(NamedTuple):
    where: str
    pattern: Any
    names: tuple[str, ...]


class Use(NamedTuple):
    where: str
    pattern: re.Pattern[str] | re.Pattern[bytes] | Linear
    is_anchored: bool
    """It is only ever asked whether a text begins with it."""


@functools.cache
def sources() -> dict[str, Path]:
    """Return the modules of both packages by their names."""
    found: dict[str, Path] = {}
    for package in (fanout_hooks, fanout_mcp):
        root = Path(next(iter(package.__path__)))
        for path in sorted(root.rglob("*.py")):
            dotted = ".".join((package.__name__, *path.relative_to(root).with_suffix("").parts))
            found[dotted.removesuffix(".__init__")] = path
    return found


@functools.cache
def methods(module: str = "") -> dict[str, set[str]]:
    """Say how each name is used, in one module or in all: `_WORD` -> {"match", "sub"}."""
    used: dict[str, set[str]] = {}
    for path in [sources()[module]] if module else sources().values():
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Attribute):
                owners = [node.value]
                if isinstance(node.value, ast.IfExp):  # (ONE if so else OTHER).match(text)
                    owners = [node.value.body, node.value.orelse]
                for at in owners:
                    owner = at
                    while isinstance(owner, ast.Subscript):
                        owner = owner.value
                    key = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")
                    used.setdefault(key, set()).add(node.attr)
    return used


@functools.cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def held(value: Any, where: str, names: tuple[str, ...], seen: set[int]) -> Iterator[Held]:
    """Yield each pattern in a value, with the names on the way there that say how it is used."""
    if isinstance(value, re.Pattern | Linear):
        yield Held(where, value, names)
    if id(value) in seen:
        return
    if isinstance(value, Rule):
        yield Held(where, value.compiled, names)
    if isinstance(value, dict):
        seen.add(id(value))
        for key, item in value.items():
            yield from held(key, where, names, seen)
            yield from held(item, f"{where}[{key}]", names, seen)
    elif isinstance(value, list | tuple | set | frozenset):
        seen.add(id(value))
        for number, item in enumerate(value):
            yield from held(item, f"{where}[{number}]", names, seen)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        seen.add(id(value))
        for field in dataclasses.fields(value):
            item = getattr(value, field.name, None)
            yield from held(item, f"{where}.{field.name}", (*names, field.name), seen)


def inline() -> Iterator[Use]:
    """Patterns that are written where they are used; of what is filled in, constants are known."""
    for name, path in sources().items():
        known = vars(importlib.import_module(name)) if not name.endswith("__main__") else {}
        named = {id(node.value) for node in parsed(path).body if isinstance(node, ast.Assign | ast.AnnAssign)}
        for node in ast.walk(parsed(path)):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args):
                continue
            if id(node) in named:
                continue  # collected by its name
            if getattr(node.func.value, "id", "") != "re" or node.func.attr == "escape":
                continue
            text = written(node.args[0], known)
            if text is not None:
                flags = re.NOFLAG
                for flag in ("IGNORECASE", "MULTILINE", "DOTALL", "VERBOSE"):
                    flags |= getattr(re, flag) if f"re.{flag}" in ast.unparse(node) else re.NOFLAG
                anchored = node.func.attr in {"match", "fullmatch"}
                yield Use(f"{name}:{node.lineno}", re.compile(text, flags), anchored)


def written(node: ast.expr, known: dict[str, Any]) -> Any:
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name) and isinstance(known.get(node.id), str):
        return known[node.id]
    if isinstance(node, ast.JoinedStr):
        parts = [
            part.value if isinstance(part, ast.Constant) else written(part.value, known) or "word"
            for part in node.values
            if isinstance(part, ast.Constant | ast.FormattedValue)
        ]
        return "".join(map(str, parts))
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        both = [written(side, known) for side in (node.left, node.right)]
        if any(isinstance(side, bytes) for side in both):
            return b"".join(side or b"word" for side in both)
        return None if both == [None, None] else "".join(side or "word" for side in both)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format":
        text = written(node.func.value, known)
        return text and text.format(*["word"] * 9)
    return None


@functools.cache
def collected() -> list[Use]:
    """Return every use. Not at import: it takes seconds, in each process that collects tests."""
    uses: dict[tuple[Any, ...], Use] = {}
    seen: set[int] = set()
    found: list[Held] = []
    for name in sources():
        if not name.endswith("__main__"):
            module = importlib.import_module(name)
            for key, value in vars(module).items():
                if not key.startswith("__"):
                    found += held(value, f"{name}.{key}", (key,), seen)
    for language in (*GRAMMARS, "dockerfile", "yaml", "settings", "markup"):
        found += held(rules_of(language), f"rules.{language}", (), seen)
    for where, pattern, names in found:
        # A private name is its module's own; a field and a public name may be used anywhere.
        own = next((name for name in sources() if where.startswith(f"{name}._")), "")
        used = set().union(*(methods(own if name.startswith("_") else "").get(name, set()) for name in names))
        anchored = bool(used & {"match", "fullmatch"}) and not used & SEARCHES
        uses.setdefault(
            (pattern.pattern, getattr(pattern, "flags", 0), anchored), Use(where, pattern, anchored)
        )
    for use in inline():
        uses.setdefault((use.pattern.pattern, getattr(use.pattern, "flags", 0), use.is_anchored), use)
    return [uses[key] for key in sorted(uses, key=repr)]  # in one order, whatever process asks


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


def growth(use: Use, head: str, pump: str, end: str) -> float:
    """Return how much longer a doubled text takes, from a size that takes FROM_S; 0 for no such size.

    What counts is the thread's own processor time, the least of five by turns: what else the machine does
    makes some turns longer and none shorter. Only a growth that three measurements agree on is one.
    """
    is_bytes = isinstance(use.pattern, Linear) or isinstance(use.pattern.pattern, bytes)

    def make(size: int) -> Any:
        text = head + pump * (size // len(pump)) + end
        return text.encode("latin-1", "replace") if is_bytes else text

    run = runner(use)
    if took_s(run, make(PROBE)) < PROBE_S:
        return 0.0
    size, took = 512, 0.0
    while size <= MAX_SIZE and took < FROM_S:
        size *= 2
        took = took_s(run, make(size))
    if took < FROM_S:
        return 0.0
    once, twice = make(size), make(size * 2)
    ratio = took_s(run, twice) / took
    for _ in range(3):
        if ratio <= MAX_GROWTH:
            break
        turns = [(took_s(run, once), took_s(run, twice)) for _ in range(5)]
        ratio = min(ratio, min(turn[1] for turn in turns) / min(turn[0] for turn in turns))
    return ratio


def took_s(run: Callable[[Any], object], text: Any) -> float:
    began = time.thread_time()
    run(text)
    return time.thread_time() - began


def runner(use: Use) -> Callable[[Any], object]:
    pattern: Any = use.pattern
    if use.is_anchored:
        begins: Callable[[Any], object] = pattern.match
        return begins
    return lambda text: sum(1 for _ in pattern.finditer(text))


@pytest.mark.slow
def test_patterns_of_all_kinds_are_collected() -> None:
    where = {use.where.split(".")[0] for use in collected()}
    assert {"fanout_hooks", "fanout_mcp", "rules"} <= where
    assert len(collected()) >= 400
    assert any(isinstance(use.pattern, Linear) for use in collected())


def faults(use: Use, chance: random.Random | None = None) -> list[str]:
    """Return what a pattern takes too long over: all attacks and ends, or as many as `chance` draws."""
    ways = [(head, pump, end) for head, pump in attacks(use) for end in ("", "\x00")]
    for head, pump, end in ways if chance is None else chance.sample(ways, min(len(ways), FEW)):
        found = growth(use, head, pump, end)
        if found > MAX_GROWTH:
            return [f"{use.where}: {head!r} + {pump!r} * n + {end!r}: {found:.1f} times as long"]
    return []


@pytest.mark.slow
@pytest.mark.parametrize("part", range(20))
def test_no_pattern_grows_faster_than_its_text(part: int) -> None:
    assert [fault for use in collected()[part::20] for fault in faults(use, random.Random(use.where))] == []


@pytest.mark.patterns
@pytest.mark.parametrize("part", range(100))
def test_a_pattern_takes_linear_time_over_hostile_text(part: int) -> None:
    assert [fault for use in collected()[part::100] for fault in faults(use)] == []
