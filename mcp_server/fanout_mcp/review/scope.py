"""What of a review counts: code that ships, findings that no one marked or accepted, and only what is new.

Rules:
1. Tests, examples, docs, fixtures, generated and vendored code are left out, unless they are included by
   kind, or a pattern names the file itself or a folder of that kind. A provider's key counts there all the
   same.
2. A mark on a finding's line, or on the comment line above it, passes it over: every linter's own word for
   that, and `fanout: ignore[rule] reason`. A mark that lists rules of others speaks of those alone.
3. An accepted finding is known by its rule, its file and its words, so that it stays accepted when lines
   move.
4. What is passed over is counted, never silent.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Final

from fanout_mcp.errors import InvalidInput, why
from fanout_mcp.review.finding import ID_LENGTH, Finding
from fanout_mcp.source.discover import is_glob
from fanout_mcp.source.kinds import HEAD, Kind, kind_of
from fanout_mcp.source.read import Skipped, Source, read_bytes
from fanout_mcp.types import Json

INCLUDES: Final[dict[str, Kind]] = {
    "tests": "test",
    "examples": "example",
    "docs": "docs",
    "fixtures": "fixture",
    "generated": "generated",
    "vendored": "vendored",
}
"""What `include` calls each kind."""
NAMES: Final = {kind: name for name, kind in INCLUDES.items()}

ACCEPTED: Final = ".claude/fanout/accepted.json"
"""Committed with the project, so that a team accepts a finding once."""
MAX_ACCEPTED: Final = 5_000_000

_MARK: Final = re.compile(
    r"(?:#|//|/\*|<!--|--|;|%|\{#|\[)\s*.{0,200}?(?P<word>\bnoqa\b|\bnosec\b|\bnosemgrep\b|\bNOLINT(?:NEXTLINE)?\b|\bnolint\b"
    r"|\beslint-disable(?:-next-line|-line)?\b|\bpragma warning disable\b|\bSuppressMessage\b"
    r"|\bfanout:\s*ignore\b)(?P<rest>.*)",
    re.IGNORECASE,
)
_LISTED: Final = re.compile(
    r"^(?:\s*+\(\s*+\"[^\"]*+\"\s*+,\s*+\"|\s*+[:(\[]\s*+|\s++)(?P<names>[\w./@-]++(?:(?:\s*+,\s*+|\s++)[\w./@-]++)*+)"
)
_OURS: Final = re.compile(r"^\s*\[(?P<names>[^\]]*)\]")
_SECURITY_NAME: Final = re.compile(
    r"(?i)^(?:S\d{3}|B\d{3}|G\d{3}|CWE-?\d+|CA[235]\d{3}|SCS\d+|cert-.*|bugprone-.*|clang-analyzer.*|gosec|security.*|.*secur.*|no-eval"
    r"|no-implied-eval|.*inject.*|.*xss.*|.*unsafe.*)$"
)
_BUG_NAME: Final = re.compile(
    r"(?i)^(?:B\d{3}|F\d{3}|C[AS]\d{4}|VSTHRD\d+|PL[EW]\d{4}|ASYNC\d+|RUF\d+|bugprone-.*|errcheck|govet|staticcheck|no-.*)$"
)
_STRETCHES: Final = frozenset({"eslint-disable", "pragma warning disable"})
_NEXT: Final = frozenset({"nolintnextline", "eslint-disable-next-line"})


def left_out(files: Iterable[Source], patterns: Sequence[str], include: Sequence[str]) -> dict[str, Kind]:
    """Return path -> kind of the files that a review leaves out."""
    wanted = {INCLUDES[name] for name in include} | {"product"}
    named = {pattern.removeprefix("./").rstrip("/") for pattern in patterns}
    folders = [pattern for pattern in named if pattern and not is_glob(pattern)]
    chosen = {folder: kind_of(f"{folder}/x") for folder in folders}
    out: dict[str, Kind] = {}
    for file in files:
        kind = kind_of(file.path, file.text[:HEAD])
        is_meant = kind in wanted or file.path in named
        if not is_meant and not any(
            chosen[folder] == kind and file.path.startswith(f"{folder}/") for folder in folders
        ):
            out[file.path] = kind
    return out


def check_include(include: Sequence[str]) -> None:
    unknown = [name for name in include if name not in INCLUDES]
    if unknown:
        raise InvalidInput(f"`include` is {unknown[0]!r}; it must be of {', '.join(INCLUDES)}.")


def identity(finding: Finding) -> str:
    """Return what a finding is called by `--accept`: the same while its rule, file and words are."""
    words = "\0".join((finding.rule, finding.path, " ".join(finding.quote.split())))
    return sha256(words.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def unmarked(findings: Iterable[Finding], texts: Mapping[str, str]) -> tuple[list[Finding], int]:
    """Return the findings that no mark passes over, and how many marks did."""
    lines: dict[str, list[str]] = {}
    kept: list[Finding] = []
    marked = 0
    for finding in findings:
        text = texts.get(finding.path)
        if text is None:
            kept.append(finding)
            continue
        if finding.path not in lines:
            lines[finding.path] = text.split("\n") if _MARK.search(text) else []
        if lines[finding.path] and _is_marked(finding, lines[finding.path]):
            marked += 1
        else:
            kept.append(finding)
    return kept, marked


def _is_marked(finding: Finding, lines: Sequence[str]) -> bool:
    last = min(max(finding.line, finding.end_line), len(lines))
    if any(_passes(lines[number - 1], finding, is_above=False) for number in range(finding.line, last + 1)):
        return True
    above = finding.line - 2
    is_marked = 0 <= above < len(lines) and _passes(lines[above], finding, is_above=True)
    return is_marked or _is_disabled(finding, lines)


def _passes(line: str, finding: Finding, *, is_above: bool) -> bool:
    match = _MARK.search(line)
    if match is None:
        return False
    word = match["word"].lower()
    stands_alone = not line[: match.start()].strip()
    if is_above and not (
        word in _NEXT or (stands_alone and (word.startswith("fanout") or word == "nosemgrep"))
    ):
        return False
    if not is_above and word in _NEXT:
        return False
    if word in _STRETCHES and stands_alone:
        return False  # of a whole file, or a stretch of it: _is_disabled
    return _speaks_of(word, match["rest"], finding)


def _speaks_of(word: str, rest: str, finding: Finding) -> bool:
    if word.startswith("fanout"):
        listed = _OURS.match(rest)
        names = {name.strip().lower() for name in listed["names"].split(",")} if listed else set()
        return not names or not names.isdisjoint({finding.rule.lower(), f"cwe-{finding.cwe}"})
    listed = _LISTED.match(rest) if word != "nosec" else None
    if listed is None or rest.lstrip().startswith(("--", "*/", "-->")):
        return True
    names = set(re.split(r"[,\s]+", listed["names"]))
    if finding.rule in names or any(finding.why.startswith(f"{name}:") for name in names):
        return True
    pattern = _SECURITY_NAME if finding.cwe else _BUG_NAME
    is_bandit_s = finding.cwe is not None and any(re.match(r"S\d{3}$", name) for name in names)
    return is_bandit_s or (word != "noqa" and any(pattern.match(name) for name in names))


def _is_disabled(finding: Finding, lines: Sequence[str]) -> bool:
    """Look for a stretch between a mark and its end that a finding lies in."""
    state = False
    for line in lines[: finding.line]:
        if "eslint-enable" in line or "pragma warning restore" in line:
            state = False
        match = _MARK.search(line) if "disable" in line else None
        word = match["word"].lower() if match else ""
        if match and word in _STRETCHES and not line[: match.start()].strip():
            state = state or _speaks_of(word, match["rest"].replace("*/", ""), finding)
    return state


def accepted(root: Path) -> dict[str, Json]:
    """Return what the project's file accepts, by id. Raises InvalidInput for one that can't be read."""
    data = read_bytes(root, ACCEPTED, at_most=MAX_ACCEPTED)
    if isinstance(data, Skipped):
        if data.reason in {"not there", "passes through a symlink or a file"}:
            return {}
        raise InvalidInput(f"{ACCEPTED} can't be read: {data.reason}. Nothing was reviewed.")
    try:
        return {str(row["id"]): row for row in json.loads(data)["accepted"]}
    except (ValueError, KeyError, TypeError, RecursionError):
        raise InvalidInput(
            f'{ACCEPTED} must hold {{"accepted": [{{"id": …}}]}}, as `fanout review --accept` writes it. '
            "Nothing was reviewed."
        ) from None


def accept(root: Path, findings: Iterable[Finding]) -> None:
    """Add findings to the project's file, in a stable order."""
    known = accepted(root)  # says what is wrong with it, rather than overwriting it
    for one in findings:
        name = one.identity[:ID_LENGTH]
        known[name] = {"id": name, "rule": one.rule, "path": one.path, "title": one.title, "quote": one.quote}
    rows = sorted(known.values(), key=lambda row: (str(row.get("path")), str(row.get("rule")), row["id"]))
    target = root / ACCEPTED
    try:
        if target.is_symlink() or not target.parent.resolve().is_relative_to(root.resolve()):
            raise InvalidInput(f"{ACCEPTED} leads out of the project; remove the link. Nothing was accepted.")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(
            json.dumps({"accepted": rows}, ensure_ascii=False, indent=1) + "\n", "utf-8", "replace"
        )
    except OSError as error:
        raise InvalidInput(f"{ACCEPTED} can't be written: {why(error)}. Nothing was accepted.") from None


def only_new(findings: Iterable[Finding], old: Iterable[Finding]) -> list[Finding]:
    """Return an analyser's findings that are new, by rule and words; of two where there was one the later."""
    known = Counter(_content(finding) for finding in old)
    new: list[Finding] = []
    for finding in sorted(findings, key=lambda one: (one.path, one.line, one.rule)):
        if known[_content(finding)]:
            known[_content(finding)] -= 1
        else:
            new.append(finding)
    return new


def _content(finding: Finding) -> tuple[str, str]:
    return finding.rule, " ".join(finding.quote.split())
