"""Review files that are no programs, line by line: container recipes, workflows, settings, templates."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Final

from fanout_mcp.review.analysers.by_line import line_findings
from fanout_mcp.review.analysers.rules import rules_of
from fanout_mcp.review.finding import Finding

CONFIDENCE: Final = 50

_BY_SUFFIX: Final = {
    **dict.fromkeys(("yml", "yaml"), "yaml"),
    "dockerfile": "dockerfile",
    **dict.fromkeys(
        ("properties", "ini", "cfg", "conf", "config", "cnf", "tf", "xml", "htaccess", "toml"), "settings"
    ),
    **dict.fromkeys(
        (
            "html",
            "htm",
            "xhtml",
            "jinja",
            "jinja2",
            "j2",
            "erb",
            "ejs",
            "hbs",
            "mustache",
            "handlebars",
            "vue",
        ),
        "markup",
    ),
    **dict.fromkeys(
        ("svelte", "jsp", "jspx", "cshtml", "twig", "tmpl", "gohtml", "ftl", "tpl"),
        "markup",
    ),
}
_BY_NAME: Final = re.compile(
    r"(?i)^(?P<dockerfile>(docker|container)file(\..+)?)$|^(?P<settings>sshd_config|nginx\.conf)$"
)
_COMMENT: Final = {
    "yaml": re.compile(r"^\s*#"),
    "dockerfile": re.compile(r"^\s*#"),
    "settings": re.compile(r"^\s*([#;]|<!--)"),
    "markup": re.compile(r"^\s*(<!--|\{#)"),
}


def format_of(path: str) -> str | None:
    """Return what kind of file it is by its name, None when there are no rules for it."""
    name = PurePosixPath(path).name
    named = _BY_NAME.match(name)
    return named.lastgroup if named else _BY_SUFFIX.get(name.rpartition(".")[2].lower())


def review_plain(path: str, text: str, form: str) -> Iterator[Finding]:
    lines = text.split("\n")
    kept = [(number, line) for number, line in enumerate(lines, 1) if not _COMMENT[form].match(line)]
    rules = [rule for rule in rules_of(form) if rule.file is None or rule.file.search(text)]
    yield from line_findings((path, lines), kept, rules, CONFIDENCE)
