"""Does a task stand alone? One that leans on what was said before can't be read without it.

It leans when, in the sentence that says what is to be done,

1. a word needs another that it means ("it", "both", "the cause"), and nothing before it could be meant;
2. it compares with what isn't there ("similar places", "who else", "the same flaw", "search harder");
3. it is the earlier task again with something added: a closer look;
4. it speaks of what the earlier task is named for, or of the one that was asked for ("which job": "the
   integration job");
5. it speaks of *the* bug, *the* callers, and only the earlier agent can have told of them;
6. it has no subject of its own at all ("give me more details").

Of two tasks of one form 5 and 6 say nothing: there the form is the boilerplate, and the subject one word.
"""

from __future__ import annotations

import re
from itertools import chain

from fanout_hooks.depend_frame import OF_THE_PROJECT, instruction, said_before, without_common_orders
from fanout_hooks.depend_rule import Rule
from fanout_hooks.depend_text import (
    COMMON,
    GENERAL,
    content,
    folded,
    prompt_of,
    stands_in,
    stem,
)

_END = r"(?=\s*[.,;:!?)]|\s*$)"
_OF_IT = r"(?=\s+(?:for|to|of|in|behind)\s+(?:it|them|this|that|these|those|each|both)\b)"
_AUX = r"(?:is|was|has|had|does|did|can|could|will|would|should|may|might|also|still|too|really|always|only)"
_ALREADY = r"(?:(?:have|had|just|already)\s+)*"
_OF_SOMETHING = (
    r"alternative|implication|consequence|cause|origin|impact|evidence|solution|workaround|fix(?=es)|trade-?off|"
    r"pros\s+and\s+con|reason|effect|severity|remed(?:y|ie)|mitigation|counterexample|proof|claim|example"
)
NEEDS_A_MEANING = Rule(
    "|".join(
        (
            r"\bit(?:s|self)?\b(?!\s+(?:is|was|would\s+be|takes|makes\s+sense)\b.{0,40}\b(?:to|that|if|worth)\b)",
            r"\b(?:they|them|their|theirs)\b",
            rf"\bth(?:is|at|ese|ose)\s+(?:{_AUX}|in|as|with|for|on|by|against|about)\b",
            r"\bthis\s+\w+[^\Wsui]s\b",
            r"\bboth\b(?!.{1,60}\band\b)|\bthe\s+(?:two|three|four|five|former|latter|pair)" + _END,
            r"\b(?:of|between|among|for|to)\s+each" + _END,
            rf"\b(?:{_OF_SOMETHING})(?:e?s)?(?:{_END}|{_OF_IT})",
        )
    ),
    re.IGNORECASE,
)
COMPARES = Rule(
    rf"\bth(?:is|at|ese|ose){_END}|\b(?:for|against|about)\s+the\s+(?:claim|hypothesis|suspicion|assumption)s?{_END}"
    r"|\b(?:more|other|any|all|another|further)\s+such\b|\bsuch\s+(?:places?|cases?|code|things?)\b"
    r"|\bsimilar\b(?!\s+to\b)|\bthe\s+same\s+(?!time\b|as\b|format\b|way\s+as\b)\w+"
    r"|\b(?:who|what|where|which|somewhere)\s+else\b|\belsewhere\b|\bso\s+far\b"
    r"|\bmore\s+(?:details?|examples?|about|on|information|such|of)\b|\btell\s+me\s+more\b"
    r"|\b(?:harder|deeper|more\s+(?:thoroughly|carefully|closely|deeply))\b"
    rf"|\byou\s+{_ALREADY}(?:\w+ed|left|found|saw|wrote|made|said|gave|did)\b"
    rf"|\b(?:was|were)\s+{_ALREADY}said\b"
    r"|\b(?:look|search|check|read|start|stop)\s+(?:in\s+)?there\b"
    r"|\bthe\s+(?:first|second|third|fourth|last|next|other|latter|bigger|smaller|better|worse)\s+ones?\b"
    r"|\b(?:option|variant|alternative|approach|choice|proposal|idea|point|finding|hypothesis)\s+(?:[A-E]|[1-9])\b",
    re.IGNORECASE,
)
AMOUNT = Rule(
    r"\d(?!\d|\s*(?:words?|sentences?|bullets?|paragraphs?|characters|tokens|items|points)\b)", re.IGNORECASE
)
WHICH = Rule(r"\b(?:which|what)\s+([^\W\d_]{3,})\b", re.IGNORECASE)
LABEL = re.compile(r"[^\W\d_]{1,40} \d{1,9}\b")
MINE = Rule(r"\byour\s+(?:\w+\s+)?\w+", re.IGNORECASE)
"""What an agent is asked to tell is its own, too: "report your findings"."""
TELLS = Rule(
    r"\b(?:report|keep|return|write|give|limit|list|support|back|justify|use|save|explain|put)\b",
    re.IGNORECASE,
)
_NO_NOUN = r"(?!(?:of|in|on|at|by|to|for|from|with|and|or|that|which|who|when|is|are|was|were|as)\b)"
DEFINITE = Rule(
    rf"\b(?:the|these|those)\s+(?:(?:two|three|four|five|six|\d+)\s+)?({_NO_NOUN}[\w-]+(?:\s+{_NO_NOUN}[\w-]+){{0,2}})",
    re.IGNORECASE,
)
SEEKS = Rule(
    r"\b(?:find|list|identify|collect|gather|for)\s+(?:(?:all|every|any|the)\s+)?(?:\w+\s+){0,2}?([^\W\d_]{3,}s)\b",
    re.IGNORECASE,
)
THE_SOUGHT = Rule(
    r"(?<!find )(?<!list )(?<!for )\b(?:the|all|each|every|these|those|both|of)\s+(?:of\s+the\s+|the\s+)?"
    r"((?:[\w-]+\s+)?[\w-]+)",
    re.IGNORECASE,
)
TROUBLE = Rule(
    r"\bthe\s+((?:[\w-]+\s+){1,2}?)(?:issue|bug|problem|error|failure|crash|leak|race|regression|flaw|behaviou?r|"
    r"vulnerability|bottleneck|point|spot|part|case)s?\b",
    re.IGNORECASE,
)


def leans(task: str, earlier: str, answer: str, human: str, *, alike: bool) -> str:
    """Return the words by which a task leans on what was said before it, or ""."""
    said, known = instruction(task, earlier), f"{human}\n{earlier}"
    word = (
        _needy(said, said_before(task, earlier), earlier)
        or _compares(said, earlier)
        or _looks_closer(said, instruction(earlier, task))
        or _speaks_of(task, earlier)
        or _answers_which(said, earlier, answer, known)
    )
    if word or alike:
        return word
    return _sought(said, earlier) or _told_of(said, answer, known) or _without_subject(task, earlier)


def _needy(said: str, ahead: str, earlier: str) -> str:
    for match in NEEDS_A_MEANING.finditer(said):
        before = f"{ahead}\n{said[: match.start()].partition(' ')[2]}"  # its verb is no subject
        if _has_subject(before):
            return ""
        if not stands_in(folded(match.group()), folded(earlier)):
            return match.group()
    return ""


def _compares(said: str, earlier: str) -> str:
    for rule in (COMPARES,) if TELLS.search(said) else (COMPARES, MINE):
        told_both = {folded(match.group()) for match in rule.finditer(earlier)}
        for match in rule.finditer(said):
            if folded(match.group()) not in told_both:
                return match.group()
    return ""


def _has_subject(text: str) -> bool:
    if content(text, GENERAL) or OF_THE_PROJECT.search(text):
        return True
    return any(mark in text for mark in "/_`\"'") or any(map(str.isdigit, text))


def _looks_closer(said: str, other: str) -> str:
    mine, theirs = ({word.strip(".,;:") for word in folded(text).split()} for text in (said, other))
    return "the same, more closely" if content(other, COMMON) and theirs < mine else ""


def _speaks_of(task: str, earlier: str) -> str:
    """Return a word of a task's own for which the earlier one is named, and it isn't."""
    name, theirs = task.partition("\n")[0], earlier.partition("\n")[0]
    said = prompt_of(without_common_orders(task, earlier))
    told_apart = set(map(stem, content(theirs, COMMON))) - set(map(stem, content(name, COMMON)))
    words = (word for word in content(said, COMMON) if stem(word) in told_apart)
    numbered = set(LABEL.findall(theirs.casefold())) - set(LABEL.findall(name.casefold()))
    labels = (label for label in numbered if stands_in(label, folded(said)))
    return next(chain(words, labels), "")


def _answers_which(said: str, earlier: str, answer: str, known: str) -> str:
    """Return "the integration job", where the earlier task asked "which job" and the answer says which."""
    for asked in (match.group(1) for match in WHICH.finditer(earlier)):
        for match in re.finditer(rf"\bthe\s+([\w-]+)\s+{asked}s?\b", said, re.IGNORECASE):
            which = match.group(1).casefold()
            if stands_in(which, folded(answer)) and not stands_in(which, folded(known)):
                return match.group()
    return ""


def _sought(said: str, earlier: str) -> str:
    """Return words that speak of what the earlier agent was to look for as of something known."""
    sought = {stem(match.group(1).casefold()) for match in SEEKS.finditer(earlier)}
    for match in THE_SOUGHT.finditer(said):
        if sought.intersection(map(stem, content(match.group(1), COMMON))):
            return match.group()
    return ""


def _told_of(said: str, answer: str, known: str) -> str:
    told, before = (set(map(stem, content(text, COMMON))) for text in (answer, known))
    for match in DEFINITE.finditer(said):
        if (told - before).intersection(map(stem, content(match.group(1), COMMON))):
            return match.group()
    for match in TROUBLE.finditer(said):
        kind = set(map(stem, content(match.group(1), GENERAL)))
        if kind and not kind & before:
            return match.group()
    return ""


def _without_subject(task: str, earlier: str) -> str:
    """Return the start of a task with no word of its own; "the API" is one, though any answer may hold it."""
    theirs = set(map(stem, content(earlier, COMMON)))
    has_own = any(stem(word) not in theirs for word in content(task, COMMON))
    if has_own or AMOUNT.search(instruction(task, earlier)):
        return ""
    return " ".join(prompt_of(task).split()[:6])
