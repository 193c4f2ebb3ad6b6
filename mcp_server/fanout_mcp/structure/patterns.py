"""Languages without a grammar here: definitions and imports by a table of patterns, line by line.

Comments and strings of several lines are blanked first, so that nothing in them is taken for a definition.
What comes of it is labelled: a pattern sees a definition's first line, not where it ends.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from fanout_mcp.structure.documents import spoken

MAX_DEFINITIONS: Final = 2_000
MAX_SIGNATURE: Final = 160

Definition = tuple[str, str, int, str, str]
"""Kind, name, line, signature, doc."""


@dataclass(frozen=True, slots=True)
class Form:
    """`definitions`: kind to pattern, whose last group is the name; `%` in a kind takes the first group."""

    name: str
    endings: tuple[str, ...]
    comments: tuple[str, ...]
    block: tuple[str, str] | None
    definitions: tuple[tuple[str, str], ...]
    imports: str = r"(?!)"
    files: tuple[str, ...] = ()
    is_blind: bool = False
    """Letters' case does not matter."""


_SQL_PART: Final = r"(?:[\w$]+|\"[^\"\n]+\"|`[^`\n]+`|\[[^\]\n]+\])"
_SQL_NAME: Final = rf"({_SQL_PART}(?:\s*\.\s*{_SQL_PART})*)"
_OR: Final = r"(?:\s+or\s+(?:replace|alter))?"
_IF: Final = r"(?:\s+if\s+not\s+exists)?"
FORMS: Final = (
    Form(
        "SQL",
        (".sql", ".ddl", ".psql", ".pgsql"),
        ("--",),
        ("/*", "*/"),
        (
            (
                "%",
                (
                    rf"^[ \t]*create{_OR}(?:\s+(?:global|local))?(?:\s+(?:temp|temporary|unlogged|external"
                    rf"|foreign))?"
                    rf"(?:\s+materialized)?\s+(table|view|sequence|type|domain|schema){_IF}\s+{_SQL_NAME}"
                ),
            ),
            (
                "%",
                (
                    rf"^[ \t]*create{_OR}(?:\s+definer\s*=\s*\S+)?(?:\s+aggregate)?\s+(function|procedure"
                    rf"|trigger|macro)"
                    rf"{_IF}\s+{_SQL_NAME}"
                ),
            ),
            (
                "index",
                rf"^[ \t]*create(?:\s+unique)?\s+index(?:\s+concurrently)?{_IF}\s+(?!on\b){_SQL_NAME}",
            ),
        ),
        is_blind=True,
    ),
    Form(
        "Protobuf",
        (".proto",),
        ("//",),
        ("/*", "*/"),
        (
            ("%", r"^[ \t]*(message|service|enum)\s+(\w+)"),
            ("rpc", r"^[ \t]*rpc\s+(\w+)"),
            ("extend", r"^[ \t]*extend\s+([\w.]+)"),
        ),
        r"^[ \t]*import\s+(?:public\s+|weak\s+)?\"([^\"]+)\"",
    ),
    Form(
        "GraphQL",
        (".graphql", ".gql", ".graphqls"),
        ("#",),
        None,
        (
            ("%", r"^[ \t]*(?:extend\s+)?(type|interface|enum|input|union|scalar)\s+(\w+)"),
            ("directive", r"^[ \t]*directive\s+@(\w+)"),
            ("%", r"^[ \t]*(query|mutation|subscription|fragment)\s+(\w+)"),
        ),
        r"^#import\s+[\"']([^\"']+)",
    ),
    Form(
        "PowerShell",
        (".ps1", ".psm1"),
        ("#",),
        ("<#", "#>"),
        (
            (
                "function",
                r"^[ \t]*(?:function|filter|workflow)\s+(?:(?:global|script|local|private):)?([\w-]+)",
            ),
            ("%", r"^[ \t]*(class|enum)\s+(\w+)"),
        ),
        r"^[ \t]*(?:Import-Module\s+(?:-Name\s+)?|using\s+module\s+|\.\s+)['\"]?([^\s'\"|;]+)",
        is_blind=True,
    ),
    Form(
        "Groovy",
        (".groovy", ".gvy"),
        ("//",),
        ("/*", "*/"),
        (
            (
                "%",
                (
                    r"^[ \t]*(?:@\w+\s+)*(?:(?:public|private|protected|static|final|abstract|sealed)\s+)*"
                    r"(class|interface|trait|enum|@interface)\s+(\w+)"
                ),
            ),
            (
                "method",
                (
                    r"^[ \t]*(?:(?:public|private|protected|static|final|abstract|synchronized)\s+)*(?:def"
                    r"|void|boolean|int|long"
                    r"|double|float|byte|char|[A-Z][\w.]*(?:<[^()\n]*>)?(?:\[\])*)\s+(\w+|'[^'\n]+'|\"[^\"\n]+\")\s*\([^;\n]*"
                    r"(?:\{|\)|,)\s*$"
                ),
            ),
        ),
        r"^[ \t]*import\s+(?:static\s+)?([\w.*]+)",
        ("jenkinsfile",),
    ),
    Form(
        "Gradle",
        (".gradle",),
        ("//",),
        ("/*", "*/"),
        (
            ("task", r"^[ \t]*(?:task\s+|tasks\.(?:register|create)\s*\(?\s*['\"])(\w+)"),
            ("block", r"^(\w+)\s*\{"),
            ("function", r"^[ \t]*def\s+(\w+)\s*\("),
        ),
        r"^[ \t]*(?:apply\s+plugin:\s*|id\s*\(?\s*)['\"]([\w.-]+)",
    ),
    Form(
        "R",
        (".r",),
        ("#",),
        None,
        (
            ("function", r"^[ \t]*(`[^`\n]+`|[\w.]+)\s*(?:<-|<<-|=)\s*(?:function\s*\(|\\\()"),
            ("class", r"\b(?:setClass|setRefClass|R6Class)\s*\(\s*(?:Class\s*=\s*)?[\"']([\w.]+)"),
            ("method", r"\bset(?:Generic|Method)\s*\(\s*(?:f\s*=\s*|name\s*=\s*)?[\"']([^\"'\n]+)"),
        ),
        r"\b(?:library|require|requireNamespace|source)\s*\(\s*[\"']?([\w./-]+)",
        is_blind=True,
    ),
    Form(
        "Julia",
        (".jl",),
        ("#",),
        ("#=", "=#"),
        (
            ("%", r"^[ \t]*(?:@\w+\s+)*(?:mutable\s+)?(struct|module|baremodule|macro)\s+(\w+!?)"),
            ("type", r"^[ \t]*(?:abstract|primitive)\s+type\s+(\w+)"),
            (
                "function",
                (
                    r"^[ \t]*(?:@[\w.]+\s+)*function\s+(?:\([^()\n]*\)\s*)?([\w.!]+"
                    r"|[\w.]*\(?:?[^\w\s(]+\)?)\s*[({]"
                ),
            ),
            (
                "function",
                (
                    r"^(?:[ \t]*@[\w.]+[ \t]+|[ \t]*)([A-Za-z_][\w.!]*)(?:\{[^=\n]*\})?\([^\n]*\)"
                    r"(?:::[^=\n]+)?(?:\s+where\s+[^=\n]+)?\s*=(?![=>])"
                ),
            ),
            ("constant", r"^const\s+(\w+)"),
        ),
        r"^[ \t]*(?:using|import|include\()\s*[\"']?([\w./]+)",
    ),
    Form(
        "Perl",
        (".pl", ".pm", ".psgi"),
        ("#",),
        None,
        (
            ("package", r"^[ \t]*package\s+([\w:]+)"),
            ("function", r"^[ \t]*(?:my\s+)?(?:sub|method)\s+([\w:]+)"),
            ("%", r"^[ \t]*(class|role)\s+([\w:]+)"),
            ("constant", r"^[ \t]*use\s+constant\s+(?!\{)(\w+)"),
        ),
        r"^[ \t]*(?:use|require)\s+(?!(?:strict|warnings|utf8|constant|vars|feature|lib|v?\d)\b)([\w:]+)",
    ),
    Form(
        "Make",
        (".mk", ".mak"),
        ("#",),
        None,
        (
            ("target", r"^([A-Za-z0-9][\w./%$(){}-]*(?:[ \t]+[A-Za-z][\w./%-]*)*)[ \t]*::?(?![=:])"),
            ("macro", r"^define\s+(\w+)"),
        ),
        r"^-?include\s+(\S+)",
        ("makefile", "gnumakefile"),
    ),
    Form(
        "Docker",
        (".dockerfile",),
        ("#",),
        None,
        (
            ("stage", r"^FROM\s+(?:--\S+\s+)?\S+\s+AS\s+(\S+)"),
            ("image", r"^FROM\s+(?:--\S+\s+)?(\S+)(?!.*\sAS\s)"),
            ("%", r"^(EXPOSE|ENTRYPOINT|CMD)\s+([^\n]{1,80})"),
        ),
        files=("dockerfile", "containerfile"),
        is_blind=True,
    ),
    Form(
        "Objective-C",
        (".m", ".mm"),
        ("//",),
        ("/*", "*/"),
        (
            ("%", r"^@(interface|implementation|protocol)\s+(\w+)"),
            ("method", r"^[-+]\s*\([^()\n]*\)\s*(\w+)"),
            ("function", r"^(?:static\s+)?[A-Za-z_][\w\s*]*?[\s*](\w+)\s*\([^;\n]*\)\s*\{"),
        ),
        r"^#(?:import|include)\s+[<\"]([^>\"]+)",
    ),
    Form(
        "Clojure",
        (".clj", ".cljs", ".cljc"),
        (";",),
        None,
        (
            ("namespace", r"^\(ns\s+(?:\^\S+\s+)*([\w.\-*]+)"),
            ("function", r"^\(defn-?\s+(?:\^\S+\s+)*([^\s()\[\]]+)"),
            ("%", r"^\(def(macro|protocol|record|type|multi)\s+(?:\^\S+\s+)*([^\s()\[\]]+)"),
            ("constant", r"^\(def(?:once)?\s+(?:\^\S+\s+)*([^\s()\[\]]+)"),
        ),
        r"\[([\w.\-]+)\s+:(?:as|refer)\b",
    ),
    Form(
        "Erlang",
        (".erl", ".hrl"),
        ("%",),
        None,
        (
            ("module", r"^-module\(\s*(\w+)"),
            ("record", r"^-record\(\s*(\w+)"),
            ("type", r"^-(?:type|opaque)\s+(\w+)"),
            ("function", r"^([a-z]\w*)\([^\n]*(?:->|,|\))\s*$|^([a-z]\w*)\([^\n]*->"),
        ),
        r"^-include(?:_lib)?\(\"([^\"]+)",
    ),
    Form(
        "F#",
        (".fs", ".fsx", ".fsi"),
        ("//",),
        ("(*", "*)"),
        (
            ("%", r"^[ \t]*(module|namespace)\s+(?:rec\s+|internal\s+|private\s+)*([\w.]+)"),
            ("type", r"^[ \t]*(?:type|and)\s+(?:internal\s+|private\s+|public\s+)?(\w+)"),
            ("function", r"^(?:    )?let\s+(?:rec\s+|inline\s+|private\s+|internal\s+|mutable\s+)*(\w+)"),
            ("method", r"^[ \t]*(?:static\s+)?(?:member|override|default|abstract)\s+(?:\w+\.)?(\w+)"),
        ),
        r"^[ \t]*open\s+([\w.]+)",
    ),
    Form(
        "OCaml",
        (".ml", ".mli"),
        ("\0",),
        ("(*", "*)"),
        (
            ("function", r"^(?:  )?(?:let|and)\s+(?:rec\s+)?(\w+)"),
            (
                "%",
                (
                    r"^[ \t]*(type|module|class|exception|external|val)\s+(?:type\s+|rec\s+|nonrec\s+"
                    r"|\([^)\n]*\)\s+|'\w+\s+)*(\w+)"
                ),
            ),
        ),
        r"^[ \t]*(?:open|include)\s+([\w.]+)",
    ),
    Form(
        "Nim",
        (".nim",),
        ("#",),
        None,
        (
            ("function", r"^(?:proc|func|method|iterator|converter|template|macro)\s+(`[^`\n]+`|\w+)"),
            (
                "type",
                (
                    r"^  (\w+)\*?(?:\[[^\]\n]*\])?\s*(?:\{[^}\n]*\}\s*)?=\s*(?:ref\s+)?(?:object|enum"
                    r"|tuple|distinct|concept)"
                ),
            ),
        ),
        r"^(?:import|include|from)\s+([\w/.]+)",
    ),
)
_BY_ENDING: Final = {ending: form for form in FORMS for ending in form.endings}
_BY_NAME: Final = {name: form for form in FORMS for name in form.files}


@dataclass(frozen=True, slots=True)
class Read:
    language: str
    doc: str
    definitions: tuple[Definition, ...]
    imports: tuple[tuple[str, int], ...]
    """Names with their lines."""


def form_of(path: str) -> Form | None:
    """Return the form of a file by its ending or name; None for what has no patterns."""
    name = PurePosixPath(path).name.lower()
    return (
        _BY_NAME.get(name)
        or _BY_ENDING.get(PurePosixPath(name).suffix)
        or _BY_NAME.get(name.partition(".")[0] if name.startswith(("dockerfile.", "makefile.")) else "")
    )


def read(path: str, text: str) -> Read:
    """Read definitions and imports; raises ValueError for a file without a form."""
    form = form_of(path)
    if form is None:
        raise ValueError(f"{path} has no patterns")
    lines = text.split("\n")
    code = _without_blocks(text, form)
    flags = re.MULTILINE | (re.IGNORECASE if form.is_blind else 0)
    found: dict[tuple[int, str], Definition] = {}
    for what, pattern in form.definitions:
        for match in re.finditer(pattern, code, flags):
            groups = [group for group in match.groups() if group]
            name = " ".join(groups[-1].strip("'\"`[]" if form.name == "SQL" else "'\"`").split())
            at = match.start(match.lastindex or 0)
            line = code.count("\n", 0, at) + 1
            kind = groups[0].lower() if what == "%" else what
            signature = " ".join(lines[line - 1].split()).rstrip("{ (")[:MAX_SIGNATURE]
            doc = spoken(_above(lines, line - 1 - match[0][: at - match.start()].count("\n"), form))
            found.setdefault((line, name), (kind, name, line, signature, doc))
    imports = {
        match[1]: code.count("\n", 0, match.start(1)) + 1
        for match in reversed(list(re.finditer(form.imports, code, flags)))
    }
    ordered = sorted(found.values(), key=lambda one: one[2])[:MAX_DEFINITIONS]
    return Read(form.name, _head(lines, form), tuple(ordered), tuple(reversed(imports.items())))


def _without_blocks(text: str, form: Form) -> str:
    """Blank comments: their line ends stay."""
    if form.block:
        opens, closes = map(re.escape, form.block)
        text = re.sub(
            rf"{opens}.*?(?:{closes}|\Z)", lambda m: re.sub(r"[^\n]", " ", m[0]), text, flags=re.DOTALL
        )
    if form.name == "Perl":
        text = re.sub(
            r"(?ms)^=[a-z]\w*.*?(?:^=cut\b|\Z)|^__(?:END|DATA)__.*",
            lambda m: re.sub(r"[^\n]", " ", m[0]),
            text,
        )
    if form.name in {"Julia", "GraphQL", "Groovy"}:
        text = re.sub(r'"""(?:[^"\\]|\\.|"(?!""))*"""', lambda m: re.sub(r"[^\n]", " ", m[0]), text)
    return re.sub(rf"(?m)^[ \t]*(?:{'|'.join(map(re.escape, form.comments))})(?!import).*", "", text)


def _above(lines: list[str], row: int, form: Form) -> Iterator[str]:
    """Yield the comment that ends right above `row` (from 0), without its marks."""
    start = row
    while start > 0 and start > row - 40 and _is_comment(lines[start - 1], form):
        start -= 1
    if (
        start == row
        and form.name in {"Julia", "GraphQL"}
        and row > 0
        and lines[row - 1].rstrip().endswith('"""')
    ):
        start = row - 1
        while (
            start > 0 and (start == row - 1 or '"""' not in lines[start]) and lines[row - 1].count('"""') < 2
        ):
            start -= 1
        yield from (line.strip().strip('"').strip() for line in lines[start:row] if line.strip().strip('"'))
        return
    yield from (_unmarked(line, form) for line in lines[start:row])


def _is_comment(line: str, form: Form) -> bool:
    stripped = line.strip()
    return stripped.startswith(form.comments) or bool(
        form.block and (stripped.startswith((form.block[0], "*")) or stripped.endswith(form.block[1]))
    )


def _unmarked(line: str, form: Form) -> str:
    text = line.strip()
    for mark in (*(form.block or ()), "*/", "/**", *form.comments):
        text = text.removeprefix(mark).removesuffix(mark if len(mark) > 1 else "\0")
    return re.sub(r"^(?:[#/;%'*!-]+\s?|\s+)", "", text)


def _head(lines: list[str], form: Form) -> str:
    """Return the file's own words: its first comment that stands apart from code."""
    group: list[str] = []
    in_block = False
    for number, line in enumerate([*lines[:120], ""]):
        if (in_block or _is_comment(line, form)) and not (number == 0 and line.startswith("#!")):
            group.append(_unmarked(line, form))
            if form.block:
                opened = form.block[0] in line or in_block
                in_block = opened and form.block[1] not in line
        elif not line.strip():
            sentence = spoken(group)
            if sentence:
                return sentence
            group = []
        elif not line.startswith("#!"):
            starts = re.match(
                r"(?i)\s*(?:syntax|package|import|use|using|library|create\s+extension|set\b|begin\b)", line
            )
            return spoken(group) if starts else ""
    return ""
