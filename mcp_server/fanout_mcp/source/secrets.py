"""What must never leave the machine: files that are secrets, and key-shaped strings in files that are not.

`is_secret_path` decides before anything is read; `redact` scrubs what is about to leave and keeps every line
where it is, so that citations still fit. A pattern that fires too often costs a word of context, one that
never fires costs a key: doubts go to the redaction. Where a secret is told by the words before it alone, the
value has to look like one, and more so in a program, where `password = sha256` is a name, than in settings.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from fnmatch import translate
from typing import Final

from fanout_mcp.source.secret_shapes import SHAPES, SHORTEST

SECRET_NAMES: Final = (
    ".env",
    ".env.*",
    "*.env",
    ".envrc",
    "*.pem",
    "*.key",
    "*.p8",
    "*.p12",
    "*.pfx",
    "*.jks",
    "*.keystore",
    "*.kdbx",
    "*.ppk",
    "id_rsa*",
    "id_dsa*",
    "id_ecdsa*",
    "id_ed25519*",
    ".netrc",
    "_netrc",
    ".npmrc",
    ".pypirc",
    ".pgpass",
    ".htpasswd",
    ".git-credentials",
    ".dockercfg",
    "*.tfstate",
    "*.tfstate.*",
    "*.tfvars",
    "service-account*.json",
    "service_account*.json",
    "credentials",
    "credentials.json",
    "client_secret*.json",
    "secrets.*",
    ".secrets*",
    "*.ovpn",
    "*.asc",
    "*.gpg",
)
NOT_SECRET: Final = (
    "*.example",
    "*.sample",
    "*.template",
    "*.dist",
    "*.pub",
    "secrets.py",
    "secrets.go",
    "secrets.rs",
)
"""Templates say which variables exist; modules that are named secrets are code, and are scrubbed as such."""

SECRET_FOLDERS: Final = frozenset({".aws", ".ssh", ".gnupg", ".git", ".kube", ".docker", ".azure", ".gcloud"})

_SECRET_NAME: Final = re.compile("|".join(map(translate, SECRET_NAMES)))
_NO_SECRET_NAME: Final = re.compile("|".join(map(translate, NOT_SECRET)))

_KEYWORDED: Final = re.compile(
    r"""(?ix)
    (?P<head> (?:passw(?:or)?d|passwd|secret|token|api_?-?key|apikey|private_?-?key|access_?-?key
       |auth_?-?key|credential|client_?-?secret|encryption_?-?key|bearer)
       [\w-]{0,20} ["']? \s{0,4} (?: => | := | [:=] ) \s{0,4} [bru]{0,2} )
    (?: (?P<quote>["'`]) (?P<quoted>[^"'`\s]{8,200}) (?P=quote)
      | (?P<bare>(?=[^\s"'`,;]{0,199}\d)[A-Za-z0-9+/_.~-]{20,200}={0,2}) (?![\w(.\[])
      | (?P<line>(?=[^\s]{0,199}\d)[^\s"'`,;<>(){}\[\]]{6,200}) (?=[ \t]*(?:[#;][^\n]*)?(?:\r?\n|\Z)) )
    """
)
_SETTING: Final = re.compile(
    r"(?i)(?:passw(?:or)?d|passwd|secret|(?:api|access|auth|private|secret)[_-]?key|token)"
    r"[ \t]*(?::=|[:=])[ \t]*\Z"
)
"""A name that ends in what it holds: not `secretName: blue-2`, `password_length = 100000`."""

_BEFORE: Final = re.compile(r"[ \t]*(?:export[ \t]+|set[ \t]+|-[ \t]+)?[\w.-]*\Z")
"""What may stand before that name on a line that does nothing but set it."""

_NO_LINE: Final = re.compile(
    r"(?i)[/~.*&!@$%]|\w+://|(?:arn|env|file|ref|vault|aws|gcp|sops|sha\d+):|\d[\d_.,:-]*\w?\Z"
)
"""Beginnings of paths, links, references, sizes and dates."""

_MIXED: Final = re.compile(r"\d(?=[A-Za-z])")
_SETTINGS: Final = (".properties", ".yml", ".yaml", ".ini", ".cfg", ".conf", ".toml", ".env", ".tfvars")
_HEADERS: Final = re.compile(
    r"(?i)(\b(?:authorization|x-api-key)\b[\"']?\s{0,4}[:=]\s{0,4}[\"']?"
    r"(?:bearer |basic |token )?)([A-Za-z0-9+/_.~-]{16,}={0,2})"
)
_URL: Final = re.compile(
    r"(://[^\s:/@\"'<>{}$%]{0,100}:)"
    r"([^\s/@\"'<>{}$]{3,200}(?=@)|(?!(?:\d{1,5}|port)/)[^\s@\"'<>{}$?#]{3,200}(?=@[\w.\[-]))"
)
"""A password, with a slash in it only before a host, and not where a port and a path may be meant."""

_PEM: Final = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY(?: BLOCK)?-----"
    r"[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY(?: BLOCK)?-----|\Z)"
)
_AZURE: Final = re.compile(r"(?i:AccountKey|SharedAccessKey)=[A-Za-z0-9+/]{32,}={0,2}")
_AZURE_WORDS: Final = ("accountkey=", "sharedaccesskey=")

_SHAPED: Final = tuple((name, words, re.compile(pattern)) for name, words, pattern in SHAPES)

_KEYWORDS: Final = ("passw", "secret", "token", "key", "credential", "bearer")
_HEADER_NAMES: Final = ("authorization", "x-api-key")

_HARMLESS: Final = re.compile(
    r"(?ix)^(?: [<{$%].* | .*(?:example|placeholder|changeme|your[-_]|xxxx|\*\*\*\*|redacted|dummy).*"
    r" | [a-z_]+(?:[._-][a-z_]+)* | .*[({\[].*)$"
)
"""Values that are names, calls, templates or plain words: `token = "access_token"` is no secret."""


_PASSWORD: Final = re.compile(r"(?i)passw|secret")
_PHRASE: Final = re.compile(
    r"(?i)^(?!.*(?:example|placeholder|change|your|dummy|redacted|secret|passw|xxxx))[a-z]+(?:-[a-z]+){2,}$"
)
"""Three words with dashes after `password =`: how people are told to make one up."""

_QUOTED: Final = re.compile(r"""(["'`])[^"'`\n]{3,}\1""")


def is_secret_path(path: str) -> bool:
    """Tell a file whose very name says that it holds secrets; `path` is relative, with slashes."""
    *folders, name = path.rstrip("/").split("/")  # pathlib would be a third of the price of finding files
    if not SECRET_FOLDERS.isdisjoint(folders):
        return True
    name = name.lower()
    return bool(_SECRET_NAME.match(name)) and not _NO_SECRET_NAME.match(name)


def redact(text: str, path: str = "") -> tuple[str, int]:
    """Return the text with each secret as `<redacted:kind>`, and how many there were; lines stay in place.

    `path`: whose text it is, where that is known.
    """
    count = 0

    def counted(replace: Callable[[re.Match[str]], str]) -> Callable[[re.Match[str]], str]:
        def inner(match: re.Match[str]) -> str:
            nonlocal count
            new = replace(match)
            count += new != match.group()
            return new

        return inner

    lower = text.lower()
    if "-----BEGIN" in text:
        text = _PEM.sub(counted(_shaped("pem")), text)
    # Most of a text is in words too short for any key: a hundred searches cost a quarter in what is left.
    long = " ".join([word for word in text.split() if len(word) >= SHORTEST])
    for name, words, shape in _SHAPED if long else ():
        if any(word in long for word in words):
            text = shape.sub(counted(_shaped(name)), text)
    if any(word in lower for word in _AZURE_WORDS):
        text = _AZURE.sub(counted(_shaped("azure")), text)
    if "://" in text and "@" in text:
        text = _URL.sub(counted(lambda m: f"{m[1]}<redacted:url-password>"), text)
    if any(name in lower for name in _HEADER_NAMES):
        text = _HEADERS.sub(counted(lambda m: f"{m[1]}<redacted:header>"), text)
    if any(word in lower for word in _KEYWORDS):
        text = _KEYWORDED.sub(counted(_keyworded(path.lower().endswith(_SETTINGS))), text)
    return text, count


def masked(text: str) -> str:
    """Return words that hold a secret, without it: where no shape tells which, no quoted text is shown."""
    clean, count = redact(text)
    return clean if count else _QUOTED.sub(r"\1<redacted:value>\1", text)


def _shaped(name: str) -> Callable[[re.Match[str]], str]:
    # A key over several lines leaves as many line ends behind.
    return lambda match: f"<redacted:{name}>" + "\n" * match.group().count("\n")


def _keyworded(is_settings: bool) -> Callable[[re.Match[str]], str]:  # noqa: FBT001 - the one thing it depends on
    def scrubbed(match: re.Match[str]) -> str:
        if match["line"] and not _is_set(match, is_settings=is_settings):
            return match.group()
        value = match["quoted"] or match["bare"] or match["line"]
        is_phrase = _PASSWORD.search(match["head"]) and _PHRASE.match(value)
        if _HARMLESS.match(value) and not is_phrase:
            return match.group()
        quote = match["quote"] or ""
        return f"{match['head']}{quote}<redacted:value>{quote}"

    return scrubbed


def _is_set(match: re.Match[str], *, is_settings: bool) -> bool:
    """Tell whether a bare value, the last thing on its line, is what a setting is set to."""
    value, text, start = match["line"], match.string, match.start()
    if _NO_LINE.match(value) or not _SETTING.search(match["head"]):
        return False
    if not _BEFORE.match(text, text.rfind("\n", 0, start) + 1, start):
        return False
    return is_settings or len(_MIXED.findall(value)) > 1
