"""Names that are given a constant: switches that weaken, secrets that stand in the code."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from fanout_mcp.review.analysers.python_calls import add
from fanout_mcp.review.analysers.python_values import Value

if TYPE_CHECKING:
    from fanout_mcp.review.analysers.python_taint import Reader


PASSWORD_NAME = re.compile(r"passw(or)?d|pwd|passphrase", re.IGNORECASE)


_SECRET_TARGET = re.compile(
    r"^_*((\w+_)?(password|passwd|passphrase|pwd|secret|secret_?key|api_?key|auth_?token|access_?token|"
    r"private_?key|encryption_?key|db_?pass|jwt_?secret|client_?secret|api_?token|token|key))$",
    re.IGNORECASE,
)
_NO_SECRET = re.compile(
    r"^$|^[<{$%]|^[a-z_. :/-]{0,40}[a-z_]$|^(None|null|changeme|xxx+|:?\*+|\.\.\.)$|[ \n{}<>]|^[A-Z_]+$"
)


def check_setting(reader: Reader, node: ast.AST, name: str, value: Value) -> None:
    """Look at a name that is given a constant: switches that weaken, secrets that stand in the code."""
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
    const = value.const
    if isinstance(const, bytes):
        const = const.decode("latin-1")
    if not isinstance(const, str) or not _SECRET_TARGET.match(name) or not 4 <= len(const) <= 200:
        return
    if const.lower() == name.lower().strip("_"):
        return
    is_plain_word = bool(_NO_SECRET.search(const))
    is_password = bool(PASSWORD_NAME.search(name)) or "secret" in name.lower()
    if name.lower() in {"key", "token"} and (is_plain_word or len(const) < 12):
        return
    if is_plain_word and (not is_password or const.lower().strip("_") in name.lower() or " " in const):
        return
    add(reader, "hardcoded-secret", node, 1 if is_plain_word else 0)


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
