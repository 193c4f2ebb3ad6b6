"""What a shell script, or a hook's command itself, does with files (see audit_source.py)."""

from __future__ import annotations

import re
import shlex

from fanout_hooks.audit_python import HERE, Found

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
