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
from fanout_mcp.review.static import patterns
from fanout_mcp.review.static.grammars import GRAMMARS, language_of
from fanout_mcp.review.static.lint import count_rules
from fanout_mcp.review.static.patterns import FORMS, format_of, review_own, review_plain
from fanout_mcp.review.static.python import bugs
from fanout_mcp.review.static.python.sinks import CALLS, METHODS
from fanout_mcp.review.static.quality import quality_rules_of
from fanout_mcp.review.static.rules import own_rules, rules_of
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
    """`{path, text, focus, own}` -> `{findings, imports, unread, settled}`. Raises why it is not analysed.

    The focus `keys` looks for providers' keys alone, in what a review leaves out otherwise.
    """
    path, text, focus = item["path"], item["text"], item["focus"]
    why_not = problem(text.encode("utf-8", "surrogateescape"))
    if why_not:
        raise ValueError(why_not)
    language = language_of(path)
    if focus == "keys":
        from fanout_mcp.review.static.patterns import review_keys

        return {"findings": [asdict(one) for one in review_keys(path, text)], "imports": [], "unread": ""}
    findings: list[Finding] = []
    imports: list[tuple[str, int]] = []
    unread = ""
    settled: list[int] = []
    if focus == "security" and language == "python":
        from fanout_mcp.review.static.python.security import read_python

        findings, settled = read_python(path, text)
    elif focus == "security" and language:
        from fanout_mcp.review.static.patterns import review_patterns

        findings, unread = review_patterns(path, text, language)
    elif focus == "security" and (form := format_of(path)):
        findings = list(review_plain(path, text, form))
    elif focus == "architecture" and language:
        from fanout_mcp.review.static.tangles import imports_of, review_structure, understood

        findings = review_structure(path, text)
        imports = imports_of(path, text) if language == "python" else []
        unread = understood(text, language)
    elif focus == "bugs" and language == "python":
        from fanout_mcp.review.static.python.bugs import review_bugs

        findings = review_bugs(path, text)
    elif language and language != "python":
        from fanout_mcp.review.static.quality import review_quality

        findings, unread = review_quality(path, text, language, focus)
    if focus == "security":
        from fanout_mcp.review.static.patterns import RULE, review_secrets

        known = {finding.line for finding in findings if finding.rule == RULE}
        findings += review_secrets(path, text, known)
    kind = language or format_of(path)
    own = [one.rule for one in own_rules(item.get("own", "")) if kind in one.languages and one.focus == focus]
    findings += review_own(path, text, kind, own) if kind and own else []
    if any(finding.rule == "weak-random" for finding in findings):
        lines = text.split("\n")
        findings = [one for one in findings if not (one.rule == "weak-random" and _is_play(one.line, lines))]
    tested = test_lines(text) if language == "rust" else ()
    found = [asdict(finding) for finding in findings if not any(finding.line in part for part in tested)]
    return {"findings": found, "imports": imports, "unread": unread, "settled": settled}


_PLAY = re.compile(
    r"(?i)jitter|delay|back_?off|retr(?:y|ies)|noise|shuffl|colou?r|sleep|timeout|interval|sampl|position|animat|dice"
    r"|game|weight|percent|probab|seed|bench|velocity|opacity|rotat|placeholder|mock|fake|sort\(|uniform"
)
"""What chance decides that no one gains from guessing."""
_SECRET = re.compile(
    r"(?i)passw|pwd|secret|token|otp|nonce|salt|session|cookie|csrf|api_?key|captcha|remember"
)


def _is_play(line: int, lines: Sequence[str]) -> bool:
    own, around = lines[line - 1], "\n".join(lines[max(0, line - 3) : line + 1])
    if _SECRET.search(own) is None and _PLAY.search(own):
        return True
    return _PLAY.search(around) is not None and _SECRET.search(around) is None


_RUST_TEST = re.compile(r"^(?P<indent>\s*)#\[(?:cfg\((?:all\()?test\b|(?:\w+::)?test\b|rstest\b)")


def test_lines(text: str) -> list[range]:
    """Return the lines of a Rust file's own tests, modules and functions, as rustfmt lays them out."""
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
    from fanout_mcp.review.static.lint import lint

    focus: Focus = item["focus"]
    good: list[tuple[str, str]] = []
    problems: dict[str, str] = {}
    for path, text in item["files"]:
        why_not = problem(text.encode("utf-8", "surrogateescape"))
        if why_not:
            problems[path] = why_not
        else:
            good.append((path, text))
    findings, crashed = lint(good, focus) if good else ([], {})
    return {"findings": [asdict(finding) for finding in findings], "problems": problems | crashed}


def relate(item: dict[str, Json]) -> list[Json]:
    """`{imports, texts}` -> findings about how files hang together."""
    from fanout_mcp.review.static.tangles import review_doubles, review_imports

    findings = [*review_imports(item["imports"], item["texts"]), *review_doubles(item["texts"])]
    return [asdict(finding) for finding in findings]


# --- analyse ------------------------------------------------------------------------------------------

BATCH_FILES = 400
"""Files to one run of ruff: its start (10 ms) no longer counts, and a worker is not held for long."""
LINT_TIMEOUT_S = 120.0

FLOWS = frozenset({"command-injection", "sql-injection", "code-injection", "ssrf", "xss"})
"""What ruff sees the call of, and not what flows into it."""

Results = list[tuple[Json, Json | Failure]]


@dataclass(frozen=True, slots=True)
class Analysed:
    findings: tuple[Finding, ...]
    not_analysed: Mapping[str, str]
    """Path to reason; never counted as clean."""


def read_own(folder: Path) -> str:
    """Read the user's own rules as JSON, "" where there are none, and try each on its two programs.

    Raises InvalidInput that names the file and the rule.
    """
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
        for language in sorted(one.languages):
            if language not in {*GRAMMARS, *FORMS, "python"}:
                raise InvalidInput(
                    f"{one.source}: rule {one.rule.weakness!r}: no rules can be for {language!r}."
                )
            for name, program, wanted in (("bad", one.bad, True), ("good", one.good, False)):
                if bool(review_own("program", program, language, [one.rule])) is not wanted:
                    what = "does not find its" if wanted else "finds its"
                    raise InvalidInput(
                        f"{one.source}: rule {one.rule.weakness!r} {what} `{name}` program in {language}; "
                        "correct the rule or the program."
                    )
    return text


async def review_static(
    texts: Mapping[str, str], focus: Focus, workers: Workers, on_done: OnDone | None = None, own: str = ""
) -> Analysed:
    """Review files given as path -> text; `own`: the user's rules, from `read_own`."""
    paths = sorted(texts)
    known = [path for path in paths if language_of(path)]
    python = [path for path in known if language_of(path) == "python"]
    not_analysed = {path: reason for path in paths if (reason := _no_rules(path, focus))}
    if focus == "security":
        read = paths  # any file may hold secrets; these stay not analysed for all else
    elif focus in {"architecture", "bugs"}:
        read = [path for path in known if path not in not_analysed]
    else:
        read = [path for path in known if path not in set(python) and path not in not_analysed]
    items: list[Json] = [{"path": path, "text": texts[path], "focus": focus, "own": own} for path in read]
    analysed = await workers.map(ANALYSE, items, on_done=on_done)
    batches: list[Json] = [
        {"files": [(path, texts[path]) for path in python[start : start + BATCH_FILES]], "focus": focus}
        for start in range(0, len(python), BATCH_FILES)
    ]
    linted = await workers.map(LINT, batches, timeout_s=LINT_TIMEOUT_S)
    not_analysed |= _problems(analysed, linted)
    related: Results = []
    if focus == "architecture":
        whole = {path: texts[path] for path in known if path not in not_analysed}
        pairs: list[Json] = [{"imports": _imports(analysed), "texts": whole}]
        related = await workers.map(RELATE, pairs, timeout_s=LINT_TIMEOUT_S)
    found = await anyio.to_thread.run_sync(_united, analysed, linted, related)
    return Analysed(found, dict(sorted(not_analysed.items())))


async def review_all(
    texts: Mapping[str, str],
    focuses: Sequence[Focus],
    workers: Workers,
    on_done: OnDone | None = None,
    keys_in: Mapping[str, str] | None = None,
    *,
    own: str = "",
) -> Analysed:
    """Review files for several focuses, and look for providers' keys in others (`keys_in`).

    A file counts as not analysed where no focus could read it.
    """
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
        rows = await workers.map(ANALYSE, items)
        found += [from_json(table) for _, row in rows for table in _findings(row)]
    unread = {
        path: reason
        for path, reason in results[0].not_analysed.items()
        if all(path in result.not_analysed for result in results)
    }
    united = await anyio.to_thread.run_sync(merge, found) if len(results) > 1 or keys_in else found
    return Analysed(tuple(united), unread)


def coverage(paths: Iterable[str], focuses: Sequence[Focus], own: str = "") -> dict[str, dict[str, int]]:
    """Return, by focus and language or format, how many rules look at such a file; 0: nothing does."""
    kinds = {language_of(path) or (format_of(path) or "") for path in paths} - {""}
    more = Counter((one.focus, kind) for one in own_rules(own) for kind in one.languages)
    return {
        focus: {kind: _rules_for(kind, focus) + more[focus, kind] for kind in sorted(kinds)}
        for focus in focuses
    }


def _no_rules(path: str, focus: Focus) -> str:
    """Return why no analyser of a focus reads such a file, "" where one does."""
    kind = language_of(path) or (format_of(path) if focus == "security" else None)
    if kind is None:
        suffix = PurePosixPath(path).suffix
        return f"no analyser for {suffix} files" if suffix else "no analyser for this kind of file"
    if focus in {"architecture", "security"} or _rules_for(kind, focus):
        return ""
    return f"no rules on {focus} for {kind}"


@functools.cache
def _rules_for(kind: str, focus: Focus) -> int:
    if kind == "python":
        groups = [(sink,) for sink in CALLS.values()] + list(METHODS.values()) if focus == "security" else []
        sinks = {sink.weakness for group in groups for sink in group}
        return len(sinks) + count_rules(focus) + (bugs.RULES if focus == "bugs" else 0)
    if kind not in GRAMMARS:
        return len(rules_of(kind)) if focus == "security" else 0
    if focus == "security":
        return len(rules_of(kind))
    return len(quality_rules_of(kind, focus))


def _problems(analysed: Results, linted: Results) -> dict[str, str]:
    problems: dict[str, str] = {}
    for item, result in analysed:
        reason = result.reason if isinstance(result, Failure) else result["unread"]
        problems |= {item["path"]: reason} if reason else {}
    for item, result in linted:
        if isinstance(result, Failure):
            problems |= {path: result.reason for path, _ in item["files"]}
        else:
            problems |= result["problems"]
    return problems


def _imports(analysed: Results) -> dict[str, Sequence[tuple[str, int]]]:
    return {
        item["path"]: result["imports"]
        for item, result in analysed
        if not isinstance(result, Failure) and result["imports"]
    }


def _united(analysed: Results, linted: Results, related: Results) -> tuple[Finding, ...]:
    """Merge what the workers found: of many thousand findings that is too much for the loop."""
    settled = {
        (item["path"], line)
        for item, result in analysed
        if not isinstance(result, Failure)
        for line in result.get("settled", ())
    }
    tables = [table for _, result in (*analysed, *related) for table in _findings(result)]
    tables += [
        table
        for _, result in linted
        for table in _findings(result)
        if table["rule"] not in FLOWS or (table["path"], table["line"]) not in settled
    ]
    return tuple(merge(_weighed(from_json(table)) for table in tables))


def _findings(result: Json | Failure) -> Sequence[Json]:
    if isinstance(result, Failure):
        return ()
    found: Sequence[Json] = result["findings"] if isinstance(result, dict) else result
    return found


def _weighed(finding: Finding) -> Finding:
    """Take a password in test code for the test's own, unless its shape is a provider's."""
    is_doubtful = finding.rule == patterns.RULE and finding.confidence < patterns.SHAPED
    return replace(finding, severity="low") if is_doubtful and is_test(finding.path) else finding
