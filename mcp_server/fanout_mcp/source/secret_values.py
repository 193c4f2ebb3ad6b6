"""What a secret is, by the name it is given to and by how its value looks: the one place that decides.

Rules:
1. A name is read word by word. It is secret when it ends in a word for a secret (`dbPassword`, `API_KEY`,
   `secret_key_base`), not when that word only qualifies another (`password_length`, `secretName`).
2. A password may be anything but a placeholder, a reference, a type or a state: people choose them. Words
   count (`is_literal`) where nothing but a value can stand, not where a label, a field or prose can.
3. A key or token is random: machines choose them. `CACHE_KEY = "user_profile_v2"` is not one.
4. A value without quotes in a program is a name, so only a random one counts there.

Everything here takes short text: callers cut names at MAX_NAME and values at MAX_VALUE.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, Literal, NamedTuple

MAX_NAME: Final = 100
MAX_VALUE: Final = 600

Kind = Literal["password", "secret", "key", "id"]
"""How the value is judged: chosen by people, by either, by a machine; hexadecimal (ids that are keys)."""

_PASSWORDS: Final = tuple(
    """
    assword passwd passphrase pass pw pwd passwort passcode passe psk kennwort senha mdp heslo haslo
    wachtwoord parola passord parool parole salasana adgangskode lozinka geslo authtok
    """.split()
)
"""Ends of words."""
_SECRETS: Final = frozenset("secrets credential credentials cred creds pepper masterauth".split())
_KEYS: Final = frozenset("auth authorization session sid bearer salt login".split())
_NOT_KEYS: Final = frozenset(
    """
    public primary foreign cache sort partition index object bucket hash range map dict config registry
    hot short arrow query route message i18n translation lookup group unique row column idempotency pub
    site socket publishable identifier
    """.split()
)
"""Before `key`: names of places, not of secrets."""

_TYPED: Final = frozenset("secret signing jwt encryption hmac".split())
"""Before `key`: of those that people make up, too."""

_NOT_PASS: Final = frozenset("compass bypass trespass surpass encompass overpass underpass subpass".split())
_ONE_OF_SEVERAL: Final = frozenset(
    """
    first second third last next final single one two multi each per render shader depth shadow lighting blur
    low high band
    """.split()
)
"""Before `pass`: one time through, or a filter."""
_AFTER: Final = frozenset(
    """
    base data value string default b64 base64 test live prod production dev staging local old new current
    plain raw text encrypted id key token hash str env literal ident
    """.split()
)
"""What may follow the word for a secret: `client-key-data`, `SECRET_KEY_BASE`, `password_hash`."""

_WORD: Final = re.compile(r"[A-Z]{1,40}(?![a-z])|[A-Z]?[a-z]{1,40}|[0-9]{1,20}")


def _words(name: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(name[:MAX_NAME])]


@lru_cache(maxsize=4096)
def kind_of(name: str) -> Kind | None:
    """Tell how what is given to a name is judged; None where the name is not a secret's."""
    words = _words(name)
    if words[-2:] == ["secrets", "id"] or "hashed" in words or words[:1] in (["is"], ["has"]):
        return None  # says where secrets are, or whether, or is what is left of one
    if {"existing", "secret"} <= {*words}:  # Kubernetes' object that holds it
        return None
    is_id = words[-1:] == ["id"] and words[-2:-1] in (["key"], ["credential"], ["credentials"])
    if is_id and words[-3:-1] != ["access", "key"]:
        return "id"
    if words[-1:] == ["hash"] and _kind(words[:-1]) != "password":
        return None
    while words and (words[-1].isdigit() or (words[-1] in _AFTER and _kind(words) is None)):
        words.pop()
    return _kind(words)


def _kind(words: list[str]) -> Kind | None:
    last = words[-1] if words else ""
    if last.endswith(_PASSWORDS) and last not in _NOT_PASS:
        return None if last == "pass" and words[-2:-1] and words[-2] in _ONE_OF_SEVERAL else "password"
    if last in _SECRETS or last.endswith("secret"):
        return "secret"
    before = words[-2] if len(words) > 1 else ""
    if before == "or":  # `secretOrKey`
        return _kind(words[:-2]) or _kind(words[-1:])
    if last in {"appid", "accounts"} or (before, last) == ("app", "id"):
        return "id"
    if last.endswith("key"):
        return (
            None
            if last.endswith(("pubkey", "publickey"))
            or before in _NOT_KEYS
            or last.removesuffix("key") in _NOT_KEYS
            else "key"
        )
    if "public" in words[-3:-1]:  # .NET's PublicKeyToken
        return None
    return (
        "key"
        if last in _KEYS or words == ["tokens"] or last.endswith(("token", "sessid", "sessionid", "cookie"))
        else None
    )


_PLACEHOLDER: Final = re.compile(
    r"(?i)(?-i:\{[A-Z_]+\}|%\[\d)|example|placeholder|change.?me|change.?this|replace|your|xxxx|\*\*\*|redacted|dummy|\.\.\.|todo|insert"
    r"|fill.?in|not.?set|undefined|<[^>]{0,80}>|[$#%]\{|\{\{|\}\}|%[sdvqw](?![a-z0-9])|%\("
    r"|QWxhZGRpbjpvcGVu"
)
_REFERENCE: Final = re.compile(
    r"(?i)[$@&!%*]?(?:[\w.]|::|->){0,80}\(|-?[<{\[(^|&*@$`]|[\w.-]{1,60}:/|\[?[a-z]{1,40}!?\]?!?\)[:,]?\Z|~?/|\.{1,2}/|%%?\w+%|\\|\w+://|data:"
    r"|(?:arn|env|file|ref|vault|aws|gcp|sops|sha\d+|secret|op|ssm|urn|h1|zh):|sha256//|#/|:[a-z_{]|(?:true|false|null|none|nil)(?![a-z0-9])|[a-z]{1,20}:\\?\"|\d{8}T\d{4}|![A-Za-z:/.]+\Z|enc[\[(]|required\b|\d{4}-\d\d-\d\d"
    r"|(?-i:(?:Get|New|Read|Import|Convert(?:To|From)?|Invoke|Select)-[A-Z])|--[a-z]|\+[a-z-]+\Z|HEAD[~^@]|(?:[0-9a-f]{0,4}:){2,7}[0-9a-f%]"
)
"""Beginnings of calls, templates, paths, addresses, variables, tags, schemes, dates, cmdlets, options."""

_TEMPLATE: Final = re.compile(
    r"-?(?:\{\{[\w\W]{1,600}\}\}|\$\{[^{}]{1,600}\}|\$\([\w\W]{1,600}\)|\$\{\{[\w\W]{1,600}\}\})"
)
_CODED: Final = re.compile(r"\A\{(?i:noop|plain|cleartext)\}")
"""Says that a password is stored as it is."""

_ADDRESS: Final = re.compile(r"0x[0-9A-Fa-f]{40}")
"""Of a contract or an account on a chain: known to all."""

_SIGNER: Final = re.compile(r"(?i)(?:[\w.-]{0,40}[._-])?(?:gpg|pgp|signing|default|recv)[\w.-]{0,20}keys?")
_KEY_ID: Final = re.compile(r"(?:0x)?(?:[0-9A-F]{8}|[0-9A-F]{16}|[0-9A-F]{40})!?")
"""Names of OpenPGP keys, and how such a key is told from others, which look alike."""

_PUBLIC_HALF: Final = re.compile(
    r"(?:ssh-\w+ )?AAAA(?:[BC]3NzaC1|E2VjZHNh|GnNrLXNz|InNrLWVj)|MII[A-P].[DTjz]CC"
    r"|MI(?:IBIjAN|GfMA0|ICIjAN|IBojAN)Bgkqhki|MFwwDQYJKoZIhvcNAQEB|MFkwEwYHKoZI|MHYwEAYHKoZI|MIGbMBAGByqGSM49|MC[ow]wBQYDK2V"
    r"|MII(?:BCgKCAQ|CCgKCAg)EA|MIGJAoGBA|dW50cnVzdGVkIGNvbW1lbnQ6IG1pbmlzaWduIHB1YmxpYyBr|RW[QRST][\w+/]{53}(?![\w+/=])"
)
"""How the public half of a key and a certificate begin, in OpenSSH's form, in DER and in minisign's."""

_CODE: Final = re.compile(
    r"\{[A-Za-z_][\w.]{1,60}[(\[:!]|\{(?:\$|\\?\")|://|\w\([\"']|\.[a-z_]{3,40}\(|\w{2}\(\w{2,}\(|\{[a-z_]\w{0,30}\.\w{1,40}\}|\(\?[:=!<P]|\.\.\s\w"
)
"""Of a program: what a template takes in, a regular expression."""

_ALGORITHM: Final = re.compile(
    r"(?i)(?:[a-z]{2,12}[_-]){0,3}(?:sha|md|aes|rsa|hmac|scram|ed|ecdsa|[hrep]s|argon|bcrypt|pbkdf|chacha|utf|latin|cp|8859"
    r"|windows(?=-125))[_-]?\d{1,5}[a-z]{0,2}(?:[_-][a-z]{2,12}\d{0,4}){0,3}"
    r"|(?:hmac|pbkdf|pbe|with|and|sha|md|aes|des|ede|rsa|ec|dsa|cbc|gcm|ctr|ecb|pkcs|padding|none|oaep|mgf|chacha|poly"
    r"|[0-9/_.-]){2,60}"
)
"""Of ciphers, hashes and encodings."""
_STORED: Final = re.compile(
    r"(?:[A-Za-z][a-z_-]{1,30}\d{0,2}|kv)(?:/(?:[A-Za-z]?[a-z_-]{1,30}\d{0,2}|\$?[A-Z_]{2,40})){1,8}(?::[\w-]{1,40})?"
)
"""The path of a secret in a store: `shop/prod/db`, `kv/data/db:password`."""

_PLAIN: Final = re.compile(
    r"[A-Za-z]?[a-z]*(?:[ ._:,-]{1,2}[A-Za-z]?[a-z]*)*[.!?:]?|[A-Z_-]+(?:_\d{1,2})?|[A-Z]{1,6}-?\d{1,4}"
    r"|[\d.,:_%-]+\w?|0x[0-9A-Fa-f]{1,8}|\#[0-9A-Fa-f]{3,8}|[*?.xX•_-]+|[A-Za-z_]{1,40}=(?:[A-Za-z_.]{0,40}|[\"'].{0,80})"
    r"|(?:application|audio|font|image|model|multipart|text|video)/[\w.+-]{1,80}|[A-Za-z_./-]{1,80}/"
    r"|[a-z0-9._+-]{1,60}@[a-z0-9-]{1,40}(?:\.[a-z]{2,20}){1,3}"
)
"""Words, constants' names, numbers, sizes, colours, masks, named arguments, media types, folders, mail
addresses."""

_VERSION: Final = re.compile(r"v?\d{1,4}\.\d{1,4}\.\d{1,6}(?:[+-][\w.+-]{1,60})?")

_BARE_WORDS: Final = re.compile(
    r"[A-Za-z]{1,40}|[^\W\d_][^\W\dA-Z_]{1,40}(?:[_-][^\W\d_]{1,40}){1,7}"
    r"|[^\W\dA-Z_]{2,20}(?: [^\W\dA-Z_]{1,20}){1,8}(?: [0-9]{1,8}!?)?"
)
_PHRASE: Final = re.compile(r"[^\W\dA-Z_]{3,20}(?:-[^\W\dA-Z_]{2,20}){1,7}-(?:[^\W\dA-Z_]{3,20}|[0-9]{1,4})")
_DOTTED: Final = re.compile(r"[^\W\d_][^\W\dA-Z_]{2,19}(?:\.[^\W\d_][^\W\dA-Z_]{2,19}){2,3}")
"""A phrase, too, unless a word of it says that it is the name of a member, a message or a machine."""
_APP_PASSWORD: Final = re.compile(
    r"(?:[a-z]{4} ){3}[a-z]{4}|(?=[^aeiou]*(?:[aeiou][^aeiou]*){0,4}\Z)[a-z]{16}"
)
"""As mail providers draw them for programs; in one piece, words have more vowels."""
_FINGERPRINT: Final = re.compile(r"(?:[0-9A-Fa-f]{2}:){5,31}[0-9A-Fa-f]{2}")
"""Of a key or a certificate, or a network card's address."""

_MESSAGES: Final = frozenset(
    """
    secret secrets password passwords passwd pass token tokens key keys auth api client access login user
    username test not no your is or reset change forgot confirm current new must be least characters
    minimum enter valid invalid expired contraseña lösenord hasło passe passwort kennwort senha wachtwoord
    parola frase phrase required
    """.split()
)
_PHRASE_SAYS: Final = _MESSAGES | frozenset("a at by in my of on the to and for with".split())
"""Words of names and sentences, which are not made-up phrases."""
_FILE: Final = re.compile(
    r"(?i)[\w./ -]{1,200}\.(?:te?xt|json|ya?ml|html?|xml|toml|ini|cfg|conf|env|pem|key|crt|cer|p12|pfx|jks"
    r"|gpg|asc|kdbx|sql|log|csv|dat|bin|md|sh|bash|py|rb|php|java|kts?|go|rs|cs?|h|cpp|[jt]sx?|vue|svelte|css|png"
    r"|jpe?g|svg|gif|tf|j2|tmpl|tpl|properties|local|com|org|net|io|dev)"
)
_RULES: Final = re.compile(r"\w{2,20}(?::[\w,.]{1,40})?(?:\|[A-Za-z_]{2,20}(?::[\w,.]{1,40})?){1,20}")
"""`required|min:8`, `basic|digest`: how PHP frameworks check an input, and what can be chosen."""

_SELECTOR: Final = re.compile(r"[\w.$#>-]{0,60}\[[^\[\]]{1,60}\]")
"""An element of a list or, in a style sheet, of a page."""

_MEMBER: Final = re.compile(r"[A-Za-z_$]\w{0,80}(?:(?:\.|->|::|\?\.)[A-Za-z_$]\w{0,80}){1,8}[!?]?")
_MEMBERS: Final = frozenset(
    """
    account aes app args base cfg common conf config const constants context crypto ctx data database db
    env error errors field fields file form forms hash host id input label lib md message messages name
    oauth options opts page params path port process props req request res response screen self server
    service settings sha state step text this title type url utils value values
    """.split()
)
_DOMAINS: Final = frozenset(
    "com org net edu gov example local internal lan test java javax spring app www".split()
)
_RANDOM: Final = re.compile(r"[A-Za-z0-9+/=_.~:-]{8,600}")
_ESCAPED: Final = re.compile(r"%[0-9A-F]{2}")
_STRUCTURED: Final = re.compile(r"(?:[A-Za-z]{2,}\d{0,4}|\d{1,4}|v\d{1,3}|[A-Z]|[a-z])")
_PIECE: Final = re.compile(r"[^A-Za-z0-9]{1,9}")
_TURN: Final = re.compile(r"[0-9](?=[A-Za-z])|[A-Za-z](?=[0-9])")
_RUN: Final = re.compile(r"[a-z]{1,600}|[A-Z]{1,600}|[0-9]{1,600}|[^A-Za-z0-9]{1,600}")
_DIGIT: Final = re.compile(r"[0-9]")
_LETTER: Final = re.compile(r"[A-Za-z]")
_LETTERS: Final = re.compile(r"[A-Za-z]{1,600}")
_CAMEL: Final = re.compile(r"[a-z]{0,30}(?:[A-Z][a-z]{1,30}\d{0,2}){1,12}[A-Z]?")
_PATH: Final = re.compile(r"(?:[A-Za-z][\w-]{0,60}\.[a-z]{2,8}|[a-z]{2,20})(?:/[\w.@+-]{1,80}){2,10}")
_CONSTANT: Final = re.compile(r"[A-Z][A-Z0-9]{0,30}(?:_[A-Z0-9]{1,30}){1,8}")
_GROUPED: Final = re.compile(r"[0-9]{4,8}(?:-[0-9]{4,8}){3,9}")
_LEET: Final = re.compile(r"(?<=[A-UW-Z])[013457](?=[A-Z]{2})")
_CLASS: Final = re.compile(r"(?:[A-Z]{1,4}[a-z]{1,30}\d{0,3}|[A-Z]\d{1,4}){2,8}")
_SLASHED: Final = re.compile(r"/[A-Za-z0-9+/]{5,600}={0,2}")
_NO_LETTER: Final = re.compile(r"[!-&(-+/-9;-@[-`{-~]")
_UNICODE: Final = re.compile(r"\\u[0-9A-Fa-f]{4}")
_BASE64: Final = re.compile(r"[A-Za-z0-9+/]{6,600}={1,2}")
_UNIQUE: Final = re.compile(r"([a-z]{3,20})_[0-9a-f]{13}")
_HEXES: Final = re.compile(r"[0-9a-fA-F-]{1,64}")
_HEX: Final = re.compile(r"[0-9a-f]{32}|(?:0x)?[0-9a-fA-F]{64}")


def is_secret(name: str, value: str, *, is_bare: bool = False) -> bool:
    """Tell whether `value`, given to `name`, is a secret; `is_bare`: without quotes, in a program."""
    kind = kind_of(name)
    if kind is None or _TEMPLATE.fullmatch(value) or _ADDRESS.fullmatch(value) or _PUBLIC_HALF.match(value):
        return False
    value = _CODED.sub("", value)
    if kind == "key" and is_key_id(name, value):
        return False
    if _CONSTANT.fullmatch(value):  # `MY_PASS_12` and `MY_P4SS_KEY` are passwords as likely as names
        names_one = name.lower().endswith(("env", "env_var", "envvar"))
        is_made = not names_one and (value[-1].isdigit() or _LEET.search(value) is not None)
        if kind in {"password", "secret"} or (kind_of(value) and not is_made):
            return is_made
    if kind != "password" and _CLASS.fullmatch(value) and _words(name)[-1] in _words(value):
        return False  # `credential: Saml2X509Credential`
    if is_bare:  # a program's name has no digits or is of several, and `Key = lib.Key` has nothing else
        is_named = not _DIGIT.search(value) or _is_member(value) or name in value
        return is_random(value) and len(value) >= 20 and not is_named
    if kind == "password" and _is_app_password(value):
        return True
    if kind == "id":
        return _HEX.fullmatch(value) is not None
    if kind == "key":
        if unique := _UNIQUE.fullmatch(value):  # "key": "field_65a1b2c3d4e5f"
            return kind_of(unique[1]) is not None
        is_phrase = _PHRASE.fullmatch(value) is not None and _MESSAGES.isdisjoint(value.split("-"))
        return (
            is_random(value)
            or _is_salt(value)
            or _GROUPED.fullmatch(value) is not None
            or (is_phrase and not _TYPED.isdisjoint(_words(name)))
        )
    if _BASE64.fullmatch(value) and len(value) % 4 == 0:
        return True
    return is_chosen(value, name) or is_random(value) or _is_salt(value)


def is_key_id(name: str, value: str) -> bool:
    """Tell the name of an OpenPGP key, which all may know, by the name that it is given to."""
    return _KEY_ID.fullmatch(value) is not None and _SIGNER.fullmatch(name) is not None


def _is_app_password(value: str) -> bool:
    return _APP_PASSWORD.fullmatch(value) is not None and kind_of(value) is None


def is_given(name: str, value: str) -> bool:
    """Tell a secret where nothing but the secret itself can stand: blanks count there."""
    is_spaced = kind_of(name) in {"password", "secret"} and " " in value and _DIGIT.search(value)
    is_made = is_spaced and _PHRASE_SAYS.isdisjoint(value.lower().split())
    is_one = is_literal(name, value) or (is_made and is_secret(name, value.replace(" ", "")))
    is_name = is_name_of_secret(value) and not value.islower()  # `password` or `confirmPassword`
    return bool(is_one) and not is_name and _OPTION.search(value) is None


def is_paired(name: str, value: str) -> bool:
    """Tell a secret behind its name from the next name in a list."""
    is_list = (
        is_name_of_secret(value)
        or _CONSTANT.fullmatch(value)
        or (_CLASS.fullmatch(name) and _CLASS.fullmatch(value))
    )
    return is_secret(name, value) and not is_list


def is_passed(name: str, value: str) -> bool:
    """Tell a secret given to a function of its name from the name of one: `getSecret("dbPassword")`."""
    if _GETTER.match(name.rpartition(".")[2]):
        return is_near(name, value)
    return is_secret(name, value) and not is_name_of_secret(value)


def is_set(name: str, value: str) -> bool:
    """Tell a secret that alone is given to a function of its name, a word as well where it sets one."""
    is_setter = _SETTER.match(name.rpartition(".")[2]) is not None
    return is_passed(name, value) or (is_setter and is_literal(name, value) and not is_name_of_secret(value))


_SETTER: Final = re.compile(
    r"(?:[sS]et|[wW]ith|[eE]ncode|[eE]ncrypt|[hH]ash|[cC]heck|[vV]erify|[cC]ompare|PASSWORD)(?![a-z])"
)
_OPTION: Final = re.compile(r"\w --?[a-z]")
"""Of a command."""

_GETTER: Final = re.compile(
    r"(?:[Gg]et|[Rr]ead|[Ff]etch|[Ff]ind|[Ll]oad|[Ll]ookup|[Hh]as|[Rr]esolve|[Rr]equire)(?![a-z])"
)
_IDENTIFIER: Final = re.compile(r"[a-z]{1,40}(?:[_-][a-z]{1,40}){0,8}|[a-z]{1,40}(?:[A-Z][a-z]{1,40}){1,8}")
"""Names in snake, kebab or lower camel case; `MyRootPw` is a password as likely as a name."""


def is_quoted(name: str, value: str) -> bool:
    """Tell a secret in prose, a phrase with hyphens among them, from `dryRun`, which is code there."""
    is_name = _IDENTIFIER.fullmatch(value) and not _PHRASE.fullmatch(value)
    return is_secret(name, value) and not is_name


def is_shouted(name: str, value: str) -> bool:
    """Tell a secret after "the password is", a word with an exclamation mark among them."""
    return is_literal(name, value) or (kind_of(name) == "password" and _SHOUTED.fullmatch(value) is not None)


_SHOUTED: Final = re.compile(r"\w[\w-]{4,30}!")


def is_worded(name: str, value: str) -> bool:
    """Tell a key of plain words from a message: it is made of bytes, and called a key."""
    is_key = not {"key", "secret", "pepper", "salt"}.isdisjoint(_words(name))
    return is_literal(name, value) or (is_key and _WORDED.fullmatch(value) is not None)


_WORDED: Final = re.compile(r"[a-z]{1,20}(?: [a-z]{1,20}){3,12}")
_UUID: Final = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


def is_uuid(value: str) -> bool:
    return _UUID.fullmatch(value) is not None


def is_name_of_secret(value: str) -> bool:
    """Tell `dbPassword` and `db_password`."""
    return _IDENTIFIER.fullmatch(value) is not None and kind_of(value) is not None


def is_shown(value: str) -> bool:
    """Tell the keys of manuals: they say so, and without the words that do nothing of them is random.

    In a long key such letters also stand by chance.
    """
    if _PLACEHOLDER.search(value) is None:
        return False
    rest = _PLACEHOLDER.sub("", value)
    return not any(is_random(piece[:MAX_VALUE]) for piece in _APART.split(rest))


_APART: Final = re.compile(r"[^A-Za-z0-9+=_~-]{1,9}")


def is_encoded(value: str) -> bool:
    """Tell a line of base64 from names, which have few digits amid their letters."""
    if value.startswith(("MII", "MIGHAgE", "MIGkAgE", "MHcCAQ", "MC4CAQ", "b3BlbnNzaC1rZXk")):
        return True
    is_hex = value.islower() or value.isupper()
    turns = len(_TURN.findall(value))
    return not is_hex and len(value) <= 2.3 * len(_RUN.findall(value)) and turns >= max(3, len(value) / 12)


_SIGNED: Final = re.compile(
    r"(?=[^0-9]{0,64}[0-9])(?:\w{1,30}:)?[\w.-]{0,40}[A-Za-z0-9](?:[!*^]|&(?![a-z]{1,8};)|\$(?!\d\Z)|%(?![0-9A-Fa-f]{2}|\d{0,3}[dsxf])"
    r"|[#+@~](?![\d.]{1,40}\Z|L\d|[\w-]{1,40}\.[a-z]))[!-~]{0,64}"
)
"""A number and a sign among letters: `Holz#Wurm3`, `Fr0stig&Mild`."""

_AMID: Final = re.compile(r"(?<=[A-Za-z])[0-9]{1,2}(?=[a-z])")
"""A digit for a letter: `n3tw0rk`."""

_TERM: Final = re.compile(
    r"(?i)(?<![A-Za-z])(?:utf|base|oauth|md|sha|mp|ipv?|web|vec|u?int|float|http|log|ec|es|py|win|node|sql|tls|ssl|arm"
    r"|amd)[0-9]{1,4}(?:[a-z]{1,8}(?![a-z0-9])|mb[0-9])|(?<![A-Za-z])[a-z][0-9]{1,4}[a-z]{1,3}(?![a-z0-9])"
)
"""`utf8mb4`, `k8s`, `base64url`, `x509v3`: digits that belong there."""

_COMPOSED: Final = re.compile(r"[A-Z][a-z0-9]{2,20}(?:[_.-][A-Za-z0-9]{2,20}){0,3}")
_NUMBERED_WORD: Final = re.compile(r"[a-z]{3,20}(?:[A-Z][a-z]{2,20}){0,3}\d{1,4}")


def is_striking(value: str) -> bool:
    """Tell a made-up password by its looks alone: signs and digits where no name or term has any."""
    if not 7 <= len(value) <= 64 or not value.isascii() or len(_LETTER.findall(value)) < 4:
        return False
    if not set(value).isdisjoint("/=<>{}()[]\"'`|;, \\") or _BANG.fullmatch(value) or not is_chosen(value):
        return False
    if _SIGNED.fullmatch(value):
        return True
    if len(value) > 24 or ":" in value or _HEXES.fullmatch(value):
        return False
    digits = len(_AMID.findall(_TERM.sub("", value)))
    return digits >= 2 or (
        digits == 1 and not (value.islower() or value.isupper()) and len(_RUN.findall(value)) <= 7
    )


def is_near(name: str, value: str) -> bool:
    """Tell a secret that only stands near its name, where all kinds of words stand."""
    if kind_of(name) in {"password", "secret"} and is_striking(value):
        return True
    return is_token(value) and is_secret(name, value)


def is_announced(name: str, value: str, *, is_sure: bool = False) -> bool:
    """Tell a secret in the place of one, in text where a common word can stand there as well.

    `is_sure`: after "the password is", where names seldom stand.
    """
    if is_near(name, value):
        return True
    if kind_of(name) not in {"password", "secret"}:
        return is_striking(value)
    is_composed = _COMPOSED.fullmatch(value) is not None and _DIGIT.search(value) is not None
    is_made = is_composed or (is_sure and _NUMBERED_WORD.fullmatch(value) is not None)
    return is_made and len(value) >= 8 and is_chosen(value, name)


def is_told(name: str, value: str) -> bool:
    """Tell a plain word after "the password is", where adjectives and participles stand."""
    is_said = is_word(name, value) and _SAID.search(value) is None
    is_upper = value.upper() == value and is_secret(name, value)
    return kind_of(name) == "password" and (is_said or is_upper)


_SAID: Final = re.compile(r"(?i)(?:ed|ing|ly|[ai]ble|ful|less|ous|ive|[ae]nt|al|ic|id|ary|ory)\Z")


def is_token(value: str) -> bool:
    """Tell what a machine drew, long enough to be nothing else."""
    is_public = _PUBLIC_HALF.match(value) or _ADDRESS.fullmatch(value)
    return len(value) >= 20 and is_random(value) and not is_public


_POINT: Final = re.compile(r"[\"'][xyn][\"']\s?:\s?\Z")
"""The public half of a JSON Web Key."""

_BANG: Final = re.compile(r"[a-z][a-z0-9]*(?:[-_][a-z0-9]+){1,6}!")
"""What changes something, in Lisp and Ruby."""


def is_loose(value: str, before: str) -> bool:
    """Tell a secret by its looks alone, unless a word before it says that all may know it."""
    words = _words(before)
    is_hex = _HEXES.fullmatch(value.removeprefix("0x"))
    is_constant = _HEX.fullmatch(value) is not None and len(value) == 32 and _CONSTANT_IS.search(before)
    is_mixed = (
        words and not is_hex and is_token(value) and _is_mixed(value) and len(_TURN.findall(value)) >= 4
    )
    is_made = not set("!&^%").isdisjoint(value) and is_striking(value)
    return (
        bool(is_mixed or is_made or is_constant)
        and _PUBLIC.isdisjoint(words)
        and _POINT.search(before) is None
    )


_CONSTANT_IS: Final = re.compile(r"[A-Za-z]\w{2,60} :?= \Z")
"""Before a key that a constant has, whatever it is called."""


def is_credential(value: str) -> bool:
    """Tell a word after an account's name, `MyRootPw` included, from `dbPassword`."""
    is_camel = kind_of(value) == "password" and is_secret("password", value) and not is_name_of_secret(value)
    return is_camel or is_word("password", value)


def is_account(value: str) -> bool:
    """Tell hosts, mailboxes and names in directories, beside which a password stands."""
    return _HOST.fullmatch(value) is not None or _DIRECTORY.match(value) is not None


def is_password_of(value: str, *, is_sure: bool, is_open: bool) -> bool:
    """Tell a password among an account's other arguments: hosts, users, addresses.

    `is_sure`: plain words count; `is_open`: anything may be among them.
    """
    if is_sure:
        return len(value) >= 3 and (is_argument(value, is_sure=True) or is_secret("password", value))
    if is_account(value):
        return False
    is_made = is_striking(value) or _is_app_password(value)
    return is_made or (not (is_open or _NAMES.fullmatch(value)) and is_argument(value))


_NAMES: Final = re.compile(r"[A-Za-z_]{1,128}")
_HOST: Final = re.compile(
    r"localhost|(?:[\w.+-]{1,64}@)?[a-z0-9-]{1,60}(?:\.[a-z0-9-]{1,60}){0,6}(?::\d{1,5}"
    r"|\.(?:[a-z-]{2,30}|\d{1,3}))"
)
_DIRECTORY: Final = re.compile(
    r"(?i)(?:cn|dc|ou|uid|o|c|l|sn|mail)=[^=,;]{1,80}(?:[,;]|\Z)"
    r"|(?:\w{2,12}:)?(?:host|server|dbname|driver|data source|dsn|provider)="
)
"""A name in a directory, or what says where a database is."""

_PUBLIC: Final = frozenset(
    """
    256 aaguid addr address alphabet analytics assert ath atob attestation b64 base base64 block body
    build bytes cache cert certificate challenge chars charset checksum class cnonce commit content csp
    css cursor data decode digest encode encoded equal equals etag expect expected file fingerprint
    fixture font from handle hash hashes href html id identifier ids image img integrity jkt kid mappings
    md5 modulus nonce opaque order page path pattern payload pins prime pub pubkey public put ref regex rev
    revision sample selector sha sha1 sha256 sig signature site snapshot span src sri state sub sum svg
    test thumb thumbprint tx txid uri url userhandle username ulid uuid vector verification version want
    x5t md machine boot result actual answer output response kept
    """.split()
)


def is_seed(words: list[str]) -> bool:
    """Tell the words of 3 to 8 letters that a wallet is made from: not in order, none that sentences need."""
    return len(words) in {12, 15, 18, 21, 24, 25} and words != sorted(words) and _SENTENCES.isdisjoint(words)


_SENTENCES: Final = frozenset(
    """
    and are but can each for from has have into its lorem must not that the them then there these they
    this was were when which will with you your
    """.split()
)


def is_byte_string(name: str, value: str) -> bool:
    """Tell the numbers of a key, as programs write bytes, from lists that count or repeat."""
    numbers = [int(number, 0) for number in re.findall(r"0[xX][0-9A-Fa-f]{1,2}|[1-9]\d{0,2}|0", value)]
    return (
        kind_of(name) in {"secret", "key"}
        and max(numbers) <= 255
        and numbers != sorted(numbers)
        and 2 * len(set(numbers)) > len(numbers)
    )


_STATES: Final = frozenset(
    """
    string str text bytes byte int integer number numeric enter enough invalid valid foo foobar foobared
    boolean bool any object array char varchar blob none null nil undefined true false yes off optional
    required requisite sufficient please empty blank missing wrong incorrect default disabled enabled
    always never prompt ask auto file vault keyring plain plaintext cleartext basic digest hash hashed
    encrypted encoded ldap system files compat input output email confirm confirmed match matches mismatch
    different old update remember show hide hidden visible fail failed fails success error static dynamic
    random generated inherit include omit lock locked eye created deleted removed changed expires set
    unset sent unknown stored short long weak strong less only should does too recovery manager policy
    field form page option flag argument setting parameter instead without before after using and are but
    can each for from has have into its lorem that the them then there these they this was were when which
    will with you managed later unlocked unused public private correct valid given found known shown
    written chosen taken kept lost stolen broken good right fine safe secure ready same dict list tuple
    """.split()
)
"""What is said of a password where one could stand: its type, what is done or wrong with it."""

_JOINING: Final = frozenset("and but each for from into the then this when with you".split())

_ABOUT: Final = frozenset(
    """
    forgot forget forgotten reset change changed update show hide toggle confirm enter invalid wrong
    incorrect missing no not require required requires validate is has label title placeholder hint error
    message msg txt lbl help description lost recover ask allow allowed try use existing image tls ref
    """.split()
)
"""In the name of a message, a switch or a button for a password."""

_LABEL: Final = re.compile(
    r"(?i)(?:^|[/._-])(?:locales?|i18n|l10n|lang(?:uages?)?|translations?|messages?|nls|strings?|labels?)"
    r"(?:[/._-]|\Z)|\.(?:po|resx)\Z"
)


def has_labels(path: str) -> bool:
    """Tell a file of what users are shown: a name is given its translation there."""
    return _LABEL.search(path) is not None


def is_word(name: str, value: str) -> bool:
    """Tell words given to a password's name: they are one, unless they say what it is called or does."""
    kind, words = kind_of(name), re.split("[ _-]", value.lower())
    text = value.lower() if name.lower().endswith(("phrase", "psk")) else value
    return (
        (kind == "password" or (kind == "secret" and name.lower().endswith("secret")))
        and 4 <= len(value) <= 64
        and _BARE_WORDS.fullmatch(text) is not None
        and not _PLACEHOLDER.search(value)
        and value.lower().strip("_") not in name.lower()
        and _ABOUT.isdisjoint(_words(name))
        and _STATES.isdisjoint(words if len(words) == 1 else set(words) - _JOINING)
        and (len(words) == 1 or _MESSAGES.isdisjoint(words))
        and not _ALGORITHM.fullmatch(value)
        and kind_of(value) is kind_of(value.removesuffix("s")) is None
    )


def is_literal(name: str, value: str) -> bool:
    """Tell a secret where a name is given a value and nothing else: words count there."""
    words = value.lower().split()
    is_spaced = (
        len(words) > 1 and kind_of(name) in {"password", "secret"} and _SPACED.fullmatch(value) is not None
    )
    is_made = is_spaced and (_STATES | _PHRASE_SAYS).isdisjoint(words) and not _PLACEHOLDER.search(value)
    return is_made or is_secret(name, value) or is_word(name, value)


_SPACED: Final = re.compile(
    r"(?=[^0-9]{0,40}[0-9])(?=[^!#*@^&]{0,40}[!#*@^&])[A-Za-z0-9][!-~ ]{7,40}|[#*@^&][A-Za-z][!-~ ]{7,40}"
)
"""A number and a sign among words; a sign before them."""


_KNOWN: Final = (_PLAIN, _FILE, _RULES, _ALGORITHM, _STORED, _SELECTOR, _VERSION)


def is_chosen(value: str, name: str = "password") -> bool:
    """Tell a password that a person made up from words, placeholders, paths, variables and calls."""
    if not 5 <= len(value) <= 128 or _PLACEHOLDER.search(value) or _REFERENCE.match(value) or " " in value:
        return False
    value = _UNICODE.sub("é", value)
    lower = value.lower()
    if _PHRASE.fullmatch(value):
        return _MESSAGES.isdisjoint(value.split("-"))
    if _DOTTED.fullmatch(value):
        return (value.islower() or kind_of(name) == "password") and (
            _PHRASE_SAYS | _MEMBERS | _DOMAINS
        ).isdisjoint(lower.split("."))
    if not value.isascii() and 10 * len(_NO_LETTER.findall(value)) < len(value):
        return False  # words of another language, as ASCII's are by _PLAIN
    if value.isdigit():
        return len(value) >= 6 and kind_of(name) in {"password", "secret"}
    value = value.rstrip(")") or value  # of a command in a text
    if _DIRECTORY.match(value) or any(what.fullmatch(value) for what in _KNOWN):
        return False
    return not _is_member(value) and value[-1] not in "[({" and lower.strip("_-:") not in name.lower()


def _is_member(value: str) -> bool:
    """Tell `config.db.password` from `dastS.b1REj4` and `Kiwi.Pa1ette`.

    A name has two turns of letter and digit at most, and where it has a digit, a word that members have.
    """
    if _MEMBER.fullmatch(value) is None or any(len(_TURN.findall(one)) > 2 for one in _PIECE.split(value)):
        return False
    words = set(_words(value))
    return not (_DIGIT.search(value) and _PHRASE_SAYS.isdisjoint(words) and _MEMBERS.isdisjoint(words))


def is_random(value: str) -> bool:
    """Tell what a machine drew (hexadecimal, base64, UUID) from words, versions and dotted names."""
    value = _ESCAPED.sub("+", value)
    has_digit = _DIGIT.search(value)
    if not has_digit and (value.islower() or value.isupper() or len(value) < 16):
        return False
    if not _RANDOM.fullmatch(value) or _FINGERPRINT.fullmatch(value) or _PLACEHOLDER.search(value):
        return False
    is_base64 = _SLASHED.fullmatch(value) and (len(value) >= 40 or value.endswith("="))
    if _REFERENCE.match(value) and not is_base64:
        return False
    text = value.rstrip("=")
    if all(_STRUCTURED.fullmatch(piece) for piece in _PIECE.split(text) if piece) and not _is_mixed(text):
        return False
    turns = len(_TURN.findall(text))
    if len(text) < 16:
        return turns >= (4 if value.endswith("=") or len(text) >= 12 else 5)
    is_known = any(what.fullmatch(value) for what in (_PATH, _FILE, _ALGORITHM, _VERSION))
    return (turns >= 3 or _is_mixed(text)) and not is_known


def _is_mixed(text: str) -> bool:
    """Letters of both cases (and digits) that change faster than words do, in one piece of 16 at least."""
    longest = max(_PIECE.split(text), key=len)
    is_one_case = longest.islower() or longest.isupper()
    is_dense = len(longest) >= 16 and len(longest) <= 2.3 * len(_RUN.findall(longest))
    return is_dense and not is_one_case and _CAMEL.fullmatch(longest) is None


def _is_salt(value: str) -> bool:
    """Tell what a generator of salts and keys writes: long, with spaces, brackets and all other signs."""
    signs = {char for char in value if char.isascii() and not char.isalnum() and char != " "}
    if (
        value.count(" ") > 4
        or (value.startswith("/") and value.count("/") > 2)
        or _CODE.search(value)
        or signs <= set("/._-=%")
    ):
        return False
    is_dense = len(value) <= 2.3 * len(_RUN.findall(value)) and len(_TURN.findall(value)) >= 3
    is_plain = value.islower() or value.isupper() or " " in value
    if is_dense and len(value) >= 20 and not (is_plain or _PLACEHOLDER.search(value)):
        return len(signs) >= 4 or _REFERENCE.match(value) is None
    if len(value) < 32:
        return False
    if max(map(len, _LETTERS.findall(value)), default=0) > 9 and not is_dense:
        return False
    return len(signs) >= (6 if _PLACEHOLDER.search(value) is None else 10)


def is_argument(value: str, *, is_sure: bool = False) -> bool:
    """Tell a literal password where a command takes nothing but one, from variables and plain words.

    `is_sure`: words count, too.
    """
    return (
        is_chosen(value)
        or _is_app_password(value)
        or (" " in value and is_given("password", value))
        or (is_sure and not (_PLACEHOLDER.search(value) or _REFERENCE.match(value) or kind_of(value)))
        or is_random(value)
        or (
            len(_RUN.findall(value)) >= 3
            and value.isalpha()
            and not value.isupper()
            and len(value) >= 8
            and not _PLACEHOLDER.search(value)
        )
    )


# --- The shapes of providers' keys, as their owners publish them so that scanners can tell them. ------------
# A shape has a name, which stands for the key, and words of which one is in every such key and seldom
# elsewhere: all are found by one search, so that most texts cost no more than that. One without words is
# looked for in every text. Lengths are those published or a little less: a key that somebody cut is a key.
# What has no mark of its own (32 hexadecimal digits) is recognised by the words beside it.


SHORTEST: Final = 15
"""Characters without a space between them in every key."""


class Shape(NamedTuple):
    """A kind of key."""

    name: str
    words: tuple[str, ...]
    pattern: str


_ALPHABETS: Final = {"a": "A-Za-z0-9", "b": r"\w+/=.-", "h": "a-f0-9", "u": "A-Z0-9", "w": r"\w-"}
_PREFIXED: Final = """
    age AGE-SECRET-KEY-1 u50; docker-auth eyJhdXRocyI6 b20; github ghp_|gho_|ghu_|ghs_|ghr_|github_pat_ w20
    gitlab glpat-|glptt-|gldt-|glrt-|glsoat-|glcbt-|glft-|glimt-|glagent-|gloas- w16; anthropic sk-ant- w16
    slack xoxa-|xoxb-|xoxe-|xoxo-|xoxp-|xoxr-|xoxs- w10; openai sk- w20; google AIza|ya29.|GOCSPX- w20
    stripe sk_live_|sk_test_|rk_live_|rk_test_|pk_live_|pk_test_|whsec_ a16; razorpay rzp_live_|rzp_test_ a14
    square sq0atp-|sq0csp-|sq0idb-|sq0idp- w22; npm npm_ a30; pypi pypi- w30; rubygems rubygems_ h40
    docker dckr_pat_|dckr_oat_ w20; huggingface hf_ a24; replicate r8_ a30; groq gsk_ a40; xai xai- a60
    perplexity pplx- a40; brevo xkeysib-|xsmtpsib- w50; digitalocean dop_v1_|doo_v1_|dor_v1_ h40
    shopify shpat_|shpca_|shppa_|shpss_ a30; vault hvs.|hvb.|hvr. w20; linear lin_api_|lin_oauth_ a30
    grafana glsa_ w24; grafana glc_ b32; databricks dapi h32; newrelic NRAK- u20; postman PMAK- w50
    notion ntn_ a40; atlassian ATATT3|ATCTT3 b60; figma figd_ w36; doppler dp.pt.|dp.st.|dp.ct.|dp.sa. b40
    netlify nfp_|nfc_|nfo_|nfb_ w36; heroku HRKU- w30; fly fm1_|fm2_|fo1_ b40; sentry sntrys_|sntryu_ b50
    supabase sbp_ h40; supabase sb_secret_ w20; planetscale pscale_tkn_|pscale_pw_|pscale_oauth_ b30
    pulumi pul- h40; tailscale tskey- w20; sonarqube squ_|sqp_|sqa_ h40; buildkite bkua_ h40
    circleci CCIPAT_ w40; contentful CFPAT- w40; posthog phx_ a40; openshift sha256~ w40; artifactory AKCp a60
    onepassword ops_eyJ b100; chain xprv|yprv|zprv a100; chain nsec1|edsk a50
    mailgun key- h32; dropbox sl. w40; zapier hooks.zapier.com/hooks/catch/ b12; ifttt with/key/ w16
"""
"""A name, beginnings, and what follows them: so many characters of an alphabet at least."""


def _prefixed(row: str) -> Shape:
    name, beginnings, rest = row.split()
    words = tuple(beginnings.split("|"))
    pattern = rf"\b(?:{'|'.join(map(re.escape, words))})[{_ALPHABETS[rest[0]]}]{{{rest[1:]},}}"
    return Shape(name, words, pattern)


SHAPES: Final = (
    Shape("discord-bot", (), r"\b[MNO][A-Za-z0-9_-]{23,27}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,}"),
    *(_prefixed(row) for row in re.split(r"[;\n]", _PREFIXED.strip())),
    Shape(
        "password-hash",
        tuple(
            "$2a$ $2b$ $2y$ $5$ $6$ $7$ $y$ $1$ $apr1$ $argon2 SCRAM- JDJ md5 $8$ $9$"
            " $P$ $H$ $S$ {xor}".split()
        ),
        r"\$2[aby]\$\d\d\\?\$[./A-Za-z0-9]{53}|\$(?:1|apr1)\$[./A-Za-z0-9]{1,8}\$[./A-Za-z0-9+]{22}"
        r"|\$[567y]\$(?:[./A-Za-z0-9=+]+\$){1,2}[./A-Za-z0-9+]{43,86}={0,2}|\$argon2[id]{1,2}\$[\w$=,+/-]{40,}"
        r"|\bSCRAM-SHA-\d+\$\d+:[\w+/=]+\$[\w+/=]+:[\w+/=]{20,}|\bJDJ[hi5]JD[A-Za-z0-9+/]{50,}={0,2}"
        r"|\"md5[0-9a-f]{32}\"|\$[89]\$[./$A-Za-z0-9-]{8,}|\$[PHS]\$[./A-Za-z0-9]{31,52}"
        r"|\{xor\}[A-Za-z0-9+/]{6,}={0,2}",
    ),
    Shape("aws", ("AKIA", "ASIA", "AIDA", "AROA"), r"\b(?:AKIA|ASIA|AIDA|AROA)[0-9A-Z]{16}\b"),
    Shape("aws", ("ABSK",), r"\bABSK[A-Za-z0-9+/]{80,}={0,2}"),
    Shape("slack", ("xapp-",), r"\bxapp-\d-[A-Z0-9]{5,}-\d{5,}-[a-z0-9]{10,}"),
    Shape("slack", ("hooks.slack",), r"hooks\.slack\.com/services/[A-Za-z0-9/]{20,}"),
    Shape("teams", ("/IncomingWebhook/",), r"/IncomingWebhook/[0-9a-f]{32}/[0-9a-f-]{36}"),
    Shape("calendar", ("/private-",), r"/private-[0-9a-f]{32}/"),
    Shape("sendgrid", ("SG.",), r"\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}"),
    Shape("terraform", ("atlasv1.",), r"\b[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_-]{40,}"),
    Shape("discord", ("/api/webhooks/",), r"/api/webhooks/\d{15,}/[A-Za-z0-9_-]{40,}"),
    Shape("telegram", (":AA",), r"\b(?:bot)?\d{8,10}:AA[A-Za-z0-9_-]{32,}"),
    Shape("dynatrace", ("dt0c", "dt0s"), r"\bdt0[cs]\d{2}\.[A-Z0-9]{24}\.[A-Z0-9]{60,}"),
    Shape("alibaba", ("LTAI",), r"\bLTAI[A-Za-z0-9]{16,24}\b"),
    Shape("signed-url", ("sig=", "ignature="), r"[?&](?i:sig|(?:x-\w{3,4}-)?signature)=[\w%+/~.=-]{20,}"),
    Shape("jwt", ("eyJ",), r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"),
)
"""What was named first is not named again."""
