"""Does an agent call depend on what an earlier agent answered or did? Words in, a reason out; nothing else.

A call depends when one of these holds, tried in this order:

1. it says so: a line `depends on: ...`;
2. it refers back: "based on", "found above", "the earlier report", "those files", "now that", and their like;
3. it names what only the earlier answer contains: a path, an identifier, a number, a quoted phrase that stood
   neither in the human's prompt nor in the earlier agent's own task;
4. it checks what the earlier agent made: the earlier task was to change something, this one is to test,
   review or describe.

When in doubt the answer is yes: a needless sequence costs seconds, a wrong block costs trust.
"""

from __future__ import annotations

import re

SAYS_SO = re.compile(r"\bdepends?\s+(?:up)?on\s*:", re.IGNORECASE)

_NOUN = (
    r"(?:answers?|results?|reports?|findings?|outputs?|summar(?:y|ies)|analys[ie]s|explorations?|"
    r"investigations?|research|inventory|diagnos[ie]s|recommendations?|suggestions?|conclusions?)"
)
_AGENT = (
    rf"(?:agents?|{_NOUN}|audits?|reviews?|lists?|plans?|designs?|proposals?|scans?|searches|surveys?|steps?)"
)
_EARLIER = r"(?:earlier|previous(?:ly)?|prior|preceding|first|last|initial|other|former|above|recent)"
_CHANGE = r"(?:changes?|fix(?:es)?|patch(?:es)?|edits?|refactor(?:ing)?|rewrite|additions?|commits?)"
_THING = (
    r"(?:files?|functions?|modules?|issues?|bugs?|problems?|errors?|failures?|causes?|class(?:es)?|"
    r"hypothes[ie]s|candidates?|places?|call\s+sites?|tests?|spots?|risks?|approach(?:es)?|options?)"
)
_FORWARD = r"(?!\s*[:(]|\s+(?:in|at|under|from|of)\s+(?:the\b|an?\b|[\w.-]*/|\w+\.\w))"
"""What follows points forward ("these files: a.py") or to the project ("the results of the query")."""
_SAW = (
    r"(?:found|identified|discovered|uncovered|reported|located|listed|flagged|mentioned|produced|wrote|made|"
    r"suggested|recommended|proposed|concluded|implemented|added|changed|fixed|written|created|refactored)"
)

_THE = r"(?:the|its|their|that|this|these|those)"
_WITH = r"(?:use|using|with|from|given|per|following|in|apply|follow|take|read|extend|on)"
_DO = r"(?:implement|follow|apply|execute|carry\s+out)"
_DOUBT = r"(?:confirm|verify|validate|reproduce|refute|challenge|falsify)"

REFERS_BACK = re.compile(
    "|".join(
        (
            r"\b(?:based|building|relying|drawing|acting)\s+(?:up)?on\b",
            r"\babove\b(?!\s+\d)|\b(?:aforementioned|previously|beforehand)\b",
            r"\bearlier\b(?!\s+(?:than|versions?)\b)",
            rf"\b(?:the|its|their|an?|your|that|this)\s+{_EARLIER}\s+{_AGENT}\b",
            rf"\b{_WITH}\s+{_THE}\s+(?:\w+\s+)?{_NOUN}\b{_FORWARD}",
            rf"\b{_DO}\s+{_THE}\s+(?:\w+\s+)?(?:{_NOUN}|plans?|designs?|proposals?|steps?)\b{_FORWARD}",
            rf"\b(?:these|those|that|this)\s+(?:\w+\s+)?(?:{_NOUN}|{_THING})\b{_FORWARD}",
            rf"\bas\s+(?:{_SAW}|described|noted|planned|designed|explained)\b",
            r"\baccording\s+to\s+(?:the|its|their|that|this)\b",
            r"\bnow\s+that\b|\bfollow(?:ing)?[\s-]?up\b|\bnext\s+step\b|\bdouble[\s-]check\b|\bsecond\s+opinion\b",
            r"\b(?:given|since|because)\s+(?:that\s+)?(?:we|you|it|they|the\s+agent)\b",
            r"^\s*(?:continue|proceed|carry\s+on|resume)\b",
            r"\bwe\s+(?:now\s+)?(?:know|learn(?:ed|t)|saw|have\s+seen)\b|\bit\s+turn(?:s|ed)\s+out\b",
            rf"\b{_SAW}\s+by\s+(?:the|that|this|an)\b",
            rf"\b(?:it|they|we|agent|explorer|reviewer|researcher)\s+(?:has\s+|have\s+|had\s+|just\s+)*{_SAW}\b",
            rf"\b(?:was|were|just)\s+(?:just\s+|been\s+)*{_SAW}\b",
            rf"\b(?:has|have)\s+(?:just\s+)?been\s+{_SAW}\b",
            rf"\b(?:the|this|that|these|those|its|their|our|your)\s+(?:\w+\s+)?{_CHANGE}\b(?!\s*-?log){_FORWARD}",
            r"\b(?:the|these|those|its)\s+(?:newly|freshly|just)\s+\w+",
            r"\bthe\s+(?:rest|remaining|remainder)\b",
            rf"\b{_DOUBT}\s+(?:that|this|these|those|its|each)\b",
        )
    ),
    re.IGNORECASE | re.MULTILINE,
)

FOUND = re.compile(r"\b(?:found|identified|discovered|uncovered|located)\b", re.IGNORECASE)
REPORT_WHAT_IS_FOUND = re.compile(
    r"\b(?:report|list|return|describe|summari[sz]e|note|give|show|document|mention|flag|count|collect|tell|"
    r"any|all|every|each|anything|everything|what(?:ever)?)\b[^.\n;]{0,60}\b(?:found|identified|discovered|"
    r"uncovered|located)\b(?!\s+(?:above|earlier|before|by|previously))",
    re.IGNORECASE,
)

CHANGES = re.compile(
    r"\b(?:implement|fix|refactor|write|add|create|update|migrate|rename|install|generate|apply|build|edit|"
    r"remove|delete|replace|convert|port|upgrade|rewrite|extract|move|patch|set\s+up|scaffold|repair|bump|"
    r"introduce|change)\b",
    re.IGNORECASE,
)
CHECKS = re.compile(
    r"\b(?:test|tests|re-?run|run|review|verify|validate|check|benchmark|lint|measure|commit|document|audit|"
    r"deploy|profile|compare|type-?check|build|release|describe|summari[sz]e|inspect|confirm|proofread)\b",
    re.IGNORECASE,
)
READS_ONLY = frozenset({"explore", "plan"})
"""Built-in agent types that can't write, whatever their task says."""

PATH = re.compile(r"(?<![\w/.-])(?:[\w.@-]+/)+[\w.@-]*\w|\b[\w-]+\.[A-Za-z]\w{0,5}\b(?::\d+)?")
IDENTIFIER = re.compile(
    r"\b(?:[A-Za-z]+_\w+|_\w{2,}|[a-z]+[A-Z]\w*|[A-Z][a-z0-9]+[A-Z]\w*|[A-Z]{2,}[-_]?\d+|\w+\(\)|"
    r"(?=[0-9a-f]*\d)[0-9a-f]{7,40})"
)
NUMBER = re.compile(r"(?<![\w.])\d[\d,.]*\d(?!\w)|(?<=:)\d+\b")
QUOTED = re.compile(
    r"`([^`\n]{2,200})`|\"([^\"\n]{4,200})\"|“([^”\n]{4,200})”|(?<!\w)'([^'\n]{4,200})'(?!\w)"
)
PROPER_NAME = re.compile(r"(?<=[a-z,;] )[A-Z][a-z]{3,}\w*\b")


def why(task: str, earlier_task: str, earlier_answer: str, known: str, earlier_kind: str = "") -> str:
    """Return in a few words why `task` depends on the earlier agent, or "" when it doesn't.

    `known` is what stood before that agent ran: the human's prompt. `earlier_kind` is its subagent_type.
    """
    if SAYS_SO.search(task):
        return "it says so"
    if match := REFERS_BACK.search(task):
        return f"it refers back ({_shown(match.group())})"
    if FOUND.search(REPORT_WHAT_IS_FOUND.sub(" ", task)):
        return "it refers back (found)"
    if name := _named_by_the_answer_alone(task, earlier_answer, f"{known}\n{earlier_task}"):
        return f"it names what the earlier answer says ({_shown(name)})"
    changed = earlier_kind.lower() not in READS_ONLY and CHANGES.search(earlier_task)
    if changed and CHECKS.search(task) and not _is_only_reading(earlier_task):
        return "it checks what the earlier agent changed"
    return ""


def _named_by_the_answer_alone(task: str, answer: str, known: str) -> str:
    answer_text, known_text = _folded(answer), _folded(known)
    if not answer_text:
        return ""
    for name in _names(task):
        folded = _folded(name)
        if len(folded) > 1 and _stands_in(folded, answer_text) and not _stands_in(folded, known_text):
            return name
    return ""


def _names(task: str) -> list[str]:
    """Every path, identifier, number, quoted phrase and proper name of a task, the longest first."""
    names = {
        match.group().rstrip(".,")
        for rule in (PATH, IDENTIFIER, NUMBER, PROPER_NAME)
        for match in rule.finditer(task)
    }
    for match in QUOTED.finditer(task):
        names.add(next(group for group in match.groups() if group))
    return sorted(names, key=lambda name: (-len(name), name))


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


def _is_only_reading(task: str) -> bool:
    return bool(
        re.search(
            r"\b(?:do\s+not|don't|never|without)\s+(?:\w+\s+)?(?:edit|chang|modif|writ)", task, re.IGNORECASE
        )
    )


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())


def _shown(text: str) -> str:
    one_line = " ".join(text.split())
    return one_line if len(one_line) <= 40 else one_line[:39] + "…"
