"""Could an agent call have been sent together with the one before it? Words in, a reason to pass out.

A second call is sent back only when all of this holds; where one of them is in doubt, it passes:

1. The two are seen to be apart: alike in form, that is, one instruction on two things, word by word ("Review
   a.py for leaks", "Review b.py for leaks"); or with one verb in both descriptions above prompts that say in
   full what they want; or two inquiries or two changes that share neither subject nor name. Whole sentences
   that both share (who the agent is, how to answer) count for nothing.
2. The second refers to nothing: no `depends on:`, no "the findings", and in its opening no "again" or "it";
   further on, the task itself explains such words. It doesn't mention what the first was about.
3. It names nothing that only an answer holds: nothing in its subject, and elsewhere no name, no number and
   no two words that are in an answer but neither in the human's prompt nor in the first task.
4. Order can't matter: it works on nothing that the first changes, and is not a second attempt, a part of what
   the first makes, the next suspect, or one of those works that disturb one another (a deployment, a
   benchmark).

English only: of the rules' words none is read in another language, so a task in one passes. A missed sequence
costs seconds, a wrong denial costs trust.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from itertools import chain, pairwise
from typing import NamedTuple


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


class Said:
    """What agents and tools have said, as text and as stems."""

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def words(self) -> frozenset[str]:
        return frozenset(_stems(self.text))


def why(task: str, earlier: Earlier, human: str, answers: str = "") -> str:
    """Return in a few words why `task` may have had to wait for an earlier agent, or "" when it needn't.

    `task` is a description, a line break, a prompt; `human` the person's prompt; `answers` what agents
    before `earlier` answered.
    """
    if SAYS_SO.first(task):
        return "it says so"
    if IN_ORDER.first(human):
        return "the user asked for an order"
    if FOREIGN.first(prompt_of(task)) or not _is_latin(task):
        return "its language is not read"
    if reason := _another_attempt(task, earlier):
        return reason
    pair = _compared(task, earlier.task)
    said = Said(f"{answers}\n{earlier.answer}\n{earlier.seen}")
    is_alike = _alike(pair)
    if (
        not is_alike
        and not _alike_by_name(task, earlier.task)
        and not _is_about_else(task, earlier, pair, said)
    ):
        return "the two are not alike in form"
    if ORDERED.first(pair.instruction[0]) or ORDERED.first(task):
        return "two of this kind may disturb each other"
    if SUSPECTS.first(pair.instruction[0]):
        return "it looks into the next suspect"
    if words := (
        REFERS_BACK.new(task, earlier.task)
        or LEANS_BACK.new(pair.opening, earlier.task)
        or _counts_on(pair.own, said, earlier.task)
    ):
        return f"it refers back ({shown(words)})"
    if words := (_repeats(pair) if is_alike else _shares(pair, said)) or _mentions(
        task, earlier.task, pair, is_alike=is_alike
    ):
        return f"it mentions what the earlier agent worked on ({shown(words)})"
    if name := _only_answered(task, pair, said, f"{human}\n{earlier.task}"):
        return f"it names what an earlier answer says ({shown(name)})"
    return _builds_on_a_change(task, earlier, pair, is_alike=is_alike)


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
    rf"\b(?:previous|prior|preceding|earlier|other|first|last)\s+(?:agent|task|{_PAPER})\b|\bthe\s+others?\b",
    rf"\b(?:use|using|with|from|given|per|following|apply|follow|implement|execute|of)\s+(?:the|its|their|this"
    rf"|that|these|those)\s+(?:\w+\s+)?{_PAPER}\b(?!\s+(?:in|at|under)\s+\S*[/.]\w)",
    rf"(?<!\bso\s)\b(?:this|that|these|those)\s+(?:\w+\s+)?{_PAPER}\b(?!\s*:)|\b(?:as|the|\w+ed|given|shown)\s+above\b",
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
ALL_OF = Rule(
    r"\b(?:(?:each|every|all)\s+(?:of\s+the|of|the)?|the\s+(?=(?:two|three|four|five|six|seven|eight|nine|ten|\d+)\s))"
    r"(?:[ \t]*[\w-]+){1,2}"
)
"""Words for things that are known already."""
DID_NOT_FINISH = Rule(
    r"\b(?:could\s*n[o']t|can\s*not|can't|unable\s+to|failed\s+to|not\s+able\s+to|did\s*n[o']t)\s+(?:fully\s+)?"
    r"(?:be\s+)?(?:finish|complete|access|open|read|run|reach|determine|answer|locate|get|find|use)",
    r"\bran\s+out\s+of\s+\w+|\b(?:I|was)\s+(?:rate|cut)\b|^[^\w\n]{0,9}(?:\w+\s+)?error\s*:"
    r"|\btimed\s+out\b",
    r"\bincomplete\b|\binterrupted\b|\bgave\s+up\b|\bpermission\s+denied\b|\bplease\s+(?:clarify|specify|provide)\b",
    r"\bwhich\s+(?:one\s+)?(?:do|did|should)\s+(?:you|I)\b|\bAPI\s+Error\b",
    r"\A\W*(?:(?:I\s+)?found\s+)?(?:nothing|none|no\s+(?:such|match|trace|hits?|results?|sign|mention|occurrence))\b",
    r"(?:\A|[.!?]\s)\W*there(?:'s|\s+(?:is|are|was|were))\s+no\b|\bnot\s+(?:found|a\s+single)\b|\bnothing\s+found\b",
)
CHANGES = Rule(
    r"(?:^|[.;:!?\n,]|\b(?:and|then|please|also|finally|to\s+do|is\s+to|must|should))[\s*#>-]*(?:\d+[.)]\s*)?"
    r"(?:implement|fix|refactor|write|add|create|update|migrate|rename|install|generate|apply|build|edit|remove|delete|"
    r"replace|convert|port|upgrade|rewrite|extract|move|patch|set\s+up|scaffold|repair|bump|introduce|change|make|wire|"
    r"integrate|enable|disable|optimi[sz]e|speed\s+up|split|simplify|develop|harden|translate|bootstrap|initiali[sz]e|"
    r"address|resolve|correct|adapt|adjust|connect|drop|format|draft|design|prepare|proofread|document|save|store)\b"
    r"(?!\s*[,)])"
)
"""Verbs with an object: in "libraries, format, levels" there is none."""
CREATES = Rule(
    r"\A(?:implement|create|build|add|develop|design|write(?!.*\b(?:tests?|docs?|runbook|guide|page)\b))\b"
)
"""Verbs of parts that one work may consist of, whatever they are called."""
FOLLOWS = Rule(r"\b(?:docs?|documentation|changelog|release|deploy\w*|tests?|versions?)\b")
"""What any change may concern."""
FOUNDATION = Rule(
    r"\b(?:set\s+up|scaffold|bootstrap|initiali[sz]e|install|rename|restructure|skeleton|boilerplate|foundation|"
    r"schema|migration|base\s+class(?:es)?|shared\s+(?:types|code|helpers|library)|project\s+structure)\b"
)
"""What other work builds on."""
READ = Rule(
    r"\b(?:see|against|per|like|as\s+in|follow(?:s|ing)?|pattern|reference|template|(?:format|structure|style)\s+of|"
    r"translate)\b[^.,:;\n]{0,60}:?[\s`\"']*$|\b(?:use|using|run)\s+[`\"']*$",
    r"\b(?:convert|port|migrate|switch)\b[^;\n]{0,90}\bto\s(?:\w+\s){0,3}$",
)
"""Words that lead to a file which is not changed."""
PUTS = Rule(
    r"\b(?:add|put|register|append|mention|insert|extend|write|record|save|export|renew|regenerate|update|modify|expose"
    r"|include|declare|link|hook|plug)"
)
"""Verbs that change a file in passing."""
LOOKS = Rule(r"\b(?:from|read|check|look\s+(?:at|into|in)|run|with|using|use|by|via|in)\b")
"""Words that lead to a file which is read or run."""
WRITES_NOTHING = Rule(
    r"\b(?:(?:do\s+not|don't|never)\s+(?:\w+\s+)?(?:edit|change|modify|write|fix)|without\s+(?:edit|chang|modify|writ)ing"
    r")(?:\s+(?:any|anything|code|files?|the\s+(?:code|files?|repository))\b|\s*[.,;!\n]|\s*$)|\bread[\s-]only\b"
    r"|\b(?:report|suggestions|findings)\s+only\b|\bno\s+(?:edits|changes)(?:\s*[.,;!\n]|\s*$)"
)
ORDERED = Rule(
    r"\A(?:run\s+)?(?:deploy|release|publish|merge|rebase|push|restart|roll\s+(?:back|out)|benchmark|load[\s-]?test|train"
    r"|tune|try|experiment|profile(?!.*(?:\b(?:table|dataset|columns?)\b|\.(?:csv|parquet)\b)))\b"
)
"""Verbs of works that share a target, a machine or a lesson."""
INQUIRY = Rule(
    r"\A\W*(?:review|check|find|survey|research|look|inventory|summari[sz]e|list|compare|audit|map|explore|analy[sz]e"
    r"|inspect|investigate|explain|describe|profile|locate|evaluate|assess|identify|search|read|count|trace|study|how"
    r"|wh\w+|understand|examine|scan|hunt|estimate|collect|gather|fetch|triage|determine)\b"
)
SUSPECTS = Rule(
    r"^(?:check|see|test|verify|find\s+out|determine|investigate|confirm)\s+(?:if|whether)\b[\s\S]*\b(?:leak|crash|fail|"
    r"bug|slow|hang|error|flak|regression|deadlock|broke|wrong|cause)"
)
READS_ONLY = frozenset({"explore", "plan"})
"""Built-in agent types that can't write, whatever their task says."""

PLAIN = frozenset(
    # Words that any two tasks or answers share, whatever they are about: they are no sign of dependence.
    """
    a able about across add after all also an and any app application are area argument array as asset
    async at author back bad be before best bug but by can case change check class classes code command
    common complete component config configuration contain content context count cover current data
    database default define dependency describe description detail did directory do docs document does
    done each edge end endpoint entry error every exact example existing explain explore fact false
    feature field file find fine first fix flow focus folder for format found four from full function
    general get give given good had handle has have high how if implement important in include input
    inside internal into is issue it item its json keep key kind layer lib library line link list location
    logic look low main make many map max mechanism medium message method minor missing mode model module
    most must name need new no none not number object of on one only open option or order other our out
    output over overview package page part path per place plain point possible print problem process
    project provide public purpose read reason recommend relevant repo report repository request require
    response result return review role route run same script search second section see sentence server
    service session set setting severity short should show simple single size small so some source src
    stage start state status step string structure subsystem such summarise summarize summary support
    system table take task test text than that the their them then there these thing this those three
    through time title to tool top topic true two type unit unknown until up update us usage use used user
    using utils valid value variable version very view want was well were what when where whether which
    who why will with within without word work write wrong yaml yes you your zero
    """.split()  # noqa: SIM905 - a page of words reads better than a list of strings
)

FUNCTION = frozenset(
    """
    about across after all also and any are before but does each every for from has have into look
    more one other over should than that their then there these this those through under until use what
    when where which will with within without
    """.split()  # noqa: SIM905 - as above
)
"""Words that name nothing."""

# --- texts -------------------------------------------------------------------------------------------------

WORD = re.compile(r"\d+(?:[.,:]\d+)+|[^\W_]+(?:['\u2019][a-z]+)?")
"""A number with its parts is one word: 3.20 says nothing of 3."""
ARTICLE = re.compile(r"\b(?:[Tt]he|[Aa]n|a)\s+(?=\w)")
NAME = re.compile(
    r"(?<![\w/.-])(?:[\w.@-]+/)+[\w.@-]*|\b[\w-]+\.[A-Za-z]\w{0,5}\b(?!\()|\b\w*[a-z][A-Z_]\w*|\b\w+_\w+"
)
"""Paths, files, identifiers."""
PROPER = re.compile(r"(?<=[\w,;(] )[A-Z]\w{2,}")
TELLING = re.compile(rf"{PROPER.pattern}|{NAME.pattern}|\b\w*\d[\w.]*")
UNIT_END = re.compile(r"[.!?:](?=\s|$)|\n")
FILLER = re.compile(
    r"(?:[\s*#>-]|\d+[.)]\s|(?:please|now|then|also|first|ok(?:ay)?|thoroughly|carefully|(?:can|could)\s+you"
    r"|i\s+(?:want|need)\s+you\s+to|your\s+(?:task|job|goal)\s+is\s+to)\b,?)*",
    re.IGNORECASE,
)
SMALL_NUMBERS = frozenset(map(str, range(100)))
"""Any two texts may have them."""
MAX_WORDS = 150
"""Of each task so many are aligned: it takes a few milliseconds."""


class Pair(NamedTuple):
    """What two tasks say that the other doesn't say in the same sentence, aligned word by word."""

    own: str
    their_own: str
    """The sentences of the second, of the first."""
    mine: list[str]
    theirs: list[str]
    """Their words, stemmed."""
    common: list[str]
    """The words that both have in the same order."""
    instruction: tuple[str, str]
    """The first own sentence of each: what is to be done."""
    opening: str
    """The second's description and first own words: what they lean on must have been said before."""


def prompt_of(task: str) -> str:
    """Return a task without its description."""
    return (task.partition("\n")[2] or task).strip()


def _subject(task: str) -> str:
    """Return a description without its verb."""
    return task.partition("\n")[0].partition(" ")[2]


def folded(text: str) -> str:
    return " ".join(text.casefold().split())


def stem(word: str) -> str:
    """Cut what inflects: `caching`, `cached` and `caches` are one word."""
    low = word.casefold().replace("\u2019", "'").removesuffix("n't").lstrip("0")
    for ending in ("ations", "ation", "ings", "ing", "ies", "ers", "ed", "er", "es", "e", "s", "y"):
        if low.endswith(ending) and len(low) - len(ending) >= 3:
            return low[: -len(ending)]
    return low


def shown(text: str) -> str:
    one_line = " ".join(text.split())
    return one_line if len(one_line) <= 40 else one_line[:39] + "…"


PLAIN_STEMS, FUNCTION_STEMS = frozenset(map(stem, PLAIN)), frozenset(map(stem, FUNCTION))


def _stems(text: str) -> list[str]:
    """Return the words of a text, stemmed, without articles."""
    return [stem(word) for word in WORD.findall(ARTICLE.sub("", text))]


def _particular(text: str) -> set[str]:
    """Return the stems of the words that say what a text is about."""
    return {word for word in _stems(text) if word not in PLAIN_STEMS and (len(word) > 2 or word.isdigit())}


def _meaningful(text: str) -> set[str]:
    """Return the stems of the words that mean something where the text is short: plain ones, too."""
    long = {word for word in _stems(text) if len(word) > 4} - FUNCTION_STEMS
    return long | _particular(text) - SMALL_NUMBERS


def _is_latin(text: str) -> bool:
    letters = [letter for letter in text if letter.isalpha()]
    return sum(letter > "\u024f" for letter in letters) * 20 <= len(letters)


# --- alike in form -----------------------------------------------------------------------------------------

ALIKE = 1 / 3
"""The share of the instruction's words that both have in the same order, articles aside."""
ALIKE_TO_CHANGE = 0.5
"""The same where something is made: "Write the parser", "Write the command line" may be one work."""
ALIKE_AS_A_WHOLE = 0.25
MIN_WORDS = 8
"""Of each prompt, where they are alike in their verb alone: a shorter one leans on what was said before."""
MIN_WORDS_ELSE = 12
"""The same where they are alike in nothing."""
OPENING = 12
"""With so many words a task has said what it is about."""


def _compared(task: str, other: str) -> Pair:
    units, others = _units(task), _units(other)
    known, others_known = set(map(folded, others)), set(map(folded, units))
    own = [unit for unit in units if folded(unit) not in known] or units[:1]
    theirs = [unit for unit in others if folded(unit) not in others_known] or others[:1]
    mine, their = _stems("\n".join(own))[:MAX_WORDS], _stems("\n".join(theirs))[:MAX_WORDS]
    instruction = own[0] if own else "", theirs[0] if theirs else ""
    return Pair(
        "\n".join(own), "\n".join(theirs), mine, their, aligned(mine, their), instruction, _opening(task, own)
    )


def _opening(task: str, own: list[str]) -> str:
    opening = task.partition("\n")[0]
    for unit in own:
        opening += f"\n{unit}"
        if len(WORD.findall(opening)) >= OPENING:
            break
    return opening


def _units(task: str) -> list[str]:
    found = (unit[FILLER.match(unit).end() :].strip() for unit in UNIT_END.split(prompt_of(task)))  # type: ignore[union-attr] # it matches ""
    return [unit for unit in found if unit]


def aligned(one: list[str], two: list[str]) -> list[str]:
    """Return the longest sequence of words that both have in this order."""
    rows = [[0] * (len(two) + 1)]
    for word in one:
        last, row = rows[-1], [0]
        for at, own in enumerate(two):
            row.append(last[at] + 1 if word == own else max(row[at], last[at + 1]))
        rows.append(row)
    found, at, to = [], len(one), len(two)
    while at and to:
        if one[at - 1] == two[to - 1]:
            at, to = at - 1, to - 1
            found.append(one[at])
        elif rows[at - 1][to] >= rows[at][to - 1]:
            at -= 1
        else:
            to -= 1
    return found[::-1]


def _alike(pair: Pair) -> bool:
    mine, theirs = map(_stems, pair.instruction)
    is_one_verb = bool(mine and theirs) and mine[0] == theirs[0]
    return is_one_verb and _share(pair) >= ALIKE and _share_of_all(pair) >= ALIKE_AS_A_WHOLE


def _alike_by_name(task: str, other: str) -> bool:
    """Say whether both descriptions begin with one verb, and both prompts say what they want in full."""
    verbs = {(_stems(text.partition("\n")[0]) or [text])[0] for text in (task, other)}
    return len(verbs) == 1 and all(len(_stems(prompt_of(text))) >= MIN_WORDS for text in (task, other))


def _is_about_else(task: str, earlier: Earlier, pair: Pair, said: Said) -> bool:
    """Say whether two inquiries or changes that say in full what they want share no subject and no name."""
    opening = {word for word in _stems(pair.opening) if len(word) > 2} - FUNCTION_STEMS
    words = (opening | _particular(pair.own)) - SMALL_NUMBERS
    if not _changes(earlier.task):
        is_one_kind = not _changes(task) and any(map(INQUIRY.first, (task, pair.instruction[0])))
    else:
        is_one_kind = _changes(task) and not CREATES.first(task) and not FOLLOWS.first(_subject(task))
    return (
        is_one_kind
        and min(len(pair.mine), len(pair.theirs)) >= MIN_WORDS_ELSE
        and not _particular(_subject(task)) & _particular(earlier.task)
        and not set(_names(pair.own)) & set(_names(pair.their_own))
        and not words & said.words
    )


def _share(pair: Pair) -> float:
    mine, theirs = (_stems(text)[:MAX_WORDS] for text in pair.instruction)
    return len(aligned(mine, theirs)) / max(len(mine), len(theirs))


def _share_of_all(pair: Pair) -> float:
    return len(pair.common) / max(len(pair.mine), len(pair.theirs))


# --- refers to nothing, names nothing ----------------------------------------------------------------------


def _another_attempt(task: str, earlier: Earlier) -> str:
    if folded(prompt_of(task)) == folded(prompt_of(earlier.task)):
        return "it is the same task again"
    if len(earlier.answer) <= SHORT_ANSWER and DID_NOT_FINISH.first(earlier.answer):
        return "the earlier agent did not finish this"
    return ""


SHORT_ANSWER = 400
"""A short answer with words of failure is a failure; in a long one they are a finding."""


def _counts_on(own: str, said: Said, other: str) -> str:
    """Return words such as "each caller", "the three callers" where the answer has callers."""
    things, known = {word for word in said.words if len(word) > 2} - PLAIN_STEMS, folded(other)
    found = (match.group() for match in ALL_OF.compiled.finditer(own))
    return next((words for words in found if things & set(_stems(words)) and folded(words) not in known), "")


def _repeats(pair: Pair) -> str:
    """Return a word of the first's instruction that the second's opening has in another place."""
    mine, theirs = map(_stems, pair.instruction)
    common = aligned(mine, theirs)
    if common == theirs or len(pair.common) in {len(pair.mine), len(pair.theirs)}:
        return "the same task with something added"
    moved = set(theirs) & set(_stems(pair.opening)) - PLAIN_STEMS - set(common)
    return min(moved, default="")


def _shares(pair: Pair, said: Said) -> str:
    """Return a proper name of the second that the first and an answer have, too: it may have been chosen."""
    small = set(map(stem, re.findall(r"\b[a-z]+", f"{pair.own} {pair.their_own}")))
    names = set(map(stem, PROPER.findall(pair.own))) - small
    return min((names & set(pair.theirs) & said.words) - PLAIN_STEMS, default="")


def _mentions(task: str, other: str, pair: Pair, *, is_alike: bool) -> str:
    """Return a word of the first's subject that the second has, but not as its own.

    What is made may be used anywhere, what is asked is the start of a question. Where the two are alike
    word by word, what comes after the same word in both is their form.
    """
    named = _meaningful(_subject(other)) - set(_stems(task.partition("\n")[0]))
    form = {word for _, word in set(pairwise(pair.mine)) & set(pairwise(pair.theirs))} if is_alike else set()
    return min(named & set(_stems(pair.own if _changes(other) else pair.opening)) - form, default="")


def _only_answered(task: str, pair: Pair, said: Said, known: str) -> str:
    """Return a name or words that are in an answer and nowhere before it.

    In the subject a longer word is what the answer chose; further on, a single common one is chance.
    """
    opening = f"{_subject(task)}\n{pair.instruction[0]}"
    chosen = _meaningful(opening) | {word for word in _stems(opening) if word.isdecimal()}
    new = (chosen | _particular(task) - SMALL_NUMBERS) & said.words - set(_stems(known))
    if len(new) > 1 or new & (chosen | _telling(task)):
        return ", ".join(sorted(new))
    text, known = folded(said.text), folded(known)
    return next(
        (name for name in _names(task) if name.casefold() in text and name.casefold() not in known), ""
    )


def _telling(text: str) -> set[str]:
    """Return the stems of proper names, identifiers and words with digits."""
    return set(map(stem, WORD.findall(" ".join(TELLING.findall(text)))))


# --- works on nothing that the first changes ---------------------------------------------------------------


def _builds_on_a_change(task: str, earlier: Earlier, pair: Pair, *, is_alike: bool) -> str:
    prompt = prompt_of(earlier.task)
    if earlier.kind.lower() in READS_ONLY or not _changes(earlier.task):
        return ""
    mine, theirs = set(_names(pair.own)), set(_names(pair.their_own))
    has_pattern = any(_is_only_read(name, prompt, is_apart=False) for name in mine & theirs)
    is_apart = bool(mine - theirs and theirs - mine)
    is_one_form = is_alike and _share_of_all(pair) >= ALIKE_TO_CHANGE
    # In other words it may be one work: then each must name a thing of its own, or follow one pattern, too.
    if not is_one_form and not (is_apart and (has_pattern or not CREATES.first(task))):
        return "it may build on what the earlier agent made"
    if FOUNDATION.first(pair.instruction[1]):
        return "it may build on what the earlier agent set up"
    files = {name for name in {*_names(task)} & {*_names(prompt)} if "." in name}
    shared = (name for name in mine & theirs | files if not _is_only_read(name, prompt, is_apart=is_apart))
    within = (name for name in mine if name.startswith(tuple(f"{place}/" for place in theirs)))
    if name := min(chain(shared, within), default=""):
        return f"both work on {shown(name)}, which the earlier agent changed"
    end, other = ((_stems(text) or [""])[-1] for text in pair.instruction)  # "header", of two additions to it
    if not (mine and theirs) and end == other and end not in PLAIN_STEMS:
        return f"both work on {end}, which the earlier agent changed"
    return ""


def _changes(task: str) -> bool:
    return bool(CHANGES.first(task)) and not WRITES_NOTHING.first(task)


def _is_only_read(name: str, prompt: str, *, is_apart: bool) -> bool:
    """Say whether a name is led to as a pattern, or no sentence with it says that it is changed."""
    return all(
        READ.first(before) or (is_apart and LOOKS.first(before) and not _changes_something(unit))
        for unit in UNIT_END.split(prompt)
        for before in unit.split(name)[:-1]
    )


def _changes_something(unit: str) -> bool:
    return bool(CHANGES.first(unit) or PUTS.first(unit))


def _names(task: str) -> Iterator[str]:
    """Yield paths, files and identifiers; `./...` names nothing."""
    found = (match.group().rstrip("./") for match in NAME.finditer(task))
    return (name for name in found if name)
