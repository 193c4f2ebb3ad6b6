"""What a secret is, by the name it is given to and by how its value looks: the one place that decides.

Rules:
1. A name is read word by word. It is secret when it ends in a word for a secret (`dbPassword`, `API_KEY`,
   `secret_key_base`), not when that word only qualifies another (`password_length`, `secretName`).
2. A password may be anything but a plain word, a placeholder or a reference: people choose them.
3. A key or token is random: machines choose them. `CACHE_KEY = "user_profile_v2"` is not one.
4. A value without quotes in a program is a name, so only a random one counts there.

Everything here takes short text: callers cut names at MAX_NAME and values at MAX_VALUE.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, Literal

MAX_NAME: Final = 100
MAX_VALUE: Final = 600

Kind = Literal["password", "secret", "key"]
"""How the value is judged: chosen by people, by either, by a machine."""

_PASSWORDS: Final = frozenset(
    [
        "password",
        "passwd",
        "passwort",
        "passphrase",
        "passcode",
        "pass",
        "pwd",
        "pw",
        "psk",
        "userpassword",
        "dbpassword",
        "rootpassword",
    ]
)
_SECRETS: Final = frozenset(["secret", "secrets", "credential", "credentials", "pepper", "masterauth"])
_KEYS: Final = frozenset(
    ["token", "key", "auth", "authorization", "apikey", "session", "sessionid", "sid", "cookie", "bearer"]
)
_NOT_KEYS: Final = frozenset(
    [
        "public",
        "primary",
        "foreign",
        "cache",
        "sort",
        "partition",
        "index",
        "object",
        "bucket",
        "hash",
        "range",
        "map",
        "dict",
        "config",
        "registry",
        "hot",
        "short",
        "arrow",
        "query",
        "route",
        "message",
        "i18n",
        "translation",
        "lookup",
        "group",
        "unique",
        "row",
        "column",
        "idempotency",
        "pub",
    ]
)
"""Before `key`: names of places, not of secrets."""

_NOT_PASS: Final = frozenset(
    ["compass", "bypass", "trespass", "surpass", "encompass", "overpass", "underpass", "subpass"]
)
_AFTER: Final = frozenset(
    [
        "base",
        "data",
        "value",
        "string",
        "default",
        "b64",
        "base64",
        "test",
        "live",
        "prod",
        "production",
        "dev",
        "staging",
        "local",
        "old",
        "new",
        "current",
        "plain",
        "raw",
        "text",
        "encrypted",
        "id",
        "key",
        "token",
        "hash",
        "str",
        "env",
        "literal",
    ]
)
"""What may follow the word for a secret: `client-key-data`, `SECRET_KEY_BASE`, `password_hash`."""

_WORD: Final = re.compile(r"[A-Z]{1,40}(?![a-z])|[A-Z]?[a-z]{1,40}|[0-9]{1,20}")


@lru_cache(maxsize=4096)
def kind_of(name: str) -> Kind | None:
    """Tell how what is given to a name is judged; None where the name is not a secret's."""
    words = [word.lower() for word in _WORD.findall(name[:MAX_NAME])]
    while words and (words[-1].isdigit() or (words[-1] in _AFTER and _kind(words) is None)):
        words.pop()
    return _kind(words)


def _kind(words: list[str]) -> Kind | None:
    last = words[-1] if words else ""
    if last in _PASSWORDS or last.endswith(("password", "passwd", "passphrase")):
        return "password"
    if last.endswith("pass") and last not in _NOT_PASS:
        return "password"
    if last in _SECRETS or last.endswith("secret"):
        return "secret"
    before = words[-2] if len(words) > 1 else ""
    if last.endswith("key"):
        return None if before in _NOT_KEYS or last.removesuffix("key") in _NOT_KEYS else "key"
    return "key" if last in _KEYS or last.endswith("token") else None


_PLACEHOLDER: Final = re.compile(
    r"(?i)example|placeholder|change.?me|change.?this|replace|your|xxxx|\*\*\*|redacted|dummy|\.\.\.|todo|insert"
    r"|fill.?in|not.?set|undefined|<[^>]{0,80}>|[$#%]\{|\{\{|\}\}|%[sd](?![a-z0-9])|%\("
)
_REFERENCE: Final = re.compile(
    r"(?i)[$@&!%*]?[\w.]{0,80}\(|[<{\[(^|&*@$]|~?/|\.{1,2}/|%\w+%|\\|\w+://|data:"
    r"|(?:arn|env|file|ref|vault|aws|gcp|sops|sha\d+|secret|op|ssm):|required\b|\d{4}-\d\d-\d\d"
)
"""Beginnings of calls, templates, paths, addresses, variables, schemes of secret stores and dates."""

_PLAIN: Final = re.compile(
    r"[A-Za-z]?[a-z]*(?:[ ._:,-]{1,2}[A-Za-z]?[a-z]*)*[.!?:]?|[A-Z_]+|[A-Z]{1,6}-?\d{1,4}|[\d.,:_%-]+\w?"
)
"""Words, constants' names, numbers, sizes and versions."""

_BARE_WORD: Final = re.compile(r"[A-Za-z]{1,40}(?:[_-][A-Za-z]{1,40})?")
_PHRASE: Final = re.compile(r"[a-z]{3,20}(?:-[a-z]{3,20}){2,8}")
_PHRASE_SAYS: Final = frozenset(
    [
        "secret",
        "secrets",
        "password",
        "passwords",
        "passwd",
        "pass",
        "token",
        "tokens",
        "key",
        "keys",
        "auth",
        "api",
        "client",
        "access",
        "login",
        "user",
        "username",
        "test",
        "my",
        "the",
        "a",
        "not",
        "no",
        "your",
        "is",
        "in",
        "of",
        "to",
        "for",
        "and",
        "or",
        "by",
        "with",
        "reset",
        "change",
        "forgot",
        "confirm",
        "current",
        "new",
    ]
)
"""Words of names and sentences, which are not made-up phrases."""
_FILE: Final = re.compile(r"(?i)[\w./ -]{1,200}\.(?:[a-z]{2,4}|json|html)")
_RULES: Final = re.compile(r"[a-z_]{2,20}(?::[\w,.]{1,40})?(?:\|[a-z_]{2,20}(?::[\w,.]{1,40})?){1,20}")
"""`required|min:8`: how PHP frameworks check an input."""

_MEMBER: Final = re.compile(r"[A-Za-z_$]\w{0,80}(?:(?:\.|->|::|\?\.)[A-Za-z_$]\w{0,80}){1,8}")
_RANDOM: Final = re.compile(r"[A-Za-z0-9+/=_.~:-]{8,600}")
_STRUCTURED: Final = re.compile(r"(?:[A-Za-z]{2,}\d{0,4}|\d{1,4}|v\d{1,3}|[A-Z]|[a-z])")
_PIECE: Final = re.compile(r"[^A-Za-z0-9]{1,9}")
_TURN: Final = re.compile(r"[0-9](?=[A-Za-z])|[A-Za-z](?=[0-9])")
_RUN: Final = re.compile(r"[a-z]{1,600}|[A-Z]{1,600}|[0-9]{1,600}|[^A-Za-z0-9]{1,600}")
_DIGIT: Final = re.compile(r"[0-9]")
_LETTERS: Final = re.compile(r"[A-Za-z]{1,600}")
_BASE64: Final = re.compile(r"[A-Za-z0-9+/]{6,600}={1,2}")
_HASH: Final = re.compile(r"\$(?:2[abxy]|5|6|1|y|argon2\w{0,2})\$[./A-Za-z0-9$=,+]{20,}")


def is_secret(name: str, value: str, *, is_bare: bool = False) -> bool:
    """Tell whether `value`, given to `name`, is a secret; `is_bare`: without quotes, in a program."""
    kind = kind_of(name)
    if kind is None:
        return False
    if is_bare:
        return is_random(value) and len(value) >= 20 and not _MEMBER.fullmatch(value)
    if _HASH.match(value):
        return True
    if kind == "key":
        return is_random(value) or _is_salt(value)
    if _BASE64.fullmatch(value) and len(value) % 4 == 0:
        return True
    return is_chosen(value, name) or is_random(value) or _is_salt(value)


def is_word(name: str, value: str) -> bool:
    """Tell a plain word given to a password's name: it may be the password, or what the field is called."""
    lower = value.lower()
    return (
        kind_of(name) in {"password", "secret"}
        and 4 <= len(value) <= 64
        and _BARE_WORD.fullmatch(value) is not None
        and not _PLACEHOLDER.search(value)
        and lower.strip("_") not in name.lower()
        and lower not in {"none", "null", "true", "false", "string", "bytes", "text"}
        and kind_of(value) is None
    )


def is_chosen(value: str, name: str = "password") -> bool:
    """Tell a password that a person made up from words, placeholders, paths, variables and calls."""
    if not 5 <= len(value) <= 128 or _PLACEHOLDER.search(value) or _REFERENCE.match(value) or " " in value:
        return False
    lower = value.lower()
    if _PHRASE.fullmatch(value):
        return _PHRASE_SAYS.isdisjoint(value.split("-"))
    if value.isdigit():
        return len(value) >= 6 and kind_of(name) == "password"
    if _PLAIN.fullmatch(value) or _FILE.fullmatch(value) or _RULES.fullmatch(value):
        return False
    return not _MEMBER.fullmatch(value) and lower.strip("_-:") not in name.lower()


def is_random(value: str) -> bool:
    """Tell what a machine drew (hexadecimal, base64, UUID) from words, versions and dotted names."""
    has_digit = _DIGIT.search(value)
    if not has_digit and (value.islower() or value.isupper() or len(value) < 16):
        return False
    if not _RANDOM.fullmatch(value) or _PLACEHOLDER.search(value):
        return False
    is_base64 = value.startswith("/") and (len(value) >= 40 or value.endswith("="))
    if _REFERENCE.match(value) and not is_base64:
        return False
    text = value.rstrip("=")
    if all(_STRUCTURED.fullmatch(piece) for piece in _PIECE.split(text) if piece) and not _is_mixed(text):
        return False
    turns = len(_TURN.findall(text))
    if len(text) < 16:
        return turns >= (4 if value.endswith("=") or len(text) >= 12 else 5)
    return turns >= 3 or _is_mixed(text)


def _is_mixed(text: str) -> bool:
    """Letters of both cases (and digits) that change faster than words do, in one piece of 16 at least."""
    longest = max(_PIECE.split(text), key=len)
    return len(longest) >= 16 and len(longest) <= 2.3 * len(_RUN.findall(longest)) and not longest.islower()


def _is_salt(value: str) -> bool:
    """Tell what a generator of salts writes: long, with spaces, brackets and all other signs."""
    if len(value) < 32:
        return False
    signs = {char for char in value if not char.isalnum() and char != " "}
    if max(map(len, _LETTERS.findall(value)), default=0) > 9:
        return False
    return len(signs) >= (6 if _PLACEHOLDER.search(value) is None else 10)


def is_argument(value: str) -> bool:
    """Tell a literal password where a command takes nothing but one, from variables and plain words."""
    return (
        is_chosen(value)
        or is_random(value)
        or (
            len(_RUN.findall(value)) >= 3
            and value.isalpha()
            and not value.isupper()
            and len(value) >= 8
            and not _PLACEHOLDER.search(value)
        )
    )
