"""What a task says besides its own: who the agent is, where it works, how it is to answer.

Two tasks of one session often begin and end in the same words. Those words are no sign that the two are of
one form, nor that one works on what the other did. So they are set aside before two tasks are compared: the
*instruction* is the first order that the other task doesn't give in the same words.
"""

from __future__ import annotations

import re

from fanout_hooks import depend_words as words
from fanout_hooks.depend_rule import Rule
from fanout_hooks.depend_text import WORD, prompt_of

UNIT_END = re.compile(r"[.!?:](?=\s|$)|\n|(?<=[\u3002\uff1a])")
FILLER = Rule(
    r"(?:[\s*#>-]|\d+[.)]\s|(?:please|now|then|next|finally|also|first|ok(?:ay)?|great|and|thoroughly|carefully|quickly|"
    r"(?:can|could)\s+you|(?:i|we)\s+(?:want|need|would\s+like)\s+(?:you\s+)?to|(?:your|the)\s+(?:task|job|goal)\s+is\s+to)"
    r"\b,?)+",
    re.IGNORECASE,
)
PERSONA = Rule(r"\W*(?:you(?:['\u2019]re|\s+are)|act\s+as)\b", re.IGNORECASE)
STATES = Rule(r"\W*(?:the|an?|this|these|our|we|you|it|there|in|on|all)\b", re.IGNORECASE)
OF_THE_PROJECT = Rule(
    r"\b(?:repo|repository|project|code\s?base|mono\w+|application|working\s+(?:directory|on)|stack)\b",
    re.IGNORECASE,
)
ORDER = 3
"""Sentences that begin with so many words in common are one order."""


def instruction(task: str, other: str) -> str:
    """Return the sentence of a task that says what is to be done, of two tasks that are compared."""
    units, own = _units_and_own(task, other)
    before = units[: units.index(own[0])] if own else units
    # "Read CLAUDE.md. Fix the header": the second. "Review the header: security": the first
    chosen = _first_order(own) or _first_order(before) or own[:1] or units[:1]
    return chosen[0] if chosen else ""


def said_before(task: str, other: str) -> str:
    """Return what a task alone says ahead of its instruction: what a pronoun there may mean."""
    _, own = _units_and_own(task, other)
    said = instruction(task, other)
    before = own[: own.index(said)] if said in own else []
    return "\n".join(unit for unit in before if not PERSONA.match(unit))


def opening(task: str, other: str) -> list[str]:
    """Return the words of its instruction."""
    return [word.casefold() for word in WORD.findall(instruction(task, other))]


def without_common_orders(task: str, other: str) -> str:
    """Return a task without the orders and the words about the project that `other` gives too.

    "Follow the existing conventions", not "The shop page is in web/shop.tsx".
    """
    theirs = {_beginning(own) for own in _units(prompt_of(other))}
    said = instruction(task, other)
    name = task.partition("\n")[0]
    own = (unit for unit in _units(prompt_of(task)) if _is_own(unit, theirs) or unit == said)
    return "\n".join((name, *own))


def _units_and_own(task: str, other: str) -> tuple[list[str], list[str]]:
    units = _units(prompt_of(task))
    theirs = {unit.casefold() for unit in _units(prompt_of(other))}
    return units, [unit for unit in units if unit.casefold() not in theirs]


def _units(text: str) -> list[str]:
    found = (unit[_filler(unit) :].strip() for unit in UNIT_END.split(text))
    return [unit for unit in found if unit]


def _filler(unit: str) -> int:
    match = FILLER.match(unit)
    return match.end() if match else 0


def _first_order(units: list[str]) -> list[str]:
    return [unit for unit in units if is_order(unit)][:1]


def is_order(unit: str) -> bool:
    """Say whether a sentence begins with a verb that says what to do."""
    first = WORD.match(unit)
    if first and first.group().casefold() in words.LOOKS:
        return True
    return any(rule.match(unit) for rule in (words.CHANGES, words.CHECKS, words.DECIDES))


def _is_own(unit: str, theirs: set[tuple[str, ...]]) -> bool:
    states = STATES.match(unit) and not (PERSONA.match(unit) or OF_THE_PROJECT.search(unit))
    return bool(states) or _beginning(unit) not in theirs


def _beginning(sentence: str) -> tuple[str, ...]:
    return tuple(word.casefold() for word in WORD.findall(sentence)[:ORDER])
