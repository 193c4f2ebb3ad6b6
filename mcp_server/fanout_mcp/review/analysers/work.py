"""What a worker process does for a review: for a file, for ruff's batch, for all files together.

Items and results are JSON values, since they pass between processes.
"""

from __future__ import annotations

from dataclasses import asdict

from fanout_mcp.review.analysers.languages import language_of
from fanout_mcp.review.analysers.plain import format_of, review_plain
from fanout_mcp.review.finding import Finding, Focus
from fanout_mcp.source.shape import problem
from fanout_mcp.types import Json

ANALYSE = "fanout_mcp.review.analysers.work:analyse"
RELATE = "fanout_mcp.review.analysers.work:relate"
LINT = "fanout_mcp.review.analysers.work:lint_batch"


def analyse(item: dict[str, Json]) -> dict[str, Json]:
    """`{path, text, focus}` -> `{findings, imports, unread, settled}`. Raises why it is not analysed.

    The focus `keys` looks for providers' keys alone, in what a review leaves out otherwise.
    """
    path, text, focus = item["path"], item["text"], item["focus"]
    why_not = problem(text.encode("utf-8", "surrogateescape"))
    if why_not:
        raise ValueError(why_not)
    language = language_of(path)
    if focus == "keys":
        from fanout_mcp.review.analysers.kept_secrets import review_keys

        return {"findings": [asdict(one) for one in review_keys(path, text)], "imports": [], "unread": ""}
    findings: list[Finding] = []
    imports: list[tuple[str, int]] = []
    unread = ""
    settled: list[int] = []
    if focus == "security" and language == "python":
        from fanout_mcp.review.analysers.python import read_python

        findings, settled = read_python(path, text)
    elif focus == "security" and language:
        from fanout_mcp.review.analysers.patterns import review_patterns

        findings, unread = review_patterns(path, text, language)
    elif focus == "security" and (form := format_of(path)):
        findings = list(review_plain(path, text, form))
    elif focus == "architecture" and language:
        from fanout_mcp.review.analysers.structure import imports_of, review_structure, understood

        findings = review_structure(path, text)
        imports = imports_of(path, text) if language == "python" else []
        unread = understood(text, language)
    elif language and language != "python":
        from fanout_mcp.review.analysers.quality import review_quality

        findings, unread = review_quality(path, text, language, focus)
    if focus == "security":
        from fanout_mcp.review.analysers.kept_secrets import RULE, review_secrets

        known = {finding.line for finding in findings if finding.rule == RULE}
        findings += review_secrets(path, text, known)
    found = [asdict(finding) for finding in findings]
    return {"findings": found, "imports": imports, "unread": unread, "settled": settled}


def lint_batch(item: dict[str, Json]) -> dict[str, Json]:
    """`{files: [[path, text]], focus}` -> `{findings, problems}`."""
    from fanout_mcp.review.analysers.lint import lint

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
    from fanout_mcp.review.analysers.structure import review_doubles, review_imports

    findings = [*review_imports(item["imports"], item["texts"]), *review_doubles(item["texts"])]
    return [asdict(finding) for finding in findings]
