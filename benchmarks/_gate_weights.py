"""Fit the gate's weights, and its list of common words, to the pairs in tests/gate.

    python -m benchmarks._gate_weights    fit, and write hooks/fanout_hooks/gate/weights.py

`left_out` is the honest figure: each author's pairs, judged with weights and words from the others' pairs.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Final, NamedTuple
from unittest.mock import patch

sys.path.append(str(Path(__file__).parents[1] / "tests"))  # as __main__ does

from benchmarks._logistic import fitted
from fanout_hooks.gate import dependence
from fanout_hooks.gate.dependence import (
    ARTICLE,
    FUNCTION_STEMS,
    WORD,
    Earlier,
    Pair,
    certain,
    score,
    signs,
    stem,
)
from gate.scenarios import load, pairs
from gate.test_depend_alone import ALONE, question_of
from gate.test_scenarios import play
from gate.unseen import by_author, second_of

FILE: Final = Path(dependence.__file__).with_name("weights.py")
RIDGE: Final = 0.2
COMMON: Final = 0.0125
"""The share of tasks that a common word is in."""
MIN_SCORE: Final = 1.45
"""With this no author's legitimate pair is denied by weights that haven't seen its author's."""
ONE_HAND: Final = frozenset({"doubts", "one verb", "corpus", "alone"})
"""Not by an author who had not read the rules: written to be denied, or long used to change them."""
WIDTH: Final = 105
TABLE: Final = '''\
"""What dependence.py weighs. Written by `python -m benchmarks._gate_weights`."""

MIN_SCORE = {score}
WEIGHTS = {{
{rows}
}}
COMMON = frozenset(
    """
{words}
    """.split()  # noqa: SIM905 - a page of words reads better than a list of strings
)
"""Words that many tasks have, whatever they are about: one of them is hardly a sign of dependence."""
'''

Question = tuple[str, Earlier, str, str]
"""What `dependence.why` was asked."""


class Asked(NamedTuple):
    author: str
    is_needless: bool
    question: Question


def every() -> list[Asked]:
    """Return the pairs that come to be judged: those in another language, say, don't."""
    alone = (own for own in load() if not any(step.slow for step in own.steps))
    found = [
        Asked("corpus", own.needless, asked) for own in alone for asked in _questions(partial(play, own))
    ]
    for author, written in by_author().items():
        for own in written:
            found += [Asked(author, own.needless, asked) for asked in _questions(partial(second_of, own))]
    found += [Asked("alone", is_needless=False, question=question_of(task)) for task in ALONE]
    found += [Asked("corpus", not own.depends, (own.second, own.first, own.prompt, "")) for own in pairs()]
    return [one for one in found if not dependence.not_ours(one.question[0], one.question[2])]


def _questions(played: Callable[[], object]) -> list[Question]:
    with patch.object(dependence, "why", return_value="asked") as why:
        played()
    return [call.args for call in why.call_args_list]


def common(asked: Iterable[Asked]) -> list[str]:
    """Return the words that many tasks have, each in the form that most of them have it in."""
    tasks: Counter[str] = Counter()
    forms: Counter[tuple[str, str]] = Counter()
    for text in {text for one in asked for text in (one.question[0], one.question[1].task)}:
        words = {word.casefold() for word in WORD.findall(ARTICLE.sub("", text))}
        forms.update((stem(word), word) for word in words)
        tasks.update(set(map(stem, words)))
        tasks[""] += 1
    usual = {stemmed: word for _, (stemmed, word) in sorted((count, form) for form, count in forms.items())}
    least = COMMON * tasks.pop("")
    return sorted(
        usual[own]
        for own, count in tasks.items()
        if count >= least and own not in FUNCTION_STEMS and not own.isdigit()
    )


def fit(asked: Iterable[Asked]) -> dict[str, float]:
    """Fit what is not certain; the common words are those of the moment."""
    judged = [(Pair(*one.question), one.is_needless) for one in asked]
    rows = [(signs(pair), is_needless) for pair, is_needless in judged if not certain(pair)]
    names = list(rows[0][0])
    weights = fitted(
        [(list(found.values()), 1, needless) for found, needless in rows], len(names), ridge=RIDGE
    )
    return {name: round(weight, 2) for name, weight in zip(names, weights, strict=True)}


class LeftOut(NamedTuple):
    """What came of an author's pairs that the weights had not seen."""

    needless: int
    sent_back: int
    legitimate: int
    denied: int


def left_out() -> dict[str, LeftOut]:
    """Judge the pairs of each author by what the pairs of all others give."""
    asked, found = every(), {}
    for author in dict.fromkeys(one.author for one in asked):
        others = [one for one in asked if one.author != author]
        with patch.object(dependence, "COMMON_STEMS", frozenset(map(stem, common(others)))):
            weights = fit(others)
            own = [(one.is_needless, _is_denied(one, weights)) for one in asked if one.author == author]
        denied = [[is_denied for needless, is_denied in own if needless is kind] for kind in (True, False)]
        found[author] = LeftOut(*chain.from_iterable((len(kind), sum(kind)) for kind in denied))
    return found


def _is_denied(one: Asked, weights: Mapping[str, float]) -> bool:
    pair = Pair(*one.question)
    return not certain(pair) and score(signs(pair), weights) >= MIN_SCORE


def _lines(words: Iterable[str]) -> str:
    lines = [""]
    for word in words:
        if len(lines[-1]) + len(word) >= WIDTH:
            lines.append("")
        lines[-1] += f" {word}"
    return "\n".join(f"   {line}" for line in lines)


def main() -> None:
    asked = every()
    words = common(asked)
    with patch.object(dependence, "COMMON_STEMS", frozenset(map(stem, words))):
        weights = fit(asked)
    rows = "\n".join(f'    "{name}": {weight},' for name, weight in weights.items())
    FILE.write_text(TABLE.format(score=MIN_SCORE, rows=rows, words=_lines(words)), "utf-8")
    for author, own in left_out().items():
        print(
            f"{author}: {own.sent_back} of {own.needless} sent back, {own.denied} of {own.legitimate} denied"
        )


if __name__ == "__main__":
    main()
