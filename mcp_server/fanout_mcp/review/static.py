"""Review without a model: every analyser of a focus, in worker processes, their findings united."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from fanout_mcp.review.analysers import kept_secrets
from fanout_mcp.review.analysers.languages import language_of
from fanout_mcp.review.analysers.plain import format_of
from fanout_mcp.review.analysers.work import ANALYSE, LINT, RELATE, from_json
from fanout_mcp.review.finding import Finding, Focus, is_test
from fanout_mcp.review.merge import merge
from fanout_mcp.source.workers import Failure, OnDone, Workers
from fanout_mcp.types import Json

BATCH_FILES = 400
"""Files to one run of ruff: its start (10 ms) no longer counts, and a worker is not held for long."""
LINT_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True)
class Analysed:
    findings: tuple[Finding, ...]
    not_analysed: Mapping[str, str]
    """Path to reason; never counted as clean."""


async def review_static(
    texts: Mapping[str, str], focus: Focus, workers: Workers, on_done: OnDone | None = None
) -> Analysed:
    """Review files given as path -> text."""
    paths = sorted(texts)
    known = [path for path in paths if language_of(path)]
    python = [path for path in known if language_of(path) == "python"]
    read = {path for path in paths if language_of(path) or (focus == "security" and format_of(path))}
    not_analysed = {path: "no analyser for this kind of file" for path in paths if path not in read}
    findings: list[Finding] = []
    imports: dict[str, Sequence[tuple[str, int]]] = {}
    if focus == "security":
        own = paths  # secrets stand in files of any kind; these stay not analysed for all else
    elif focus == "architecture":
        own = known
    else:
        own = [path for path in known if path not in set(python)]
    items: list[Json] = [{"path": path, "text": texts[path], "focus": focus} for path in own]
    for item, result in await workers.map(ANALYSE, items, on_done=on_done):
        if isinstance(result, Failure):
            not_analysed[item["path"]] = result.reason
            continue
        findings += [from_json(table) for table in result["findings"]]
        if result["unread"]:
            not_analysed[item["path"]] = result["unread"]
        if result["imports"]:
            imports[item["path"]] = result["imports"]
    linted = await _linted([(path, texts[path]) for path in python], focus, workers)
    findings += linted.findings
    not_analysed |= linted.not_analysed
    if focus == "architecture":
        whole = {path: texts[path] for path in known if path not in not_analysed}
        for _, result in await workers.map(
            RELATE, [{"imports": imports, "texts": whole}], timeout_s=LINT_TIMEOUT_S
        ):
            findings += [] if isinstance(result, Failure) else [from_json(table) for table in result]
    return Analysed(tuple(merge(map(_weighed, findings))), dict(sorted(not_analysed.items())))


def _weighed(finding: Finding) -> Finding:
    """Take a password in test code for the test's own, unless its shape is a provider's."""
    is_doubtful = finding.rule == kept_secrets.RULE and finding.confidence < kept_secrets.SHAPED
    return replace(finding, severity="low") if is_doubtful and is_test(finding.path) else finding


async def _linted(files: Sequence[tuple[str, str]], focus: Focus, workers: Workers) -> Analysed:
    batches: list[Json] = [
        {"files": files[start : start + BATCH_FILES], "focus": focus}
        for start in range(0, len(files), BATCH_FILES)
    ]
    findings: list[Finding] = []
    problems: dict[str, str] = {}
    for item, result in await workers.map(LINT, batches, timeout_s=LINT_TIMEOUT_S):
        if isinstance(result, Failure):
            problems |= {path: result.reason for path, _ in item["files"]}
        else:
            findings += [from_json(table) for table in result["findings"]]
            problems |= result["problems"]
    return Analysed(tuple(findings), problems)
