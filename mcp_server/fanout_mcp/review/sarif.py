"""Write findings as SARIF 2.1.0, the form that code hosts and editors read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import quote

from fanout_mcp.review.finding import Finding, rank
from fanout_mcp.review.scope import identity
from fanout_mcp.types import Json

SCHEMA_URI: Final = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)

_LEVEL = {"critical": "error", "high": "error", "medium": "warning", "low": "note", "info": "note"}
_SCORE = {"critical": "9.5", "high": "8.0", "medium": "5.5", "low": "3.0", "info": "0.5"}
"""`security-severity`, by which code hosts sort: the middle of each CVSS band."""

MAX_RESULTS: Final = 25_000
"""GitHub refuses a run with more; it shows the 5,000 most severe."""


def to_sarif(findings: Sequence[Finding], version: str, not_analysed: Mapping[str, str]) -> dict[str, Json]:
    """Return the log; what is `not_analysed` (path to reason) is a notification in it, and not clean."""
    left = len(findings) - MAX_RESULTS
    if left > 0:
        kept = {id(one) for one in sorted(findings, key=lambda one: rank(one.severity))[:MAX_RESULTS]}
        findings = [one for one in findings if id(one) in kept]
    rules = list(dict.fromkeys(finding.rule for finding in findings))
    first = {finding.rule: finding for finding in reversed(findings)}
    index = {rule: position for position, rule in enumerate(rules)}
    run: dict[str, Json] = {
        "tool": {
            "driver": {
                "name": "fanout",
                "semanticVersion": version,
                "rules": [_rule(first[rule]) for rule in rules],
            },
        },
        "invocations": [
            {"executionSuccessful": True, "toolExecutionNotifications": _notes(not_analysed, left)}
        ],
        "originalUriBaseIds": {"SRCROOT": {"description": {"text": "The root of the reviewed project."}}},
        "columnKind": "unicodeCodePoints",
        "results": [_result(finding, index[finding.rule]) for finding in findings],
    }
    return {"$schema": SCHEMA_URI, "version": "2.1.0", "runs": [run]}


def _rule(finding: Finding) -> dict[str, Json]:
    rule: dict[str, Json] = {
        "id": finding.rule,
        "shortDescription": {"text": finding.title or finding.rule},
        "defaultConfiguration": {"level": _LEVEL[finding.severity]},
        "properties": {"security-severity": _SCORE[finding.severity]},
    }
    if finding.fix:
        rule["help"] = {"text": finding.fix}
    if finding.cwe:
        rule["properties"]["tags"] = ["security", f"external/cwe/cwe-{finding.cwe:03d}"]
    return rule


def _result(finding: Finding, rule_index: int) -> dict[str, Json]:
    text = ". ".join(part.rstrip(".") for part in (finding.title, finding.why, finding.fix) if part) + "."
    return {
        "ruleId": finding.rule,
        "ruleIndex": rule_index,
        "level": _LEVEL[finding.severity],
        "message": {"text": text},
        "locations": [_location(finding)] if finding.path else [],
        "partialFingerprints": {"fanout/v1": finding.identity or identity(finding)},
        "properties": {
            "severity": finding.severity,
            "confidence": finding.confidence,
            "reviewers": list(finding.reviewers),
            "verified": finding.verified,
            **({"probability": finding.probability} if finding.probability is not None else {}),
        },
    }


def _location(finding: Finding) -> dict[str, Json]:
    place: dict[str, Json] = {"artifactLocation": _artifact(finding.path)}
    if finding.line:
        region = {"startLine": finding.line, "endLine": finding.end_line}
        place["region"] = region | ({"snippet": {"text": finding.quote}} if finding.quote else {})
    return {"physicalLocation": place}


def _artifact(path: str) -> dict[str, Json]:
    # Bytes that are no UTF-8 come as surrogates and go back to bytes; a URI holds neither them nor blanks.
    return {"uri": quote(path.encode("utf-8", "surrogateescape")), "uriBaseId": "SRCROOT"}


def _notes(not_analysed: Mapping[str, str], left: int) -> list[Json]:
    over = f"{left:,} less severe findings are left out: a run may have {MAX_RESULTS:,} results."
    return [
        *([{"level": "warning", "message": {"text": over}}] if left > 0 else []),
        *(
            {
                "level": "warning",
                "message": {"text": f"Not analysed: {reason}"},
                "locations": [{"physicalLocation": {"artifactLocation": _artifact(path)}}],
            }
            for path, reason in sorted(not_analysed.items())
        ),
    ]
