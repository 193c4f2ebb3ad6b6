"""Texts as the rules of depend.py compare them: folded, spaced, stemmed, without what any two texts share."""

from __future__ import annotations

import re
from typing import NamedTuple

from fanout_hooks import depend_words as words
from fanout_hooks.depend_rule import Rule

WORD = re.compile(r"[^\W\d_]+")
CJK = Rule("[\u3040-\u30ff\u3400-\u9fff]+")
UNIT = re.compile(r"(?<=\d)(?=(?:ms|s|min|h|kb|mb|gb|px|x)\b)|(?<=\d)(?=%)", re.IGNORECASE)


class Earlier(NamedTuple):
    """An agent that ran before."""

    task: str
    """Its description, a line break, its prompt."""
    answer: str = ""
    kind: str = ""
    """Its subagent_type."""
    seen: str = ""
    """What other tools showed since."""


def content(text: str, but: frozenset[str]) -> list[str]:
    """Return the words that say what a text is about: all but some, however inflected."""
    found = (word.casefold() for word in WORD.findall(spaced(text)))
    return [word for word in found if len(word) >= 3 and word not in but and stem(word) not in but]


def is_general(word: str) -> bool:
    low = word.casefold()
    return len(low) < 2 or low in GENERAL or stem(low) in GENERAL


def stem(word: str) -> str:
    """Cut what inflects: `caching`, `cached` and `caches` are one word."""
    for ending in ("ations", "ation", "ings", "ing", "ies", "ers", "ed", "er", "es", "e", "s", "y"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word


COMMON = words.COMMON | frozenset(map(stem, words.COMMON))
GENERAL = words.GENERAL | frozenset(map(stem, words.GENERAL))


def prompt_of(task: str) -> str:
    """Return a task without its description."""
    return (task.partition("\n")[2] or task).strip()


def spaced(text: str) -> str:
    """Set Chinese and Japanese apart from Latin names, and numbers from their units."""
    return UNIT.sub(" ", text if text.isascii() else CJK.sub(r" \g<0> ", text))


def folded(text: str) -> str:
    return re.sub(r"(?<=\d),(?=\d)", "", " ".join(spaced(text).casefold().split()))


def stands_in(name: str, text: str) -> bool:
    """Whole words only: `42` is not in `1423`, `auth` not in `author`."""
    at = text.find(name)
    while at >= 0:
        end = at + len(name)
        if not (text[at - 1 : at].isalnum() and name[0].isalnum()) and not (
            text[end : end + 1].isalnum() and name[-1].isalnum()
        ):
            return True
        at = text.find(name, at + 1)
    return False


def shown(text: str) -> str:
    one_line = " ".join(text.split())
    return one_line if len(one_line) <= 40 else one_line[:39] + "…"
