"""What must never leave the machine: files that are secrets, and key-shaped strings in files that are not.

`is_secret_path` decides before anything is read; `redact` scrubs what is about to leave and keeps every line
where it is, so that citations still fit. A pattern that fires too often costs a word of context, one that
never fires costs a key: doubts go to the redaction.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from fnmatch import translate
from typing import Final

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

_RULES: Final = (
    (
        "pem",
        (
            r"-----BEGIN [A-Z ]*PRIVATE KEY(?: BLOCK)?-----"
            r"[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY(?: BLOCK)?-----|\Z)"
        ),
    ),
    ("aws", r"\b(?:AKIA|ASIA|AIDA|AROA)[0-9A-Z]{16}\b"),
    ("github", r"\b(?:gh[pousr]_[A-Za-z0-9]{20,255}|github_pat_[A-Za-z0-9_]{20,255})"),
    ("gitlab", r"\bglpat-[A-Za-z0-9_-]{16,}"),
    ("slack", r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}|hooks\.slack\.com/services/[A-Za-z0-9/]{20,}"),
    ("anthropic", r"\bsk-ant-[A-Za-z0-9_-]{16,}"),
    ("openai", r"\bsk-(?:proj-|or-v1-|svcacct-)?[A-Za-z0-9_-]{20,}"),
    ("google", r"\bAIza[0-9A-Za-z_-]{30,}|\bya29\.[0-9A-Za-z_-]{20,}|\bGOCSPX-[0-9A-Za-z_-]{20,}"),
    ("stripe", r"\b(?:sk|rk|pk)_(?:live|test)_[0-9A-Za-z]{16,}|\bwhsec_[0-9A-Za-z]{16,}"),
    ("npm", r"\bnpm_[A-Za-z0-9]{30,}"),
    ("pypi", r"\bpypi-[A-Za-z0-9_-]{30,}"),
    ("huggingface", r"\bhf_[A-Za-z0-9]{24,}"),
    ("sendgrid", r"\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}"),
    ("jwt", r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"),
    ("azure", r"(?i:AccountKey|SharedAccessKey)=[A-Za-z0-9+/]{32,}={0,2}"),
)
_KEYWORDED: Final = re.compile(
    r"""(?ix)
    (?P<head> (?:passw(?:or)?d|passwd|secret|token|api_?-?key|apikey|private_?-?key|access_?-?key
       |auth_?-?key|credential|client_?-?secret|encryption_?-?key|bearer)
       [\w-]{0,20} ["']? \s{0,4} (?: => | := | [:=] ) \s{0,4} [bru]{0,2} )
    (?: (?P<quote>["'`]) (?P<quoted>[^"'`\s]{8,200}) (?P=quote)
      | (?P<bare>(?=[^\s"'`,;]{0,199}\d)[A-Za-z0-9+/_.~-]{20,200}={0,2}) (?![\w(.\[]) )
    """
)
_HEADERS: Final = re.compile(
    r"(?i)(\b(?:authorization|x-api-key)\b[\"']?\s{0,4}[:=]\s{0,4}[\"']?"
    r"(?:bearer |basic |token )?)([A-Za-z0-9+/_.~-]{16,}={0,2})"
)
_URL: Final = re.compile(r"(://[^\s:/@\"'<>{}$%]{0,100}:)([^\s/@\"'<>{}$]{3,200})(?=@)")
_SHAPED: Final = re.compile("|".join(f"(?P<{name}>{pattern})" for name, pattern in _RULES))

_HINTS: Final = tuple(
    """-----BEGIN AKIA ASIA AIDA AROA ghp_ gho_ ghu_ ghs_ ghr_ github_pat glpat- xoxa- xoxb- xoxe- xoxo- xoxp-
    xoxr- xoxs- hooks.slack sk- AIza ya29 GOCSPX _live_ _test_ whsec npm_ pypi- hf_ SG. eyJ""".split()  # noqa: SIM905 - read as a line of words
)
_LOWER_HINTS: Final = ("accountkey=", "sharedaccesskey=")
"""Texts without any of these hold nothing that a shape could match; most end here, found by plain search."""

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


def redact(text: str) -> tuple[str, int]:
    """Return the text with each secret as `<redacted:kind>`, and how many there were; lines stay in place."""
    count = 0

    def counted(replace: Callable[[re.Match[str]], str]) -> Callable[[re.Match[str]], str]:
        def inner(match: re.Match[str]) -> str:
            nonlocal count
            new = replace(match)
            count += new != match.group()
            return new

        return inner

    lower = text.lower()
    if any(hint in text for hint in _HINTS) or any(hint in lower for hint in _LOWER_HINTS):
        text = _SHAPED.sub(counted(_shaped), text)
    if "://" in text and "@" in text:
        text = _URL.sub(counted(lambda m: f"{m[1]}<redacted:url-password>"), text)
    if any(name in lower for name in _HEADER_NAMES):
        text = _HEADERS.sub(counted(lambda m: f"{m[1]}<redacted:header>"), text)
    if any(word in lower for word in _KEYWORDS):
        text = _KEYWORDED.sub(counted(_keyworded), text)
    return text, count


def masked(text: str) -> str:
    """Return words that hold a secret, without it: where no shape tells which, no quoted text is shown."""
    clean, count = redact(text)
    return clean if count else _QUOTED.sub(r"\1<redacted:value>\1", text)


def _shaped(match: re.Match[str]) -> str:
    # A key over several lines leaves as many line ends behind.
    return f"<redacted:{match.lastgroup}>" + "\n" * match.group().count("\n")


def _keyworded(match: re.Match[str]) -> str:
    value = match["quoted"] or match["bare"]
    is_phrase = _PASSWORD.search(match["head"]) and _PHRASE.match(value)
    if _HARMLESS.match(value) and not is_phrase:
        return match.group()
    quote = match["quote"] or ""
    return f"{match['head']}{quote}<redacted:value>{quote}"
