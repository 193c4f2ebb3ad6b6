"""Do two tasks look like parts of one request? Their shape and the human's words, nothing else.

What shows it: they are of one form (`are_alike`), begin with one verb, both only look at something, or are
both about what the human's prompt names. Where nothing shows it, depend.py lets the second pass.
"""

from __future__ import annotations

from fanout_hooks import depend_words as words
from fanout_hooks.depend_text import COMMON, WORD, content, opening, prompt_of, stem

ALIKE = 0.5
"""The share of words that the first sentences of two tasks of one form have in common."""
LONGEST_NAME = 6
"""A description of more words is a sentence, and says nothing by its form."""


def are_alike(task: str, other: str) -> bool:
    """Say whether two tasks are one kind of work on two things.

    The same verb, and most words in common or descriptions that differ in one word ("Explore auth module").
    """
    one, two = opening(task), opening(other)
    if not one or not two or one[0] != two[0]:
        return False
    both = set(one) & set(two)
    return len(both) >= ALIKE * len(set(one) | set(two)) or _have_one_form(_name_of(task), _name_of(other))


def could_go_together(task: str, other: str, human: str) -> bool:
    """Say whether anything shows that two tasks are parts of one request."""
    one, two = opening(task), opening(other)
    if one[:1] == two[:1] or _name_of(task)[:1] == _name_of(other)[:1]:
        return True
    if _only_looks(task) and _only_looks(other):
        return True
    return _is_named(task, other, human) and _is_named(other, task, human)


def _only_looks(task: str) -> bool:
    return (
        opening(task)[:1] != []
        and opening(task)[0] in words.LOOKS
        and not words.CHANGES.search(prompt_of(task))
    )


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
