"""Which of ruff's rules each focus takes, and what they mean in our words.

Chosen by what is left on well-kept code: 0.1 to 1.0 finding per thousand lines for security, 1 to 6 for bugs.
"""

from __future__ import annotations

from typing import Final

from fanout_mcp.review.finding import Focus, Severity

SELECT: Final[dict[Focus, tuple[str, str]]] = {
    "security": ("S", "S101,S311,S404,S413,S603,S607"),
    "bugs": (
        "F,B,PLE,PLW,PLR0124,E9,ASYNC,BLE,RUF006,SIM115",
        "B028,PLW1641,RUF012,B904,PLW2901,PLW0603,F401,F403,F405,B905,PLW0717,PLW1514,B007,PLE0704",
    ),
    "performance": (
        "PERF,C4,ASYNC2,B019,B023,RUF015,RUF017,FURB105,FURB129,FURB136,FURB168,FURB181",
        "PERF203",
    ),
    "style": ("E,W,N,UP,SIM,RET", "E501,UP007,UP040,UP045,UP046,UP047"),
    "architecture": ("PLR0913,PLR0904", ""),
}
"""Focus -> what is selected, what is left out of it.

The order of imports is told by the project's own folders, which ruff is not shown; and which newer forms a
project may use, by the oldest Python that it serves, which nobody knows here.
"""

SECURITY: Final[dict[str, tuple[Severity, str]]] = {
    "S102": ("low", "code-injection"),
    "S103": ("medium", "permissions"),
    "S104": ("low", "bind-all"),
    "S105": ("low", "hardcoded-secret"),
    "S106": ("low", "hardcoded-secret"),
    "S107": ("low", "hardcoded-secret"),
    "S108": ("low", "temp-file"),
    "S110": ("low", "swallowed-error"),
    "S112": ("low", "swallowed-error"),
    "S113": ("low", "no-timeout"),
    "S201": ("medium", "debug-mode"),
    "S202": ("low", "archive-slip"),
    "S301": ("low", "deserialization"),
    "S302": ("low", "deserialization"),
    "S303": ("low", "weak-hash"),
    "S304": ("medium", "weak-cipher"),
    "S305": ("medium", "weak-cipher"),
    "S306": ("medium", "temp-file"),
    "S307": ("low", "code-injection"),
    "S308": ("low", "xss"),
    "S310": ("low", "ssrf"),
    "S312": ("low", "cleartext"),
    **dict.fromkeys(("S313", "S314", "S315", "S316", "S317", "S318", "S319", "S320"), ("low", "xml-bomb")),
    "S321": ("low", "cleartext"),
    "S323": ("high", "no-certificate-check"),
    "S324": ("low", "weak-hash"),
    "S401": ("low", "cleartext"),
    "S402": ("low", "cleartext"),
    "S403": ("info", "deserialization"),
    "S405": ("info", "xml-bomb"),
    "S501": ("high", "no-certificate-check"),
    "S502": ("medium", "weak-tls"),
    "S503": ("medium", "weak-tls"),
    "S504": ("low", "weak-tls"),
    "S505": ("medium", "weak-key"),
    "S506": ("medium", "deserialization"),
    "S507": ("high", "no-certificate-check"),
    "S508": ("low", "cleartext"),
    "S509": ("low", "cleartext"),
    "S601": ("low", "command-injection"),
    "S602": ("low", "command-injection"),
    "S604": ("low", "command-injection"),
    "S605": ("low", "command-injection"),
    "S606": ("info", "command-injection"),
    "S608": ("low", "sql-injection"),
    "S609": ("medium", "command-injection"),
    "S610": ("low", "sql-injection"),
    "S611": ("low", "sql-injection"),
    "S612": ("medium", "code-injection"),
    "S701": ("low", "xss"),
    "S702": ("low", "xss"),
    "S704": ("low", "xss"),
}
"""What ruff sees is a call, not what flows into it, so most of it is low until our own reading agrees."""

_MEDIUM_CODES = """
    F821 F822 F823 F811 F502 F601 F631 F632 F702 F706 PLE E9 B006 B012 B015 B020 B909 PLW0129 ASYNC105
    ASYNC210 ASYNC212 ASYNC220 ASYNC221 ASYNC222 ASYNC251 RUF006
"""
_MEDIUM = tuple(_MEDIUM_CODES.split())

_BY_FOCUS: dict[Focus, Severity] = {
    "security": "low",
    "bugs": "low",
    "performance": "low",
    "style": "info",
    "architecture": "low",
}


def severity_of(code: str, focus: Focus) -> Severity:
    if code in SECURITY:
        return SECURITY[code][0]
    return "medium" if code.startswith(_MEDIUM) and focus != "style" else _BY_FOCUS[focus]
