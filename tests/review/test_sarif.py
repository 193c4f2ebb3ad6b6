"""SARIF 2.1.0: the fields that the standard requires, in the forms it requires."""

from __future__ import annotations

import json
from typing import Any

from jsonschema import Draft202012Validator  # type: ignore[import-untyped] # ships no types

from fanout_mcp.review.finding import Finding
from fanout_mcp.review.sarif import to_sarif

TEXT = {"type": "object", "required": ["text"], "properties": {"text": {"type": "string", "minLength": 1}}}
LOCATION: dict[str, Any] = {
    "type": "object",
    "required": ["physicalLocation"],
    "properties": {
        "physicalLocation": {
            "type": "object",
            "required": ["artifactLocation"],
            "properties": {
                "artifactLocation": {"properties": {"uri": {"type": "string", "pattern": "^[!-~]+$"}}},
                "region": {
                    "required": ["startLine"],
                    "properties": {"startLine": {"minimum": 1}, "endLine": {"minimum": 1}, "snippet": TEXT},
                },
            },
        }
    },
}
RESULT: dict[str, Any] = {
    "type": "object",
    "required": ["message", "ruleId", "ruleIndex", "level", "locations"],
    "properties": {
        "message": TEXT,
        "level": {"enum": ["none", "note", "warning", "error"]},
        "locations": {"type": "array", "items": LOCATION},
        "partialFingerprints": {"additionalProperties": {"type": "string"}},
    },
}
REQUIRED = {
    "type": "object",
    "required": ["version", "runs"],
    "properties": {
        "version": {"const": "2.1.0"},
        "runs": {
            "items": {
                "required": ["tool"],
                "properties": {
                    "tool": {"required": ["driver"], "properties": {"driver": {"required": ["name"]}}},
                    "invocations": {"items": {"required": ["executionSuccessful"]}},
                    "results": {"items": RESULT},
                },
            },
        },
    },
}
"""The part of the standard's schema that we use, by hand; the whole one isn't ours to pass on."""

FINDINGS = [
    Finding("a b/ü#.py", 3, 4, "x = 1\ny = 2", "high", "sql-injection", "SQL", "why", "fix", 89),
    Finding("bad\udcff.py", 1, 1, "eval(x)", "low", "eval", "Eval"),
    Finding("c.py", 9, 9, "y = eval(x)", "low", "eval", "Eval again"),
]


def test_the_log_is_valid_and_names_what_was_not_analysed() -> None:
    log = to_sarif(FINDINGS, "1.0.0", {"min.js": "longest line"})
    Draft202012Validator(REQUIRED).validate(json.loads(json.dumps(log)))
    run = log["runs"][0]
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == ["sql-injection", "eval"]
    assert [result["ruleIndex"] for result in run["results"]] == [0, 1, 1]
    assert (
        run["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        == "a%20b/%C3%BC%23.py"
    )
    assert "longest line" in run["invocations"][0]["toolExecutionNotifications"][0]["message"]["text"]


def test_a_finding_keeps_its_fingerprint_when_lines_above_it_change() -> None:
    one, other = (Finding("a.py", n, n, "eval(x)", "low", "eval", "Eval") for n in (3, 9))
    prints = [to_sarif([f], "1", {})["runs"][0]["results"][0]["partialFingerprints"] for f in (one, other)]
    assert prints[0] == prints[1]


def test_nothing_found_is_a_valid_log_too() -> None:
    Draft202012Validator(REQUIRED).validate(to_sarif([], "1.0.0", {}))
