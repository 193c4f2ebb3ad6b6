"""The ways in which an English task refers back to what was answered before it.

A pattern that spells out forty nouns in eight places takes longer to compile than a cold event may cost. So
the words stand in sets, a task's words are marked with the letters of their sets, and the patterns name
letters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from fanout_hooks.depend_rule import Rule

NOUN = frozenset(
    """
    answer result report finding output summary analysis exploration investigation research inventory
    diagnosis recommendation suggestion conclusion feedback insight measurement notes verdict
    """.split()  # noqa: SIM905 - a page of words reads better than a list of strings
)
PAPER = NOUN | {"plan", "design", "proposal", "draft", "step", "spec", "specification", "outline"}
AGENT = PAPER | {"agent", "audit", "review", "list", "scan", "search", "survey", "run", "attempt"}
CHANGE = frozenset(("change", "fix", "patch", "edit", "refactor", "rewrite", "addition", "commit"))
THING = frozenset(
    """
    file function module issue bug problem error failure cause class hypothesis candidate place sites test
    spot risk approach option endpoint location gap vulnerability suspect query table lead claim
    """.split()  # noqa: SIM905 - as above
)
SAW = frozenset(
    """
    found identified discovered uncovered reported located listed flagged mentioned produced wrote made
    suggested recommended proposed concluded implemented added changed fixed written created refactored
    described noted outlined singled pointed surfaced picked chosen chose
    """.split()  # noqa: SIM905 - as above
)
CHOSEN = frozenset(
    """
    offending culprit affected vulnerable resulting chosen selected recommended proposed agreed suggested
    identified reported flagged winning suspected missing failing leaking unanswered open generated refactored
    reworked updated deleted removed renamed moved extracted revised
    modified rewritten migrated aforesaid said discovered highest-ranked top-ranked
    """.split()  # noqa: SIM905 - as above
)
SETS = {"N": NOUN, "P": PAPER, "A": AGENT, "C": CHANGE, "T": THING, "S": SAW, "H": CHOSEN}
SINGULAR = (("yses", "ysis"), ("eses", "esis"), ("noses", "nosis"), ("ies", "y"), ("es", ""), ("s", ""))
MARK = "\u00b7"
WORD = re.compile(r"(?<!\w)[^\W\d_]+(?:-ranked)?(?!\w)")


def phrases(task: str) -> Iterator[str]:
    """Yield every phrase of a task that refers back."""
    for match in PLAIN.finditer(task):
        yield match.group()
    for match in MARKED.finditer(_marked(task)):
        yield re.sub(rf"{MARK}[A-Z]+", "", match.group())


def _marked(task: str) -> str:
    return WORD.sub(lambda match: match.group() + _letters(match.group().casefold()), task.replace(MARK, " "))


def _letters(word: str) -> str:
    found = "".join(letter for letter, own in SETS.items() if word in own)
    for ending, instead in () if found else SINGULAR:
        if word.endswith(ending):
            single = word.removesuffix(ending) + instead
            found = found or "".join(letter for letter in "NPACT" if single in SETS[letter])
    return MARK + found if found else ""


def _of(letter: str) -> str:
    return rf"\S+{MARK}\w*{letter}\w*\b"


_WORD = rf"(?:[\w{MARK}-]+\s+)?"
_THE = r"(?:the|its|their|that|this|these|those)"
_THIS = r"(?:these|those|that|this)"
_WITH = r"(?:use|using|with|from|given|per|following|in|apply|follow|take|read|extend|on|to|into|against)"
_DO = (
    r"(?:implement|follow|apply|execute|carry\s+out|critique|challenge|evaluate|assess|refine|improve|polish|"
    r"revise|rate|judge|turn|convert|address|act\s+on)"
)
_FORWARD = (
    rf"(?!\s*[:(]|\s+(?:in|at|under|from|of)\s+(?:the\b|an?\b|[\w.-]*/|\w+(?:{MARK}\w+)?\.\w)"
    r"|\s+(?:services?|modules?|pages?|packages?|views?|components?|class(?:es)?|tables?|endpoints?|apis?|tools?|"
    r"folders?|files?|formats?|generators?|builders?|screens?|handlers?|models?|commands?|sets?|caches?|types?|"
    r"objects?|engines?|code|layers?|parsers?|writers?|templates?|jobs?|pipelines?|runners?)\b)"
)
"""What follows points forward ("these files: a.py") or to the project ("the results of the query", "the
report service")."""
_POINTS = "|".join(
    (
        rf"(?:{_WITH}\s+{_THE}|{_THIS})\s+{_WORD}{_of('N')}",
        rf"{_DO}(?:{MARK}\w+)?\s+{_THE}\s+{_WORD}{_of('P')}",
        rf"(?:{_THIS}\s+{_WORD}|(?:both|the\s+(?:two|three|four|five|\d+))\s+){_of('T')}",
        rf"the\s+{_of('H')}\s+{_WORD}(?:{_of('[PTC]')}|one|parts?|code|line)",
        rf"(?:{_THE}|our|your)\s+{_WORD}{_of('C')}(?!\s*-?log)",
    )
)
_DONE = (
    rf"as|(?:it|they|we|you|agent|explorer|reviewer|researcher)(?:{MARK}\w+)?(?:\s+(?:has|have|had|just))*"
    r"|(?:was|were|just)(?:\s+(?:just|been))*|(?:has|have)\s+(?:just\s+)?been"
)
_EARLIER = r"(?:earlier|previous(?:ly)?|prior|preceding|first|last|initial|other|former|above|recent)"
_JOIN = r"(?:combine|consolidate|synthesi[sz]e|reconcile|aggregate|collate|merge|distil)"
_WEIGH = r"(?:verify|check|review|confirm|question|doubt|shorten|condense|elaborate|expand)"
_AS_A_WHOLE = (
    r"(?=\s*[.,;!?\n]|\s*$|\s+(?:for|against|again|independently|critically|carefully|thoroughly|yourself)\b)"
)
MARKED = Rule(
    "|".join(
        (
            rf"\b(?:{_POINTS})\b{_FORWARD}",
            rf"\b(?:{_DONE})\s+{_of('S')}",
            rf"\b{_of('S')}\s+(?:out\s+)?by\s+(?:the|that|this|an)\b",
            rf"\b(?:the|its|their|an?|your|that|this)\s+{_EARLIER}\s+{_of('A')}",
            rf"\b{_JOIN}\s+(?:(?:all|both)\s+)?{_THE}\s+{_WORD}{_of('P')}",
            rf"\b(?:{_JOIN}|summari[sz]e|condense)\s+(?:all|both)\s+{_of('P')}",
            rf"\b{_WEIGH}(?:{MARK}\w+)?\s+the\s+{_of('N')}{_AS_A_WHOLE}",
            rf"\b{_of('T')}\s+(?:raised|spotted|noticed|brought\s+up|pointed{MARK}S\s+out)\b",
        )
    ),
    re.IGNORECASE,
)
_IT = r"(?:it|them|th(?:is|at|ese|ose)(?=\s*[.,;!\n]|\s*$))(?!\w)"
PLAIN = Rule(
    "|".join(
        (
            r"\b(?:based|building|build|relying|drawing|acting|depending)\s+(?:up)?on\b",
            r"\babove\b(?!\s+\d)|\b(?:aforementioned|previously|beforehand)\b",
            r"\bearlier\b(?!\s+(?:than|versions?)\b)",
            r"\bas\s+(?:planned|designed|explained|discussed|agreed|decided)\b",
            r"\bthe\s+culprits?\b|\bthe\s+winner\b|\bthe\s+(?:gaps|open\s+questions)\b",
            r"\b(?:address|fix|remove|eliminate|mitigate|patch)\s+the\s+(?:root\s+)?(?:cause|culprit|bottleneck)\b",
            r"\b(?:another|different|alternative|second|new|fresh)\s+(?:approach|attempt|try|look|pass|round)\b",
            r"\bagain\b|\bonce\s+more\b|\bthis\s+time\b|\bre-?(?:try|examine|visit|investigate|do)\b",
            r"\bin\s+light\s+of\b|\bin\s+response\s+to\s+th(?:e|at|is)\b|\bas\s+a\s+(?:result|consequence)\b",
            r"\baccording\s+to\s+(?:the|its|their|that|this)\b|\bnow\s+that\b|\bfollow(?:ing)?[\s-]?up\b",
            r"\bnext\s+step\b|\bdouble[\s-]check\b|\bsecond\s+opinion\b|\bsecond\s+(?:step|phase|stage)\b",
            r"\b(?:step|phase|stage|round|milestone|iteration|attempt)\s+(?:[2-9]|two|three|four)\b",
            r"\b(?:I|we)(?:['\u2019]ve|\s+have)\s+(?:(?:now|just|since|already)\s+)*(?:\w+ed|written|made|done)\b",
            r"\b(?:drill|dig|go|look|dive)\s+(?:down|deeper|further|closer|more\s+closely)\b",
            r"\b(?:given|since|because)\s+(?:that\s+)?(?:we|you|it|they|the\s+agent)\b",
            r"\bwe\s+(?:now\s+)?(?:know|learn(?:ed|t)|saw|have\s+seen)\b|\bit\s+turn(?:s|ed)\s+out\b",
            r"\b(?:it|they|we|you)\s+turned\s+up\b|\b(?:the|these|those|its)\s+(?:newly|freshly|just)\s+\w+",
            r"\bthe\s+(?:(?-i:rest)(?!\s+(?:apis?|endpoints?|clients?)\b)|remaining|remainder)\b|^\s*(?:continue|proceed|carry\s+on|resume|pick\s+up)\b",
            r"\b(?:confirm|verify|validate|reproduce|refute|challenge|falsify|prove|disprove)\s+th(?:at|is|ese|ose)\b",
            rf"^\W*(?:(?:please|now|then|next|finally|also)\s+)*\w+\s+{_IT}",
            r"^\W*(?:write|add)\s+(?:unit\s+)?(?:tests?|docs?|documentation)\s+(?:for|to)\s+(?:it|them|this|that)\b",
        )
    ),
    re.IGNORECASE | re.MULTILINE,
)
