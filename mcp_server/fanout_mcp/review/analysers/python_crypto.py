"""Cryptography that is weak whatever it is given: hashes, ciphers, keys, random numbers, TLS."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Final

from fanout_mcp.review.analysers.python_calls import Call, CallRule, add, always, has
from fanout_mcp.review.analysers.python_secrets import PASSWORD_NAME
from fanout_mcp.review.analysers.python_tables import REMOTE, names

if TYPE_CHECKING:
    from fanout_mcp.review.analysers.python_taint import Reader


_SECRET_NAME = re.compile(
    r"passw(or)?d|passphrase|secret|token|api_?key|private_?key|nonce|salt|otp|session_?id|csrf|pin\b|"
    r"captcha|cookie|remember",
    re.IGNORECASE,
)


_WEAK_HASHES = {"md5", "sha1", "md4", "md2", "sha", "ripemd160"}


def _hash(reader: Reader, call: Call) -> None:
    if has(call.keywords.get("usedforsecurity"), False):
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
    is_password = bool(PASSWORD_NAME.search(words) or PASSWORD_NAME.search(holder))
    if chosen.lower().replace("-", "") in _WEAK_HASHES:
        grave = (
            is_password or any(v.level == REMOTE for v in data) or bool(_SECRET_NAME.search(words + holder))
        )
        add(reader, "weak-hash", call.node, 0 if grave else 1)
    elif is_password and "name" not in words:
        add(reader, "weak-password-hash", call.node, 0 if PASSWORD_NAME.search(words) else 1)


def _cipher(reader: Reader, call: Call) -> None:
    words = (
        call.name
        + " "
        + " ".join(ast.unparse(a) for a in [*call.node.args, *(k.value for k in call.node.keywords)])
    )
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


def _ecb(reader: Reader, call: Call) -> None:
    add(reader, "weak-cipher", call.node)


def _key_size(reader: Reader, call: Call) -> None:
    sizes = [v.const for v in [*call.arguments, *call.keywords.values()] if isinstance(v.const, int)]
    if any(128 <= size < 2048 for size in sizes) and "ec." not in call.name:
        add(reader, "weak-key", call.node)


def _key_derivation(reader: Reader, call: Call) -> None:
    salt = call.keywords.get("salt") or (call.arguments[2] if len(call.arguments) > 2 else None)
    if salt is not None and isinstance(salt.const, bytes | str):
        add(reader, "static-salt", call.node)
    rounds = call.keywords.get("iterations") or (call.arguments[3] if len(call.arguments) > 3 else None)
    if rounds is not None and isinstance(rounds.const, int) and rounds.const < 10_000:
        add(reader, "weak-password-hash", call.node)


RANDOM = names(
    "random randint randrange choice choices sample getrandbits uniform shuffle randbytes "
    "gauss normalvariate lognormvariate triangular betavariate expovariate gammavariate paretovariate "
    "weibullvariate vonmisesvariate binomialvariate"
)


def check_random(reader: Reader, node: ast.Call) -> None:
    is_secret = bool(_SECRET_NAME.search(_around(reader)) or _SECRET_NAME.search(_assigned(reader)))
    add(reader, "weak-random", node, REMOTE if is_secret else 1)


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
        add(reader, "weak-tls", call.node)
    if "CERT_NONE" in words or (call.name == "ssl.wrap_socket" and "cert_reqs" not in call.keywords):
        add(reader, "no-certificate-check", call.node)


CRYPTO: Final[dict[str, CallRule]] = {
    **dict.fromkeys(
        ("hashlib.md5", "hashlib.sha1", "hashlib.new", "md5.new", "sha.new", "hashlib.sha256"), _hash
    ),
    **dict.fromkeys(("hashlib.sha512", "hashlib.sha224", "hashlib.sha384"), _hash),
    **dict.fromkeys(
        [f"{p}.Hash.{h}.new" for p in ("Crypto", "Cryptodome") for h in ("MD5", "SHA1", "MD4", "MD2")],
        always("weak-hash"),
    ),
    "cryptography.hazmat.primitives.hashes.MD5": always("weak-hash", 1),
    "cryptography.hazmat.primitives.hashes.SHA1": always("weak-hash", 1),
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
    "crypt.crypt": always("weak-password-hash"),
    "cryptography.hazmat.primitives.kdf.pbkdf2.PBKDF2HMAC": _key_derivation,
    "ssl.wrap_socket": _tls,
    "ssl.SSLContext": _tls,
    "OpenSSL.SSL.Context": _tls,
    "ssl._create_unverified_context": always("no-certificate-check"),
    "ssl.get_server_certificate": _tls,
    "paramiko.AutoAddPolicy": always("no-certificate-check"),
    "paramiko.client.AutoAddPolicy": always("no-certificate-check"),
    "paramiko.WarningPolicy": always("no-certificate-check"),
}
