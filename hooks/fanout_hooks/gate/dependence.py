"""Could an agent call have been sent together with the one before it? Words in, a reason to pass out.

A second call passes when one of these holds, each of which is enough:

1. It says that it depends, the person asked for an order, or its language is not read (English only).
2. It is another attempt: the same prompt again, or the first agent did not finish.
3. It refers back: "the findings", "again".
4. It names what only an answer holds: a path or an identifier, or words that weigh enough together.
5. Its opening mentions what the first was about, or its subject is in the first's prompt and in an answer.
6. Both act on one thing: a file that the first changes, one port, device, branch or working copy, or what the
   first sets up.

What is left is weighed (weights.py). One form, two questions and tasks worded in full speak for sending it
back; words that lean on what was before, and work that starts where the first ended, against it. The weights
and the common words are fitted to the pairs in tests/gate: `python -m benchmarks._gate_weights`.

A missed sequence costs seconds, a wrong denial costs trust.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import NamedTuple

from fanout_hooks.gate.weights import COMMON, MIN_SCORE, WEIGHTS


class Rule:
    """A pattern that is compiled at its first use: a cold process that passes early needs hardly any."""

    def __init__(self, *alternatives: str) -> None:
        self.pattern = "|".join(alternatives)

    @cached_property
    def compiled(self) -> re.Pattern[str]:
        return re.compile(self.pattern, re.IGNORECASE | re.MULTILINE)

    def first(self, text: str) -> str:
        """Return what matches first, or ""."""
        match = self.compiled.search(text)
        return match.group().strip() if match else ""

    def every(self, text: str) -> set[str]:
        return {folded(match.group()) for match in self.compiled.finditer(text)}

    def new(self, text: str, other: str) -> str:
        """Return the first match whose words `other` doesn't have: what both say is their common form."""
        known = folded(other)
        found = (match.group().strip() for match in self.compiled.finditer(text))
        return next((words for words in found if folded(words) not in known), "")


class Earlier(NamedTuple):
    """An agent that ran before."""

    task: str
    """Its description, a line break, its prompt."""
    answer: str = ""
    kind: str = ""
    """Its subagent_type."""
    seen: str = ""
    """What other tools showed since."""


def why(task: str, earlier: Earlier, human: str, answers: str = "") -> str:
    """Return in a few words why `task` may have had to wait for an earlier agent, or "" when it needn't.

    `task` is a description, a line break, a prompt; `human` the person's prompt; `answers` what agents
    before `earlier` answered.
    """
    if reason := not_ours(task, human):
        return reason
    pair = Pair(task, earlier, human, answers)
    if reason := certain(pair):
        return reason
    return "" if score(signs(pair), WEIGHTS) >= MIN_SCORE else "the two may be one piece of work"


def not_ours(task: str, human: str) -> str:
    """Return what makes it none of our business whether the second had to wait."""
    if SAYS_SO.first(task):
        return "it says so"
    if IN_ORDER.first(human):
        return "the user asked for an order"
    if FOREIGN.first(prompt_of(task)) or not _is_latin(task):
        return "its language is not read"
    return ""


def certain(pair: Pair) -> str:
    """Return what alone is enough for the second to pass."""
    if folded(pair.prompt) == folded(pair.first_prompt):
        return "it is the same task again"
    if pair.theirs and {*stems(pair.their_own[0])} <= {*pair.mine}:
        return "it is the same task with something added"
    if len(pair.answer) <= SHORT_ANSWER and DID_NOT_FINISH.first(pair.answer):
        return "the earlier agent did not finish this"
    if words := REFERS_BACK.new(pair.task, pair.first) or AGAIN.new(pair.name, pair.first_name):
        return f"it refers back ({shown(words)})"
    if words := pair.answered or ", ".join(sorted(pair.new)) * (pair.evidence >= 1):
        return f"it names what an earlier answer says ({shown(words)})"
    if words := _mentioned(pair) or _chosen(pair):
        return f"it mentions what the earlier agent worked on ({shown(words)})"
    if ORDERED.first(pair.name) or ORDERED.first(pair.opening):
        return "two of this kind may disturb each other"
    return _act_on_one(pair) if pair.first_acts else ""


def signs(pair: Pair) -> dict[str, float]:
    """Return what the weights are for, each about 0 to 4."""
    beginnings = (pair.name, pair.first_name), (pair.opening, pair.first_opening)
    endings = (stems(own[-1]) if own else [] for own in (pair.own, pair.their_own))
    shorter = min(len(pair.mine), len(pair.theirs))
    return {
        "always": 1.0,
        "one verb": float(any(stems(one)[:1] == stems(two)[:1] for one, two in beginnings)),
        "one ending": _overlap(*endings),
        "both ask": float(_asks(pair.name, pair.own) and _asks(pair.first_name, pair.their_own)),
        "takes up": float(bool(TAKES_UP.first(pair.name) or TAKES_UP.first(pair.opening))),
        "both create": float(bool(CREATES.first(pair.opening) and CREATES.first(pair.first_opening))),
        "leans": float(bool(LEANS_BACK.new(f"{pair.name}\n{pair.opening}", pair.first))),
        "length": math.log1p(shorter),
        "acts after reading": float(pair.acts and not pair.first_acts),
    }


def score(found: Mapping[str, float], weights: Mapping[str, float]) -> float:
    return sum(weights[sign] * value for sign, value in found.items())


# --- the words ---------------------------------------------------------------------------------------------

SAYS_SO = Rule(r"\bdepends?\s+(?:up)?on\s*:")
IN_ORDER = Rule(
    r"\bone\s+(?:by\s+one|at\s+a\s+time|after\s+(?:the\s+other|another))\b|\bsequential(?:ly)?\b|\bserially\b",
    r"\bin\s+(?:this|that|the\s+following)\s+order\b|\bin\s+sequence\b|\bstep\s+by\s+step\b|\bin\s+turn\b",
    r"\bnot\s+(?:all\s+)?(?:in\s+parallel|at\s+once|at\s+the\s+same\s+time)\b|\bwait\s+(?:for|until)\b",
    r"\bbefore\s+(?:start|mov|launch|go|do)ing\b|\bonly\s+(?:then|after|once|when)\b",
    r"\bfirst\b[\s\S]{1,300}?\b(?:then|after\s+that|afterwards)\b|(?:,|;|\band)\s+then\b",
)
"""In the human's prompt: then an order was asked for, and it isn't ours to judge."""
FOREIGN = Rule(
    r"(?<![\w./-])(?:und|für|nicht|eine[nmrs]?|dem|zum|zur|dans|avec|une|della|degli|para|según|qué)(?![\w./-])",
    r"(?:^|[\s(])(?:le|les|des|du|et|der|das|den|mit|el|los|del|il|per\s+il|di)(?=\s)(?:[\s\S]{0,200}?\s"
    r"(?:le|les|la|des|du|et|der|die|das|den|mit|auf|el|los|del|il|di)(?=\s))",
)
"""One of the commonest words of German, French, Spanish, Italian, or two that English may have, too."""

_PAPER = (
    r"(?:answers?|results?|reports?|findings?|outputs?|summar(?:y|ies)|analys[ei]s|investigation|research|"
    r"inventory|diagnosis|recommendations?|suggestions?|conclusions?|insights?|plan|proposal|outline)"
)
_THING = (
    r"(?:files?|functions?|modules?|issues?|bugs?|problems?|errors?|failures?|causes?|class(?:es)?|places?|tests?|"
    r"approach(?:es)?|options?|endpoints?|gaps?|queries|rules|changes|fix(?:es)?|sections?|terms?|candidates?)"
)
_BACK = r"(?:found|identified|discovered|reported|listed|flagged|mentioned|described|suggested|proposed)"
REFERS_BACK = Rule(
    r"\b(?:based|building|build|relying|acting)\s+(?:up)?on\s+(?:the|this|that|these|those|what|its?|their|your|all)\b",
    rf"\b(?:previous|prior|preceding|earlier|other|first|last)\s+(?:agent|task|{_PAPER})\b",
    r"(?<!like )(?<!beside )\bthe\s+others?\b",
    rf"\b(?:use|using|with|from|given|per|following|apply|follow|implement|execute|of)\s+(?:the|its|their|this"
    rf"|that|these|those)\s+(?:\w+\s+)?{_PAPER}\b(?!\s+(?:in|at|under)\s+\S*[/.]\w)",
    rf"(?<!\bso\s)\b(?:this|that|these|those)\s+(?:\w+\s+)?{_PAPER}\b(?!\s*:)|\b(?:as|the|\w+ed|given|shown)\s+above\b",
    r"\byou\s+(?:left|skipped|missed)\b|\b(?:option|variant|candidate|finding|hypothesis)\s+(?:[b-d]|#?\d+)\b",
    rf"\b(?:as|were|was|just|been|you|we|they|agent)\s+(?:just\s+)?{_BACK}\b|\b{_BACK}\s+(?:by|above|in\s+the)\b",
    r"\bnow\s+that\b|\bfollow(?:ing)?[\s-]?up\b|\bin\s+light\s+of\b|\bsecond\s+(?:opinion|pass)\b|\bthis\s+time\b"
    r"|\bsince\s+we\b",
)
"""Words for what was said before, wherever they are."""
LEANS_BACK = Rule(
    r"\babove\b(?!\s+\d)|\b(?:previous(?:ly)?|prior|preceding|former|latter|earlier|already)\b|\bon\s+top\s+of\b",
    rf"\b(?:this|that|these|those)\s+(?:\w+\s+)?{_THING}\b(?!\s*:)",
    r"\b(?:implement|follow|execute|carry\s+out|refine|revise|review|verify|check|summari[sz]e|improve|critique)\s+"
    rf"(?:all\s+)?(?:the|its|your)\s+(?:\w+\s+)?(?:{_PAPER}|changes?|fix(?:es)?|claims?)\b",
    r"\bthe\s+(?:culprit|winner|offending|affected|resulting|rest\s+of|remainder|missing|chosen|new(?:ly)?|two"
    r"|same\s+(?!format|way|as\b)\w+|root\s+cause|first\s+one|second\s+one)\b|\bremaining\b",
    r"\bagain\b|\bonce\s+more\b|(?:^|\b(?:and|to|then|please)\s+)re-?(?:try|run|check|examine|visit)\b",
    r"\bdouble[\s-]check\b|^[^\w\n]{0,9}next\b(?!\.?js)|\bcontinu(?:e|ing)\b|\bboth\b(?!(?:\s+\S+){1,2}\s+and\b)",
    r"\b(?:step|phase|stage|round|iteration|attempt)\s*(?:[2-9]|two|three|four)\b|\bafterwards\b",
    r"\bsimilar(?!\s+to\b)(?:ly)?\b|\b(?:more|other|further)\s+such\b|\belsewhere\b|\b(?:who|what|where)\s+else\b",
    r"\b(?:deeper|further|closer|more\s+(?:closely|details?|thoroughly))\b|\binstead\b(?!\s+of)"
    r"|\b(?:this|that|these|those|each)(?=[^\w\n]{0,9}$)",
    r"\A(?:.*\n)?(?:[\w'-]+[ \t]+){0,2}(?:it|its|itself|they|them|theirs?)\b",
    r"\baccording\s+to\s+(?:the|its|their|this)\b|\bcompared?\s+(?:it|with|to)\b|\bconsistent\s+with\b",
)
"""Words that in an opening lean on what was before; further on, the task itself explains them."""
AGAIN = Rule(
    r"\Are-?(?:run|try|do|check|visit)\b|\b(?:again|continue|remaind?(?:er|ing)|refute|second|finish"
    r"|(?:round|part|step|phase|pass|attempt|iteration)\s+(?:[2-9]|two|ii))\b"
)
"""Words of a second round, in a description."""
DEFINITE = re.compile(r"\b(?:the|each|every|these|those|all)\s+([\w-]+)", re.IGNORECASE)
"""A thing that is known already."""
DID_NOT_FINISH = Rule(
    r"\b(?:could\s*n[o']t|can\s*not|can't|unable\s+to|failed\s+to|not\s+able\s+to|did\s*n[o']t)\s+(?:fully\s+)?"
    r"(?:be\s+)?(?:finish|complete|access|open|read|run|reach|determine|answer|locate|get|find|use)",
    r"\bran\s+out\s+of\s+\w+|\b(?:I|was)\s+(?:rate|cut)\b|^[^\w\n]{0,9}(?:\w+\s+)?error\s*:"
    r"|\btimed\s+out\b",
    r"\binterrupted\b|\bgave\s+up\b|\bpermission\s+denied\b|\bplease\s+(?:clarify|specify|provide)\b",
    r"\bwhich\s+(?:one\s+)?(?:do|did|should)\s+(?:you|I)\b|\bAPI\s+Error\b",
    r"\A\W*(?:(?:I\s+)?found\s+)?(?:nothing|none|no\s+(?:such|match|trace|hits?|results?|sign|mention|occurrence))\b",
    r"\A(?:[^.!?\n]*[.!?]\s)?\W{0,9}there(?:'s|\s+(?:is|are|was|were))\s+no\b|\bnot\s+(?:found|a\s+single)\b|\bnothing\s+found\b",
)
SHORT_ANSWER = 400
"""A short answer with words of failure is a failure; in a long one they are a finding."""
_LEAD = r"(?:^|[.;:!?\n,(]|\b(?:and|then|please|also|finally|to|must|should))[\s*#>-]*(?:\d+[.)]\s*)?"
CHANGES = Rule(
    rf"{_LEAD}(?:implement|fix|refactor|write|add|create|update|migrate|rename|install|generate|apply|build|edit"
    r"|remove|delete|replace|convert|port|upgrade|rewrite|extract|move|patch|set\s+up|scaffold|repair|bump"
    r"|introduce|change|make|wire|integrate|enable|disable|optimi[sz]e|speed\s+up|split|simplify|develop|harden"
    r"|translate|bootstrap|initiali[sz]e|address|resolve|correct|adapt|adjust|connect|drop|format|draft|design"
    r"|prepare|proofread|document|save|store)\b(?!\s*[,)])"
)
"""Verbs with an object: in "libraries, format, levels" there is none."""
RUNS = Rule(
    rf"{_LEAD}(?:re-?)?(?:run|start|build|bump|rebase|deploy|measure|install|record|restore|load|apply|check\s+out"
    r"|reset|flash|merge|take|train|upgrade|pull|push|execute|switch|stash|benchmark|profile)\b"
)
"""Verbs of works that change no file and still need a machine, a device or a working copy."""
WRITES_NOTHING = Rule(
    r"\b(?:(?:do\s+not|don't|never)\s+(?:\w+\s+)?(?:edit|change|modify|write|fix)|without\s+(?:edit|chang|modify|writ)ing"
    r")(?:\s+(?:any|anything|code|files?|the\s+(?:code|files?|repository))\b|\s*[.,;!\n]|\s*$)|\bread[\s-]only\b"
    r"|\b(?:report|suggestions|findings)\s+only\b|\bno\s+(?:edits|changes)(?:\s*[.,;!\n]|\s*$)"
)
TAKES_UP = Rule(
    r"\A(?:implement|fix|repair|patch|apply|address|resolve|refactor|rewrite|port|migrate|move|extract|convert|replace"
    r"|remove|delete|rename|add|build|create|write|update|draft|design|prototype|wire|integrate)\b"
)
"""Verbs of what is often done with an answer."""
CREATES = Rule(
    r"\A(?:implement|create|build|add|develop|design|write(?!.*\b(?:tests?|docs?|runbook|guide|page)\b))\b"
)
"""Verbs of parts that one work may consist of, whatever they are called."""
FOUNDATION = Rule(
    r"\b(?:set\s+up|scaffold|bootstrap|initiali[sz]e|install|rename|restructure|skeleton|boilerplate|foundation|"
    r"schema|migration|base\s+class(?:es)?|shared\s+(?:types|code|helpers|library)|project\s+structure)\b"
)
"""What other work builds on."""
ORDERED = Rule(
    r"\A(?:check|see|test|verify|find\s+out|determine|investigate|confirm)\s+(?:if|whether)\b[\s\S]*\b(?:leak|crash"
    r"|fail|bug|slow|hang|error|flak|regression|deadlock|broke|wrong|cause)",
    r"\A(?:run\s+)?(?:deploy|release|publish|merge|rebase|push|restart|roll\s+(?:back|out)|benchmark|load[\s-]?test|train"
    r"|tune|try|experiment|profile(?!.*(?:\b(?:table|dataset|columns?)\b|\.(?:csv|parquet)\b)))\b",
)
"""The next suspect, and verbs of works that share a target, a machine or a lesson."""
SHARED = Rule(
    r"\bcommit\b|\bmigrations?\b|\b(?:feature|this|that|own|new|the|same)\s+branch\b|\brebase\b",
    r"\bworking\s+(?:copy|tree)\b|\bcheck(?:ed)?[\s-]out\b|\b(?:on|to|against)\s+(?:the\s+)?staging\b",
    r"\b(?:sandbox|compose|idle|gpu|localhost)\b",
    r"\b(?:emulator|simulator|device|phone|board|rig|hardware|testbed)\b|\bports?\s+\d+|\block\s?file\b",
    r"\b(?:test|dev|local|sqlite|shared)\s+(?:db|database|target|postgres\w*|cluster|server|environment|stack)\b",
    r"\b(?:schema\.\w+|table\s+of\s+contents|full\s+test\s+suite|p9\d)\b|\bonly\s+one\b",
    r"\b(?:uv\s+lock|(?:npm|pnpm|yarn|pod|bundle|poetry)\s+install|cargo\s+update|go\s+mod\s+tidy)\b",
    r"\b(?:alphabetical\w*|consecutive|next\s+free|sequential)\b",
)
"""What there is one of, so that two who act on it disturb each other."""
READ = Rule(
    r"\b(?:see|against|per|like|as\s+in|follow(?:s|ing)?|pattern|reference|template|(?:format|structure|style)\s+of|"
    r"translate)\b[^.,:;\n]{0,60}:?[\s`\"']*$|\b(?:use|using|run|touch|describes)\s+[`\"']*$",
    r"\b(?:convert|port|migrate|switch)\b[^;\n]{0,90}\bto\s(?:\w+\s){0,3}$|^[ *-]*read\s[^.;\n]*$",
    r"\b(?:described|defined|documented|listed|stored|links?)\s+in\s*[`\"']*$",
    r"\b(?:guide|outline|reference|mapping|table)\b[^.,;\n]{0,20}\b(?:is|are|in)\s*[`\"']*$",
)
"""Words that lead to a file which is not changed."""
PUTS = Rule(
    r"\b(?:add|put|register|append|mention|insert|extend|write|record|save|export|renew|regenerate|update|modify|expose"
    r"|include|declare|link|hook|plug)"
)
"""Verbs that change a file in passing."""
LOOKS = Rule(r"\b(?:from|read|check|look\s+(?:at|into|in)|run|with|using|use|by|via|in)\b")
"""Words that lead to a file which is read or run."""
INQUIRY = Rule(
    r"\A\W*(?:review|check|find|survey|research|look|inventory|summari[sz]e|list|compare|audit|map|explore|analy[sz]e"
    r"|inspect|investigate|explain|describe|profile|locate|evaluate|assess|identify|search|read|count|trace|study|how"
    r"|wh\w+|understand|examine|scan|hunt|estimate|collect|gather|fetch|triage|determine)\b"
)
READS_ONLY = frozenset({"explore", "plan"})
"""Built-in agent types that can't write, whatever their task says."""
FUNCTION = frozenset(
    """
    about across after all also and any are before but does each every for from has have into look
    more one other over should than that their then there these this those through under until use what
    when where which will with within without a an as at be been being by can could did do doing done had
    he how i if in is it its just let may me might must my no nor not of off on only or our out own she so
    some such them they to too up us very was we were who whom whose why would yes yet you your
    """.split()  # noqa: SIM905 - a page of words reads better than a list of strings
)
"""Words that name nothing."""

# --- texts -------------------------------------------------------------------------------------------------

WORD = re.compile(r"\d+(?:[.,:]\d+)+|[^\W_]+(?:['\u2019][a-z]+)?")
"""A number with its parts is one word: 3.20 says nothing of 3."""
ARTICLE = re.compile(r"\b(?:[Tt]he|[Aa]n|a)\s+(?=\w)")
NAME = re.compile(
    r"(?:(?<![\w/.*-])(?<![\w.*@-]@)|(?<=\w://))(?:[\w.@*-]+/)+[\w.@*-]*"
    r"|(?<![\w-])(?<![\w-]\.)-*\w[\w-]*(?:\.[\w-]+)*\.[A-Za-z]\w{0,5}\b(?!\()"
    r"|\b\w*[a-z][A-Z_]\w*|\b\w+_\w+"
)
"""Paths, files, identifiers. Words joined by hyphens, dots or @ are tried once, from the first: where that
fails, so would each of the others, and a long chain of them would take quadratic time."""
INNER = re.compile(r"\w[./_]\w|[a-z][A-Z]")
"""In a name that says more than "src/"."""
PLACE = Rule(r"\b(?:to|in|of|for)\s+(?:(?:the|our)\s+)?\w+\W*\Z")
"""Where it is done, at the end of a sentence."""
FILE = re.compile(r"\w\.[A-Za-z]\w{0,5}$|^(?![A-Z\d.]+/|\w{1,3}/\w{1,3}$).+/")
"""A file or folder; "180 TB/month" is neither."""
GENERIC = Rule(r"\A(?:readme|cmakelists|package|main|index|mod|lib|__init__|settings|conftest)\.\w+\Z")
"""Files that every folder has."""
PROPER = re.compile(r"(?<=[\w,;(] )[A-Z]\w{2,}")
"""Names by their capital."""
LISTED = re.compile(r"([A-Z]\w+)(?=,|\s+(?:and|or|vs)\b)|(?:(?<=,)|\b(?:and|or|vs\.?))\s+([A-Z]\w+)")
TELLING = re.compile(rf"{PROPER.pattern}|{NAME.pattern}|\b\w*\d[\w.]*")
"""Names, and words with digits."""
UNIT_END = re.compile(r"[.!?:](?=\s|$)|\n")
FILLER = re.compile(
    r"(?:[\s*#>-]|\d+[.)]\s|(?:please|now|then|also|first|ok(?:ay)?|thoroughly|carefully|(?:can|could)\s+you"
    r"|i\s+(?:want|need)\s+you\s+to|your\s+(?:task|job|goal)\s+is\s+to)\b,?)*",
    re.IGNORECASE,
)
SMALL_NUMBERS = frozenset(map(str, range(100)))
"""Any two texts may have them."""
OPENING = 12
"""With so many words a task has said what it is about."""


def prompt_of(task: str) -> str:
    """Return a task without its description."""
    return (task.partition("\n")[2] or task).strip()


def folded(text: str) -> str:
    return " ".join(text.casefold().split())


@lru_cache(maxsize=4096)
def stem(word: str) -> str:
    """Cut what inflects: `caching`, `cached` and `caches` are one word."""
    low = word.casefold().replace("\u2019", "'").removesuffix("n't").lstrip("0")
    for ending in ("ations", "ation", "ings", "ing", "ies", "ers", "ed", "er", "es", "e", "s", "y"):
        if low.endswith(ending) and len(low) - len(ending) >= 3:
            return low[: -len(ending)]
    return low


def stems(text: str) -> list[str]:
    """Return the words of a text, stemmed, without articles."""
    return [stem(word) for word in WORD.findall(ARTICLE.sub("", text))]


def shown(text: str) -> str:
    one_line = " ".join(text.split())
    return one_line if len(one_line) <= 40 else one_line[:39] + "…"


COMMON_STEMS, FUNCTION_STEMS = frozenset(map(stem, COMMON)), frozenset(map(stem, FUNCTION))


def names(task: str) -> Iterator[str]:
    """Yield paths, files and identifiers; `./...` names nothing."""
    found = (match.group().lstrip("-").rstrip("./") for match in NAME.finditer(task))
    return (name for name in found if name)


def _is_latin(text: str) -> bool:
    letters = [letter for letter in text if letter.isalpha()]
    return sum(letter > "\u024f" for letter in letters) * 20 <= len(letters)


def _units(prompt: str) -> list[str]:
    found = (unit[FILLER.match(unit).end() :].strip() for unit in UNIT_END.split(prompt))  # type: ignore[union-attr] # it matches ""
    return [unit for unit in found if unit]


def _overlap(one: list[str], two: list[str]) -> float:
    return len({*one} & {*two}) / max(len({*one}), len({*two}), 1)


class Pair:
    """What two tasks say, and what answers said in between."""

    def __init__(self, task: str, earlier: Earlier, human: str, answers: str) -> None:
        self.task, self.first, self.answer = task, earlier.task, earlier.answer
        self.name, self.first_name = task.partition("\n")[0], earlier.task.partition("\n")[0]
        self.prompt, self.first_prompt = prompt_of(task), prompt_of(earlier.task)
        self.own, self.their_own = _own(self.prompt, self.first_prompt), _own(self.first_prompt, self.prompt)
        self.opening, self.first_opening = map(_opening, (self.own, self.their_own))
        self.mine, self.theirs = stems("\n".join(self.own)), stems("\n".join(self.their_own))
        self.acts = _acts(self.prompt)
        self.first_acts = earlier.kind.lower() not in READS_ONLY and _acts(self.first_prompt)
        self._answers = f"{answers}\n{earlier.answer}\n{earlier.seen}"
        self._known = f"{human}\n{earlier.task}"

    @cached_property
    def _sentences(self) -> list[set[str]]:
        return [set(stems(unit)) for unit in UNIT_END.split(self._answers)]

    @cached_property
    def reported(self) -> set[str]:
        return set().union(*self._sentences)

    @cached_property
    def new(self) -> set[str]:
        """The words of the second that only an answer holds."""
        return set(stems(self.task)) & self.reported - set(stems(self._known)) - FUNCTION_STEMS

    @cached_property
    def answered(self) -> str:
        """A path, a file or an identifier that only an answer holds."""
        answers, known = folded(self._answers), folded(self._known)
        own = (name for name in names(self.task) if INNER.search(name))
        return next((name for name in own if name.casefold() in answers and name.casefold() not in known), "")

    @cached_property
    def evidence(self) -> float:
        """What those words weigh that one sentence of an answer shares with one of the second; 1 is enough.

        In the description, and after "the" or "each", they weigh double: there they are what it is about.
        """
        telling = set(stems(" ".join(TELLING.findall(self.task)))) - SMALL_NUMBERS
        weigh = {word: 0.25 if word in COMMON_STEMS else 1 if word in telling else 0.5 for word in self.new}
        sentences = {frozenset(sentence & self.new) for sentence in self._sentences}
        own = [self.new.intersection(stems(unit)) for unit in (self.name, *self.own)]
        subject = self.new & set(stems(" ".join(DEFINITE.findall("\n".join(self.own)))))
        found = max(sum(map(weigh.__getitem__, one & other)) for one in sentences for other in own)
        return max(found, 2 * sum(map(weigh.__getitem__, subject)), len(self.new & set(stems(self.name))))


def _own(prompt: str, other: str) -> list[str]:
    """Return the sentences that the other doesn't say, too: not who the agent is, nor how to answer."""
    units, known = _units(prompt), set(map(folded, _units(other)))
    return [unit for unit in units if folded(unit) not in known] or units[:1]


def _opening(own: list[str]) -> str:
    """Return the sentences within which a task has said what it is about."""
    opening = ""
    for unit in own:
        opening += f"{unit}\n"
        if len(WORD.findall(opening)) >= OPENING:
            break
    return opening


def _acts(prompt: str) -> bool:
    return bool(_changes(prompt) or RUNS.first(prompt))


def _changes(prompt: str) -> bool:
    return bool(CHANGES.first(prompt)) and not WRITES_NOTHING.first(prompt)


def _asks(name: str, own: list[str]) -> bool:
    return bool(INQUIRY.first(name)) or any("?" in unit or INQUIRY.first(unit) for unit in own[:2])


def _subject(name: str) -> set[str]:
    """Return what a description is about: its words without the verb."""
    return {word for word in stems(name)[1:] if len(word) > 2 or word.isdigit()} - FUNCTION_STEMS


def _mentioned(pair: Pair) -> str:
    """Return a word of one's subject that the other has, too."""
    form = {word for _, word in set(pairwise(pair.mine)) & set(pairwise(pair.theirs))}
    mine, theirs = _subject(pair.name), _subject(pair.first_name)
    place = {*(pair.mine if pair.first_acts else stems(pair.opening)), *stems(pair.name)}
    if (rest := theirs - mine) and rest <= place:
        return min(rest)
    named = rest & place - form - (frozenset() if pair.first_acts else COMMON_STEMS)
    named |= (mine - theirs - COMMON_STEMS - SMALL_NUMBERS) & set(pair.theirs) & pair.reported
    return min(named, default="")


def _chosen(pair: Pair) -> str:
    """Return a name that the first listed with others, an answer repeats, and the second takes up."""
    listed = {stem(name) for match in LISTED.finditer(pair.first_prompt) for name in match.groups("")}
    own = set(map(stem, PROPER.findall("\n".join(pair.own))))
    return min(listed & own & pair.reported - COMMON_STEMS, default="")


def _act_on_one(pair: Pair) -> str:
    """Return what both act on, or what the second uses of what the first changes."""
    if _changes(pair.first_prompt) and FOUNDATION.first(f"{pair.first_name}\n{pair.first_opening}"):
        return "it may build on what the earlier agent set up"
    if pair.acts and (things := SHARED.every(pair.first) & SHARED.every(pair.task)):
        return f"both need {shown(min(things))}"
    mine, theirs = (set(names("\n".join(own))) for own in (pair.own, pair.their_own))
    is_apart = bool(mine - theirs and theirs - mine)
    in_both = {name for name in {*names(pair.task)} & {*names(pair.first_prompt)} if "." in name}
    for name in sorted(
        name for name in mine & theirs | in_both if FILE.search(name) or not (is_apart or "/" in name)
    ):
        is_each_own = is_apart and GENERIC.first(name)
        if not is_each_own and not _is_only_read(name, pair.first_prompt, is_apart=is_apart):
            return f"both work on {shown(name)}, which the earlier agent changed"
    place, other = (PLACE.first("".join(own[:1])) for own in (pair.own, pair.their_own))
    if pair.acts and not is_apart and place and place == other:
        return f"both work on {shown(place)}, which the earlier agent changed"
    return ""


def _is_only_read(name: str, prompt: str, *, is_apart: bool) -> bool:
    """Say whether a name is led to as a pattern, or no sentence with it says that it is changed."""
    return all(
        READ.first(before) or (is_apart and LOOKS.first(before) and not _changes_something(unit))
        for unit in UNIT_END.split(prompt)
        for before in unit.split(name)[:-1]
    )


def _changes_something(unit: str) -> bool:
    return bool(CHANGES.first(unit) or PUTS.first(unit))
