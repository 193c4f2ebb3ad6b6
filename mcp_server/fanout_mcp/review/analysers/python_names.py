"""What the names of a Python program stand for: what it imports, and what was made by which call."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping

from fanout_mcp.review.analysers.python_values import Value


def imported(nodes: Iterable[ast.AST]) -> tuple[dict[str, str], set[str]]:
    """Return imported name -> what it stands for, and the packages that are imported from."""
    names: dict[str, str] = {}
    roots: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                root = alias.name.split(".")[0]
                names[alias.asname or root] = alias.name if alias.asname else root
                roots.add(root)
        elif isinstance(node, ast.ImportFrom):
            roots.add((node.module or "").split(".")[0])
            for alias in node.names:
                names[alias.asname or alias.name] = f"{node.module or ''}.{alias.name}"
    return names, roots


def dotted(node: ast.expr, env: Mapping[str, Value], names: Mapping[str, str]) -> str:
    """Return the full name of what is called or read, "" when it has none."""
    if isinstance(node, ast.Name):
        value = env.get(node.id)
        if value is not None:
            return value.kind or node.id
        return names.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        base = dotted(node.value, env, names)
        return f"{base}.{node.attr}" if base else ""
    if isinstance(node, ast.Call):
        base = dotted(node.func, env, names)
        return f"{base}()" if base else ""
    return ""
