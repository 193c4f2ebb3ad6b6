"""Review without a model: every analyser of a focus, in worker processes, their findings united."""

from __future__ import annotations

import functools
import json
import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath

import anyio.to_thread

from fanout_mcp.errors import InvalidInput, why
from fanout_mcp.review.finding import Finding, Focus, from_json
from fanout_mcp.review.merge import merge
from fanout_mcp.review.static import patterns, quality
from fanout_mcp.review.static.grammars import GRAMMARS, language_of
from fanout_mcp.review.static.lint import count_rules, lint
from fanout_mcp.review.static.python import bugs
from fanout_mcp.review.static.python.bugs import review_bugs
from fanout_mcp.review.static.python.security import read_python
from fanout_mcp.review.static.python.sinks import WEAKNESSES_REACHED
from fanout_mcp.review.static.rules import Read, own_rules, rules_of
from fanout_mcp.source.kinds import is_test
from fanout_mcp.source.read import problem
from fanout_mcp.source.workers import Failure, OnDone, Workers
from fanout_mcp.types import Json

# --- What a worker process does for a review: for a file, for ruff's batch, for all files together. ---------
# Items and results are JSON values, since they pass between processes.

ANALYSE = "fanout_mcp.review.static.analyse:analyse"
RELATE = "fanout_mcp.review.static.analyse:relate"
LINT = "fanout_mcp.review.static.analyse:lint_batch"


def analyse(item: dict[str, Json]) -> dict[str, Json]:
    """`{path, text, focus, own}` -> `{findings, problems, settled}`.

    Why a file is not analysed is among the problems. The focus `keys` looks for keys of providers alone, in
    what a review leaves out otherwise.
    """
    path, text, focus = item["path"], item["text"], item["focus"]
    why_not = problem(text.encode("utf-8", "surrogateescape"))
    if why_not:
        return _lost(item, why_not)
    read = Read([*patterns.review_keys(path, text)]) if focus == "keys" else _read(path, text, focus)
    kind = kind_of(path)
    own = [
        one.rule
        for one in own_rules(item.get("own", ""))
        if kind in one.rule.languages and one.rule.focus == focus
    ]
    findings = [*read.findings, *(patterns.review_own(path, text, kind, own) if own else ())]
    lines = text.split("\n")
    tested = test_lines(text) if kind == "rust" and focus != "keys" else ()
    shown = [
        one
        for one in findings
        if not any(one.line in part for part in tested)
        and not (one.rule == "weak-random" and one.severity == "low" and _is_play(one.line, lines))
    ]
    return {
        "findings": [asdict(one) for one in shown],
        "problems": {path: read.unread} if read.unread else {},
        "settled": [(path, line) for line in read.settled],
    }


def kind_of(path: str) -> str:
    """Return the language or the form of a file, "" where no rules are for it."""
    return language_of(path) or patterns.format_of(path) or ""


def _read(path: str, text: str, focus: Focus) -> Read:
    language = language_of(path)
    if focus == "security":
        return _read_security(path, text, language)
    if language is None:
        return Read()
    if focus == "architecture":
        return Read(quality.review_structure(path, text), quality.understood(text, language))
    if language == "python":
        return Read(review_bugs(path, text) if focus == "bugs" else ())
    return quality.review_quality(path, text, language, focus)


def _read_security(path: str, text: str, language: str | None) -> Read:
    read = Read()
    if language == "python":
        read = read_python(path, text)
    elif language:
        read = patterns.review_patterns(path, text, language)
    elif form := patterns.format_of(path):
        read = Read([*patterns.review_plain(path, text, form)])
    known = {finding.line for finding in read.findings if finding.rule == patterns.RULE}
    return read._replace(findings=[*read.findings, *patterns.review_secrets(path, text, known)])


_PLAY = re.compile(
    r"(?i)jitter|delay|back_?off|retr(?:y|ies)|noise|shuffl|colou?r|sleep|timeout|interval|sampl|position|animat|dice"
    r"|game|weight|percent|probab|seed|bench|velocity|opacity|rotat|placeholder|mock|fake|sort\(|uniform"
)
"""What chance decides that no one gains from guessing."""
_SECRET = re.compile(
    r"(?i)passw|pwd|secret|token|otp|nonce|salt|session|cookie|csrf|api_?key|captcha|remember"
)


_DRAWS = re.compile(r"\b(?:random|rng|_?rand|np|numpy)(?:\.\w+)+")
"""The generator's own names tell nothing of what its numbers are for."""


def _is_play(line: int, lines: Sequence[str]) -> bool:
    own = _DRAWS.sub("", lines[line - 1])
    around = _DRAWS.sub("", "\n".join(lines[max(0, line - 3) : line + 1]))
    if _SECRET.search(own) is None and _PLAY.search(own):
        return True
    return _PLAY.search(around) is not None and _SECRET.search(around) is None


_RUST_TEST = re.compile(r"^(?P<indent>\s*)#\[(?:cfg\((?:all\()?test\b|(?:\w+::)?test\b|rstest\b)")


def test_lines(text: str) -> list[range]:
    lines = text.split("\n")
    parts: list[range] = []
    for number, line in enumerate(lines, 1):
        mark = _RUST_TEST.match(line)
        if mark is None or (parts and number in parts[-1]):
            continue
        closing = mark["indent"] + "}"
        end = next((at for at in range(number, len(lines)) if lines[at].rstrip() == closing), number)
        parts.append(range(number, end + 2))
    return parts


def lint_batch(item: dict[str, Json]) -> dict[str, Json]:
    """`{files: [[path, text]], focus}` -> `{findings, problems}`."""
    found = [(path, text, problem(text.encode("utf-8", "surrogateescape"))) for path, text in item["files"]]
    good = [(path, text) for path, text, why_not in found if not why_not]
    findings, crashed = lint(good, item["focus"]) if good else ([], {})
    problems = {path: why_not for path, _, why_not in found if why_not}
    return {"findings": [asdict(finding) for finding in findings], "problems": problems | crashed}


def relate(item: dict[str, Json]) -> dict[str, Json]:
    """`{texts}` -> `{findings}` about how files hang together."""
    findings = [*quality.review_imports(item["texts"]), *quality.review_doubles(item["texts"])]
    return {"findings": [asdict(finding) for finding in findings]}


# --- analyse ------------------------------------------------------------------------------------------

BATCH_FILES = 400
"""Files to one run of ruff: its start (10 ms) no longer counts, and a worker is not held for long."""
LINT_TIMEOUT_S = 120.0

FLOWS = frozenset({"command-injection", "sql-injection", "code-injection", "ssrf", "xss"})
"""What ruff sees the call of, and not what flows into it."""

Results = list[dict[str, Json]]
"""What the functions above return."""


@dataclass(frozen=True, slots=True)
class Analysed:
    findings: tuple[Finding, ...]
    not_analysed: Mapping[str, str]
    """Path to reason; never counted as clean."""


def read_own(folder: Path) -> str:
    """Read the user's own rules as JSON, "" for none, and try each on its programs. Raises InvalidInput."""
    tables: list[Json] = []
    for file in sorted(folder.glob("*.toml")):
        try:
            rows = tomllib.loads(file.read_text("utf-8")).get("rule", [])
        except (OSError, ValueError) as error:
            raise InvalidInput(f"{file} can't be read: {why(error)}. Correct it, or take it away.") from None
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise InvalidInput(f"{file} must be a list of [[rule]] tables. Correct it, or take it away.")
        tables += [{**row, "source": str(file)} for row in rows]
    text = json.dumps(tables) if tables else ""
    for one in own_rules(text):
        where = f"{one.source}: rule {one.rule.weakness.name!r}"
        for language in sorted(one.rule.languages):
            if language not in {*GRAMMARS, *patterns.FORMS, "python"}:
                raise InvalidInput(f"{where}: no rules can be for {language!r}.")
            for name, program, wanted in (("bad", one.bad, True), ("good", one.good, False)):
                if bool(patterns.review_own("program", program, language, [one.rule])) is not wanted:
                    what = "does not find its" if wanted else "finds its"
                    raise InvalidInput(
                        f"{where} {what} `{name}` program in {language}; correct the rule or the program."
                    )
    return text


async def review_static(
    texts: Mapping[str, str], focus: Focus, workers: Workers, on_done: OnDone | None = None, own: str = ""
) -> Analysed:
    """Review files given as path -> text; `own`: the user's rules, from `read_own`."""
    items, batches, not_analysed = await anyio.to_thread.run_sync(_planned, texts, focus, own)
    analysed = _results(await workers.map(ANALYSE, items, on_done=on_done))
    linted = _results(await workers.map(LINT, batches, timeout_s=LINT_TIMEOUT_S))
    for one in (*analysed, *linted):
        not_analysed |= one["problems"]
    related: Results = []
    if focus == "architecture":
        whole = {path: text for path, text in sorted(texts.items()) if path not in not_analysed}
        related = _results(await workers.map(RELATE, [{"texts": whole}], timeout_s=LINT_TIMEOUT_S))
        not_analysed |= related[0].get("problems", {})
    found = await anyio.to_thread.run_sync(_united, analysed, linted, related)
    return Analysed(found, dict(sorted(not_analysed.items())))


def _results(rows: Sequence[tuple[Json, Json | Failure]]) -> Results:
    """Return what each item came to; one that has no result comes to the reason, for all of its files."""
    return [_lost(item, one.reason) if isinstance(one, Failure) else one for item, one in rows]


def _lost(item: Json, reason: str) -> dict[str, Json]:
    files = item.get("texts") or dict(item.get("files", ()))
    paths = [item["path"]] if "path" in item else files
    return {"findings": [], "problems": dict.fromkeys(paths, reason), "settled": []}


def _planned(
    texts: Mapping[str, str], focus: Focus, own: str
) -> tuple[list[Json], list[Json], dict[str, str]]:
    """Return what to analyse, what to lint, and why neither is done to other files."""
    paths = sorted(texts)
    python = [path for path in paths if language_of(path) == "python"]
    users = {kind for one in own_rules(own) if one.rule.focus == focus for kind in one.rule.languages}
    not_analysed = {
        path: reason
        for path in paths
        if kind_of(path) not in users and (reason := _no_rules(kind_of(path), path, focus))
    }
    skipped = {*not_analysed, *(python if focus in {"performance", "style"} else ())}
    if focus == "security":
        skipped = set()  # any file may hold secrets; these stay not analysed for all else
    items: list[Json] = [
        {"path": path, "text": texts[path], "focus": focus, "own": own}
        for path in paths
        if path not in skipped
    ]
    batches: list[Json] = [
        {"files": [(path, texts[path]) for path in python[start : start + BATCH_FILES]], "focus": focus}
        for start in range(0, len(python), BATCH_FILES)
    ]
    return items, batches, not_analysed


async def review_all(
    texts: Mapping[str, str],
    focuses: Sequence[Focus],
    workers: Workers,
    on_done: OnDone | None = None,
    keys_in: Mapping[str, str] | None = None,
    *,
    own: str = "",
) -> Analysed:
    """Review for several focuses, `keys_in` for keys alone; not analysed is what no focus could read."""
    done = shown = 0

    def each(count: int) -> None:
        nonlocal shown
        through = (done + count) // len(focuses)  # a file is through when every focus is
        if on_done and through > shown:
            shown = through
            on_done(through)

    results = []
    for focus in focuses:
        results.append(await review_static(texts, focus, workers, each, own))
        done += len(texts)
    found = [finding for result in results for finding in result.findings]
    if keys_in and "security" in focuses:
        items: list[Json] = [
            {"path": path, "text": text, "focus": "keys"} for path, text in sorted(keys_in.items())
        ]
        rows = _results(await workers.map(ANALYSE, items))
        found += [from_json(table) for row in rows for table in row["findings"]]
    unread = {
        path: reason
        for path, reason in results[0].not_analysed.items()
        if all(path in result.not_analysed for result in results)
    }
    united = await anyio.to_thread.run_sync(merge, found) if len(results) > 1 or keys_in else found
    return Analysed(tuple(united), unread)


def coverage(paths: Iterable[str], focuses: Sequence[Focus], own: str = "") -> dict[str, dict[str, int]]:
    """Return, by focus and language or format, how many rules look at such a file; 0: nothing does."""
    kinds = {kind_of(path) for path in paths} - {""}
    more = Counter((one.rule.focus, kind) for one in own_rules(own) for kind in one.rule.languages)
    return {
        focus: {kind: _rules_for(kind, focus) + more[focus, kind] for kind in sorted(kinds)}
        for focus in focuses
    }


def _no_rules(kind: str, path: str, focus: Focus) -> str:
    """Return why no analyser of ours reads such a file, "" where one does."""
    if not kind or (kind in patterns.FORMS and focus != "security"):
        suffix = PurePosixPath(path).suffix
        return f"no analyser for {suffix} files" if suffix else "no analyser for this kind of file"
    if kind == "python" or focus in {"architecture", "security"} or quality.quality_rules_of(kind, focus):
        return ""
    return f"no rules on {focus} for {kind}"


@functools.cache
def _rules_for(kind: str, focus: Focus) -> int:
    if focus == "architecture" and kind in GRAMMARS:
        return len(quality.STRUCTURE)
    if kind != "python":
        return len(rules_of(kind) if focus == "security" else quality.quality_rules_of(kind, focus))
    structure = len(quality.STRUCTURE) + len(quality.STRUCTURE_OF_PYTHON)
    ours = {"security": len(WEAKNESSES_REACHED), "bugs": bugs.RULES, "architecture": structure}
    return ours.get(focus, 0) + count_rules(focus)


def _united(analysed: Results, linted: Results, related: Results) -> tuple[Finding, ...]:
    """Merge what the workers found: of many thousand findings that is too much for the loop."""
    settled = {(path, line) for one in analysed for path, line in one["settled"]}
    tables = [table for one in (*analysed, *related) for table in one["findings"]]
    tables += [
        table
        for one in linted
        for table in one["findings"]
        if table["rule"] not in FLOWS or (table["path"], table["line"]) not in settled
    ]
    return tuple(merge(_weighed(from_json(table)) for table in tables))


def _weighed(finding: Finding) -> Finding:
    """Take a password in test code for the test's own, unless its shape is a provider's."""
    is_doubtful = finding.rule == patterns.RULE and finding.confidence < patterns.SHAPED
    return replace(finding, severity="low") if is_doubtful and is_test(finding.path) else finding
