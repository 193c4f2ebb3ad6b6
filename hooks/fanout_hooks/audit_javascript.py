"""What a JavaScript source does with files: the calls of `fs` by name (see audit_source.py)."""

from __future__ import annotations

import re

from fanout_hooks.audit_python import HERE, MAX_DEPTH, Found

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
