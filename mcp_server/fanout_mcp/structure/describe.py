"""The structural report of a module: what its structure proves, each statement with its place."""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from fanout_mcp.source.kinds import is_test, kind_of
from fanout_mcp.structure.comments import plain_text
from fanout_mcp.structure.graph import Facts, Graph, Module, more, shortened
from fanout_mcp.structure.outline import Outline, Symbol
from fanout_mcp.structure.resolve import SCRIPTS
from fanout_mcp.text import by_count, clip, compact, counted
from fanout_mcp.types import Json

# --- What a file is for, in one line: its own first sentence, else derived from what it defines. ------------

NO_DESCRIPTION: Final = "no description; "
MAX_LENGTH: Final = 160
MAX_SIGNATURE: Final = 120
MAX_DOC: Final = 80
MAX_BARE: Final = 40
MAX_FILE_SYMBOLS: Final = 800
MAX_SYMBOL_CHARS: Final = 36_000
"""Characters of all rows of a file: one file's answer stays below what a client shows."""

_FUNCTIONS: Final = frozenset({"function", "method", "constructor", "macro", "rpc"})
_METHODS: Final = _FUNCTIONS - {"constructor"}
_PLAIN: Final = frozenset({"constant", "variable", "export", "property", "component"})
_HOLDERS: Final = frozenset({"namespace", "module", "impl", "package"})
"""What holds definitions and is none by itself."""

_MODULES: Final = frozenset({"Elixir", "Ruby"})
"""Languages whose files are known by the innermost module that they define."""

_KNOWN_BY_TYPE: Final = frozenset({"Java", "Kotlin", "Scala", "C#", "Swift", "PHP"})
"""Languages whose files are about the type that they are named after: its doc goes before a comment."""

_NOT_CODE: Final = frozenset({"key", "heading", "package"})
_NOISE: Final = ("async def ", "def ", "function ", "func ", "fn ")


def purpose(outline: Outline) -> str:
    """Return one line of at most 160 characters: what its author wrote, else what it defines, labelled."""
    return clip(written(outline)[0] or outline.doc or derived(outline), MAX_LENGTH)


def written(outline: Outline) -> tuple[str, int]:
    """Return the first sentence that a human wrote, and its line: of the file, else of what it is about."""
    if outline.language in _KNOWN_BY_TYPE:
        own = next((one for one in _top(outline) if one.doc and _is_named(one, outline)), None)
        if own:
            return own.doc, own.line
    if outline.doc and not outline.doc.startswith("begins: "):  # a text's first words are no description
        return outline.doc, outline.doc_line
    declared = ((value, line) for what, _, value, line in outline.declares if what == "description")
    return next(declared, None) or _main_doc(outline)


_TESTS: Final = frozenset({"tests", "test"})
"""Modules of a product's file that test it."""


_INTERNAL: Final = frozenset({"detail", "details", "internal", "impl"})
"""Namespaces of what others are not to use."""


def _top(outline: Outline) -> list[Symbol]:
    """Return the definitions that no type holds, of them the public ones; a namespace is no type."""
    own = [one for one in outline.symbols if not one.in_function and one.kind not in _HOLDERS | _NOT_CODE]
    spaces = {
        one.full
        for one in outline.symbols
        if one.kind in _HOLDERS - {"impl"} and (outline.kind == "test" or one.name not in _TESTS)
    }
    if outline.kind != "test":
        own = [one for one in own if one.parent.partition(".")[0] not in _TESTS]
    own = [one for one in own if _INTERNAL.isdisjoint(re.split(r"\.|::", one.full))] or own
    top = [one for one in own if not one.parent or one.parent in spaces] or own
    public = [one for one in top if one.public and one.kind != "method"]
    is_own = outline.kind == "test" or outline.entry  # no one uses it: what is public says little
    return (not is_own and public) or [one for one in top if not one.name.endswith("__")]


def _is_named(symbol: Symbol, outline: Outline) -> bool:
    return _letters(symbol.name.rpartition(".")[2]) == _letters(
        posixpath.basename(outline.path).partition(".")[0]
    )


def _main_doc(outline: Outline) -> tuple[str, int]:
    """Return the doc of what a file is named after, else of its only definition or the one that fills it.

    What one of several says is not what their file is for; nor is what a test case checks.
    """
    top = _top(outline)
    spaces = [one for one in outline.symbols if one.kind in _HOLDERS - {"impl"}]
    named = [one for one in (*top, *spaces) if one.kind != "method" and _is_named(one, outline)]
    outer = {one.name for one in outline.symbols if not one.parent}
    defined = [one for one in top if one.kind not in _PLAIN | {"method"}]
    types = [one for one in defined if one.kind not in _FUNCTIONS]
    only = (types or defined) if len(types or defined) == 1 else []
    large = [one for one in only if one.end_line - one.line > outline.lines / 2]
    alone = [[one for one in spaces if outer == {one.full}], large, types if len(defined) == 1 else []]
    found = named or next((few for few in alone if len(few) == 1 and few[0].doc), [])
    main = next((one for one in found if one.doc), None)
    if main is None or (outline.kind == "test" and main.kind in _FUNCTIONS):
        return "", 0
    is_only = main in spaces or (len(defined) == 1 and main.public and main.kind not in _FUNCTIONS)
    is_clear = is_only or main in named or main.name in main.doc
    return (main.doc if is_clear else f"{main.name}: {main.doc}"), main.line


def _own_words(outline: Outline) -> str:
    """Return what a file says of itself, or of what it is named after."""
    own = (
        one.doc for one in outline.symbols if one.doc and (_is_named(one, outline) or one.kind == "module")
    )
    return outline.doc or next(own, "")


@lru_cache(maxsize=1 << 12)
def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def derived(outline: Outline, users: Sequence[str] = ()) -> str:
    """Say what its names say: what it defines, and who uses it; imports are no purpose."""
    top = [symbol for symbol in outline.symbols if not symbol.parent]
    if outline.symbols and outline.symbols[0].kind in {"key", "heading"}:
        return f"{outline.language}: {_some([symbol.name for symbol in top], 6)}"
    names = _names(outline)
    exports = [symbol.name for symbol in top if symbol.kind == "export"]
    if outline.language == "Docker":
        what = _stages(outline)
    elif names:
        verb = "declares" if outline.path.endswith(_HEADERS) else "defines"
        what = f"{verb} {_some(names, 4)}"
    elif exports:
        what = f"passes on {_some(exports, 4)}"
    else:
        what = f"{outline.language or 'text'} without definitions, {counted(outline.lines, 'line')}"
    used = f" for {_some(list(users), 3)}" if users else ""
    return f"{NO_DESCRIPTION}{what}{used} (derived)"


def _stages(outline: Outline) -> str:
    """Say what a Dockerfile's image is made in, or else of."""
    stages = [symbol.name for symbol in outline.symbols if symbol.kind == "stage"]
    images = [symbol.name for symbol in outline.symbols if symbol.kind == "image"]
    return f"has the stages {_some(stages, 4)}" if stages else f"starts from {_some(images, 4)}"


_HEADERS: Final = (".h", ".hh", ".hpp", ".hxx", ".pyi", ".d.ts")


def _names(outline: Outline) -> list[str]:
    """Name what a file defines: types and modules, then functions, then its values."""
    defined = _defined(outline)
    if outline.language == "C++":  # `int cart::sum()` is a member of what is declared elsewhere
        held = Counter(holder for one in defined if (holder := one.name.rpartition("::")[0]))
        own = dict.fromkeys(one.name for one in defined if "::" not in one.name)
        return [*own, *("members of " * (not at) + name for at, name in enumerate(by_count(held)))]
    is_nested = outline.language in _MODULES
    called = {one.full if is_nested and one.kind in _HOLDING else one.name: None for one in defined}
    return [name for name in called if name != "default"]


def _defined(outline: Outline) -> list[Symbol]:
    shown = _top(outline)
    is_open = all(one.public for one in shown)
    inside = [one for one in outline.symbols if not one.in_function and (one.public or not is_open)]
    types = [one for one in shown if one.kind not in _FUNCTIONS | _PLAIN]
    if outline.language in _MODULES:
        types = _holding(inside) or types
        shown = [*types, *(one for one in shown if one.kind in _PLAIN)]
    # One type alone is what the file's name says already: what it does, its members say.
    own = [one for one in inside if one.parent == types[0].full] if len(types) == 1 else []
    own = [one for one in own if one.public] or own
    functions = [one for one in inside if one.kind in _METHODS and (one in own or one in shown)]
    rest = [one for one in (*shown, *own) if one.kind in _VALUES]
    if outline.language == "Go":  # a method alone doesn't say of what
        functions = [one for one in functions if one.kind != "method"] or functions
    if outline.language in {"C", "C++"}:  # a macro that is called at the top looks like a definition
        functions = [one for one in functions if not one.name.isupper() and " " not in one.name]
    functions = [one for one in functions if one.name not in _MAKERS and not one.name.endswith("__")]
    if outline.kind == "test":
        found = [*types, *functions]
        return [*sorted(found, key=lambda one: not (_is_named(one, outline) or _is_test(one))), *rest]
    return [*types, *functions, *rest]


_VALUES: Final = frozenset({"constant", "variable", "property"})
_HOLDING: Final = frozenset({"module", "class"})
_MAKERS: Final = frozenset({"constructor", "initialize"})
"""Names of methods that each type has."""


def _is_test(symbol: Symbol) -> bool:
    return _TESTS_ITS.match(symbol.name) is not None


_TESTS_ITS: Final = re.compile(r"(?i)test|bench|fuzz|should|.*(?:tests?|spec|benchmarks?)$")
"""Names of tests: what else a test's file defines is there for them."""


def _holding(inside: Sequence[Symbol]) -> list[Symbol]:
    """Return modules and classes that are more than a namespace around others."""
    holders = [symbol for symbol in inside if symbol.kind in _HOLDING]
    around = {symbol.parent for symbol in holders}
    filled = {symbol.parent for symbol in inside if symbol.kind not in {*_HOLDING, "constant"}}
    return [one for one in holders if one.full in filled or one.full not in around]


def symbol_rows(outline: Outline, most: int = MAX_FILE_SYMBOLS) -> list[str]:
    """Return every public symbol as `line signature - doc`, members indented below what holds them.

    A file with very many gets shorter rows, so that all names still fit an answer. What a generator
    defines is read where it was generated from.
    """
    if outline.kind == "generated":
        return []
    shown = _once([symbol for symbol in outline.symbols if symbol.is_offered])
    holders = {symbol.full for symbol in shown}
    shown = [symbol for symbol in shown if not symbol.parent or symbol.parent in holders]
    passed_on = [symbol for symbol in shown if symbol.kind == "export"]
    shown = [symbol for symbol in shown if symbol.kind != "export"]
    for form in (_row, _signed, _bare):
        rows = [form(symbol) for symbol in shown[:most]]
        if sum(map(len, rows)) <= MAX_SYMBOL_CHARS:
            break
    passed_rows = _passed_on(passed_on[:most])
    return [*rows, *more(len(shown) - most), *passed_rows, *more(len(passed_on) - most)]


def _once(found: Sequence[Symbol]) -> list[Symbol]:
    """Leave of overloads the first that has a doc, else the first: at most one of a name and holder."""
    chosen: dict[tuple[str, str], Symbol] = {}
    for symbol in found:
        known = chosen.get((symbol.parent, symbol.name))
        if known is None or (symbol.doc and not known.doc):
            chosen[symbol.parent, symbol.name] = symbol
    return [
        symbol
        for symbol in found
        if symbol.kind not in _FUNCTIONS or chosen[symbol.parent, symbol.name] is symbol
    ]


def _passed_on(exports: Sequence[Symbol]) -> list[str]:
    """Name what a file only passes on: many to a row, which begins with the line of the first."""
    rows: list[str] = []
    for symbol in exports:
        if rows and len(rows[-1]) + len(symbol.name) < MAX_SIGNATURE:
            rows[-1] += f", {symbol.name}"
        else:
            rows.append(f"{symbol.line} exports {symbol.name}")
    return rows


def dependencies(outline: Outline, most: int = 20) -> list[str]:
    """Return what it imports: `from a.b import x, y` is a.b once."""
    names: dict[str, None] = {}
    for name in outline.imports:
        names[name.rpartition(".")[0] or name if outline.language == "Python" else name] = None
    return list(shortened([name for name in names if name], most))


def _row(symbol: Symbol) -> str:
    doc = f" - {clip(symbol.doc, MAX_DOC)}" if symbol.doc else ""
    return _signed(symbol) + doc


def _signed(symbol: Symbol) -> str:
    text = symbol.signature
    for noise in _NOISE:
        text = text.removeprefix(noise)
    if symbol.name.rpartition(".")[2] not in text:
        text = symbol.name
    return f"{_indent(symbol)}{symbol.line} {clip(text, MAX_SIGNATURE)}"


def _bare(symbol: Symbol) -> str:
    return f"{_indent(symbol)}{symbol.line} {clip(symbol.name, MAX_BARE)}"


def _indent(symbol: Symbol) -> str:
    return " " * (symbol.parent.count(".") + bool(symbol.parent))


def _some(names: Sequence[str], most: int) -> str:
    """Join the first names, fewer where they are long, and count the others."""
    while most > 1 and len(", ".join(names[:most])) > MAX_NAMED:
        most -= 1
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")


MAX_NAMED: Final = 100
"""Characters of a list of names: a purpose is not to end in the middle of one."""


# --- describe ------------------------------------------------------------------------------------------

MAX_SYMBOLS: Final = 40
MAX_COMPONENTS: Final = 8
MAX_INTERACTIONS: Final = 4
MAX_CYCLES: Final = 10
MAX_IN_CYCLE: Final = 8
MAX_RISKY_CYCLES: Final = 3
_COMMON_NAMES: Final = frozenset({"__init__.py", "mod.rs", "lib.rs", "index.js", "index.ts", "main.go"})
"""Names that say nothing without their folder."""

STANDARD_NAMED: Final = 12

ROWS: Final = (12, 6, 3, 1)
"""Rows of each list of a module, tried from the left until a map has room for it."""

SHORTEST: Final = 400
"""Characters of a module below which no list of it has more than a row."""

Signals = Mapping[str, Sequence[Any]]
"""Path to `[[what, count, [lines], name], ...]`, as signals.scan_file returns."""


def described(
    module: Module, known: Graph, facts: Facts, focus: str, signals: Signals, *, room: int | None = None
) -> dict[str, Json]:
    """Return a module's fields as the static engine knows them; `room`: characters, of a map."""
    head = overview(module, known)
    parts, uses = _components(facts, known), _interactions(module, facts, known)
    seen, risks = _observations(module, facts, known, focus, signals), _risks(facts, known)
    report = [head, *parts, *uses, *seen, *risks]
    whole = fields(module, known, facts, module_purpose(module, known, facts), report)
    entry = whole
    for most in () if room is None else ROWS if room > SHORTEST else ROWS[-1:]:
        if len(compact(entry)) <= (room or 0):
            break
        # The statements bring their places along.
        entry = {name: _short(value, most) for name, value in whole.items() if name != "citations"}
        entry["report"] = " ".join([head, *parts[:most], *uses[: most // 3], *seen, *risks[:most]])
    return entry


def _short(value: Json, most: int) -> Json:
    if not isinstance(value, list) or len(value) <= most:
        return value
    return [*value[:most], f"and {_rest(value[most:]):,} more"]


def _rest(rows: Sequence[str]) -> int:
    """Count rows, the last of which may count others itself: `and 7 more`."""
    match = re.fullmatch(r"and ([\d,]+) more", rows[-1])
    return len(rows) - 1 + int(match[1].replace(",", "")) if match else len(rows)


def fields(module: Module, known: Graph, facts: Facts, line: str, report: Sequence[str]) -> dict[str, Json]:
    """Put a module's result together; every statement ends with its place in brackets."""
    entry = {
        "module": module.name,
        "purpose": line,
        "report": " ".join(report),
        "symbols": symbols(facts, known),
        "imports": [
            *facts.imports,
            *(f"{name} (external)" for name in facts.external),
            *(f"{name} (standard library)" for name in facts.standard[:STANDARD_NAMED]),
        ],
        "imported_by": list(facts.imported_by),
        "cycles": [" <-> ".join(shortened(cycle, MAX_IN_CYCLE)) for cycle in facts.cycles[:MAX_CYCLES]],
        "entry_points": list(facts.entry_points),
        "tests": list(facts.tests),
        "hot_spots": list(facts.hot_spots),
        "citations": sorted({place for text in report if (place := citation(text))}),
    }
    return {name: value for name, value in entry.items() if value or name != "cycles"}


def citation(statement: str) -> str:
    """Return the place that a statement ends with, "" when it has none."""
    before, opened, place = statement.rstrip(".").rpartition("[")
    return place.rstrip("]") if before and opened else ""


_PACKAGE_DOCS: Final = frozenset(
    {"__init__.py", "__init__.pyi", "mod.rs", "lib.rs", "doc.go", "package-info.java", "package.scala"}
)
_ENTRIES: Final = ("index", "main", "mod", "init", "package")


def module_purpose(module: Module, known: Graph, facts: Facts) -> str:
    """Return the first sentence that a human wrote of a module, from the nearest place; else a derived one.

    The package's own docstring, the README and the manifest of its folder, the doc of what it is named after
    or of its central file.
    """
    own = [known.outlines[path] for path in facts.central]
    if not own:
        return "holds no code"
    if len(own) == 1 and module.name == own[0].path:
        return purpose(own[0])
    product = [outline for outline in own if outline.kind == "product"] or own
    said = next(filter(None, _said(module, known, own, product)), "")
    if said:
        return said
    ends = (user.rpartition("/")[2] for user in facts.imported_by if not user.startswith("and "))
    users = list(dict.fromkeys(ends))
    if len(own) == 1:
        return derived(own[0], users)
    names = [name for outline in product[:8] for name in _names(outline)[:1]]
    if not names:
        return f"no description; {counted(len(own), 'file')} of {own[0].language or 'text'} (derived)"
    used = f" for {', '.join(users[:3])}" if users else ""
    what = ", ".join(dict.fromkeys(names[:4]))
    return f"no description; defines {what} in {counted(len(own), 'file')}{used} (derived)"


def _said(module: Module, known: Graph, own: Sequence[Outline], product: Sequence[Outline]) -> Iterator[str]:
    """Yield what is written of a module, the nearest place first; "" where nothing is."""
    folder = "" if module.name == "." else f"{module.name}/"
    yield from (outline.doc for outline in _package_files(product, folder))
    yield _beside(folder, known)
    heading = known.outlines.get(f"{module.name}{posixpath.splitext(own[0].path)[1]}")
    yield _own_words(heading) if heading else ""  # `plug.ex` beside `plug/`
    stems = {module.name.rpartition("/")[2].lower(), *_ENTRIES}
    names = {one.path: one.path.rpartition("/")[2] for one in product}
    central = min(
        product,
        key=lambda one: (names[one.path].partition(".")[0].lower() not in stems, one.path != own[0].path),
    )
    yield written(central)[0]
    yield written(own[0])[0]
    for outline in product:
        sentence = written(outline)[0]
        yield sentence and f"{names[outline.path]}: {sentence}"


def _package_files(product: Sequence[Outline], folder: str) -> list[Outline]:
    """Return the files whose words are the package's, the outermost first: by their names, and for Go any.

    They have most of the module below them: else they are a part's.
    """

    def is_around(outline: Outline) -> bool:
        own = outline.path[: outline.path.rfind("/") + 1]
        return sum(other.path.startswith(own) for other in product) > len(product) / 2

    found = [
        one
        for one in product
        if (
            # A file of Go only by words about the package.
            one.package and one.doc.lower().startswith(("package ", "command "))
            if one.language == "Go"
            else one.path.rpartition("/")[2] in _PACKAGE_DOCS
        )
    ]
    return sorted(
        filter(is_around, found), key=lambda one: (one.path.count("/"), not one.path.startswith(folder))
    )


def _beside(folder: str, known: Graph) -> str:
    """Return what the manifest or else the README of a folder says."""
    inside = [known.outlines[path] for path in known.folders.get(folder.rstrip("/"), ())]
    for outline in inside:
        for what, _, value, _ in outline.declares:
            if what == "description":
                return plain_text(clip(value, MAX_SENTENCE))
    for outline in inside:
        if outline.path[len(folder) :].lower().partition(".")[0] == "readme":
            title = next((plain_text(one.name.lstrip("# ")) for one in outline.symbols[:1]), "")
            prose = outline.doc.removeprefix(title).removeprefix(": ")
            if prose and not prose.startswith("begins: "):
                return prose
    return ""


MAX_SENTENCE: Final = 200


def overview(module: Module, known: Graph) -> str:
    outlines = [known.outlines[path] for path in module.paths]
    lines = sum(outline.lines for outline in outlines)
    languages = Counter[str]()
    for outline in outlines:
        languages[outline.language] += outline.lines
    public = sum(
        symbol.is_offered and symbol.kind not in {"key", "heading", "package", "namespace"}
        for outline in outlines
        if outline.kind == "product"
        for symbol in outline.symbols
    )
    tests = sum(outline.kind in {"test", "fixture"} for outline in outlines)
    beside = f", {counted(tests, 'file')} of tests among them" if 0 < tests < len(outlines) else ""
    by_name = sum(outline.how == "name" for outline in outlines)
    unread = f"; {counted(by_name, 'file')} by name only" if by_name else ""
    shown = ", ".join(by_count(languages)[:4])
    size = f"{counted(len(outlines), 'file')} with {counted(lines, 'line')} ({shown})"
    return f"{module.name} has {size}{beside} and {counted(public, 'public symbol')}{unread}."


def _components(facts: Facts, known: Graph) -> list[str]:
    found: list[str] = []
    shown = [path for path in facts.central if known.outlines[path].kind == "product"] or list(facts.central)
    for path in shown:
        outline = known.outlines[path]
        if len(found) == MAX_COMPONENTS:
            break
        if outline.kind in _DATA or _KNOWN_BY_NAME.search(path.rpartition("/")[2]):
            continue
        # Of a file known by its name alone there may be nothing to say but its length.
        sentence, line = written(outline)
        if _repeats(sentence, path) if sentence else not _says_more_than_its_name(outline):
            continue
        line = line or next((one.line for one in _defined(outline)), 1)
        what = purpose(outline).removeprefix(NO_DESCRIPTION).rstrip(".:")
        found.append(f"{_name(path)}: {what}{_users(outline, known)} [{path}:{line}].")
    return found


_DATA: Final = frozenset({"fixture", "generated", "vendored"})
"""What no one here reads or wrote as code."""

_IMPORTS_NAME_FILES: Final = SCRIPTS | {"Python", "Notebook", "C", "C++"}
"""Languages in which each use of a file needs an import of it: elsewhere a count leaves some out."""

_KNOWN_BY_NAME: Final = re.compile(
    r"(?i)\b(?:change(?:s|log)|history|news|licen[cs]e|copying|code_of_conduct|contribut\w+|security|authors)\b"
)
"""Files whose names say all that their first words repeat."""


def _repeats(sentence: str, path: str) -> bool:
    """Tell whether a sentence only says a file's name again, or a part of it: "Tests" in test.yml."""
    folder, _, stem = posixpath.splitext(path)[0].rpartition("/")
    stem = folder.rpartition("/")[2] if stem.lower() in {"readme", "index"} else stem.partition(".")[0]
    said, name = ("".join(re.findall(r"\w+", text.casefold())).replace("_", "") for text in (sentence, stem))
    return (name != "" and said in name) or (name in said and len(said) <= len(name) + 3)


def _users(outline: Outline, known: Graph) -> str:
    """Count the files that import one, and say where that leaves tests out."""
    users = known.imported_by.get(outline.path, ())
    count = sum(kind_of(user) == "product" for user in users)
    if not count or outline.language not in _IMPORTS_NAME_FILES:
        return ""
    return f"; imported by {counted(count, 'file')}" + ", tests aside" * (count < len(users))


def _says_more_than_its_name(outline: Outline) -> bool:
    """Tell whether its definitions are worth a statement: `class Post` in Post.cs is not."""
    if outline.kind == "test" and outline.language in _TESTS_ARE_BLOCKS:
        return False
    defined = [one for one in _defined(outline) if one.name not in {"default", "main"}]
    defined += [one for one in outline.symbols if one.kind == "export"]
    return outline.how in {"grammar", "patterns"} and not all(_is_named(one, outline) for one in defined)


_TESTS_ARE_BLOCKS: Final = SCRIPTS | {"Ruby", "Lua", "Elixir", "Dart", "C++"}
"""Languages whose tests are calls with a title: what a file of them defines is for its tests, and none."""


def _interactions(module: Module, facts: Facts, known: Graph) -> list[str]:
    """Which of the module's files lean on which, the busiest first; the line is that of the first import."""
    own = set(module.paths)
    uses = {
        path: [
            other
            for other in known.imports.get(path, ())
            if other in own and (path, other) in known.lines and not other.endswith(_GLOBBED)
        ]
        for path in facts.central
        if known.outlines[path].kind == "product" and known.outlines[path].language not in _IMPORTS_PACKAGES
    }
    busiest = sorted((path for path in uses if uses[path]), key=lambda path: (-len(uses[path]), path))
    alike = Counter(map(posixpath.basename, module.paths))
    short = {path: _short_of(path, module, alike) for path in module.paths}
    return [
        f"Interaction: in this module {short[path]} uses {_some([short[one] for one in uses[path]], 5)} "
        f"[{path}:{known.lines[path, uses[path][0]]}]."
        for path in busiest[:MAX_INTERACTIONS]
    ]


_GLOBBED: Final = ("/mod.rs", "/lib.rs")
"""Of Rust's modules: `use super::*` takes all that these pass on."""

_IMPORTS_PACKAGES: Final = frozenset({"Go", "C#", "Swift"})
"""Languages in which the line of an import shows no file."""


def _short_of(path: str, module: Module, alike: Mapping[str, int]) -> str:
    is_alone = alike[posixpath.basename(path)] == 1
    return _name(path) if is_alone else path.removeprefix(f"{module.name}/")


def _name(path: str) -> str:
    folder, _, name = path.rpartition("/")
    return f"{folder.rpartition('/')[2]}/{name}" if name in _COMMON_NAMES else name


def _observations(module: Module, facts: Facts, known: Graph, focus: str, signals: Signals) -> list[str]:
    """State what the focus found, and the first place of the file with most.

    Without a count: what one line can't show, and what a name doesn't give away, would be missing from it.
    """
    gathered: dict[str, list[tuple[int, str, int, str]]] = {}
    for path in dict.fromkeys((*facts.central, *facts.tests)):
        is_apart = focus != "testing" and is_test(path) and not all(map(is_test, module.paths))
        if is_apart or known.outlines[path].kind in _DATA:
            continue
        for what, count, lines, name in signals.get(path, ()):
            gathered.setdefault(what, []).append((count, path, lines[0], name))
    found = []
    for what, places in gathered.items():
        _, path, line, name = max(places, key=lambda place: place[0])
        found.append(f"{focus.capitalize()}: {what} ({name}) [{path}:{line}].")
    return found


def _risks(facts: Facts, known: Graph) -> list[str]:
    return [
        f"Risk: {counted(len(cycle), 'file')} import each other in a cycle as they are loaded "
        f"({', '.join(cycle[:3])}) [{cycle[0]}:{_cycle_line(cycle, known)}]."
        for cycle in facts.cycles[:MAX_RISKY_CYCLES]
    ]


def _cycle_line(cycle: Sequence[str], known: Graph) -> int:
    """Return the line where the first of a cycle imports another of it."""
    lines = [line for other in cycle if (line := known.lines.get((cycle[0], other)))]
    return min(lines, default=1)


def symbols(facts: Facts, known: Graph) -> list[str]:
    rows: dict[tuple[str, str], str] = {}
    for path in facts.central:
        outline = known.outlines[path]
        if outline.kind in {"test", "fixture", "generated"} and not all(map(is_test, facts.central)):
            continue
        holders = {
            one.name for one in outline.symbols if one.kind in {"namespace", "module"} and not one.parent
        }
        for symbol in outline.symbols:
            if symbol.parent and symbol.parent not in holders:
                continue
            if symbol.is_offered and symbol.kind not in _NO_SYMBOLS:
                rows.setdefault((path, symbol.name), f"{symbol.signature[:110]} ({path}:{symbol.line})")
    return list(shortened(list(rows.values()), MAX_SYMBOLS))


_NO_SYMBOLS: Final = frozenset({"key", "heading", "package", "namespace", "impl"})
