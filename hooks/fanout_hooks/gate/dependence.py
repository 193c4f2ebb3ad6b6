"""Does an agent call depend on what earlier agents answered or did? Words in, a reason out; nothing else.

A call depends when one of these holds, tried in this order (the words stand in dependence.py):

1. it says so: a line `depends on: ...`;
2. the human asked for an order: "one by one", "first ... then";
3. it refers back: "based on", "found above", "the earlier report", "those files", "now that", and their like;
4. it names what only the earlier answer contains: a path, an identifier, a number, a quoted phrase, unusual
   words that stood neither in the human's prompt nor in the earlier agent's own task. What answers before
   that one contain counts too, unless the two tasks are alike: then they could have gone together;
5. the earlier agent didn't get to its end, or this is the same task: a second attempt;
6. the earlier agent changed something, and this one works on the same, checks it, or stands on it;
7. it changes, decides or weighs what the earlier agent looked into;
8. it can't be read alone (dependence.py);
9. nothing shows that both are parts of one request (dependence.py).

What both tasks say in the same words is no sign of anything (dependence.py). When in doubt the answer is
yes: a needless sequence costs seconds, a wrong block costs trust.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cached_property
from itertools import chain, pairwise
from typing import NamedTuple

# --- A pattern that is compiled at its first use: for a call that passes early most are never needed. -------


class Rule:
    """As much of `re.Pattern` as the rules need."""

    def __init__(self, pattern: str, flags: int = 0) -> None:
        self.pattern, self.flags = pattern, flags

    @cached_property
    def _compiled(self) -> re.Pattern[str]:
        return re.compile(self.pattern, self.flags)

    def search(self, text: str) -> re.Match[str] | None:
        return self._compiled.search(text)

    def match(self, text: str) -> re.Match[str] | None:
        return self._compiled.match(text)

    def finditer(self, text: str) -> Iterator[re.Match[str]]:
        return self._compiled.finditer(text)

    def sub(self, new: str, text: str) -> str:
        return self._compiled.sub(new, text)


# --- depend words -------------------------------------------------------------------------------------------
# The words by which a task refers back, changes, checks or decides: data for dependence.py, nothing else.
# English is read in full; of other languages their most common ways to refer back and to say what is done, in
# one table each. A script that isn't covered here (`UNREAD_SCRIPT`) is not judged at all.

SAYS_SO = Rule(
    r"\bdepends?\s+(?:up)?on\s*:|\bh(?:ä|ae)ngt\s+ab\s+von\s*:|\bd(?:é|e)pend\s+de\s*:|\bdepende\s+de\s*:"
    r"|依赖于?\s*[:\uff1a]|依存\s*[:\uff1a]",
    re.IGNORECASE,
)

ELSEWHERE_REFERS_BACK = Rule(
    "|".join(  # noqa: FLY002 - a row a language
        (
            # German
            r"\b(?:basierend\s+auf|auf\s+(?:der\s+)?(?:basis|grundlage)|aufgrund|anhand|ausgehend\s+von|laut|gem(?:ä|ae)(?:ß|ss))\b",
            r"\b(?:gefunden|genannt|ermittelt|beschrieben|identifiziert|gemeldet|erw(?:ä|ae)hnt)\w*\b",
            r"\b(?:oben|obige\w*|vorherig\w*|vorig\w*|vorhin|zuvor|bisherig\w*|bereits|erneut|nochmals?)\b",
            r"\b(?:dies|diese[nmrs]?|jene[nmrs]?)\s+(?:ergebnis|bericht|befund|erkenntnis|fehler|datei|stelle|problem)\w*",
            r"\b(?:die|der|den|das)\s+(?:ergebnis|befund|erkenntnis|zusammenfassung|(?:ä|ae)nderung)\w*",
            # French
            r"\b(?:d['\u2019]apr(?:è|e)s|selon|(?:à|a)\s+partir\s+d|en\s+se\s+basant|sur\s+la\s+base|compte\s+tenu)\b",
            r"\bci-dessus\b|\bpr(?:é|e)c(?:é|e)dent\w*|\b(?:trouv|identifi|signal|rep(?:é|e)r|mentionn)(?:é|ée|és|ées)\b",
            r"\bces\s+(?:r(?:é|e)sultats|fichiers|erreurs|probl(?:è|e)mes|conclusions)\b|\bde\s+nouveau\b",
            # Spanish, Portuguese, Italian
            r"\b(?:seg(?:ú|u)n|basado\s+en|bas(?:á|a)ndote\s+en|a\s+partir\s+de|com\s+base|secondo|in\s+base\s+a)\b",
            r"\b(?:anterior(?:es|mente)?|precedente\w*|arriba|acima|sopra)\b",
            r"\b(?:encontrad|identificad|mencionad|detectad|trovat|indicat)[aoie]s?\b|\bde\s+nuevo\b",
            r"\b(?:estos|esos|esses|questi)\s+(?:resultados|archivos|errores|problemas|arquivos|risultati)\b",
            # Russian
            r"на\s+основ\w*|исходя\s+из|согласно|выше|предыдущ\w*|найденн\w*|обнаруженн\w*|указанн\w*|снова",
            # Chinese, Japanese
            r"根据|基于|上面|上述|之前|前面|刚才|前一个|发现的|找到的|再次|这些(?:文件|问题|结果|函数)",
            r"基づ|上記|前述|先ほど|さきほど|前の(?:結果|調査|エージェント|報告)|見つかった|見つけた|発見された|報告された|再度|もう一度",
        )
    ),
    re.IGNORECASE,
)

ONE_BY_ONE = Rule(
    r"\bone\s+(?:by\s+one|at\s+a\s+time|after\s+(?:the\s+other|another))\b|\bsequential(?:ly)?\b|\bserially\b|"
    r"\bin\s+(?:this|that|the\s+following)\s+order\b|\bin\s+sequence\b|\bstep\s+by\s+step\b|\bin\s+turn\b|"
    r"\bnot\s+(?:all\s+)?(?:in\s+parallel|at\s+once|at\s+the\s+same\s+time)\b|"
    r"\bwait\s+(?:for|until)\b|\bbefore\s+(?:start|mov|launch|go|do)ing\b|\bonly\s+(?:then|after|once|when)\b|"
    r"\bfirst\b.{1,300}?\b(?:then|after\s+that|afterwards)\b|"
    r"\bnacheinander\b|\beine[rsn]?\s+nach\s+(?:dem|der)\s+andere\w*|\bzuerst\b.{1,300}?\bdann\b|"
    r"\bl['\u2019]une?\s+apr(?:è|e)s\s+l['\u2019]autre\b|\bd['\u2019]abord\b.{1,300}?\b(?:puis|ensuite)\b|"
    r"\buno\s+(?:por|tras)\s+(?:uno|otro)\b|\bprimero\b.{1,300}?\b(?:luego|despu(?:é|e)s)\b|"
    r"逐个|逐一|依次|先.{1,100}(?:再|然后)|順番に|一つずつ",
    re.IGNORECASE | re.DOTALL,
)
"""In the human's prompt: then an order was asked for, and it isn't ours to judge."""

AND_THEN_IT = Rule(
    r"\b(?:and|then|,)\s+(?:\w+\s+){0,2}?(?:fix|implement|use|set|have|make|check|double-check|test|verify|review|break|"
    r"optimi[sz]e|improve|apply|update|add|write|build|document|clean|change|remove|deploy|run|try|shrink|convert|"
    r"replace|refactor|measure)\s+(?:sure\s+)?(?:(?:it|them|nothing)(?:['\u2019]s)?\b|th(?:is|at)(?=\s*[.,;:!?]|\s*$"
    r"|\s+(?:it|they|nothing|everything|all|(?:the\s+)?(?:tests?|build))\b))|(?:,|;|\band)\s+then\b",
    re.IGNORECASE,
)
"""In the human's prompt: "find ... and fix it" is an order too."""

FOUND = Rule(r"\b(?:found|identified|discovered|uncovered|located)\b", re.IGNORECASE)
REPORT_WHAT_IS_FOUND = Rule(
    r"\b(?:report|list|return|describe|summari[sz]e|note|give|show|document|mention|flag|count|collect|tell|"
    r"any|all|every|each|anything|everything|what(?:ever)?|where|can\s+be|is|are|be)\b[^.\n;]{0,60}\b(?:found|identified|"
    r"discovered|uncovered|located)\b(?!\s+(?:above|earlier|before|by|previously))",
    re.IGNORECASE,
)

DID_NOT_FINISH = Rule(
    r"\b(?:could\s*n[o']t|can\s*not|can't|unable\s+to|failed\s+to|not\s+able\s+to|did\s*n[o']t)\s+(?:fully\s+)?"
    r"(?:finish|complete|access|open|read|run|reach|determine|answer|locate|get)\b|"
    r"\bran\s+out\s+of\s+(?:time|context|tokens|turns|budget|space)\b|\bI\s+(?:timed\s+out|hit|was\s+(?:rate|cut))\b|"
    r"^\W*(?:\w+\s+)?error\s*:|\bincomplete\b|\binterrupted\b|\bgave\s+up\b|\bpermission\s+denied\b|"
    r"\bplease\s+(?:clarify|specify|provide)\b|\bwhich\s+(?:one\s+)?(?:do|did|should)\s+(?:you|I)\b",
    re.IGNORECASE,
)

_IMPERATIVE = (
    r"(?:^|[.;:!?\n]|\b(?:and|then|please|also|now|next|finally|thoroughly|carefully|quickly|to\s+do|todo)\b|,"
    r"|\b(?:task|job|goal)\s+is\s+to\b|\b(?:you|we)\s+(?:must|should|will|need\s+to|have\s+to|are\s+to)\b)"
    r"[\s*#>-]*(?:\d+[.)]\s*)?"
)
"""Where a verb says what is to be done: "how to add" and "where we create" say something else."""

SEARCHES = Rule(r"(?:search|find|locate|look\s+for|where|grep)\b", re.IGNORECASE)
NOTHING_FOUND = Rule(
    r"^\W*(?:i\s+)?(?:found\s+nothing|nothing|none|not\s+found|no\s+(?:such|match|result|occurrence|hit|mention|trace|sign)"
    r"|there(?:['\u2019]s|\s+(?:is|are|was|were))\s+no|(?:could\s*n[o'\u2019]t|could\s+not|did\s*n[o'\u2019]t)\s+find)\b",
    re.IGNORECASE,
)
"""How the answer of a search begins that goes on elsewhere."""

CHANGES = Rule(
    _IMPERATIVE + r"(?:implement|fix|refactor|write|add|create|update|migrate|rename|install|generate|apply|"
    r"build|edit|remove|delete|replace|convert|port|upgrade|rewrite|extract|move|patch|set\s+up|scaffold|repair|bump|"
    r"introduce|change|make|wire|integrate|enable|disable|optimi[sz]e|speed\s+up|split|simplify|develop|harden|"
    r"translate|bootstrap|initiali[sz]e|address|resolve|correct|adapt|adjust|hook\s+up|connect|drop|format|"
    r"implementiere|behebe|schreibe|erstelle|(?:ä|ae)ndere|entferne|ersetze|korrigiere|f(?:ü|ue)ge|"
    r"impl(?:é|e)mente\w*|corrige\w*|ajoute\w*|cr(?:é|e)e\w*|modifie\w*|supprime\w*|(?:é|e)cris|r(?:é|e)dige\w*|"
    r"implementa\w*|arregla\w*|a(?:ñ|n)ade\w*|crea\w*|escribe|elimina\w*|actualiza\w*)\b(?!\s*,)"
    r"|实现|修复|编写|添加|创建|重构|更新|删除|実装|修正|作成|追加|削除|変更|реализуй|исправь|напиши|добавь|создай",
    re.IGNORECASE | re.MULTILINE,
)
CHECKS = Rule(
    _IMPERATIVE
    + r"(?:(?:smoke[\s-])?test|re-?run|run|review|verify|validate|check|benchmark|lint|measure|commit|"
    r"document|audit|deploy|profile|compare|type-?check|build|release|describe|summari[sz]e|inspect|confirm|"
    r"proofread|try|push|open\s+a|exercise|make\s+sure|ensure|"
    r"(?:write|add|update|draft|prepare|create)\s+(?:\w+\s+){0,3}(?:tests?|docs?|documentation|changelog|notes|readme|guide)|"
    r"teste|pr(?:ü|ue)fe|(?:ü|ue)berpr(?:ü|ue)fe|dokumentiere|v(?:é|e)rifie\w*|documente\w*|verifica\w*|comprueba|prueba|revisa)\b"
    r"|测试|检查|审查|验证|テスト|確認|検証|レビュー|проверь|протестируй",
    re.IGNORECASE | re.MULTILINE,
)
DECIDES = Rule(
    _IMPERATIVE
    + r"(?:plan|design|decide|choose|propose|outline|architect|draft|recommend|prioriti[sz]e|rank|"
    r"synthesi[sz]e|conclude|specify|sketch|estimate|plane|entwirf|entscheide|con(?:ç|c)ois|dise(?:ñ|n)a)\b"
    r"|设计|规划|制定|設計|計画",
    re.IGNORECASE | re.MULTILINE,
)
WEIGHS = Rule(
    r"(?:compare|contrast|combine|merge|consolidate|weigh|rank|synthesi[sz]e|conclude|judge|evaluate|assess|critique)\b",
    re.IGNORECASE,
)
LOOKS = frozenset(
    """
    explore read find search look investigate explain describe analyze analyse summarize summarise list count
    review check audit inspect examine research map trace document identify locate compare survey study
    report give tell show understand determine measure scan gather collect verify evaluate assess
    how what where which who why when
    untersuche erkunde lies suche beschreibe analysiere explore lis cherche décris analyse lee busca explica
    analiza revisa leia descreva изучи найди опиши
    """.split()  # noqa: SIM905 - a page of words reads better than a list of strings
)
"""The first words of tasks that only look at something."""
FOUNDATION = Rule(
    r"\b(?:set\s+up|scaffold|bootstrap|initiali[sz]e|install|migrate|upgrade|rename|restructure|"
    r"move|skeleton|boilerplate|foundation|schema|base\s+class(?:es)?|shared\s+(?:types|code|helpers|library)|"
    r"interface|protocol|data\s+model|project\s+structure|toolchain)\b|搭建|初始化|脚手架|aufsetzen|einrichten",
    re.IGNORECASE,
)
"""What others stand on: after it, most work had to wait."""
READS_ONLY = frozenset({"explore", "plan"})
"""Built-in agent types that can't write, whatever their task says."""
_ANYTHING = r"(?:\s+(?:any|anything|code|files?|the\s+(?:code|files?|repository))\b|\s*[.,;!\n]|\s*$)"
WRITES_NOTHING = Rule(
    r"\b(?:(?:do\s+not|don't|never)\s+(?:\w+\s+)?(?:edit|change|modify|write)|without\s+(?:edit|chang|modify|writ)ing)"
    + _ANYTHING
    + r"|\bread[\s-]only\b",
    re.IGNORECASE,
)
TROUBLED = Rule(
    r"\bwhy\b|\bfix\b|\bdebug\b|\bbroke(?:n)?\b|\bfail(?:s|ed|ing)?\b|\bcrash(?:es|ed|ing)?\b|\bwrong\b|\bflak[ye]\w*"
    r"|\b(?:is|are|it['\u2019]s|so|too|very)\s+slow\b|\b(?:does|do|did|wo|ca)n['\u2019]?t\b|\bno\s+longer\b|\bhangs?\b|\bstuck\b"
    r"|\bwarum\b|\bpourquoi\b|\bpor\s+qu(?:é|e)\b|почему|为什么|なぜ",
    re.IGNORECASE,
)
"""In the human's prompt: something doesn't work, and the cause is sought."""
IN_DEPTH = Rule(
    r"\bin\s+(?:more\s+|greater\s+|full\s+)?(?:depth|detail)\b|\bmore\s+closely\b|\bfurther\b|\bdeeper\b",
    re.IGNORECASE,
)
UNREAD_SCRIPT = Rule(
    "[\u0590-\u05ff\u0600-\u06ff\u0900-\u0dff\u0e00-\u0e7f\u10a0-\u10ff\u1100-\u11ff\uac00-\ud7af\u0370-\u03ff]"
)
"""Hebrew, Arabic, Indic, Thai, Georgian, Korean, Greek: no words of theirs stand here."""

DEPEND_WORDS_COMMON = frozenset(
    # Words that any two tasks share, whatever they are about.
    """
    able about above across add adding additional after again against agent all almost along already
    also always am among an analyse analysis analyze and another any anything are around as ask at
    author available away back be because been before begin being below best better between both
    brief bullet but by can case certain change check class code come complete component concise
    could count cover create deal deep depend describe detail details did different direct directory
    do document does doing done down due during each easy edge effect either else empty end ensure
    entire etc even every everything exact examine example exist expect explain explicit explore
    extra fact few file files final find finding fine first fix focus folder follow for found from
    full function further general get give given go goal good got had happen has have help her here
    high him his how identify if ignore implement implementation important in include including
    individual info information inspect instance instead interesting into investigate involve is
    issue it item its itself job just keep kept kind know large last lead least length less let
    level like likely line lines list little live long look low lower made main maintain major make
    many mark may mean mention might minimum minor miss missing module modules more most mostly much
    must name need never new next no none normal not note nothing now number obvious occur of off
    offer often okay old on once one ones only or other otherwise our out over overall overview own
    package part particular pass path paths per place plain please point possible potential present
    previous prior problem produce project provide put python quick quite raise range rather reach
    read real reason recent refer relevant remain remaining repo report repository require
    respective rest result return review right run same say scan see select sentence separate set
    several shape short should show side similar simple since single site size skip slow small so
    some something source specific src such suggest summarise summarize summary sure take task team
    tell term test tests than that the their them then there these they thing third this those
    though three through throughout time to today together too top topic total try turn two type
    under understand unique unless until up update upper us use used user using usual various verify
    very view want was way we well were what when where whether which while who whole why wide will
    with within without word words work would write wrong yes yet you your yourself
    """.split()  # noqa: SIM905 - a page of words reads better than a list of strings
)
DEPEND_WORDS_GENERAL = DEPEND_WORDS_COMMON | frozenset(
    # Words that any two answers about programs share: alone they prove no dependence.
    """
    access action active actual added aggregate algorithm allow answer api app appear application
    apply architecture area argument array ascii aspect async attempt avoid background base based
    become behavior behaviour block body boolean branch bug build built builtin byte call caller
    catch cause central character ci clean clear cli client close collect column command comment
    commit common compare concern config configuration connection constant contain content context
    control convention copy core correct cpu creation critical css current custom data database date
    db debug decide declare default define definition delete dependency description design detect
    develop diagram discuss display dist docs documentation duplicate element enable encounter
    endpoint engine entry environment error event exception execute export expose external fail
    failure false feature field flag flow form format framework functionality generate global gpu
    group guide handle handler header helper hook host html http https id ide ids import improve
    index inner input integration interface internal introduce io iterate json key layer lib library
    light limit load local location log logic loop manage manager match maximum memory message
    metadata method middle mode model modern move multiple node null object open operation option
    optional order organise organize os output page pair parameter parent party pattern perform
    performance plan pr primary print private process product program propose protocol public
    purpose question ram raw reader readme ready receive recommend record reduce refactor reference
    related relation remove render represent request requirement resource respond response
    responsibility risk role root route row rule runtime safe sample save scope script sdk search
    second section secure security self send sequence serve server service session setting setup
    share space spec special split sql stage standard start state statement static status step still
    stop storage store story strategy string structure style sub subject suite support surface
    switch system table target template text thread timeout title todo toml tool touch trace track
    true ui unit unknown unused url usage utf util utils valid validate validation value variable
    version visible wait warning web worker wrap writer written xml yaml year zero
    """.split()  # noqa: SIM905 - as above
)


# --- depend text --------------------------------------------------------------------------------------------
# Texts as the rules of dependence.py compare them: folded, spaced, stemmed, without what any two texts
# share.

DEPEND_TEXT_WORD = re.compile(r"[^\W\d_]+")
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
    found = (word.casefold() for word in DEPEND_TEXT_WORD.findall(spaced(text)))
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


COMMON = DEPEND_WORDS_COMMON | frozenset(map(stem, DEPEND_WORDS_COMMON))
GENERAL = DEPEND_WORDS_GENERAL | frozenset(map(stem, DEPEND_WORDS_GENERAL))


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


# --- What a task says besides its own: who the agent is, where it works, how it is to answer. ---------------
# Two tasks of one session often begin and end in the same words. Those words are no sign that the two are of
# one form, nor that one works on what the other did. So they are set aside before two tasks are compared: the
# *instruction* is the first order that the other task doesn't give in the same words.

UNIT_END = re.compile(r"[.!?:](?=\s|$)|\n|(?<=[\u3002\uff1a])")
FILLER = Rule(
    r"(?:[\s*#>-]|\d+[.)]\s|(?:please|now|then|next|finally|also|first|ok(?:ay)?|great|and|thoroughly|carefully|quickly|"
    r"(?:can|could)\s+you|(?:i|we)\s+(?:want|need|would\s+like)\s+(?:you\s+)?to|(?:your|the)\s+(?:task|job|goal)\s+is\s+to)"
    r"\b,?)+",
    re.IGNORECASE,
)
PERSONA = Rule(r"\W*(?:you(?:['\u2019]re|\s+are)|act\s+as)\b", re.IGNORECASE)
STATES = Rule(r"\W*(?:the|an?|this|these|our|we|you|it|there|in|on|all)\b", re.IGNORECASE)
OF_THE_PROJECT = Rule(
    r"\b(?:repo|repository|project|code\s?base|mono\w+|application|working\s+(?:directory|on)|stack)\b",
    re.IGNORECASE,
)
ORDER = 3
"""Sentences that begin with so many words in common are one order."""


def instruction(task: str, other: str) -> str:
    """Return the sentence of a task that says what is to be done, of two tasks that are compared."""
    units, own = _units_and_own(task, other)
    before = units[: units.index(own[0])] if own else units
    # "Read CLAUDE.md. Fix the header": the second. "Review the header: security": the first
    chosen = _first_order(own) or _first_order(before) or own[:1] or units[:1]
    return chosen[0] if chosen else ""


def said_before(task: str, other: str) -> str:
    """Return what a task alone says ahead of its instruction: what a pronoun there may mean."""
    _, own = _units_and_own(task, other)
    said = instruction(task, other)
    before = own[: own.index(said)] if said in own else []
    return "\n".join(unit for unit in before if not PERSONA.match(unit))


def opening(task: str, other: str) -> list[str]:
    """Return the words of its instruction."""
    return [word.casefold() for word in DEPEND_TEXT_WORD.findall(instruction(task, other))]


def without_common_orders(task: str, other: str) -> str:
    """Return a task without the orders and the words about the project that `other` gives too.

    "Follow the existing conventions", not "The shop page is in web/shop.tsx".
    """
    theirs = {_beginning(own) for own in _units(prompt_of(other))}
    said = instruction(task, other)
    name = task.partition("\n")[0]
    own = (unit for unit in _units(prompt_of(task)) if _is_own(unit, theirs) or unit == said)
    return "\n".join((name, *own))


def _units_and_own(task: str, other: str) -> tuple[list[str], list[str]]:
    units = _units(prompt_of(task))
    theirs = {unit.casefold() for unit in _units(prompt_of(other))}
    return units, [unit for unit in units if unit.casefold() not in theirs]


def _units(text: str) -> list[str]:
    found = (unit[_filler(unit) :].strip() for unit in UNIT_END.split(text))
    return [unit for unit in found if unit]


def _filler(unit: str) -> int:
    match = FILLER.match(unit)
    return match.end() if match else 0


def _first_order(units: list[str]) -> list[str]:
    return [unit for unit in units if is_order(unit)][:1]


def is_order(unit: str) -> bool:
    """Say whether a sentence begins with a verb that says what to do."""
    first = DEPEND_TEXT_WORD.match(unit)
    if first and first.group().casefold() in LOOKS:
        return True
    return any(rule.match(unit) for rule in (CHANGES, CHECKS, DECIDES))


def _is_own(unit: str, theirs: set[tuple[str, ...]]) -> bool:
    states = STATES.match(unit) and not (PERSONA.match(unit) or OF_THE_PROJECT.search(unit))
    return bool(states) or _beginning(unit) not in theirs


def _beginning(sentence: str) -> tuple[str, ...]:
    return tuple(word.casefold() for word in DEPEND_TEXT_WORD.findall(sentence)[:ORDER])


# --- Does a task stand alone? One that leans on what was said before can't be read without it. --------------
# It leans when, in the sentence that says what is to be done,
#
# 1. a word needs another that it means ("it", "both", "the cause"), and nothing before it could be meant;
# 2. it compares with what isn't there ("similar places", "who else", "the same flaw", "search harder");
# 3. it is the earlier task again with something added: a closer look;
# 4. it speaks of what the earlier task is named for, or of the one that was asked for ("which job": "the
#    integration job");
# 5. it speaks of *the* bug, *the* callers, and only the earlier agent can have told of them;
# 6. it has no subject of its own at all ("give me more details").
#
# Of two tasks of one form 5 and 6 say nothing: there the form is the boilerplate, and the subject one word.

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


# --- The ways in which an English task refers back to what was answered before it. --------------------------
# A pattern that spells out forty nouns in eight places takes longer to compile than a cold event may cost. So
# the words stand in sets, a task's words are marked with the letters of their sets, and the patterns name
# letters.

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


# --- Do two tasks look like parts of one request? Their shape and the human's words, nothing else. ----------
# What shows it: they are of one form (`are_alike`), begin with one verb, both only look at something, or are
# both about what the human's prompt names. Where nothing shows it, dependence.py lets the second pass.

CLAUSE_END = re.compile(r"[,.;:!?](?=\s|$)|\n|\band\b")
ALIKE = 0.5
"""The share of words that the first sentences of two tasks of one form have in common."""
NAMED_ALIKE = 0.15
"""As much is enough where the descriptions are of one form."""
MAX_NAME = 6
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
    changes = CHANGES.search(prompt_of(task))
    return _begin_alike(task, other) and (is_asked or not changes)


def _is_in_trouble(other: str, human: str) -> bool:
    """Say whether the other task began to look for what is wrong: who looks for a cause follows a trail."""
    troubled = "\n".join(clause for clause in CLAUSE_END.split(human) if TROUBLED.search(clause))
    about = set(map(stem, content(other, COMMON)))
    return any(stem(word) in about for word in content(troubled, COMMON))


def _begin_alike(task: str, other: str) -> bool:
    one, two = opening(task, other), opening(other, task)
    return one[:1] == two[:1] or _name_of(task)[:1] == _name_of(other)[:1]


def only_looks(task: str, other: str) -> bool:
    """Say whether a task, beside another one, is to look at something and to change nothing."""
    said = opening(task, other)
    return said[:1] != [] and said[0] in LOOKS and not CHANGES.search(prompt_of(task))


def _is_named(task: str, other: str, human: str) -> bool:
    """Say whether the human names something that one task is about and the other is not."""
    asked, shared = set(map(stem, content(human, COMMON))), set(map(stem, content(other, COMMON)))
    return any(own in asked and own not in shared for own in map(stem, content(task, COMMON)))


def _have_one_form(one: list[str], two: list[str]) -> bool:
    if len(one) != len(two) or not 2 <= len(one) <= MAX_NAME:
        return False
    return sum(left != right for left, right in zip(one, two, strict=True)) == 1


def _name_of(task: str) -> list[str]:
    return [word.casefold() for word in DEPEND_TEXT_WORD.findall(task.partition("\n")[0])]


# --- dependence ------------------------------------------------------------------------------------------

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
    if SAYS_SO.search(task):
        return "it says so"
    if ONE_BY_ONE.search(known) or (not alike and AND_THEN_IT.search(known)):
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
    if not task.isascii() and UNREAD_SCRIPT.search(task):
        return "its language is not read here"
    return (
        "" if could_go_together(task, earlier.task, known) else "nothing shows that the two are of one kind"
    )


def _refers_back(task: str, other: str) -> str:
    """Return the phrase that refers back; what the earlier task says too is the form of both."""
    same = folded(other)
    elsewhere = (match.group() for match in ELSEWHERE_REFERS_BACK.finditer(task))
    for phrase in chain(phrases(task), elsewhere):
        if not stands_in(folded(phrase), same):
            return phrase
    found = FOUND.search(REPORT_WHAT_IS_FOUND.sub(" ", task))
    return found.group() if found and not FOUND.search(other) else ""


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
    parts = DEPEND_TEXT_WORD.findall(name)
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
    if SEARCHES.match(said) and SEARCHES.match(theirs) and NOTHING_FOUND.search(earlier.answer):
        return True
    return len(earlier.answer) <= SHORT_ANSWER and bool(DID_NOT_FINISH.search(earlier.answer))


def _stands_on_changes(task: str, earlier: Earlier, *, alike: bool) -> str:
    reads_only = earlier.kind.lower() in READS_ONLY or WRITES_NOTHING.search(earlier.task)
    if reads_only or not CHANGES.search(earlier.task) or _only_its_name_says_so(earlier.task, task):
        return ""
    if (name := _shared_name(task, earlier.task)) and not (alike and _have_own_files(task, earlier.task)):
        return f"both work on {shown(name)}, which the earlier agent changed"
    if alike:
        return ""
    if CHECKS.search(task):
        return "it checks what the earlier agent changed"
    if FOUNDATION.search(earlier.task):
        return "it stands on what the earlier agent set up"
    if shared := _shared_subject(task, earlier.task):
        return f"it works on what the earlier agent changed ({shared})"
    return ""


def _only_its_name_says_so(task: str, other: str) -> bool:
    """Say whether a name's verb is a noun: "Build caching", over a prompt that asks about "our build"."""
    name, _, prompt = task.partition("\n")
    verb = DEPEND_TEXT_WORD.match(name)
    if verb is None or not only_looks(task, other):
        return False
    return bool(
        re.search(rf"\b(?:the|an?|our|its|this|each)\s+(?:\w+\s+)?{verb.group()}s?\b", prompt, re.IGNORECASE)
    )


def _acts_on_what_was_read(task: str, earlier: Earlier, *, alike: bool) -> str:
    acts = CHANGES.search(task) or DECIDES.search(task)
    planned = earlier.kind.lower() == "plan" or DECIDES.search(earlier.task)
    if planned and CHANGES.search(task) and not CHANGES.search(earlier.task):
        return "it carries out what was planned"
    changed = CHANGES.search(earlier.task) and earlier.kind.lower() not in READS_ONLY
    shared = _shared_subject(task, earlier.task)
    if acts and not changed and shared and not alike:
        return f"it acts on what the earlier agent looked into ({shared})"
    if WEIGHS.match(instruction(task, earlier.task)) and shared and not alike:
        return f"it weighs what the earlier agent looked into ({shared})"
    if IN_DEPTH.search(task) and not IN_DEPTH.search(earlier.task) and shared:
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
