"""Which language a file is in, and its grammar and query, loaded at the first file in it."""

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
    block: bool = True
    """Comments of several lines between /* and */."""

    @property
    def key(self) -> str:
        """Its name as a word: what rules and their files are named after."""
        return {"C++": "cpp", "C#": "csharp"}.get(self.name, self.name.lower())


LANGUAGES: Final = (
    Language(
        "Python", "tree_sitter_python", (".py", ".pyi", ".pyw"), queries=("python",), comment="#", block=False
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
    Language("Rust", "tree_sitter_rust", (".rs",), queries=("rust",)),
    Language("Java", "tree_sitter_java", (".java",), queries=("java",)),
    Language("C", "tree_sitter_c", (".c",), queries=("c",)),
    Language(
        "C++", "tree_sitter_cpp", (".cc", ".cpp", ".cxx", ".h", ".hh", ".hpp", ".hxx"), queries=("cpp",)
    ),
    Language("C#", "tree_sitter_c_sharp", (".cs",), queries=("c_sharp",)),
    Language(
        "Ruby", "tree_sitter_ruby", (".rb", ".rake", ".gemspec"), queries=("ruby",), comment="#", block=False
    ),
    Language("PHP", "tree_sitter_php", (".php",), "language_php", ("php",)),
    Language("Bash", "tree_sitter_bash", (".sh", ".bash"), queries=("bash",), comment="#", block=False),
)
_BY_EXTENSION: Final = {ext: language for language in LANGUAGES for ext in language.extensions}
_BY_INTERPRETER: Final = {
    "python": ".py",
    "node": ".js",
    "sh": ".sh",
    "bash": ".sh",
    "ruby": ".rb",
    "php": ".php",
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

    return tree_sitter.Language(getattr(importlib.import_module(language.module), language.function)())


@cache
def parser(language: Language) -> tuple[Parser, Query]:
    import tree_sitter

    patterns = "".join((QUERIES / f"{name}.scm").read_text(encoding="utf-8") for name in language.queries)
    return tree_sitter.Parser(grammar(language)), tree_sitter.Query(grammar(language), patterns)
