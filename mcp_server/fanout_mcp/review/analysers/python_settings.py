"""Calls and settings that are weak whatever they are given: ciphers, cookies, checks switched off."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from fanout_mcp.review.analysers.python_tables import REMOTE, names
from fanout_mcp.review.analysers.python_values import NOTHING, Hit, Value
from fanout_mcp.review.analysers.regexes import is_slow

if TYPE_CHECKING:
    from fanout_mcp.review.analysers.python_taint import Reader

_SECRET_NAME = re.compile(
    r"passw(or)?d|passphrase|secret|token|api_?key|private_?key|nonce|salt|otp|session_?id|csrf|pin\b|"
    r"captcha|cookie|remember",
    re.IGNORECASE,
)
_PASSWORD_NAME = re.compile(r"passw(or)?d|pwd|passphrase", re.IGNORECASE)


class Call(NamedTuple):
    """A call, its full name, and what is known of what it is given."""

    node: ast.Call
    name: str
    arguments: Sequence[Value]
    keywords: Mapping[str, Value]


def _has(value: Value | None, wanted: object) -> bool:
    return value is not None and value.const is wanted


def _add(reader: Reader, weakness: str, node: ast.AST, level: int = 0, why: str = "") -> None:
    line = getattr(node, "lineno", 1)
    end = min(getattr(node, "end_lineno", line) or line, line + 4)
    reader.hits.append(Hit(weakness, line, end, level, why))


def check(reader: Reader, call: Call) -> None:
    last = call.name.rsplit(".", 1)[-1] or (
        call.node.func.attr if isinstance(call.node.func, ast.Attribute) else ""
    )
    rule = _BY_NAME.get(call.name) or _BY_LAST.get(last)
    if rule is not None:
        rule(reader, call)
    if call.name.startswith("random.") and last in _RANDOM:
        _check_random(reader, call.node)
    if (
        _has(call.keywords.get("verify"), False)
        or _has(call.keywords.get("verify_ssl"), False)
        or _has(call.keywords.get("check_hostname"), False)
    ):
        _add(reader, "no-certificate-check", call.node)
    for keyword, value in call.keywords.items():
        if _PASSWORD_NAME.search(keyword) or keyword in {"secret_key", "api_key", "token", "auth_token"}:
            check_secret(reader, call.node, keyword, value)


# --- cryptography ---------------------------------------------------------------------------------

_WEAK_HASHES = {"md5", "sha1", "md4", "md2", "sha", "ripemd160"}


def _hash(reader: Reader, call: Call) -> None:
    if _has(call.keywords.get("usedforsecurity"), False):
        return
    chosen = (
        call.arguments[0].const
        if call.arguments and call.name.endswith(".new")
        else call.name.rsplit(".", 1)[-1]
    )
    if not isinstance(chosen, str):
        return
    data = call.arguments[1:] if call.name.endswith(".new") else call.arguments
    words = " ".join(ast.unparse(argument) for argument in call.node.args)
    holder = _around(reader)
    is_password = bool(_PASSWORD_NAME.search(words) or _PASSWORD_NAME.search(holder))
    if chosen.lower().replace("-", "") in _WEAK_HASHES:
        grave = (
            is_password or any(v.level == REMOTE for v in data) or bool(_SECRET_NAME.search(words + holder))
        )
        _add(reader, "weak-hash", call.node, 0 if grave else 1)
    elif is_password and "name" not in words:
        _add(reader, "weak-password-hash", call.node, 0 if _PASSWORD_NAME.search(words) else 1)


def _cipher(reader: Reader, call: Call) -> None:
    words = (
        call.name
        + " "
        + " ".join(ast.unparse(a) for a in [*call.node.args, *(k.value for k in call.node.keywords)])
    )
    if re.search(r"\b(DES3?|ARC2|ARC4|Blowfish|CAST|RC4|TripleDES|IDEA|SEED|XOR)\b|MODE_ECB|\bECB\b", words):
        _add(reader, "weak-cipher", call.node)
        return
    vector = call.keywords.get("iv") or call.keywords.get("IV") or call.keywords.get("nonce")
    vector = vector or (call.arguments[2] if len(call.arguments) > 2 else None)
    if vector is not None and isinstance(vector.const, bytes | str):
        _add(reader, "static-iv", call.node)
    if call.arguments and isinstance(call.arguments[0].const, bytes) and call.arguments[0].const:
        _add(reader, "hardcoded-secret", call.node, 0, "The key is a constant.")


def _vector(reader: Reader, call: Call) -> None:
    if call.arguments and isinstance(call.arguments[0].const, bytes):
        _add(reader, "static-iv", call.node)


def _ecb(reader: Reader, call: Call) -> None:
    _add(reader, "weak-cipher", call.node)


def _key_size(reader: Reader, call: Call) -> None:
    sizes = [v.const for v in [*call.arguments, *call.keywords.values()] if isinstance(v.const, int)]
    if any(128 <= size < 2048 for size in sizes) and "ec." not in call.name:
        _add(reader, "weak-key", call.node)


def _key_derivation(reader: Reader, call: Call) -> None:
    salt = call.keywords.get("salt") or (call.arguments[2] if len(call.arguments) > 2 else None)
    if salt is not None and isinstance(salt.const, bytes | str):
        _add(reader, "static-salt", call.node)
    rounds = call.keywords.get("iterations") or (call.arguments[3] if len(call.arguments) > 3 else None)
    if rounds is not None and isinstance(rounds.const, int) and rounds.const < 10_000:
        _add(reader, "weak-password-hash", call.node)


_RANDOM = names("random randint randrange choice choices sample getrandbits uniform shuffle randbytes")


def _check_random(reader: Reader, node: ast.Call) -> None:
    is_secret = bool(_SECRET_NAME.search(_around(reader)) or _SECRET_NAME.search(_assigned(reader)))
    _add(reader, "weak-random", node, REMOTE if is_secret else 1)


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
    words = " ".join(ast.unparse(a) for a in [*call.node.args, *(k.value for k in call.node.keywords)])
    if re.search(r"PROTOCOL_(SSLv2|SSLv3|TLSv1(_1)?)\b|SSLv[23]_METHOD|TLSv1_METHOD", words):
        _add(reader, "weak-tls", call.node)
    if "CERT_NONE" in words or (call.name == "ssl.wrap_socket" and "cert_reqs" not in call.keywords):
        _add(reader, "no-certificate-check", call.node)


def _always(weakness: str, level: int = 0) -> Callable[[Reader, Call], None]:
    def rule(reader: Reader, call: Call) -> None:
        _add(reader, weakness, call.node, level)

    return rule


# --- the web --------------------------------------------------------------------------------------


def _cookie(reader: Reader, call: Call) -> None:
    if "**" in call.keywords or not isinstance(call.node.func, ast.Attribute):
        return
    secure, scripts = call.keywords.get("secure"), call.keywords.get("httponly")
    if _has(secure, False):
        _add(reader, "insecure-cookie", call.node)
    elif secure is None:
        _add(reader, "insecure-cookie", call.node, 1)
    if _has(scripts, False) or scripts is None:
        _add(reader, "script-cookie", call.node, 1)


def _jwt(reader: Reader, call: Call) -> None:
    words = ast.unparse(call.node)
    if _has(call.keywords.get("verify"), False) or re.search(
        r"verify_signature['\"]?\s*[:=]\s*False|['\"]none['\"]", words
    ):
        _add(reader, "unverified-token", call.node)


def _run(reader: Reader, call: Call) -> None:
    if _has(call.keywords.get("debug"), True) and reader.is_web:
        _add(reader, "debug-mode", call.node)
    host = call.keywords.get("host", NOTHING).const
    if host in {"0.0.0.0", "::"}:  # noqa: S104 what is looked for
        _add(reader, "bind-all", call.node)


def _bind(reader: Reader, call: Call) -> None:
    if call.node.args and isinstance(call.node.args[0], ast.Tuple) and call.node.args[0].elts:
        host = reader.value(call.node.args[0].elts[0]).const
        if host in {"", "0.0.0.0", "::"}:  # noqa: S104 what is looked for
            _add(reader, "bind-all", call.node)


def _cors(reader: Reader, call: Call) -> None:
    words = ast.unparse(call.node)
    if "'*'" in words and re.search(r"(supports_credentials|allow_credentials)=True", words):
        _add(reader, "cors", call.node)


# --- files and processes --------------------------------------------------------------------------


def _mode(reader: Reader, call: Call) -> None:
    mode = next(
        (v.const for v in [*call.arguments, *call.keywords.values()] if isinstance(v.const, int)), None
    )
    if call.name == "os.umask":
        if mode == 0 and isinstance(reader.statement, ast.Expr):
            _add(reader, "permissions", call.node)
    elif (isinstance(mode, int) and mode & 0o002) or re.search(r"S_IRWXO|S_IWOTH", ast.unparse(call.node)):
        _add(reader, "permissions", call.node)


def _extract(reader: Reader, call: Call) -> None:
    if (
        "filter" not in call.keywords
        and "members" not in call.keywords
        and {"tarfile", "zipfile"} & reader.roots
    ):
        _add(reader, "archive-slip", call.node, 0 if "tarfile" in reader.roots else 1)


def _no_timeout(reader: Reader, call: Call) -> None:
    if "timeout" not in call.keywords and "**" not in call.keywords:
        _add(reader, "no-timeout", call.node, 1)
    first = call.arguments[0].text if call.arguments else ""
    if first.startswith("http://") and not re.match(r"http://(localhost|127\.)", first):
        _add(reader, "cleartext", call.node, 1)


def _template(reader: Reader, call: Call) -> None:
    escaping = call.keywords.get("autoescape")
    if escaping is None or escaping.const is False:
        _add(reader, "xss", call.node, 0 if escaping is not None else 1, "The templates escape nothing.")


def _xml_parser(reader: Reader, call: Call) -> None:
    if _has(call.keywords.get("resolve_entities"), True) or _has(call.keywords.get("no_network"), False):
        _add(reader, "xxe", call.node)


def _feature(reader: Reader, call: Call) -> None:
    if (
        "feature_external_ges" in ast.unparse(call.node)
        and len(call.arguments) > 1
        and bool(call.arguments[1].const)
    ):
        _add(reader, "xxe", call.node)


def _compiled(reader: Reader, call: Call) -> None:
    pattern = call.arguments[0].const if call.arguments else None
    if isinstance(pattern, str) and is_slow(pattern):
        _add(reader, "slow-regex", call.node, 1)
    if isinstance(pattern, str) and re.search(r"(https?:.*|\w)(?<!\\)\.(com|org|net)\b", pattern):
        _add(reader, "input-validation", call.node, 1, "The dot before the domain matches any character.")


def _logged(reader: Reader, call: Call) -> None:
    if "log" not in call.name.lower():
        return
    for argument in call.node.args:
        for inner in ast.walk(argument):
            called = (
                inner.id
                if isinstance(inner, ast.Name)
                else inner.attr
                if isinstance(inner, ast.Attribute)
                else ""
            )
            if re.fullmatch(
                r"\w*(password|passwd|secret|api_?key|private_key|credit_card|ssn)", called, re.IGNORECASE
            ):
                _add(reader, "secret-in-log", call.node)
                return


# --- settings and secrets -------------------------------------------------------------------------

_SECRET_TARGET = re.compile(
    r"^_*((\w+_)?(password|passwd|passphrase|pwd|secret|secret_?key|api_?key|auth_?token|access_?token|"
    r"private_?key|encryption_?key|db_?pass|jwt_?secret|client_?secret|api_?token|token|key))$",
    re.IGNORECASE,
)
_NO_SECRET = re.compile(
    r"^$|^[<{$%]|^[a-z_. :/-]{0,40}[a-z_]$|^(None|null|changeme|xxx+|\*+|\.\.\.)$|[ \n{}<>]|^[A-Z_]+$"
)


def check_setting(reader: Reader, node: ast.AST, name: str, value: Value) -> None:
    """Look at a name that is given a constant: switches that weaken, secrets that stand in the code."""
    switch = _SWITCHES.get(name)
    if switch is not None and value.const is switch[1]:
        _add(reader, switch[0], node)
    if name.lower() == "access-control-allow-origin" and value.const == "*":
        _add(reader, "cors", node, 1)
    if name == "verify_mode" and value.kind.endswith("CERT_NONE"):
        _add(reader, "no-certificate-check", node)
    if name in {"check_hostname", "verify"} and value.const is False and isinstance(node, ast.Attribute):
        _add(reader, "no-certificate-check", node)
    check_secret(reader, node, name, value)


def check_secret(reader: Reader, node: ast.AST, name: str, value: Value) -> None:
    const = value.const
    if isinstance(const, bytes):
        const = const.decode("latin-1")
    if not isinstance(const, str) or not _SECRET_TARGET.match(name) or not 4 <= len(const) <= 200:
        return
    is_plain_word = bool(_NO_SECRET.search(const))
    is_password = bool(_PASSWORD_NAME.search(name)) or "secret" in name.lower()
    if name.lower() in {"key", "token"} and (is_plain_word or len(const) < 12):
        return
    if is_plain_word and (not is_password or const.lower().strip("_") in name.lower() or " " in const):
        return
    _add(reader, "hardcoded-secret", node, 1 if is_plain_word else 0)


_SWITCHES: dict[str, tuple[str, bool]] = {
    "SESSION_COOKIE_SECURE": ("insecure-cookie", False),
    "CSRF_COOKIE_SECURE": ("insecure-cookie", False),
    "SESSION_COOKIE_HTTPONLY": ("script-cookie", False),
    "WTF_CSRF_ENABLED": ("csrf", False),
    "WTF_CSRF_CHECK_DEFAULT": ("csrf", False),
    "DEBUG": ("debug-mode", True),
    "CORS_ORIGIN_ALLOW_ALL": ("cors", True),
    "CORS_ALLOW_ALL_ORIGINS": ("cors", True),
    "SECURE_SSL_REDIRECT": ("cleartext", False),
}
_Rule = Callable[["Reader", Call], None]
_BY_NAME: dict[str, _Rule] = {
    **dict.fromkeys(
        ("hashlib.md5", "hashlib.sha1", "hashlib.new", "md5.new", "sha.new", "hashlib.sha256"), _hash
    ),
    **dict.fromkeys(("hashlib.sha512", "hashlib.sha224", "hashlib.sha384"), _hash),
    **dict.fromkeys(
        [f"{p}.Hash.{h}.new" for p in ("Crypto", "Cryptodome") for h in ("MD5", "SHA1", "MD4", "MD2")],
        _always("weak-hash"),
    ),
    "cryptography.hazmat.primitives.hashes.MD5": _always("weak-hash", 1),
    "cryptography.hazmat.primitives.hashes.SHA1": _always("weak-hash", 1),
    "cryptography.hazmat.primitives.ciphers.Cipher": _cipher,
    "cryptography.hazmat.primitives.ciphers.modes.ECB": _ecb,
    "cryptography.hazmat.primitives.ciphers.modes.CBC": _vector,
    "cryptography.hazmat.primitives.ciphers.modes.CTR": _vector,
    "cryptography.hazmat.primitives.ciphers.modes.GCM": _vector,
    **{
        f"{p}.Cipher.{c}.new": _cipher
        for p in ("Crypto", "Cryptodome")
        for c in ("AES", "DES", "DES3", "ARC2", "ARC4", "Blowfish", "CAST", "ChaCha20", "XOR")
    },
    **dict.fromkeys(
        [f"{p}.PublicKey.{k}.generate" for p in ("Crypto", "Cryptodome") for k in ("RSA", "DSA")], _key_size
    ),
    "cryptography.hazmat.primitives.asymmetric.rsa.generate_private_key": _key_size,
    "cryptography.hazmat.primitives.asymmetric.dsa.generate_private_key": _key_size,
    "rsa.newkeys": _key_size,
    "hashlib.pbkdf2_hmac": _key_derivation,
    "hashlib.scrypt": _key_derivation,
    "crypt.crypt": _always("weak-password-hash"),
    "cryptography.hazmat.primitives.kdf.pbkdf2.PBKDF2HMAC": _key_derivation,
    "ssl.wrap_socket": _tls,
    "ssl.SSLContext": _tls,
    "OpenSSL.SSL.Context": _tls,
    "ssl._create_unverified_context": _always("no-certificate-check"),
    "ssl.get_server_certificate": _tls,
    "paramiko.AutoAddPolicy": _always("no-certificate-check"),
    "paramiko.client.AutoAddPolicy": _always("no-certificate-check"),
    "paramiko.WarningPolicy": _always("no-certificate-check"),
    "jwt.decode": _jwt,
    "jwt.encode": _jwt,
    "jwt.process_jwt": _always("unverified-token"),
    "python_jwt.process_jwt": _always("unverified-token"),
    "tempfile.mktemp": _always("temp-file"),
    "os.tempnam": _always("temp-file"),
    "os.tmpnam": _always("temp-file"),
    "os.chmod": _mode,
    "os.umask": _mode,
    "os.mkdir": _mode,
    "telnetlib.Telnet": _always("cleartext"),
    "ftplib.FTP": _always("cleartext"),
    "smtplib.SMTP": _always("cleartext", 1),
    "imaplib.IMAP4": _always("cleartext", 1),
    "poplib.POP3": _always("cleartext", 1),
    "os.setuid": _always("privileges", 1),
    "os.chroot": _always("privileges", 1),
    "jinja2.Environment": _template,
    "mako.template.Template": _always("xss", 1),
    "lxml.etree.XMLParser": _xml_parser,
    "shelve.open": _always("deserialization", 1),
    **dict.fromkeys(
        ("pickle.loads", "pickle.load", "marshal.loads", "dill.loads"), _always("deserialization", 1)
    ),
    **{f"requests.{m}": _no_timeout for m in ("get", "post", "put", "delete", "patch", "head", "request")},
    **{f"re.{m}": _compiled for m in ("compile", "match", "search", "fullmatch", "findall", "sub")},
    "flask_cors.CORS": _cors,
}
_BY_LAST: dict[str, _Rule] = {
    "set_cookie": _cookie,
    "set_secure_cookie": _cookie,
    "extractall": _extract,
    "set_missing_host_key_policy": lambda *_: None,
    "run": _run,
    "bind": _bind,
    "add_middleware": _cors,
    "setFeature": _feature,
    **dict.fromkeys(("debug", "info", "warning", "error", "critical", "exception"), _logged),
}
