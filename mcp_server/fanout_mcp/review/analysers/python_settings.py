"""Calls that are weak whatever they are given: cookies, templates, modes, checks switched off."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from fanout_mcp.review.analysers.python_calls import Call, CallRule, add, always, has
from fanout_mcp.review.analysers.python_crypto import CRYPTO, RANDOM, check_random
from fanout_mcp.review.analysers.python_secrets import PASSWORD_NAME, check_secret
from fanout_mcp.review.analysers.python_values import NOTHING
from fanout_mcp.review.analysers.regexes import is_slow

if TYPE_CHECKING:
    from fanout_mcp.review.analysers.python_taint import Reader


def check(reader: Reader, call: Call) -> None:
    last = call.name.rsplit(".", 1)[-1] or (
        call.node.func.attr if isinstance(call.node.func, ast.Attribute) else ""
    )
    rule = _BY_NAME.get(call.name) or _BY_LAST.get(last)
    if rule is not None:
        rule(reader, call)
    if call.name.startswith("random.") and last in RANDOM and "SystemRandom" not in call.name:
        check_random(reader, call.node)
    if (
        has(call.keywords.get("verify"), False)
        or has(call.keywords.get("verify_ssl"), False)
        or has(call.keywords.get("check_hostname"), False)
        or (has(call.keywords.get("ssl"), False) and "aiohttp" in reader.roots)
    ):
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
    if call.node.args and isinstance(call.node.args[0], ast.Tuple) and call.node.args[0].elts:
        host = reader.value(call.node.args[0].elts[0]).const
        if host in {"", "0.0.0.0", "::"}:  # noqa: S104 what is looked for
            add(reader, "bind-all", call.node)


def _cors(reader: Reader, call: Call) -> None:
    words = ast.unparse(call.node)
    if "'*'" in words and re.search(r"(supports_credentials|allow_credentials)=True", words):
        add(reader, "cors", call.node)


# --- files and processes --------------------------------------------------------------------------


def _mode(reader: Reader, call: Call) -> None:
    mode = next(
        (v.const for v in [*call.arguments, *call.keywords.values()] if isinstance(v.const, int)), None
    )
    if call.name == "os.umask":
        if mode == 0 and isinstance(reader.statement, ast.Expr):
            add(reader, "permissions", call.node)
    elif (isinstance(mode, int) and mode & 0o002) or re.search(r"S_IRWXO|S_IWOTH", ast.unparse(call.node)):
        add(reader, "permissions", call.node)


def _extract(reader: Reader, call: Call) -> None:
    if (
        "filter" not in call.keywords
        and "members" not in call.keywords
        and {"tarfile", "zipfile"} & reader.roots
    ):
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
    if (
        "feature_external_ges" in ast.unparse(call.node)
        and len(call.arguments) > 1
        and bool(call.arguments[1].const)
    ):
        add(reader, "xxe", call.node)


def _compiled(reader: Reader, call: Call) -> None:
    pattern = call.arguments[0].const if call.arguments else None
    if isinstance(pattern, str) and is_slow(pattern):
        add(reader, "slow-regex", call.node, 1)
    if isinstance(pattern, str) and re.search(r"(https?:.*|\w)(?<!\\)\.(com|org|net)\b", pattern):
        add(reader, "input-validation", call.node, 1, "The dot before the domain matches any character.")


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


_BY_NAME: dict[str, CallRule] = {
    **CRYPTO,
    "jwt.decode": _jwt,
    "jwt.encode": _jwt,
    "jwt.process_jwt": always("unverified-token"),
    "python_jwt.process_jwt": always("unverified-token"),
    "tempfile.mktemp": always("temp-file"),
    "os.tempnam": always("temp-file"),
    "os.tmpnam": always("temp-file"),
    "os.chmod": _mode,
    "os.umask": _mode,
    "os.mkdir": _mode,
    "telnetlib.Telnet": always("cleartext"),
    "ftplib.FTP": always("cleartext"),
    "smtplib.SMTP": always("cleartext", 1),
    "imaplib.IMAP4": always("cleartext", 1),
    "poplib.POP3": always("cleartext", 1),
    "os.setuid": always("privileges", 1),
    "os.chroot": always("privileges", 1),
    "jinja2.Environment": _template,
    "mako.template.Template": always("xss", 1),
    "lxml.etree.XMLParser": _xml_parser,
    "shelve.open": always("deserialization", 1),
    **dict.fromkeys(
        ("pickle.loads", "pickle.load", "marshal.loads", "dill.loads"), always("deserialization", 1)
    ),
    **{f"requests.{m}": _no_timeout for m in ("get", "post", "put", "delete", "patch", "head", "request")},
    **{f"re.{m}": _compiled for m in ("compile", "match", "search", "fullmatch", "findall", "sub")},
    "flask_cors.CORS": _cors,
}
_BY_LAST: dict[str, CallRule] = {
    "get_unverified_claims": always("unverified-token"),
    "set_cookie": _cookie,
    "set_secure_cookie": _cookie,
    "extractall": _extract,
    "set_missing_host_key_policy": lambda *_: None,
    "run": _run,
    "bind": _bind,
    **dict.fromkeys(("write", "write_text", "dump", "insert_one"), _written),
    "add_middleware": _cors,
    "setFeature": _feature,
    **dict.fromkeys(("debug", "info", "warning", "error", "critical", "exception"), _logged),
}
