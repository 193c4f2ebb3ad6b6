"""Run ruff over copies of vetted files: never over the project's folder, never with its configuration.

One hostile file overflows ruff's stack and the whole batch's output is lost, so after a crash the batch is
halved until the culprit is alone; it is named as not analysed.
"""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

from ruff import find_ruff_bin  # type: ignore[import-untyped] # ships no types

from fanout_mcp.review.finding import Finding, Focus, Severity
from fanout_mcp.review.static.rules import WEAKNESSES, Weakness, found, quote, read_table
from fanout_mcp.types import Json

SELECT: Final[Mapping[Focus, tuple[str, str]]] = read_table("lint.toml")["select"]
SECURITY: Final[Mapping[str, tuple[Severity, str]]] = read_table("lint.toml")["security"]

_MEDIUM_CODES = """
    F821 F822 F823 F811
    F50 F52 F601 F631 F632 F702 F706 PLE PLR0124 PLW0133 PGH005 E9 B012 B015 B909 PLW0129 ASYNC105
    ASYNC210 ASYNC212 ASYNC221 ASYNC222 ASYNC251 RUF006
"""
_MEDIUM = tuple(_MEDIUM_CODES.split())


def severity_of(code: str, focus: Focus) -> Severity:
    if code in SECURITY:
        return SECURITY[code][0]
    return "info" if focus == "style" else "medium" if code.startswith(_MEDIUM) else "low"


class _Reported(NamedTuple):
    path: str
    words: str
    """The lines that are cited."""
    message: str
    text: str
    """The whole file."""


def _is_closed(one: _Reported) -> bool:
    """Tell whether what is opened is kept by an object, closed by its name, or returned."""
    named = re.match(r"(?:self\.\w+|(\w+))\s*=\s", one.words)
    return named is not None and (
        named[1] is None
        or re.search(rf"\b{named[1]}\.close\(|\b(?:return|yield) {named[1]}\b", one.text) is not None
    )


_ELSEWHERE = re.compile(
    r"^[^`]*`(?:unicode|basestring|long|xrange|raw_input|reduce|unichr|WindowsError|get_ipython|_)`"
)
_KNOWS_BOTH = re.compile(
    r"\bPY[23]\b|version_info|\bsix\b|except NameError|gettext|sys\.platform|os\.name|get_ipython"
)
_OFTEN_FINE: Final[dict[str, Callable[[_Reported], bool]]] = {
    "SIM115": _is_closed,
    # A package's names may come from its modules, any module's from `__getattr__`.
    "F822": lambda one: one.path.endswith("__init__.py") or "def __getattr__(" in one.text,
    "PLR0124": lambda one: "!=" in one.words,  # NaN alone differs from itself
    # The methods of an interface take no self.
    **dict.fromkeys(("PLE0211", "PLE0213"), lambda one: "zope.interface" in one.text),
    # Names of Python 2 or another platform, where a file knows both; `_` of gettext.
    "F821": lambda one: (
        _ELSEWHERE.search(one.message) is not None and _KNOWS_BOTH.search(one.text) is not None
    ),
    # Where nothing imports `logging`, what looks like a logger is the project's own.
    **dict.fromkeys(("PLE1205", "PLE1206"), lambda one: "logging" not in one.text),
}
"""Code -> whether what it reports is no defect there."""


# --- lint ------------------------------------------------------------------------------------------

TIMEOUT_S = 40
Files = Sequence[tuple[str, str]]
Linted = tuple[list[Finding], dict[str, str]]
Copied = tuple[str, tuple[str, str]]
"""The copy's name, and the path and text that it stands for."""


def lint(files: Files, focus: Focus) -> Linted:
    """Return findings, and why files have none: path to reason."""
    with tempfile.TemporaryDirectory(prefix="fanout-lint-") as folder:
        copies = [_copied(Path(folder), number, path, text) for number, (path, text) in enumerate(files)]
        return _lint(list(zip(copies, files, strict=True)), focus, Path(folder))


@functools.cache
def count_rules(focus: Focus) -> int:
    """Return how many of ruff's rules a focus selects; 0 when ruff can't say."""
    selected, left_out = (tuple(names.split(",")) if names else () for names in SELECT[focus])
    try:
        codes = [str(row["code"]) for row in json.loads(_rule_page("--all", "--output-format", "json"))]
    except (OSError, subprocess.SubprocessError, ValueError, KeyError):
        return 0
    return sum(_is_of(code, selected) and not _is_of(code, left_out) for code in codes)


def ruff_says(code: str) -> str:
    return _rule_page(code) if re.fullmatch(r"[A-Z]{1,8}\d{2,4}", code) else ""


def _rule_page(*arguments: str) -> str:
    command = [find_ruff_bin(), "rule", *arguments]
    done = subprocess.run(command, capture_output=True, timeout=TIMEOUT_S, check=False)
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else ""


def _is_of(code: str, selectors: Sequence[str]) -> bool:
    """Tell whether a code is one of the selectors', as ruff reads them: a linter's letters, then digits."""
    rest = ((one, code.removeprefix(one)) for one in selectors if code.startswith(one))
    return any(one[-1].isdigit() or left[:1].isdigit() for one, left in rest)


def _copied(folder: Path, number: int, path: str, text: str) -> str:
    """Write a copy under a name of ours; `__init__` and `.pyi` mean something to rules, so they stay."""
    original = PurePosixPath(path)
    name = original.name if original.name == "__init__.py" else f"module{original.suffix}"
    target = folder / f"f{number}" / name
    target.parent.mkdir()
    target.write_bytes(text.encode("utf-8", "replace"))
    return f"f{number}/{name}"


_IMPLIED_BY: Final = {"F522": "F524", "F523": "F524", "F504": "F505"}
"""An argument that no place takes, where a place that takes none is reported on the line: one defect."""


def _lint(files: list[Copied], focus: Focus, folder: Path) -> Linted:
    rows = _run([copy for copy, _ in files], focus, folder)
    if rows is not None:
        originals = dict(files)
        lines = {copy: text.split("\n") for copy, (_, text) in files}
        findings: list[Finding] = []
        unread: dict[str, str] = {}
        reported = {(row["filename"], row["location"]["row"], row["code"]) for row in rows}
        for row in rows:
            copy = Path(row["filename"]).relative_to(folder.resolve()).as_posix()
            path = originals[copy][0]
            if row["code"] in {None, "invalid-syntax"}:
                unread.setdefault(path, f"not valid Python from line {row['location']['row']} on")
                continue
            if (row["filename"], row["location"]["row"], _IMPLIED_BY.get(row["code"])) in reported:
                continue
            finding = _finding(path, lines[copy], row, focus)
            findings += [finding] if finding else []
        return findings, unread
    if len(files) == 1:
        return [], {files[0][1][0]: "ruff crashed on it"}
    half = len(files) // 2
    one, other = _lint(files[:half], focus, folder), _lint(files[half:], focus, folder)
    return one[0] + other[0], one[1] | other[1]


def _run(copies: list[str], focus: Focus, folder: Path) -> list[dict[str, Json]] | None:
    """Return ruff's rows, None when it crashed or took too long."""
    selected, left_out = SELECT[focus]
    command = [find_ruff_bin(), "check", "--isolated", "--no-cache", "--ignore-noqa", "--preview", "--quiet"]
    command += ["--target-version", "py314", "--output-format", "json", "--exit-zero", "--select", selected]
    command += ["--ignore", left_out] if left_out else []
    command += ["--config", "lint.mccabe.max-complexity=15"] if focus == "architecture" else []
    # A repository can set variables, and through RUFF_OUTPUT_FILE ruff would write where it says.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RUFF_")}
    try:
        done = subprocess.run(
            [*command, "--", *copies],
            cwd=folder,
            env=environment,
            capture_output=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        rows: list[dict[str, Json]] = json.loads(done.stdout) if done.returncode == 0 else []
    except (subprocess.TimeoutExpired, ValueError):
        return None
    return rows if done.returncode == 0 else None


def _finding(path: str, lines: list[str], row: dict[str, Json], focus: Focus) -> Finding | None:
    code = row["code"]
    first = min(row["location"]["row"], len(lines))
    last = max(first, min(row["end_location"]["row"], first + 4, len(lines)))
    words = quote(lines, first, last)
    if not words:
        return None
    known = SECURITY.get(code) if focus == "security" else None
    severity: Severity = "info" if "seems safe" in row["message"] else severity_of(code, focus)
    is_fine = _OFTEN_FINE.get(code)
    if is_fine is not None and is_fine(_Reported(path, words, row["message"], "\n".join(lines))):
        return None
    if code == "F811" and not re.match(r"(async\s+)?def\b|class\b|@", words):
        severity = "low"  # an import for another version, or for types alone
    if code == "RUF006" and re.match(r"\w+\s*=", words):
        severity = "low"  # the name keeps the task while the function runs
    if known:
        weakness, confidence, why = WEAKNESSES[known[1]], 40, f"{code}: {row['message']}"[:300]
    else:
        title, fix = row["message"].split("\n")[0][:160], (row.get("fix") or {}).get("message") or ""
        weakness, confidence, why = Weakness(code, 0, severity, title, fix), 60, ""
    place = (first, last)
    return found((path, lines), place, weakness, confidence, why=why, severity=severity, reviewer="ruff")
