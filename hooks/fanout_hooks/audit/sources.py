"""Which files a hook's source text reads, replaces and appends to: a guess, for only a run shows.

Paths are written out as far as the text tells them: relative to the project, `~` for the home folder, `*` for
a part that only a run knows. A name with `*` in its last part (`state-*.json`) is another file each time and
is left out. A database that locks itself (sqlite) is no file that two may spoil, a file opened for
appending loses nothing when two append to it.
"""

from __future__ import annotations

import ast
import os
import re
import shlex
from collections.abc import Iterable, Iterator
from typing import NamedTuple

# --- What a Python source does with files, by its syntax tree; nothing is run (see sources.py). -------------

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


# --- What a JavaScript source does with files: the calls of `fs` by name (see sources.py). ------------------

JS_ASSIGNS = re.compile(r"\b(?:const|let|var)\s+(\w+)\s*=\s*([^;\n]+)")
JS_CALL = re.compile(
    r"\b(readFile|writeFile|appendFile|createWriteStream|rename|copyFile)(?:Sync)?\(\s*([^\n]*)"
)
JS_STRING = re.compile(r"""(['"`])((?:(?!\1).)*)\1""")
JS_LOCK = re.compile(r"\block(?:Sync)?\(|proper-lockfile")


def javascript(text: str) -> Found:
    known = {match[1]: match[2] for match in JS_ASSIGNS.finditer(text)}
    if JS_LOCK.search(text):
        yield "lock", ""
    for match in JS_CALL.finditer(text):
        given = _js_arguments(match[2])
        which = given[1:2] if match[1] in ("rename", "copyFile") else given[:1]
        how = {"readFile": "r", "appendFile": "a"}.get(match[1], "w")
        if match[1] == "createWriteStream" and "flags" in match[2]:
            how = "a"
        for own in which:
            yield how, _js_path(own, known)


def _js_arguments(text: str) -> list[str]:
    """Split the arguments of a call at its commas, inner brackets left whole."""
    found, depth, start = [], 0, 0
    for at, char in enumerate(text):
        depth += (char in "([{") - (char in ")]}")
        if depth < 0 or (depth == 0 and char == ","):
            found.append(text[start:at].strip())
            start = at + 1
        if depth < 0:
            return found
    return [*found, text[start:].strip()]


def _js_path(text: str, known: dict[str, str], depth: int = 0) -> str:
    if depth > MAX_DEPTH:
        return "*"
    if text in known:
        return _js_path(known[text], known, depth + 1)
    if match := re.match(r"(?:path\.)?(?:join|resolve)\((.*)\)$", text):
        return "/".join(_js_path(own, known, depth + 1) for own in _js_arguments(match[1] + ")"))
    if match := JS_STRING.fullmatch(text):
        return re.sub(r"\$\{([^}]*)\}", lambda inner: _js_path(inner[1].strip(), known, depth + 1), match[2])
    if any(word in text for word in HERE) or text == "process.cwd()":
        return "."
    return "~" if "homedir" in text or "env.HOME" in text else "*"


# --- What a shell script, or a hook's command itself, does with files (see sources.py). ---------------------

ASSIGNS = re.compile(r"^\s*(?:export\s+|local\s+|readonly\s+)?([A-Za-z_]\w*)=(\S.*)$")
VARIABLE = re.compile(r"\$\{([A-Za-z_]\w{0,99})(?::-[^}]{0,400})?\}|\$([A-Za-z_]\w{0,99})")
INNER = re.compile(r"\$\(([^()]*)\)|`([^`]*)`")
SHELL_READS = frozenset(
    {"cat", "jq", "head", "tail", "grep", "wc", "source", ".", "awk", "sed", "sort", "cut"}
)
ENDS = frozenset({"|", "||", "&&", ";", "&", "(", ")", "{", "}", "|&", ";;"})


def shell(text: str) -> Found:
    values = dict.fromkeys(HERE, ".") | {"HOME": "~"}
    for line in text.replace("\\\n", " ").splitlines():
        if line.lstrip().startswith("#"):
            continue
        if (match := ASSIGNS.match(line)) and "$(" not in match[2] and "`" not in match[2]:
            word = next(iter(_words(match[2])), "")
            values[match[1]] = _filled(word, values)
        for inner in INNER.finditer(line):
            yield from _commands(_words(inner[1] or inner[2] or ""), values)
        yield from _commands(_words(INNER.sub("*", line)), values)


def _words(line: str) -> list[str]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    try:
        return list(lexer)
    except ValueError:
        return line.split()


def _filled(word: str, values: dict[str, str]) -> str:
    return VARIABLE.sub(lambda match: values.get(match[1] or match[2], "*"), word)


def _commands(words: list[str], values: dict[str, str]) -> Found:
    command: list[str] = []
    for word in [*words, ";"]:
        if word in ENDS:
            yield from _command([_filled(own, values) for own in command])
            command = []
        else:
            command.append(word)


def _command(words: list[str]) -> Found:
    plain: list[str] = []
    at = 0
    while at < len(words):
        word, following = words[at], words[at + 1] if at + 1 < len(words) else ""
        at += 1
        if word in (">", ">>", ">|", "<"):
            if following and not (plain and plain[-1] == "2" and word != "<"):
                yield {"<": "r", ">>": "a"}.get(word, "w"), following
            at += 1
        elif word in ("<<", "<<<", ">&", "<&", "&>"):
            at += 1
        else:
            plain.append(word)
    name = plain[0] if plain else ""
    files = [word for word in plain[1:] if not word.startswith("-") and ("." in word or "/" in word)]
    if name == "flock" or name.endswith("/flock"):
        yield "lock", ""
    elif name == "tee" and files:
        yield ("a" if "-a" in plain else "w"), files[0]
    elif name in ("mv", "cp") and files:
        yield "w", files[-1]
    elif name == "sed" and any(word.startswith("-i") for word in plain) and files:
        yield "w", files[-1]
        yield "r", files[-1]
    elif name in SHELL_READS:
        yield from (("r", file) for file in files[-1:])


# --- sources ------------------------------------------------------------------------------------------


class Touches(NamedTuple):
    """What one source touches."""

    reads: frozenset[str] = frozenset()
    replaces: frozenset[str] = frozenset()
    appends: frozenset[str] = frozenset()
    locks: bool = False

    @property
    def writes(self) -> frozenset[str]:
        return self.replaces | self.appends


def of_text(text: str, ending: str) -> Touches:
    """Read a script by its language: Python, JavaScript, else a shell."""
    if ending == ".py":
        return _united(python(text))
    if ending in (".js", ".mjs", ".cjs", ".ts"):
        return _united(javascript(text))
    return _united(shell(text))


def _united(found: Iterable[tuple[str, str]]) -> Touches:
    every: dict[str, set[str]] = {"r": set(), "w": set(), "a": set(), "lock": set()}
    for how, path in found:
        every[how].add(_tidy(path))
    named = {how: frozenset(filter(_is_one_file, paths)) for how, paths in every.items()}
    return Touches(named["r"], named["w"], named["a"], locks=bool(every["lock"]))


def _tidy(path: str) -> str:
    tidy = os.path.normpath(re.sub(r"\*+", "*", path)) if path else ""
    while tidy.startswith("*/"):
        tidy = tidy[2:]
    return tidy


def _is_one_file(path: str) -> bool:
    name = os.path.basename(path)
    return (
        bool(name)
        and "*" not in name
        and name not in (".", "..")
        and not path.startswith(("/dev/", "/proc/"))
    )
