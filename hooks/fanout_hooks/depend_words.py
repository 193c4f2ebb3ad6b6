"""The words by which a task refers back, changes, checks or decides: data for depend.py, nothing else.

English is read in full; of other languages their most common ways to refer back and to say what is done, in
one table each. A script that isn't covered here (`UNREAD_SCRIPT`) is not judged at all.
"""

from __future__ import annotations

import re

from fanout_hooks.depend_rule import Rule

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

COMMON = frozenset(
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
GENERAL = COMMON | frozenset(
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
