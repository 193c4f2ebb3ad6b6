"""Does an agent call depend on what earlier agents answered or did? Words in, a reason out; nothing else.

A call depends when one of these holds, tried in this order (the words stand in depend_words.py):

1. it says so: a line `depends on: ...`;
2. the human asked for an order: "one by one", "first ... then";
3. it refers back: "based on", "found above", "the earlier report", "those files", "now that", and their like;
4. it names what only the earlier answer contains: a path, an identifier, a number, a quoted phrase, unusual
   words that stood neither in the human's prompt nor in the earlier agent's own task. What answers before
   that one contain counts too, unless the two tasks are alike: then they could have gone together;
5. the earlier agent didn't get to its end, or this is the same task: a second attempt;
6. the earlier agent changed something, and this one works on the same, checks it, or stands on it;
7. it changes or decides what the earlier agent looked into.

When in doubt the answer is yes: a needless sequence costs seconds, a wrong block costs trust.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from fanout_hooks import depend_words as words

SHORT_ANSWER = 400
"""An answer this short that speaks of failure is one; in a long one it is a finding."""
ALIKE = 0.5
"""The share of words that the first sentences of two tasks of one kind have in common."""
UNUSUAL_WORDS = 2
PHRASE = 5
"""So many words in a row are no chance."""

PATH = re.compile(r"(?<![\w/.-])(?:[\w.@-]+/)+[\w.@-]*\w|\b[\w-]+\.[A-Za-z]\w{0,5}\b(?::\d+)?")
IDENTIFIER = re.compile(
    r"\b(?:[A-Za-z]+_\w+|_\w{2,}|[a-z]+[A-Z]\w*|[A-Z][a-z0-9]+[A-Z]\w*|[A-Z]{2,}[-_]?\d+|[A-Z][A-Z0-9]{2,}|\w+\(\)|"
    r"(?=[0-9a-f]*\d)[0-9a-f]{7,40})|(?<!\w)--[a-z][\w-]+"
)
HYPHENATED = re.compile(r"(?<![\w/.-])[a-z]{2,}(?:-[a-z0-9]+)+(?![\w/.-])")
NUMBER = re.compile(
    r"(?<![\w.])v?\d[\d,.]*\d(?!\w)(?!\s*(?:words?|lines?|bullets?|sentences?|findings|items|points|characters|tokens)\b)"
    r"|(?<=:)\d+\b",
    re.IGNORECASE,
)
QUOTED = re.compile(
    r"`([^`\n]{2,200})`|\"([^\"\n]{4,200})\"|“([^”\n]{4,200})”|«([^»\n]{4,200})»|„([^“\n]{4,200})“"
    r"|「([^」\n]{2,200})」|(?<!\w)'([^'\n]{4,200})'(?!\w)"
)
PROPER_NAME = re.compile(r"(?<=[a-z,;] )[A-Z][a-z]{3,}\w*\b")
WORD = re.compile(r"[^\W\d_]+")
CJK = re.compile("[\u3040-\u30ff\u3400-\u9fff]+")
UNIT = re.compile(r"(?<=\d)(?=(?:ms|s|min|h|kb|mb|gb|px|x)\b)|(?<=\d)(?=%)", re.IGNORECASE)
SENTENCE_END = re.compile(r"[.!?](?=\s|$)|\n")


class Earlier(NamedTuple):
    """An agent that ran before."""

    task: str
    """Its description, a line break, its prompt."""
    answer: str = ""
    kind: str = ""
    """Its subagent_type."""
    seen: str = ""
    """What other tools showed since."""


def why(task: str, earlier: Earlier, known: str, told: str = "") -> str:
    """Return in a few words why `task` depends on an earlier agent, or "" when it doesn't.

    `known` is what stood before any agent ran: the human's prompt. `told` is what agents before
    `earlier` said.
    """
    if words.SAYS_SO.search(task):
        return "it says so"
    if words.ONE_BY_ONE.search(known):
        return "the user asked for an order"
    if match := words.REFERS_BACK.search(task) or words.ELSEWHERE_REFERS_BACK.search(task):
        return f"it refers back ({_shown(match.group())})"
    if words.FOUND.search(words.REPORT_WHAT_IS_FOUND.sub(" ", task)):
        return "it refers back (found)"
    before = f"{known}\n{earlier.task}"
    alike = are_alike(task, earlier.task)
    answers = f"{earlier.answer}\n{earlier.seen}"
    if name := _named_by_answers_alone(task, answers, before) or (
        "" if alike else _named_by_answers_alone(task, told, before)
    ):
        return f"it names what an earlier answer says ({_shown(name)})"
    if _is_another_attempt(task, earlier):
        return "the earlier agent did not finish this"
    if reason := _stands_on_changes(task, earlier, alike=alike) or _acts_on_what_was_read(task, earlier):
        return reason
    return "its language is not read here" if words.UNREAD_SCRIPT.search(task) else ""


def are_alike(task: str, other: str) -> bool:
    """Say whether two tasks are one kind of work on two things: the same verb, and most words in common."""
    one, two = _opening(task), _opening(other)
    if not one or not two or one[0] != two[0]:
        return False
    both = set(one) & set(two)
    return len(both) >= ALIKE * len(set(one) | set(two))


# --- what the answers alone contain ------------------------------------------------------------------------


def _named_by_answers_alone(task: str, answers: str, known: str) -> str:
    answer_text, known_text = _folded(answers), _folded(known)
    if not answer_text:
        return ""

    def is_news(name: str) -> bool:
        return _stands_in(name, answer_text) and not _stands_in(name, known_text)

    for name in _names(_spaced(task)):
        folded = _folded(name)
        if len(folded) > 1 and is_news(folded):
            return name
    prompt = task.partition("\n")[2] or task
    unusual = sorted({word for word in _content(prompt, _GENERAL) if len(word) >= 5 and is_news(word)})
    if len(unusual) >= UNUSUAL_WORDS:
        return ", ".join(unusual)
    return next((phrase for phrase in _phrases(_folded(prompt)) if is_news(phrase)), "")


def _names(task: str) -> list[str]:
    """Every path, identifier, number, quoted phrase and proper name of a task, the longest first."""
    names = {
        match.group().rstrip(".,")
        for rule in (PATH, IDENTIFIER, NUMBER, PROPER_NAME, HYPHENATED)
        for match in rule.finditer(task)
    }
    names = {name for name in names if not _is_plain(name)}
    for match in QUOTED.finditer(task):
        names.add(next(group for group in match.groups() if group))
    return sorted(names, key=lambda name: (-len(name), name))


def _is_plain(name: str) -> bool:
    parts = WORD.findall(name)
    return bool(parts) and all(map(_is_general, parts))


def _phrases(text: str) -> Iterator[str]:
    """Every run of words that holds something particular: pairs that mean something, and longer runs."""
    found = text.split()
    for pair in pairwise(found):
        if all(part.isalpha() and part not in _COMMON for part in pair) and not all(map(_is_general, pair)):
            yield " ".join(pair)
    for start in range(len(found) - PHRASE + 1):
        run = " ".join(found[start : start + PHRASE])
        if not _is_plain(run):
            yield run


def _stands_in(name: str, text: str) -> bool:
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


# --- what the earlier agent did ----------------------------------------------------------------------------


def _is_another_attempt(task: str, earlier: Earlier) -> bool:
    if _folded(task) == _folded(earlier.task):
        return True
    return len(earlier.answer) <= SHORT_ANSWER and bool(words.DID_NOT_FINISH.search(earlier.answer))


def _stands_on_changes(task: str, earlier: Earlier, *, alike: bool) -> str:
    reads_only = earlier.kind.lower() in words.READS_ONLY or words.WRITES_NOTHING.search(earlier.task)
    if reads_only or not words.CHANGES.search(earlier.task):
        return ""
    if name := _shared_name(task, earlier.task):
        return f"both work on {_shown(name)}, which the earlier agent changed"
    if alike:
        return ""
    if words.CHECKS.search(task):
        return "it checks what the earlier agent changed"
    if words.FOUNDATION.search(earlier.task):
        return "it stands on what the earlier agent set up"
    if shared := _shared_subject(task, earlier.task):
        return f"it works on what the earlier agent changed ({shared})"
    return ""


def _acts_on_what_was_read(task: str, earlier: Earlier) -> str:
    acts = words.CHANGES.search(task) or words.DECIDES.search(task)
    planned = earlier.kind.lower() == "plan" or words.DECIDES.search(earlier.task)
    if planned and words.CHANGES.search(task) and not words.CHANGES.search(earlier.task):
        return "it carries out what was planned"
    changed = words.CHANGES.search(earlier.task) and earlier.kind.lower() not in words.READS_ONLY
    shared = _shared_subject(task, earlier.task)
    if acts and not changed and shared:
        return f"it acts on what the earlier agent looked into ({shared})"
    if words.IN_DEPTH.search(task) and not words.IN_DEPTH.search(earlier.task) and shared:
        return f"it goes deeper into what the earlier agent looked into ({shared})"
    return ""


def _shared_name(task: str, other: str) -> str:
    """Return a path, identifier or quoted phrase that stands in both; a folder shares what is below it."""
    mine, theirs = _names(_spaced(task)), _names(_spaced(other))
    for name in mine:
        for own in theirs:
            if name == own or name.startswith(own + "/") or own.startswith(name + "/"):
                return name
    return ""


def _shared_subject(task: str, other: str) -> str:
    mine = {_stem(word): word for word in _content(task, _COMMON)}
    theirs = {_stem(word) for word in _content(other, _COMMON)}
    return next((word for stem, word in sorted(mine.items()) if stem in theirs), "")


# --- words -------------------------------------------------------------------------------------------------


def _content(text: str, but: frozenset[str]) -> list[str]:
    """Return the words that say what a text is about: all but some, however inflected."""
    found = (word.casefold() for word in WORD.findall(_spaced(text)))
    return [word for word in found if len(word) >= 3 and word not in but and _stem(word) not in but]


def _is_general(word: str) -> bool:
    folded = word.casefold()
    return len(folded) < 2 or folded in _GENERAL or _stem(folded) in _GENERAL


def _stem(word: str) -> str:
    """Cut what inflects: `caching`, `cached` and `caches` are one word."""
    for ending in ("ations", "ation", "ings", "ing", "ies", "ers", "ed", "er", "es", "e", "s", "y"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word


_COMMON = words.COMMON | frozenset(map(_stem, words.COMMON))
_GENERAL = words.GENERAL | frozenset(map(_stem, words.GENERAL))


def _opening(task: str) -> list[str]:
    """Return the words of the first sentence of the prompt."""
    prompt = (task.partition("\n")[2] or task).strip()
    return [word.casefold() for word in WORD.findall(SENTENCE_END.split(prompt, maxsplit=1)[0])]


def _spaced(text: str) -> str:
    """Set Chinese and Japanese apart from Latin names, and numbers from their units."""
    return UNIT.sub(" ", CJK.sub(r" \g<0> ", text))


def _folded(text: str) -> str:
    return re.sub(r"(?<=\d),(?=\d)", "", " ".join(_spaced(text).casefold().split()))


def _shown(text: str) -> str:
    one_line = " ".join(text.split())
    return one_line if len(one_line) <= 40 else one_line[:39] + "…"
