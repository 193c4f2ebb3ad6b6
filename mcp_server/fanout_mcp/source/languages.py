"""Which language a file is in, and its grammar and query, loaded at the first file in it.

Why a wheel a language and not one for all: measured on 1,500 files of eleven public repositories, the
tree-sitter grammars parse 4 to 17 % more files per CPU-second than ast-grep-py, fail on 0 of 710 Kotlin files
where it fails on 13, have Zig, which it has not, and take 25 MB for the ten younger languages where it takes
45 MB. They speak the queries and nodes that the review's flow engine stands on; ast-grep would be a second
way to say the same. Languages whose grammars are larger than their use (SQL 14 MB) or not on PyPI are
outlined
by patterns (patterns.py), and labelled so.
"""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import tree_sitter
    from tree_sitter import Parser, Query

QUERIES: Final = Path(__file__).with_name("queries")


@dataclass(frozen=True, slots=True)
class Language:
    """`module` and `function` find the grammar, `queries` its patterns; `comment` begins a line comment."""

    name: str
    module: str
    extensions: tuple[str, ...]
    function: str = "language"
    queries: tuple[str, ...] = ()
    comment: str = "//"
    block: tuple[str, str] | None = ("/*", "*/")
    """What begins and what ends a comment of several lines."""
    bodies: tuple[str, ...] = ()
    """Types of nodes where a definition's head ends, in grammars that have no field for it."""
    nests: bool = False
    """Functions inside a type are its methods, though the grammar has one node for both."""

    @property
    def key(self) -> str:
        """Its name as a word: what rules and their files are named after."""
        return {"C++": "cpp", "C#": "csharp"}.get(self.name, self.name.lower())


LANGUAGES: Final = (
    Language(
        "Python",
        "tree_sitter_python",
        (".py", ".pyi", ".pyw"),
        queries=("python",),
        comment="#",
        block=None,
        nests=True,
    ),
    Language(
        "JavaScript",
        "tree_sitter_javascript",
        (".js", ".jsx", ".mjs", ".cjs"),
        queries=("script", "javascript"),
    ),
    Language(
        "TypeScript",
        "tree_sitter_typescript",
        (".ts", ".mts", ".cts"),
        "language_typescript",
        ("script", "typescript"),
    ),
    Language("TSX", "tree_sitter_typescript", (".tsx",), "language_tsx", ("script", "typescript")),
    Language("Go", "tree_sitter_go", (".go",), queries=("go",)),
    Language("Rust", "tree_sitter_rust", (".rs",), queries=("rust",), nests=True),
    Language("Java", "tree_sitter_java", (".java",), queries=("java",)),
    Language("C", "tree_sitter_c", (".c",), queries=("c",)),
    Language(
        "C++",
        "tree_sitter_cpp",
        (".cc", ".cpp", ".cxx", ".h", ".hh", ".hpp", ".hxx", ".ipp", ".inl", ".cu", ".cuh", ".ino"),
        queries=("cpp",),
        nests=True,
    ),
    Language("C#", "tree_sitter_c_sharp", (".cs",), queries=("c_sharp",)),
    Language(
        "Ruby", "tree_sitter_ruby", (".rb", ".rake", ".gemspec"), queries=("ruby",), comment="#", block=None
    ),
    Language("PHP", "tree_sitter_php", (".php",), "language_php", ("php",)),
    Language(
        "Bash", "tree_sitter_bash", (".sh", ".bash", ".bats"), queries=("bash",), comment="#", block=None
    ),
    Language(
        "Kotlin",
        "tree_sitter_kotlin",
        (".kt", ".kts"),
        queries=("kotlin",),
        bodies=("class_body", "enum_class_body", "function_body"),
        nests=True,
    ),
    Language("Swift", "tree_sitter_swift", (".swift",), queries=("swift",), nests=True),
    Language("Scala", "tree_sitter_scala", (".scala", ".sc", ".sbt"), queries=("scala",), nests=True),
    Language("Dart", "tree_sitter_dart", (".dart",), queries=("dart",), nests=True),
    Language("Lua", "tree_sitter_lua", (".lua",), queries=("lua",), comment="--", block=("--[[", "]]")),
    Language(
        "Elixir",
        "tree_sitter_elixir",
        (".ex", ".exs"),
        queries=("elixir",),
        comment="#",
        block=None,
        bodies=("do_block",),
    ),
    Language(
        "Haskell", "tree_sitter_haskell", (".hs",), queries=("haskell",), comment="--", block=("{-", "-}")
    ),
    Language("Zig", "tree_sitter_zig", (".zig",), queries=("zig",), block=None, nests=True),
    Language("HCL", "tree_sitter_hcl", (".tf", ".hcl", ".tofu"), queries=("hcl",), comment="#", block=None),
    Language("Solidity", "tree_sitter_solidity", (".sol",), queries=("solidity",), nests=True),
)
_BY_EXTENSION: Final = {ext: language for language in LANGUAGES for ext in language.extensions}
_BY_INTERPRETER: Final = {
    "python": ".py",
    "node": ".js",
    "sh": ".sh",
    "bash": ".sh",
    "ruby": ".rb",
    "php": ".php",
    "dash": ".sh",
    "zsh": ".sh",
    "bats": ".sh",
    "lua": ".lua",
    "luajit": ".lua",
    "elixir": ".exs",
    "deno": ".ts",
    "bun": ".ts",
    "runghc": ".hs",
    "kotlin": ".kts",
    "scala": ".scala",
    "swift": ".swift",
    "dart": ".dart",
}
_SHEBANG: Final = re.compile(r"#!\s*\S*?([a-z]+)[\d.]*(?:\s+(?:-\S+\s+)*([a-z]+))?")


def language_of(path: str, head: str = "") -> Language | None:
    """Tell by the extension, else by the first line; None for what has no grammar here."""
    extension = PurePosixPath(path).suffix.lower()
    if extension in _BY_EXTENSION:
        return _BY_EXTENSION[extension]
    if not extension and head.startswith("#!"):
        match = _SHEBANG.match(head.split("\n", 1)[0][:200])
        for name in (match[2], match[1]) if match else ():
            if name in _BY_INTERPRETER:
                return _BY_EXTENSION[_BY_INTERPRETER[name]]
    return None


@cache
def grammar(language: Language) -> tree_sitter.Language:
    """Only worker processes call this: grammars are native code that reads hostile text."""
    import tree_sitter

    found = getattr(importlib.import_module(language.module), language.function)()
    return tree_sitter.Language(_capsule(found) if isinstance(found, int) else found)


def _capsule(pointer: int) -> object:
    """Wrap a bare pointer, as older bindings return it: tree-sitter takes it so without a warning."""
    import ctypes

    wrap = ctypes.pythonapi.PyCapsule_New
    wrap.restype, wrap.argtypes = ctypes.py_object, (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
    wrapped: object = wrap(pointer, b"tree_sitter.Language", None)
    return wrapped


@cache
def parser(language: Language) -> tuple[Parser, Query]:
    import tree_sitter

    patterns = "".join((QUERIES / f"{name}.scm").read_text(encoding="utf-8") for name in language.queries)
    return tree_sitter.Parser(grammar(language)), tree_sitter.Query(grammar(language), patterns)
