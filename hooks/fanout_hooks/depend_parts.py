"""Do two tasks look like parts of one request? Their shape and the human's words, nothing else.

What shows it: they are of one form (`are_alike`), begin with one verb, both only look at something, or are
both about what the human's prompt names. Where nothing shows it, depend.py lets the second pass.
"""

from __future__ import annotations

import re

from fanout_hooks import depend_words as words
from fanout_hooks.depend_frame import opening
from fanout_hooks.depend_text import COMMON, WORD, content, prompt_of, stem

CLAUSE_END = re.compile(r"[,.;:!?](?=\s|$)|\n|\band\b")
ALIKE = 0.5
"""The share of words that the first sentences of two tasks of one form have in common."""
NAMED_ALIKE = 0.15
"""As much is enough where the descriptions are of one form."""
LONGEST_NAME = 6
"""A description of more words is a sentence, and says nothing by its form."""


def are_alike(task: str, other: str) -> bool:
    """Say whether two tasks are one kind of work on two things.

    The same verb, and most words in common or descriptions that differ in one word ("Explore auth module").
    """
    one, two = opening(task, other), opening(other, task)
    if not one or not two or one[0] != two[0]:
        return False
    share = len(set(one) & set(two)) / len(set(one) | set(two))
    return share >= ALIKE or (share >= NAMED_ALIKE and _have_one_form(_name_of(task), _name_of(other)))


def could_go_together(task: str, other: str, human: str) -> bool:
    """Say whether anything shows that two tasks are parts of one request."""
    if are_alike(task, other):
        return True
    is_asked = _is_named(task, other, human)
    if is_asked and _is_named(other, task, human):
        return True
    if only_looks(task, other) and only_looks(other, task):
        return is_asked or not _is_in_trouble(other, human)
    changes = words.CHANGES.search(prompt_of(task))
    return _begin_alike(task, other) and (is_asked or not changes)


def _is_in_trouble(other: str, human: str) -> bool:
    """Say whether the other task began to look for what is wrong: who looks for a cause follows a trail."""
    troubled = "\n".join(clause for clause in CLAUSE_END.split(human) if words.TROUBLED.search(clause))
    about = set(map(stem, content(other, COMMON)))
    return any(stem(word) in about for word in content(troubled, COMMON))


def _begin_alike(task: str, other: str) -> bool:
    one, two = opening(task, other), opening(other, task)
    return one[:1] == two[:1] or _name_of(task)[:1] == _name_of(other)[:1]


def only_looks(task: str, other: str) -> bool:
    """Say whether a task, beside another one, is to look at something and to change nothing."""
    said = opening(task, other)
    return said[:1] != [] and said[0] in words.LOOKS and not words.CHANGES.search(prompt_of(task))


def _is_named(task: str, other: str, human: str) -> bool:
    """Say whether the human names something that one task is about and the other is not."""
    asked, shared = set(map(stem, content(human, COMMON))), set(map(stem, content(other, COMMON)))
    return any(own in asked and own not in shared for own in map(stem, content(task, COMMON)))


def _have_one_form(one: list[str], two: list[str]) -> bool:
    if len(one) != len(two) or not 2 <= len(one) <= LONGEST_NAME:
        return False
    return sum(left != right for left, right in zip(one, two, strict=True)) == 1


def _name_of(task: str) -> list[str]:
    return [word.casefold() for word in WORD.findall(task.partition("\n")[0])]
