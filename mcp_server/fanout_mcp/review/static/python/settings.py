"""Calls that are weak whatever they are given: cookies, templates, modes, checks switched off."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from fanout_mcp.review.static.python.values import (
    NOTHING,
    Call,
    Value,
    add,
    has,
    last_name,
    listed,
    names,
)
from fanout_mcp.review.static.regexes import HOLDS_NO_SECRET, is_slow
from fanout_mcp.review.static.rules import PARAM, PRESCRIBED, REMOTE, read_table
from fanout_mcp.source.secret_values import MAX_VALUE, is_secret, is_word

if TYPE_CHECKING:  # it reads with all of these
    from fanout_mcp.review.static.python.taint import Walker as Reader

# --- Names that are given a constant: switches that weaken, hard-coded secrets. -----------------

PASSWORD_NAME = re.compile(r"passw(or)?d|pwd|passphrase", re.IGNORECASE)


def check_setting(reader: Reader, node: ast.AST, name: str, value: Value) -> None:
    """Look at a name that is given a constant: switches that weaken, hard-coded secrets."""
    switch = _SWITCHES.get(name)
    if switch is not None and value.const is switch[1]:
        is_own = switch[0] == "debug-mode"  # most are a developer's own settings
        add(reader, switch[0], node, PARAM if is_own else 0)
    if name.lower() == "access-control-allow-origin" and value.const == "*":
        add(reader, "cors", node, 1)
    if name == "verify_mode" and value.kind.endswith("CERT_NONE"):
        add(reader, "no-certificate-check", node)
    if isinstance(node, ast.Attribute) and _is_off(reader, name, value):
        add(reader, "no-certificate-check", node)
    if name == "_create_default_https_context" and value.kind.endswith("_create_unverified_context"):
        add(reader, "no-certificate-check", node)
    check_secret(reader, node, name, value)


def check_secret(reader: Reader, node: ast.AST, name: str, value: Value) -> None:
    """Report a constant that secret_values.py takes for a secret; a plain word for a password, in doubt."""
    const = value.const
    if isinstance(const, bytes):
        const = const.decode("latin-1")
    if not isinstance(const, str) or len(const) > MAX_VALUE or HOLDS_NO_SECRET.search(const):
        return
    if "\n" in const.strip() and "-----BEGIN" not in const:
        return  # lines of text
    if is_secret(name, const):
        add(reader, "hardcoded-secret", node, 0)
    elif is_word(name, const):
        add(reader, "hardcoded-secret", node, 1)


_SWITCHES: Final[Mapping[str, tuple[str, bool]]] = read_table("python.toml")["switches"]


# --- Cryptography that is weak whatever it is given: hashes, ciphers, keys, random numbers, TLS. ------------

_SECRET_NAME = re.compile(
    r"passw(or)?d|passphrase|secret|token|api_?key|private_?key|nonce|salt|otp|session_?id|csrf|pin\b|"
    r"captcha|cookie|remember",
    re.IGNORECASE,
)


_HASHED = re.compile(
    r"secret|api_?key|private_?key|salt|otp|captcha|remember|(?:session|csrf|auth|access|reset)_?(?:id|token|key)",
    re.IGNORECASE,
)
_WEAK_HASHES = {"md5", "sha1", "md4", "md2", "sha", "ripemd160"}


def _hash(reader: Reader, call: Call) -> None:
    if has(call.keywords.get("usedforsecurity"), False):
        return
    chosen: object = call.name.rsplit(".", 1)[-1]
    data = call.arguments
    if data and chosen == "new":
        chosen, data = data[0].const, data[1:]
    if not isinstance(chosen, str):
        return
    words = " ".join(ast.unparse(argument) for argument in call.node.args)
    holder = _around(reader)
    is_prescribed = PRESCRIBED.search(words + holder) is not None
    is_password = not is_prescribed and bool(PASSWORD_NAME.search(words) or PASSWORD_NAME.search(holder))
    if chosen.lower().replace("-", "") in _WEAK_HASHES:
        is_secret = is_password or (not is_prescribed and _HASHED.search(words + holder))
        add(reader, "weak-hash", call.node, 0 if is_secret or any(v.level == REMOTE for v in data) else 1)
    elif is_password and "name" not in words:
        add(reader, "weak-password-hash", call.node, 0 if PASSWORD_NAME.search(words) else 1)


def _given(call: Call) -> str:
    """Return the source of all that a call is given."""
    return " ".join(ast.unparse(a) for a in [*call.node.args, *(k.value for k in call.node.keywords)])


def _cipher(reader: Reader, call: Call) -> None:
    words = f"{call.name} {_given(call)}"
    if re.search(r"\b(DES3?|ARC2|ARC4|Blowfish|CAST|RC4|TripleDES|IDEA|SEED|XOR)\b|MODE_ECB|\bECB\b", words):
        add(reader, "weak-cipher", call.node)
        return
    vector = call.keywords.get("iv") or call.keywords.get("IV") or call.keywords.get("nonce")
    vector = vector or (call.arguments[2] if len(call.arguments) > 2 else None)
    if vector is not None and isinstance(vector.const, bytes | str):
        add(reader, "static-iv", call.node)
    if call.arguments and isinstance(call.arguments[0].const, bytes) and call.arguments[0].const:
        add(reader, "hardcoded-secret", call.node, 0, "The key is a constant.")


def _vector(reader: Reader, call: Call) -> None:
    if call.arguments and isinstance(call.arguments[0].const, bytes):
        add(reader, "static-iv", call.node)


def _key_size(reader: Reader, call: Call) -> None:
    sizes = [v.const for v in call.everything if isinstance(v.const, int)]
    if any(128 <= size < 2048 for size in sizes) and "ec." not in call.name:
        add(reader, "weak-key", call.node)


def _key_derivation(reader: Reader, call: Call) -> None:
    salt = call.keywords.get("salt") or (call.arguments[2] if len(call.arguments) > 2 else None)
    if salt is not None and isinstance(salt.const, bytes | str):
        add(reader, "static-salt", call.node)
    rounds = call.keywords.get("iterations") or (call.arguments[3] if len(call.arguments) > 3 else None)
    if rounds is not None and isinstance(rounds.const, int) and rounds.const < 10_000:
        add(reader, "weak-password-hash", call.node)


CallRule: TypeAlias = "Callable[[Reader, Call], None]"


RANDOM: Final = listed("random")
_GENERATORS: Final = listed("generators")
_NUMERIC: Final = re.compile(
    r"(?:numpy|torch|tensorflow|jax|cupy|scipy)\.(?:\w+\.)*(?:bytes|rand\w*|choice|integers|random\w*|uniform|normal|permutation)"
)
"""Numbers of simulations: no one asks whether they can be guessed, unless a secret is made of them."""
_DRAWN = re.compile(
    r"(?i)voucher|coupon|invit|licen[cs]e|passcode|(?:^|_)(?:verification|recovery|activation)$|(?<![a-z])serial(?:_|$)"
    r"|(?:verif(?:y|ication)|activat(?:e|ion)|recover(?:y)?)_?(?:code|key|link|number|url)"
)
_MAYBE_DRAWN = re.compile(r"(?i)(?:^|_)(?:code|key)$")
"""Codes and keys of any kind: secrets where they are long or of letters, and not one of a few values."""
_LETTERS = re.compile(
    r"(?i)ascii_|digits|letters|alphabet|chars|getrandbits|randbytes|\bhex\(|\.join\(|\d{4,}|10 ?\*\*"
)
_FORESEEN = re.compile(
    r"\b(?:time\.time|time_ns|datetime\.(?:datetime\.)?(?:utc)?now|os\.getpid|uuid\.uuid1|uuid1)\("
)


def check_random(reader: Reader, call: Call, receiver: str) -> None:
    last = call.name.rsplit(".", 1)[-1]
    is_own = (call.name.startswith("random.") or receiver in _GENERATORS) and (
        last in RANDOM or last == "integers"
    )
    is_numeric = bool(_NUMERIC.fullmatch(call.name)) or (receiver in _GENERATORS and "numpy" in receiver)
    is_foreseen = (
        call.name.startswith("hashlib.") and bool(_FORESEEN.search(_given(call)))
    ) or "uuid1" in call.name
    if not (is_own or is_numeric or is_foreseen) or "SystemRandom" in call.name + receiver:
        return
    around, assigned = _around(reader), _assigned(reader)
    words = [*assigned.split(), *([] if is_numeric else [around])]
    is_secret = bool(_SECRET_NAME.search(f"{around} {assigned}")) or any(map(_DRAWN.search, words))
    if not is_secret and not is_numeric and any(map(_MAYBE_DRAWN.search, words)):
        statement = ast.unparse(reader.statement) if reader.statement is not None else ""
        is_secret = is_foreseen or _LETTERS.search(statement) is not None
    if is_secret or is_own:
        add(reader, "weak-random", call.node, REMOTE if is_secret else 1)


def _around(reader: Reader) -> str:
    function = reader.scope.function
    return function.name if function else ""


def _assigned(reader: Reader) -> str:
    """Return the names that the statement being read assigns to."""
    statement = reader.statement
    if isinstance(statement, ast.Assign):
        return " ".join(ast.unparse(target) for target in statement.targets)
    if isinstance(statement, ast.AnnAssign | ast.AugAssign):
        return ast.unparse(statement.target)
    return ""


def _tls(reader: Reader, call: Call) -> None:
    words = _given(call)
    if re.search(r"PROTOCOL_(SSLv2|SSLv3|TLSv1(_1)?)\b|SSLv[23]_METHOD|TLSv1_METHOD", words):
        add(reader, "weak-tls", call.node)
    if "CERT_NONE" in words or (call.name == "ssl.wrap_socket" and "cert_reqs" not in call.keywords):
        add(reader, "no-certificate-check", call.node)


# --- settings ------------------------------------------------------------------------------------------


def check(reader: Reader, call: Call, receiver: str) -> None:
    last = call.name.rsplit(".", 1)[-1] or last_name(call.node.func)
    rule = _BY_NAME.get(call.name) or _BY_LAST.get(last)
    if rule is not None:
        rule(reader, call)
    check_random(reader, call, receiver)
    if _is_unchecked(reader, call, last):
        add(reader, "no-certificate-check", call.node)
    for keyword, value in call.keywords.items():
        if PASSWORD_NAME.search(keyword) or keyword in {"secret_key", "api_key", "token", "auth_token"}:
            check_secret(reader, call.node, keyword, value)


def _is_unchecked(reader: Reader, call: Call, last: str) -> bool:
    """Tell whether a call asks for no check of certificates."""
    given = call.keywords
    nones = {k.arg for k in call.node.keywords if isinstance(k.value, ast.Constant) and k.value.value is None}
    levels = {name: str(given[name].const or given[name].kind) for name in _LEVELS.keys() & given.keys()}
    chosen = [*levels.values(), *(value.kind for value in call.arguments)]
    return (
        any(_is_off(reader, name, value) for name, value in given.items())
        or ("aiohttp" in reader.roots and has(given.get("ssl"), False))
        or any(one.endswith(("CERT_NONE", "VERIFY_NONE", "OPT_X_TLS_NEVER")) for one in chosen)
        or any(
            (level == "none" or name in nones) and (not _LEVELS[name] or _LEVELS[name] & reader.roots)
            for name, level in levels.items()
        )
        or (last in _ASKS and re.search(_ASKS[last], _given(call)) is not None)
    )


def _is_off(reader: Reader, name: str, value: Value) -> bool:
    """Tell whether a name switches checks off; `verify` says so only where requests are made."""
    is_meant = name != "verify" or bool(reader.roots & _CLIENTS)
    return is_meant and name in _UNCHECKED and has(value, _UNCHECKED[name])


_CLIENTS: Final = listed("clients")
_UNCHECKED: Final = {
    **dict.fromkeys(listed("verifies"), False),
    **dict.fromkeys(listed("trusts"), True),
}
_LEVELS: Final = {name: names(packages) for name, packages in read_table("python.toml")["levels"].items()}
_ASKS: Final = {"setopt": r"SSL_VERIFY(?:PEER|HOST) (?:0|False)", "set_verify": r"lambda.*: True$"}


# --- the web --------------------------------------------------------------------------------------


def _cookie(reader: Reader, call: Call) -> None:
    if "**" in call.keywords or not isinstance(call.node.func, ast.Attribute):
        return
    secure, scripts = call.keywords.get("secure"), call.keywords.get("httponly")
    if has(secure, False):
        add(reader, "insecure-cookie", call.node)
    elif secure is None:
        add(reader, "insecure-cookie", call.node, 1)
    if has(scripts, False) or scripts is None:
        add(reader, "script-cookie", call.node, 1)


def _jwt(reader: Reader, call: Call) -> None:
    words = ast.unparse(call.node)
    if re.search(r"verify_exp['\"]?\s*[:=]\s*False", words):
        add(reader, "session-expiry", call.node)
    if has(call.keywords.get("verify"), False) or re.search(
        r"verify_signature['\"]?\s*[:=]\s*False|['\"]none['\"]", words
    ):
        add(reader, "unverified-token", call.node)


def _run(reader: Reader, call: Call) -> None:
    if has(call.keywords.get("debug"), True) and reader.is_web:
        add(reader, "debug-mode", call.node)
    host = call.keywords.get("host", NOTHING).const
    if host in {"0.0.0.0", "::"}:  # noqa: S104 what is looked for
        add(reader, "bind-all", call.node)


def _bind(reader: Reader, call: Call) -> None:
    host = call.arguments[0].first if call.arguments and isinstance(call.node.args[0], ast.Tuple) else None
    if host is not None and host.const in {"", "0.0.0.0", "::"}:  # noqa: S104 what is looked for
        add(reader, "bind-all", call.node)


def _cors(reader: Reader, call: Call) -> None:
    words = ast.unparse(call.node)
    is_any = re.search(r"origins?(?:=|': )\[?'\*'|^[^=]*'\*'", words)
    if is_any and re.search(r"(supports_credentials|allow_credentials)=True", words):
        add(reader, "cors", call.node)


# --- files and processes --------------------------------------------------------------------------


def _mode(reader: Reader, call: Call) -> None:
    mode = next((v.const for v in call.everything if isinstance(v.const, int)), None)
    if call.name == "os.umask":
        if mode == 0 and isinstance(reader.statement, ast.Expr):
            add(reader, "permissions", call.node)
    elif (isinstance(mode, int) and mode & 0o002) or re.search(r"S_IRWXO|S_IWOTH", ast.unparse(call.node)):
        add(reader, "permissions", call.node)


def _extract(reader: Reader, call: Call) -> None:
    if not {"filter", "members"} & call.keywords.keys() and {"tarfile", "zipfile"} & reader.roots:
        is_zip = call.name.startswith("zipfile.") or "tarfile" not in reader.roots
        add(reader, "archive-slip", call.node, 1 if is_zip else 0)


def _no_timeout(reader: Reader, call: Call) -> None:
    if "timeout" not in call.keywords and "**" not in call.keywords:
        add(reader, "no-timeout", call.node, 1)
    first = call.arguments[0].text if call.arguments else ""
    if first.startswith("http://") and not re.match(r"http://(localhost|127\.)", first):
        add(reader, "cleartext", call.node, 1)


def _template(reader: Reader, call: Call) -> None:
    escaping = call.keywords.get("autoescape")
    if escaping is None or escaping.const is False:
        add(reader, "xss", call.node, 1, "The templates escape nothing.")


def _xml_parser(reader: Reader, call: Call) -> None:
    if has(call.keywords.get("resolve_entities"), True) or has(call.keywords.get("no_network"), False):
        add(reader, "xxe", call.node)


def _feature(reader: Reader, call: Call) -> None:
    is_on = len(call.arguments) > 1 and bool(call.arguments[1].const)
    if is_on and "feature_external_ges" in ast.unparse(call.node):
        add(reader, "xxe", call.node)


def _compiled(reader: Reader, call: Call) -> None:
    pattern = call.arguments[0].const if call.arguments else None
    if isinstance(pattern, str) and is_slow(pattern):
        add(reader, "slow-regex", call.node, 1)
    if isinstance(pattern, str) and re.search(
        r"(?m)^(?>.*?https?:).*(?<!\\)\.(?:com|org|net)\b|\w\.(?:com|org|net)\b", pattern
    ):
        add(reader, "input-validation", call.node, 1, "The dot before the domain matches any character.")


_SHOWS = frozenset({"str", "repr", "format", "join", "dumps"})
_LOGGED = re.compile(
    r"(?i)(?!has|is|no|needs?|use(?!r)|reset|forgot|change|show|hide|mask|redact|enc|hash)"
    r"\w*(?:password|passwd|secret_?key|client_?secret|api_?key|private_key|credit_card|ssn)"
)
_MAYBE_LOGGED = re.compile(r"(?i)(?:\w+_)?(?:token|secret)|session_?id|cookies?")


def _logged(reader: Reader, call: Call) -> None:
    if "log" not in call.name.lower():
        return
    shown = [last_name(inner) for argument in call.node.args for inner in _shown(argument)]
    is_sure = any(map(_LOGGED.fullmatch, shown))
    if is_sure or any(map(_MAYBE_LOGGED.fullmatch, shown)):
        add(reader, "secret-in-log", call.node, 0 if is_sure else 1)


def _shown(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the names whose own values a text shows: not what is asked of them, or made of them."""
    if isinstance(node, ast.Name | ast.Attribute | ast.Subscript):
        yield node
    elif isinstance(node, ast.IfExp):
        yield from (*_shown(node.body), *_shown(node.orelse))
    elif isinstance(node, ast.Call):
        shows = node.args if last_name(node.func) in _SHOWS else ()
        yield from (inner for argument in shows for inner in _shown(argument))
    elif not isinstance(node, ast.Compare | ast.UnaryOp):
        yield from (inner for child in ast.iter_child_nodes(node) for inner in _shown(child))


_KEPT = re.compile(r"['\"]?\bpass(word|wd)['\"]?\s*[:=]\s*\w*pass(word|wd)\b|\{\w*password\}", re.IGNORECASE)


def _written(reader: Reader, call: Call) -> None:
    words = " ".join(ast.unparse(argument) for argument in call.node.args)
    if _KEPT.search(words) and not re.search(r"hash|crypt|encrypt", words, re.IGNORECASE):
        add(reader, "plain-password", call.node, 1)


_CHECKS: Final[Mapping[str, CallRule]] = {
    "hash": _hash,
    "cipher": _cipher,
    "vector": _vector,
    "key_size": _key_size,
    "key_derivation": _key_derivation,
    "tls": _tls,
    "jwt": _jwt,
    "mode": _mode,
    "template": _template,
    "xml_parser": _xml_parser,
    "no_timeout": _no_timeout,
    "compiled": _compiled,
    "cors": _cors,
    "cookie": _cookie,
    "extract": _extract,
    "run": _run,
    "bind": _bind,
    "written": _written,
    "feature": _feature,
    "logged": _logged,
}


def _always(weakness: str, level: int = 0) -> CallRule:
    return lambda reader, call: add(reader, weakness, call.node, level)


def _rules(kind: Literal["calls", "methods"]) -> Iterator[tuple[str, CallRule]]:
    for row in read_table("python.toml")["call"]:
        rule = _CHECKS[row["check"]] if "check" in row else _always(row["weakness"], row.get("level", 0))
        yield from ((name, rule) for name in row.get(kind, "").split())


_BY_NAME: Final = dict(_rules("calls"))
_BY_LAST: Final = dict(_rules("methods"))
