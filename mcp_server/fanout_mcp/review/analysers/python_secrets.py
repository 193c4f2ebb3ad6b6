"""Names that are given a constant: switches that weaken, secrets that stand in the code."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from fanout_mcp.review.analysers.python_calls import add
from fanout_mcp.review.analysers.python_values import Value
from fanout_mcp.source.secret_values import MAX_VALUE, is_secret, is_word

if TYPE_CHECKING:
    from fanout_mcp.review.analysers.python_taint import Reader


PASSWORD_NAME = re.compile(r"passw(or)?d|pwd|passphrase", re.IGNORECASE)


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
    """Report a constant that secret_values.py takes for a secret; a plain word for a password, in doubt."""
    const = value.const
    if isinstance(const, bytes):
        const = const.decode("latin-1")
    if not isinstance(const, str) or len(const) > MAX_VALUE:
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
