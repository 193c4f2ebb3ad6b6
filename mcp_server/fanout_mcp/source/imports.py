"""What an import statement names, language by language: the strings that modules.py resolves to files."""

from __future__ import annotations

import re
from typing import Final

_FROM: Final = re.compile(r"from\s+([.\w\s]+?)\s+import\s+([\s\S]*)")
_NAME: Final = re.compile(r"[\w.]+")
_GROUP: Final = re.compile(r"^(.*?)::\{(.*)\}$", re.DOTALL)


def import_names(language: str, statement: str) -> list[str]:
    """Return module names: dotted for Python and Java, as written in quotes elsewhere."""
    if language == "Python":
        return _python(statement)
    if language == "Rust":
        return _rust(" ".join(statement.split()))
    if language == "PHP":
        return [statement.split(" as ", maxsplit=1)[0].strip(" '\"\\();")]
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


def _rust(path: str) -> list[str]:
    group = _GROUP.match(path)
    if not group:
        return [path.split(" as ", maxsplit=1)[0]]
    names = re.findall(r"[\w:]+", re.sub(r"::\{.*", "", group[2]))
    return [f"{group[1]}::{name}" for name in names[:20]]
