"""What a Python source does with files, by its syntax tree; nothing is run (see audit_source.py)."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator

Found = Iterator[tuple[str, str]]
"""(how, path): r reads, w replaces, a appends to a file; lock: others are kept out."""
MAX_DEPTH = 12
HERE = ("CLAUDE_PROJECT_DIR", "PWD", "cwd")
"""What stands for the project's folder: variables, and the event's own field."""
PATH_MAKERS = frozenset(
    {"Path", "PurePath", "PosixPath", "join", "joinpath", "expanduser", "expandvars", "abspath", "realpath",
     "fspath", "str", "resolve", "absolute", "normpath"}
)  # fmt: skip
LOCKS = frozenset({"flock", "lockf", "FileLock", "SoftFileLock", "locking", "LockFile"})


def python(text: str) -> Found:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    known = _assigned(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield from _call(node, known)


def _assigned(tree: ast.AST) -> dict[str, ast.expr]:
    """Map each name, attribute and function to the expression that first gives its value."""
    known: dict[str, ast.expr] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            returned = [own.value for own in ast.walk(node) if isinstance(own, ast.Return) and own.value]
            if returned:
                known.setdefault(node.name, returned[-1])
        targets = node.targets if isinstance(node, ast.Assign) else []
        if isinstance(node, ast.AnnAssign | ast.NamedExpr) and node.value is not None:
            targets = [node.target]
        for target in targets:
            value = node.value  # type: ignore[attr-defined]  # one of the three above
            if isinstance(target, ast.Name):
                known.setdefault(target.id, value)
            elif isinstance(target, ast.Attribute):
                known.setdefault(target.attr, value)
    return known


def _call(node: ast.Call, known: dict[str, ast.expr]) -> Found:
    name, owner = _called(node.func)
    args = node.args
    if name in LOCKS:
        yield "lock", ""
    elif name == "open" and owner == "os" and args:
        yield from _os_open(args, known)
    elif name == "open":
        is_method = isinstance(node.func, ast.Attribute) and owner not in ("io", "codecs", "gzip", "builtins")
        where = (
            node.func.value if is_method and isinstance(node.func, ast.Attribute) else next(iter(args), None)
        )
        modes = [
            *(args if is_method else args[1:])[:1],
            *(own.value for own in node.keywords if own.arg == "mode"),
        ]
        mode = next((str(own.value) for own in modes if isinstance(own, ast.Constant)), "r")
        if where is not None:
            yield from _opened(_path(where, known), mode)
    elif name in ("write_text", "write_bytes", "read_text", "read_bytes") and isinstance(
        node.func, ast.Attribute
    ):
        yield ("w" if name.startswith("write") else "r"), _path(node.func.value, known)
    elif name in ("replace", "rename", "move", "copy", "copyfile", "copy2"):
        moved = owner in ("os", "shutil") and len(args) == 2
        if moved or (owner not in ("os", "shutil") and len(args) == 1):
            yield "w", _path(args[-1], known)


def _opened(path: str, mode: str) -> Found:
    if "a" in mode:
        yield "a", path
    elif "w" in mode or "x" in mode or "+" in mode:
        yield "w", path
    if mode.startswith("r") or "+" in mode:
        yield "r", path


def _os_open(args: list[ast.expr], known: dict[str, ast.expr]) -> Found:
    flags = ast.dump(args[1]) if len(args) > 1 else ""
    if len(args) > 1 and isinstance(args[1], ast.Name) and args[1].id in known:
        flags = ast.dump(known[args[1].id])
    path = _path(args[0], known)
    if "O_EXCL" in flags:
        yield "lock", path  # the old way to lock: whoever makes the file has it
    elif "O_APPEND" in flags:
        yield "a", path
    elif "O_WRONLY" in flags or "O_RDWR" in flags:
        yield "w", path
    if "O_RDWR" in flags or not any(word in flags for word in ("O_WRONLY", "O_APPEND", "O_EXCL")):
        yield "r", path


def _called(func: ast.expr) -> tuple[str, str]:
    """Return the last name of what is called, and the name before it: `os.replace` is (replace, os)."""
    if isinstance(func, ast.Name):
        return func.id, ""
    if isinstance(func, ast.Attribute):
        return func.attr, func.value.id if isinstance(func.value, ast.Name) else ""
    return "", ""


def _path(node: ast.expr, known: dict[str, ast.expr], depth: int = 0) -> str:
    """Write out a path expression, `*` for what only a run knows."""
    if depth > MAX_DEPTH:
        return "*"

    def part(own: ast.expr) -> str:
        return _path(own, known, depth + 1)

    if isinstance(node, ast.Constant):
        return "." if node.value in HERE else str(node.value)
    if isinstance(node, ast.Name):
        return part(known[node.id]) if node.id in known else "*"
    if isinstance(node, ast.JoinedStr):
        return "".join(part(own) for own in node.values)
    if isinstance(node, ast.FormattedValue):
        return part(node.value)
    if isinstance(node, ast.BinOp):
        between = {ast.Div: "/", ast.Add: ""}.get(type(node.op))
        return "*" if between is None else part(node.left) + between + part(node.right)
    if isinstance(node, ast.BoolOp):
        return next((one for one in map(part, node.values) if one != "*"), "*")
    if isinstance(node, ast.Subscript):
        return "." if isinstance(node.slice, ast.Constant) and node.slice.value in HERE else "*"
    if isinstance(node, ast.Attribute):
        if node.attr == "parent":
            return os.path.dirname(part(node.value)) or "."
        return part(known[node.attr]) if node.attr in known else "*"
    return _made(node, known, depth) if isinstance(node, ast.Call) else "*"


def _made(node: ast.Call, known: dict[str, ast.expr], depth: int) -> str:
    """Write out what a call returns: a path put together, the home folder, a value of the environment."""
    name, owner = _called(node.func)
    given = [_path(own, known, depth + 1) for own in node.args]
    if name in ("getcwd", "cwd"):
        return "."
    if name == "home":
        return "~"
    if name in ("get", "getenv"):
        return "." if given[:1] == ["."] else "*"
    if name in PATH_MAKERS:
        base = [] if owner in ("", "os", "path", "pathlib") or not isinstance(node.func, ast.Attribute) else [
            _path(node.func.value, known, depth + 1)
        ]  # fmt: skip
        if isinstance(node.func, ast.Attribute) and not isinstance(node.func.value, ast.Name):
            is_module = ast.unparse(node.func.value) in ("os.path", "pathlib")
            base = [] if is_module else [_path(node.func.value, known, depth + 1)]
        return os.path.join(*(base + given)) if base + given else "."
    return _path(known[name], known, depth + 1) if name in known and not owner else "*"
