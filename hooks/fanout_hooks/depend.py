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
7. it changes, decides or weighs what the earlier agent looked into;
8. it can't be read alone (depend_alone.py);
9. nothing shows that both are parts of one request (depend_parts.py).

What both tasks say in the same words is no sign of anything (depend_frame.py). When in doubt the answer is
yes: a needless sequence costs seconds, a wrong block costs trust.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import chain, pairwise

from fanout_hooks import depend_back
from fanout_hooks import depend_words as words
from fanout_hooks.depend_alone import leans
from fanout_hooks.depend_frame import instruction, without_common_orders
from fanout_hooks.depend_parts import are_alike, could_go_together, only_looks
from fanout_hooks.depend_text import (
    COMMON,
    GENERAL,
    WORD,
    Earlier,
    content,
    folded,
    is_general,
    prompt_of,
    shown,
    spaced,
    stands_in,
    stem,
)

SHORT_ANSWER = 400
"""An answer this short that speaks of failure is one; in a long one it is a finding."""
UNUSUAL = 5
"""So many letters."""
UNUSUAL_WORDS = 2
"""Two tasks of one form may share one word by chance; others don't, nor does the name of a task."""
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
PROPER_NAME = re.compile(r"(?<=[a-z,;:] )[A-Z][a-z]{3,}\w*\b")


def why(task: str, earlier: Earlier, known: str, told: str = "") -> str:
    """Return in a few words why `task` depends on an earlier agent, or "" when it doesn't.

    `known` is what stood before any agent ran: the human's prompt. `told` is what agents before
    `earlier` said.
    """
    alike = are_alike(task, earlier.task)
    if words.SAYS_SO.search(task):
        return "it says so"
    if words.ONE_BY_ONE.search(known) or (not alike and words.AND_THEN_IT.search(known)):
        return "the user asked for an order"
    if phrase := _refers_back(task, earlier.task):
        return f"it refers back ({shown(phrase)})"
    before = f"{known}\n{earlier.task}"
    answers = f"{earlier.answer}\n{earlier.seen}"
    if name := _named_by_answers_alone(task, answers, before, alike=alike) or (
        "" if alike else _named_by_answers_alone(task, told, before, alike=True)
    ):
        return f"it names what an earlier answer says ({shown(name)})"
    if _is_another_attempt(task, earlier):
        return "the earlier agent did not finish this"
    if reason := _stands_on_changes(task, earlier, alike=alike) or _acts_on_what_was_read(
        task, earlier, alike=alike
    ):
        return reason
    if words_back := leans(task, earlier.task, answers, known, alike=alike):
        return f"it leans on what was said ({shown(words_back)})"
    if not task.isascii() and words.UNREAD_SCRIPT.search(task):
        return "its language is not read here"
    return (
        "" if could_go_together(task, earlier.task, known) else "nothing shows that the two are of one kind"
    )


def _refers_back(task: str, other: str) -> str:
    """Return the phrase that refers back; what the earlier task says too is the form of both."""
    same = folded(other)
    elsewhere = (match.group() for match in words.ELSEWHERE_REFERS_BACK.finditer(task))
    for phrase in chain(depend_back.phrases(task), elsewhere):
        if not stands_in(folded(phrase), same):
            return phrase
    found = words.FOUND.search(words.REPORT_WHAT_IS_FOUND.sub(" ", task))
    return found.group() if found and not words.FOUND.search(other) else ""


# --- what the answers alone contain ------------------------------------------------------------------------


def _named_by_answers_alone(task: str, answers: str, known: str, *, alike: bool) -> str:
    answer_text, known_text = folded(answers), folded(known)
    if not answer_text:
        return ""

    def is_new(name: str) -> bool:
        return not stands_in(name, known_text)

    def is_news(name: str) -> bool:
        return is_new(name) and stands_in(name, answer_text)

    for name in _names(spaced(task)):
        low = folded(name)
        if len(low) > 1 and is_news(low):
            return name
    prompt, name = prompt_of(task), task.partition("\n")[0]
    own = {word for word in content(prompt, GENERAL) if len(word) >= UNUSUAL}
    unusual = sorted(filter(is_news, own))
    subject = [word for word in unusual if stands_in(word, folded(name))]
    if len(unusual) >= UNUSUAL_WORDS or subject or (unusual and not alike):
        return ", ".join(unusual)
    inflected = sorted(word for word in own if _is_inflected_news(word, is_new, is_news))
    if len(inflected) >= UNUSUAL_WORDS or any(stands_in(word, folded(name)) for word in inflected):
        return ", ".join(inflected)
    return next((phrase for phrase in _phrases(folded(prompt)) if is_news(phrase)), "")


def _is_inflected_news(word: str, is_new: Callable[[str], bool], is_news: Callable[[str], bool]) -> bool:
    return all(map(is_new, _numbers(word))) and any(map(is_news, _numbers(word)))


def _numbers(word: str) -> tuple[str, str]:
    """Return a word in singular and plural, as far as an "s" makes it."""
    single = word.removesuffix("s")
    return single, f"{single}s"


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
    return bool(parts) and all(map(is_general, parts))


def _phrases(text: str) -> Iterator[str]:
    """Every run of words that holds something particular: pairs that mean something, and longer runs."""
    found = text.split()
    for pair in pairwise(found):
        if all(part.isalpha() and part not in COMMON for part in pair) and not all(map(is_general, pair)):
            yield " ".join(pair)
    for start in range(len(found) - PHRASE + 1):
        run = " ".join(found[start : start + PHRASE])
        if not _is_plain(run):
            yield run


# --- what the earlier agent did ----------------------------------------------------------------------------


def _is_another_attempt(task: str, earlier: Earlier) -> bool:
    if folded(prompt_of(task)) == folded(prompt_of(earlier.task)):
        return True
    said, theirs = instruction(task, earlier.task), instruction(earlier.task, task)
    if (
        words.SEARCHES.match(said)
        and words.SEARCHES.match(theirs)
        and words.NOTHING_FOUND.search(earlier.answer)
    ):
        return True
    return len(earlier.answer) <= SHORT_ANSWER and bool(words.DID_NOT_FINISH.search(earlier.answer))


def _stands_on_changes(task: str, earlier: Earlier, *, alike: bool) -> str:
    reads_only = earlier.kind.lower() in words.READS_ONLY or words.WRITES_NOTHING.search(earlier.task)
    if reads_only or not words.CHANGES.search(earlier.task) or _only_its_name_says_so(earlier.task, task):
        return ""
    if (name := _shared_name(task, earlier.task)) and not (alike and _have_own_files(task, earlier.task)):
        return f"both work on {shown(name)}, which the earlier agent changed"
    if alike:
        return ""
    if words.CHECKS.search(task):
        return "it checks what the earlier agent changed"
    if words.FOUNDATION.search(earlier.task):
        return "it stands on what the earlier agent set up"
    if shared := _shared_subject(task, earlier.task):
        return f"it works on what the earlier agent changed ({shared})"
    return ""


def _only_its_name_says_so(task: str, other: str) -> bool:
    """Say whether a name's verb is a noun: "Build caching", over a prompt that asks about "our build"."""
    name, _, prompt = task.partition("\n")
    verb = WORD.match(name)
    if verb is None or not only_looks(task, other):
        return False
    return bool(
        re.search(rf"\b(?:the|an?|our|its|this|each)\s+(?:\w+\s+)?{verb.group()}s?\b", prompt, re.IGNORECASE)
    )


def _acts_on_what_was_read(task: str, earlier: Earlier, *, alike: bool) -> str:
    acts = words.CHANGES.search(task) or words.DECIDES.search(task)
    planned = earlier.kind.lower() == "plan" or words.DECIDES.search(earlier.task)
    if planned and words.CHANGES.search(task) and not words.CHANGES.search(earlier.task):
        return "it carries out what was planned"
    changed = words.CHANGES.search(earlier.task) and earlier.kind.lower() not in words.READS_ONLY
    shared = _shared_subject(task, earlier.task)
    if acts and not changed and shared and not alike:
        return f"it acts on what the earlier agent looked into ({shared})"
    if words.WEIGHS.match(instruction(task, earlier.task)) and shared and not alike:
        return f"it weighs what the earlier agent looked into ({shared})"
    if words.IN_DEPTH.search(task) and not words.IN_DEPTH.search(earlier.task) and shared:
        return f"it goes deeper into what the earlier agent looked into ({shared})"
    return ""


def _have_own_files(task: str, other: str) -> bool:
    """Say whether each names a file or folder of its own: what they share is then what both go by."""
    mine, theirs = set(PATH.findall(spaced(task))), set(PATH.findall(spaced(other)))
    return bool(mine - theirs) and bool(theirs - mine)


def _shared_name(task: str, other: str) -> str:
    """Return a path, identifier or quoted phrase that stands in both; a folder shares what is below it."""
    mine, theirs = _names_of_its_own(task, other), _names_of_its_own(other, task)
    for name in mine:
        for own in theirs:
            if name == own or name.startswith(own + "/") or own.startswith(name + "/"):
                return name
    return ""


def _names_of_its_own(task: str, other: str) -> list[str]:
    """Return its names; of what both tasks say in the same words only the files."""
    files = [path for path in PATH.findall(spaced(task)) if "." in path.rpartition("/")[2]]
    return list(dict.fromkeys((*_names(spaced(without_common_orders(task, other))), *files)))


def _shared_subject(task: str, other: str) -> str:
    mine, theirs = without_common_orders(task, other), without_common_orders(other, task)
    known = {stem(word) for word in content(theirs, COMMON)}
    return next((word for word in sorted(content(mine, COMMON)) if stem(word) in known), "")
