"""Calls that are weak whatever they are given: cookies, templates, modes, checks switched off."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeAlias

from fanout_mcp.review.static.python.values import (
    NOTHING,
    Call,
    Value,
    add,
    has,
    last_name,
    names,
)
from fanout_mcp.review.static.regexes import IS_PATTERN, is_slow
from fanout_mcp.review.static.rules import REMOTE
from fanout_mcp.source.secret_values import MAX_VALUE, is_secret, is_word

if TYPE_CHECKING:  # it reads with all of these
    from fanout_mcp.review.static.python.taint import Walker as Reader

# --- Names that are given a constant: switches that weaken, hard-coded secrets. -----------------

PASSWORD_NAME = re.compile(r"passw(or)?d|pwd|passphrase", re.IGNORECASE)


def check_setting(reader: Reader, node: ast.AST, name: str, value: Value) -> None:
    switch = _SWITCHES.get(name)
    if switch is not None and value.const is switch[1]:
        add(reader, switch[0], node)
    if name.lower() == "access-control-allow-origin" and value.const == "*":
        add(reader, "cors", node, 1)
    if name == "verify_mode" and value.kind.endswith("CERT_NONE"):
        add(reader, "no-certificate-check", node)
    if name in {"check_hostname", "verify"} and value.const is False and isinstance(node, ast.Attribute):
        add(reader, "no-certificate-check", node)
    check_secret(reader, node, name, value)


def check_secret(reader: Reader, node: ast.AST, name: str, value: Value) -> None:
    """Report a constant that secret_values.py takes for a secret; a plain word for a password, in doubt."""
    const = value.const
    if isinstance(const, bytes):
        const = const.decode("latin-1")
    if not isinstance(const, str) or len(const) > MAX_VALUE or IS_PATTERN.search(const):
        return
    if is_secret(name, const):
        add(reader, "hardcoded-secret", node, 0)
    elif is_word(name, const):
        add(reader, "hardcoded-secret", node, 1)


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


# --- Cryptography that is weak whatever it is given: hashes, ciphers, keys, random numbers, TLS. ------------

_SECRET_NAME = re.compile(
    r"passw(or)?d|passphrase|secret|token|api_?key|private_?key|nonce|salt|otp|session_?id|csrf|pin\b|"
    r"captcha|cookie|remember",
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
    is_password = bool(PASSWORD_NAME.search(words) or PASSWORD_NAME.search(holder))
    if chosen.lower().replace("-", "") in _WEAK_HASHES:
        is_secret = is_password or _SECRET_NAME.search(words + holder)
        add(reader, "weak-hash", call.node, 0 if is_secret or any(v.level == REMOTE for v in data) else 1)
    elif is_password and "name" not in words:
        add(reader, "weak-password-hash", call.node, 0 if PASSWORD_NAME.search(words) else 1)


def _given(call: Call) -> str:
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


def always(weakness: str, level: int = 0) -> CallRule:
    return lambda reader, call: add(reader, weakness, call.node, level)


RANDOM = names(
    "random randint randrange choice choices sample getrandbits uniform shuffle randbytes "
    "gauss normalvariate lognormvariate triangular betavariate expovariate gammavariate paretovariate "
    "weibullvariate vonmisesvariate binomialvariate"
)


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


def check(reader: Reader, call: Call) -> None:
    last = call.name.rsplit(".", 1)[-1] or last_name(call.node.func)
    rule = _BY_NAME.get(call.name) or _BY_LAST.get(last)
    if rule is not None:
        rule(reader, call)
    if call.name.startswith("random.") and last in RANDOM and "SystemRandom" not in call.name:
        is_secret = _SECRET_NAME.search(_around(reader)) or _SECRET_NAME.search(_assigned(reader))
        add(reader, "weak-random", call.node, REMOTE if is_secret else 1)
    switches = ["verify", "verify_ssl", "check_hostname", *(["ssl"] if "aiohttp" in reader.roots else [])]
    if any(has(call.keywords.get(name), False) for name in switches):
        add(reader, "no-certificate-check", call.node)
    for keyword, value in call.keywords.items():
        if PASSWORD_NAME.search(keyword) or keyword in {"secret_key", "api_key", "token", "auth_token"}:
            check_secret(reader, call.node, keyword, value)


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
    if "'*'" in words and re.search(r"(supports_credentials|allow_credentials)=True", words):
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
        add(reader, "xss", call.node, 0 if escaping is not None else 1, "The templates escape nothing.")


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


_TELLS_LITTLE = frozenset({"len", "bool", "type", "id", "mask", "redact"})


def _logged(reader: Reader, call: Call) -> None:
    if "log" not in call.name.lower():
        return
    for argument in call.node.args:
        if isinstance(argument, ast.Call) and ast.unparse(argument.func) in _TELLS_LITTLE:
            continue
        for inner in ast.walk(argument):
            called = last_name(inner)
            if re.fullmatch(
                r"\w*(password|passwd|secret|api_?key|private_key|credit_card|ssn)", called, re.IGNORECASE
            ):
                add(reader, "secret-in-log", call.node)
                return
            if re.fullmatch(r"(\w+_)?token|session_?id|cookies?", called, re.IGNORECASE):
                add(reader, "secret-in-log", call.node, 1)
                return


_KEPT = re.compile(r"['\"]?\bpass(word|wd)['\"]?\s*[:=]\s*\w*pass(word|wd)\b|\{\w*password\}", re.IGNORECASE)


def _written(reader: Reader, call: Call) -> None:
    words = " ".join(ast.unparse(argument) for argument in call.node.args)
    if _KEPT.search(words) and not re.search(r"hash|crypt|encrypt", words, re.IGNORECASE):
        add(reader, "plain-password", call.node, 1)


_HAZMAT: Final = "cryptography.hazmat.primitives"
_RULES: Final[tuple[tuple[CallRule, str], ...]] = (
    (_hash, "hashlib.md5 hashlib.sha1 hashlib.new md5.new sha.new hashlib.sha256 hashlib.sha512"),
    (_hash, "hashlib.sha224 hashlib.sha384"),
    (always("weak-hash"), "Crypto.Hash.MD5.new Crypto.Hash.SHA1.new Crypto.Hash.MD4.new Crypto.Hash.MD2.new"),
    (always("weak-hash", 1), f"{_HAZMAT}.hashes.MD5 {_HAZMAT}.hashes.SHA1"),
    (_cipher, f"{_HAZMAT}.ciphers.Cipher Crypto.Cipher.AES.new Crypto.Cipher.DES.new Crypto.Cipher.DES3.new"),
    (_cipher, "Crypto.Cipher.ARC2.new Crypto.Cipher.ARC4.new Crypto.Cipher.Blowfish.new"),
    (_cipher, "Crypto.Cipher.CAST.new Crypto.Cipher.ChaCha20.new Crypto.Cipher.XOR.new"),
    (always("weak-cipher"), f"{_HAZMAT}.ciphers.modes.ECB"),
    (_vector, f"{_HAZMAT}.ciphers.modes.CBC {_HAZMAT}.ciphers.modes.CTR {_HAZMAT}.ciphers.modes.GCM"),
    (_key_size, "Crypto.PublicKey.RSA.generate Crypto.PublicKey.DSA.generate rsa.newkeys"),
    (_key_size, f"{_HAZMAT}.asymmetric.rsa.generate_private_key"),
    (_key_size, f"{_HAZMAT}.asymmetric.dsa.generate_private_key"),
    (_key_derivation, f"hashlib.pbkdf2_hmac hashlib.scrypt {_HAZMAT}.kdf.pbkdf2.PBKDF2HMAC"),
    (always("weak-password-hash"), "crypt.crypt"),
    (_tls, "ssl.wrap_socket ssl.SSLContext OpenSSL.SSL.Context ssl.get_server_certificate"),
    (always("no-certificate-check"), "ssl._create_unverified_context paramiko.AutoAddPolicy"),
    (always("no-certificate-check"), "paramiko.client.AutoAddPolicy paramiko.WarningPolicy"),
    (_jwt, "jwt.decode jwt.encode"),
    (always("unverified-token"), "jwt.process_jwt python_jwt.process_jwt"),
    (always("temp-file"), "tempfile.mktemp os.tempnam os.tmpnam"),
    (_mode, "os.chmod os.umask os.mkdir"),
    (always("cleartext"), "telnetlib.Telnet ftplib.FTP"),
    (always("cleartext", 1), "smtplib.SMTP imaplib.IMAP4 poplib.POP3"),
    (always("privileges", 1), "os.setuid os.chroot"),
    (_template, "jinja2.Environment"),
    (always("xss", 1), "mako.template.Template"),
    (_xml_parser, "lxml.etree.XMLParser"),
    (always("deserialization", 1), "shelve.open pickle.loads pickle.load marshal.loads dill.loads"),
    (_no_timeout, "requests.get requests.post requests.put requests.delete requests.patch requests.head"),
    (_no_timeout, "requests.request"),
    (_compiled, "re.compile re.match re.search re.fullmatch re.findall re.sub"),
    (_cors, "flask_cors.CORS"),
)
_BY_NAME: Final = {
    each: rule
    for rule, calls in _RULES
    for name in calls.split()
    for each in (name, name.replace("Crypto.", "Cryptodome."))
}
_BY_LAST: Final[dict[str, CallRule]] = {
    "get_unverified_claims": always("unverified-token"),
    **dict.fromkeys(("set_cookie", "set_secure_cookie"), _cookie),
    "extractall": _extract,
    "run": _run,
    "bind": _bind,
    **dict.fromkeys(("write", "write_text", "dump", "insert_one"), _written),
    "add_middleware": _cors,
    "setFeature": _feature,
    **dict.fromkeys(("debug", "info", "warning", "error", "critical", "exception"), _logged),
}
