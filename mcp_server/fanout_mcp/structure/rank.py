"""Which files a question is about: BM25 over bodies, names and past commits, and what it mentions outright.

Scanning runs in worker processes and returns counts of the question's words only, so that ranking a
repository costs the server a few sums.
"""

from __future__ import annotations

import math
import posixpath
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fanout_mcp.source.kinds import Kind
from fanout_mcp.source.read import Skipped, read
from fanout_mcp.structure.graph import Graph, is_code
from fanout_mcp.structure.outline import Outline
from fanout_mcp.types import Json

K1: Final = 1.6
B: Final = 0.75
MAX_TERMS: Final = 120
OUTLINE_WEIGHT: Final = 0.5
MAX_QUESTION: Final = 20_000
MENTION: Final = 6.0
PATH_WORD: Final = 1.5
"""For each word of the question that is in the path."""
HISTORY_WEIGHT: Final = 0.5
"""Of the subjects of the commits that changed a file, against its body."""

CHURN: Final = 1.2
"""For each e-fold of such commits: what changed often changes again."""

WEIGHTS: Final[Mapping[Kind, float]] = {
    "test": 0.1, "fixture": 0.1, "generated": 0.15, "vendored": 0.1, "example": 0.25, "docs": 0.2,
    "product": 1.0,
}  # fmt: skip
"""What a file is to its project, to how much its score counts."""

DATA_WEIGHT: Final = 0.35
"""Of configuration and data: what is asked about is nearly always code, or it is named."""

BARREL_WEIGHT: Final = 0.5
"""Of a file that only passes on what others define: the file behind it is meant."""


_IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PART: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_PATHS: Final = re.compile(r"(?<![\w./-])[\w./-]*\w\.[A-Za-z]{1,4}\b|\b\w+(?:\.\w+)+")
COMMON: Final = frozenset(
    """a an and are as at be but by can do does for from has have how i if in into is it its me my no not of
    on or our should so that the their them then there these this to was we what when where which who why will
    with would you your self none true false return def class import file code get set
    about across after against all allow also any because been before behavior behaviour being between both
    case cases cause caused causing could each even every first handle handled handling instead less like
    longer made make makes many may might more most must new non now old only other over previously properly
    raise raised raises release result resulted resulting same second some still such than those two under use
    used user users using version versions via well while within without
    add added bug change changed correctly courtesy due during ensure ensures error exception exceptions fix
    fixed fixe fixing improve improved incorrect incorrectly introduced issue pull regression request support
    supported able eg etc""".split()  # noqa: SIM905 - words read better as text
)
"""English that says nothing of code, and the words in which every issue is written."""


@dataclass(frozen=True, slots=True)
class Ranked:
    path: str
    score: float
    why: tuple[str, ...]
    """The symbols of the file that the question speaks of."""


def terms(question: str) -> list[str]:
    """Return the question's words, and the parts of its identifiers, without common ones."""
    found: dict[str, None] = {}
    for word in _IDENTIFIER.findall(question):
        for part in _split(word):
            if len(part) > 1 and part not in COMMON:
                found[part] = None
    return list(found)[:MAX_TERMS]


def _split(word: str) -> list[str]:
    parts = [_stem(part.lower()) for part in _PART.findall(word)]
    return [*parts, word.lower()] if len(parts) > 1 else parts or [word.lower()]


def _stem(word: str) -> str:
    """Plurals and -ing, -ed forms meet: enough for names in code."""
    for ending in ("ing", "ed", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 4 and not word.endswith("ss"):
            return word[: -len(ending)]
    return word


def bag(text: str) -> Counter[str]:
    """Count the words of a text, identifiers split into their parts."""
    counts: Counter[str] = Counter()
    for word, times in Counter(_IDENTIFIER.findall(text)).items():
        for part in _split(word):
            counts[part] += times
    return counts


def count_file(item: Json) -> Json:
    """Count `[root, path, terms]`: `[length, {term: times}]`; the function that workers are asked for."""
    root, path, wanted = item
    source = read(Path(root), path)
    if isinstance(source, Skipped):
        return [0, {}]
    counts = bag(source.text)
    return [sum(counts.values()), {term: counts[term] for term in wanted if term in counts}]


def rank(
    question: str,
    paths: Sequence[str],
    known: Graph,
    bodies: Mapping[str, tuple[int, Mapping[str, int]]],
    *,
    changes: Mapping[str, Sequence[str]] | None = None,
    most: int = 10,
) -> list[Ranked]:
    """Return the files that matter for the question, best first.

    `bodies`: how many words a file has, and how often each of the question's. `changes`: a path to the
    subjects of the commits that changed it.
    """
    changes = changes or {}
    question = meant(question)
    outlines = [known.outlines[path] for path in paths]
    asked = bag(question)
    # What is said again is meant more, by far less than twice as much.
    wanted = {term: 1 + math.log(max(1, asked[term])) for term in terms(question)}
    names = {one.path: _names(one) for one in outlines}
    histories = {one.path: bag("\n".join(changes[one.path])) for one in outlines if one.path in changes}
    found = [
        (1.0, _bm25(wanted, bodies)),
        (OUTLINE_WEIGHT, _bm25(wanted, {path: (own.total(), own) for path, own in names.items()})),
        (HISTORY_WEIGHT, _bm25(wanted, {path: (own.total(), own) for path, own in histories.items()})),
    ]
    mentions = _mentions(question)
    scores = {}
    for one in outlines:
        score = sum(10 * weight * own.get(one.path, 0) for weight, own in found)
        score += MENTION * _mentioned(one, mentions)
        score += PATH_WORD * len(wanted.keys() & bag(one.path).keys())
        if score > 0:
            score += CHURN * math.log1p(len(changes.get(one.path, ())))
            weight = WEIGHTS[one.kind] * (BARREL_WEIGHT if _is_barrel(one) else 1.0)
            scores[one.path] = score * weight * (1.0 if is_code(one) else DATA_WEIGHT)
    best = sorted(scores, key=lambda path: (-scores[path], path))[:most]
    return [
        Ranked(path, round(scores[path], 2), _symbols(known.outlines[path], wanted, mentions))
        for path in best
    ]


_BARRELS: Final = frozenset(
    {"__init__.py", "index.ts", "index.js", "index.tsx", "mod.rs", "lib.rs", "mod.ts", "main.d.ts"}
)


def _is_barrel(outline: Outline) -> bool:
    """Tell a file that stands for a folder and defines no more than a few of the names that it passes on."""
    if posixpath.basename(outline.path) not in _BARRELS:
        return False
    own = sum(symbol.kind not in {"export", "module", "constant"} for symbol in outline.symbols)
    return bool(outline.imports) and own < len(outline.imports) / 3


_ASIDE: Final = re.compile(
    r"(?im)^[ \t>]*(?:"
    r"[\w.-]+@[\w.-]+:\S*[$#].*|(?:PS )?[A-Z]:\\[^>\n]*>.*|Python \d[\d.]+ .*|Type \"help\".*"
    r"|Welcome to Node\.js.*|\[(?:GCC|Clang|MSC).*"
    r"|GNU bash.*|Microsoft Windows \[.*|npm (?:ERR!|WARN).*|(?:\$|>>>|%) *(?:pip|npm|yarn|pnpm|cargo"
    r"|brew|apt|conda|node|python)\d? [^\n]*"
    r"|#+ *(?:describe the (?:bug|issue)|(?:steps )?to reproduce.*|reproduction.*"
    r"|expected (?:behaviou?r|result).*|actual (?:behaviou?r|result).*"
    r"|environment.*|additional (?:context|info).*|screenshots?.*|versions?|system info.*|checklist.*"
    r"|what happened.*|logs?|is there an existing.*)"
    r"|- *\[[ x]\].*|(?:os|platform|operating system|browser|python|node|npm|pip|rust|go|version"
    r"|architecture)(?: version)?\s*[:=] *[^\n]{0,60}"
    r")$|<!--.*?(?:-->|$)|https?://\S+",
)


def meant(question: str) -> str:
    """Return a question without what a bug report's form, a shell or an interpreter put into it.

    All of the question comes back where nothing else would be left.
    """
    left = _ASIDE.sub(" ", question[:MAX_QUESTION])
    return left if len(terms(left)) >= min(3, len(terms(question))) else question


def _names(outline: Outline) -> Counter[str]:
    names = " ".join(f"{symbol.name} {symbol.doc}" for symbol in outline.symbols)
    return bag(f"{outline.path.replace('/', ' ')} {outline.path.replace('/', ' ')} {outline.doc} {names}")


def _bm25(
    wanted: Mapping[str, float], texts: Mapping[str, tuple[int, Mapping[str, int]]]
) -> dict[str, float]:
    """Return how well each text fits what is wanted: 1 for the best of them."""
    average = sum(length for length, _ in texts.values()) / (len(texts) or 1) or 1.0
    scores: dict[str, float] = {}
    for term, meant in wanted.items():
        holding = [
            (path, length, counts[term]) for path, (length, counts) in texts.items() if counts.get(term)
        ]
        if not holding:
            continue
        weight = meant * math.log(1 + (len(texts) - len(holding) + 0.5) / (len(holding) + 0.5))
        for path, length, times in holding:
            scores[path] = scores.get(path, 0.0) + weight * times * (K1 + 1) / (
                times + K1 * (1 - B + B * length / average)
            )
    best = max(scores.values(), default=0) or 1.0
    return {path: score / best for path, score in scores.items()}


def _mentions(question: str) -> set[str]:
    """Paths, dotted names and identifiers that look like code: written so only by who means them."""
    found = {match.strip("./").lower() for match in _PATHS.findall(question)}
    for word in _IDENTIFIER.findall(question):
        if "_" in word.strip("_") or re.search(r"[a-z][A-Z]", word):
            found.add(word.lower())
    return found


def _mentioned(outline: Outline, mentions: set[str]) -> float:
    path = outline.path.lower()
    stem = posixpath.splitext(path)[0]
    score = 0.0
    for mention in mentions:
        if path == mention or path.endswith("/" + mention):
            score += 2
        elif "." in mention and f"/{stem}".endswith("/" + mention.replace(".", "/")):
            score += 1.5
        elif "." in mention and f"/{stem}".endswith("/" + mention.rpartition(".")[0].replace(".", "/")):
            score += 1
    defined = {symbol.name.lower() for symbol in outline.symbols}
    return score + 0.5 * min(3, len(defined & {mention.rpartition(".")[2] for mention in mentions}))


def _symbols(outline: Outline, wanted: Iterable[str], mentions: set[str]) -> tuple[str, ...]:
    names = {mention.rpartition(".")[2] for mention in mentions}
    scored = []
    for symbol in outline.symbols:
        hits = len(set(_split(symbol.name)).intersection(wanted)) + 3 * (symbol.name.lower() in names)
        if hits:
            scored.append((-hits, symbol.line, symbol.end_line, symbol.name))
    return tuple(
        f"{name} (line {line})" if end <= line else f"{name} (lines {line}-{end})"
        for _, line, end, name in sorted(scored)[:4]
    )
