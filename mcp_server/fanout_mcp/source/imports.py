"""What an import statement names, language by language: the strings that modules.py resolves to files."""

from __future__ import annotations

import re
from typing import Final

_FROM: Final = re.compile(r"from\s+([.\w\s]+?)\s+import\s+([\s\S]*)")
_NAME: Final = re.compile(r"[\w.]+")
_COMMENT: Final = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_TREE: Final = re.compile(r"[{},]|[^{},]+")

MOST_OF_ONE: Final = 200
"""Names that one import may bring."""


def import_names(language: str, statement: str) -> list[str]:
    """Return module names: dotted for Python and Java, as written in quotes elsewhere."""
    if language == "Python":
        return _python(statement)
    if language == "Rust":
        return _rust(" ".join(_COMMENT.sub("", statement).split()))
    if language == "PHP":
        return _php(statement)
    if language == "Ruby":
        return _ruby(statement)
    if language in {"Java", "Kotlin", "Scala"}:
        return _jvm(statement)
    if language == "Elixir":
        return [name for name in _tree(statement, ".") if name[:1].isupper()]
    return [statement.strip().strip("<>\"'`")]


def _python(statement: str) -> list[str]:
    match = _FROM.match(statement)
    if not match:
        names = re.sub(r"#.*", "", statement).removeprefix("import").split(",")
        return [name.split(" as ")[0].strip().replace(" ", "") for name in names if name.strip()]
    module = "".join(match[1].split())
    names = re.sub(r"#.*", "", match[2]).replace("(", " ").replace(")", " ").split(",")
    imported = [_NAME.match(name.strip()) for name in names]
    found = [name[0] for name in imported if name]
    # `from a import b`: b may be a module of package a or a name in it; the resolver tries both.
    joined = module if module.endswith(".") else module + "."
    return [joined + name for name in found] or [module]


def _jvm(statement: str) -> list[str]:
    """Return each name that an import brings; one of all names of a package ends with `.*`."""
    path = re.sub(r"^import\s+(?:static\s+|given\s+)?", "", _COMMENT.sub("", statement).strip()).rstrip("; ")
    found: list[str] = []
    for part in re.split(r",(?![^{]*\})", path):
        head, opened, group = part.partition("{")
        for name in group.rstrip("} \n").split(",") if opened else [""]:
            whole = re.split(r"\s+as\s+|\s*=>\s*", f"{head}{name.strip()}".strip())[0]
            found.append(re.sub(r"\.(?:_|\*|given)?$", ".*", "".join(whole.split())))
    return [name for name in found if name != ".*"]


def _tree(statement: str, between: str) -> list[str]:
    """Return each name of `A.{B, C.D}`."""
    head, opened, group = "".join(statement.split()).partition("{")
    if not opened:
        return [head.rstrip(between)]
    return [f"{head}{name}" for name in group.rstrip("}").split(",") if name]


def _php(statement: str) -> list[str]:
    """Return the names that a use brings, of a group each, or the path that a require has."""
    names = statement.strip().removeprefix("use ").removeprefix("function ").removeprefix("const ")
    head, opened, group = names.partition("{")
    found = (
        [f"{head}{name.strip()}" for name in group.rstrip("}; ").split(",")] if opened else names.split(",")
    )
    return [name.split(" as ", maxsplit=1)[0].strip(" '\"\\();") for name in found if name.strip()]


def _ruby(statement: str) -> list[str]:
    """Return the path; one that is relative begins with a dot."""
    name = re.sub(r"^\w+", "", statement).strip(" ()\"'")
    return [f"./{name}" if statement.startswith("require_relative") and not name.startswith(".") else name]


def _rust(path: str) -> list[str]:
    """Return each path of a tree: `a::{b::{c, self}, d as e}` is a::b::c, a::b and a::d."""
    found: list[str] = []
    heads = [""]
    head = ""
    for piece in _TREE.findall(path):
        if piece == "{":
            heads.append(head)
        elif piece in {",", "}"}:
            if head and head != heads[-1]:
                found.append(head.removesuffix("::self").removesuffix("::"))
            if piece == "}" and len(heads) > 1:
                heads.pop()
                head = ""
                continue
            head = heads[-1]
        else:
            head += piece.partition(" as ")[0].replace(" ", "")
    if head and head != heads[-1]:
        found.append(head.removesuffix("::"))
    return found[:MOST_OF_ONE]
