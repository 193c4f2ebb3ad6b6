"""Findings of other reviewers, in the forms that those print, as our own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fanout_mcp.errors import InvalidInput
from fanout_mcp.review.answers import localised, verify_in_tree
from fanout_mcp.review.finding import Finding
from fanout_mcp.review.foreign import read_findings
from fanout_mcp.types import Json

SEMGREP_SARIF: Json = {
    "version": "2.1.0",
    "runs": [
        {
            "tool": {
                "driver": {
                    "name": "Semgrep OSS",
                    "rules": [
                        {
                            "id": "python.eval",
                            "defaultConfiguration": {"level": "warning"},
                            "properties": {"tags": ["CWE-95: Eval Injection", "security"]},
                        },
                        {
                            "id": "ql/sql",
                            "properties": {"security-severity": "9.1", "tags": ["external/cwe/cwe-089"]},
                        },
                    ],
                }
            },
            "results": [
                {
                    "ruleId": "python.eval",
                    "message": {"text": "Detected eval of {0}.", "arguments": ["text"]},
                    "locations": [
                        {
                            "physicalLocation": {
                                "artifactLocation": {"uri": "src/my%20app.py"},
                                "region": {
                                    "startLine": 3,
                                    "endLine": 4,
                                    "snippet": {"text": "    eval(text)"},
                                },
                            }
                        }
                    ],
                },
                {"ruleIndex": 1, "message": {"text": "Query from input"}, "level": "error"},
                {
                    "ruleId": "python.eval",
                    "message": {"text": "gone"},
                    "suppressions": [{"kind": "inSource"}],
                },
            ],
        }
    ],
}
ESLINT = [
    {
        "filePath": "/ci/repo/src/a.js",
        "messages": [
            {"ruleId": "no-eval", "severity": 2, "message": "eval can be harmful.", "line": 7, "endLine": 7}
        ],
    },
    {"filePath": "/ci/repo/src/b.js", "messages": []},
]
GOLANGCI = {
    "Issues": [
        {
            "FromLinter": "errcheck",
            "Text": "Error return value is not checked",
            "Severity": "",
            "SourceLines": ["\tf.Close()"],
            "Pos": {"Filename": "main.go", "Line": 12, "Column": 3},
        }
    ]
}
CLIPPY = "\n".join(
    [
        '{"reason":"compiler-artifact","package_id":"x"}',
        json.dumps(
            {
                "reason": "compiler-message",
                "message": {
                    "message": "this loop never actually loops",
                    "level": "error",
                    "code": {"code": "clippy::never_loop"},
                    "spans": [
                        {"file_name": "src/main.rs", "line_start": 5, "line_end": 9, "is_primary": True}
                    ],
                },
            }
        ),
        '{"reason":"build-finished","success":true}',
    ]
)
REPORT_FINDINGS = {
    "level": "high",
    "findings": [
        {
            "file": "src/a.py",
            "line": 8,
            "summary": "The retry never ends",
            "short_summary": "endless retry",
            "failure_scenario": "A 500 on every try keeps the worker busy for ever",
            "category": "correctness",
            "severity": "important",
            "verdict": "CONFIRMED",
        }
    ],
}
CODEX = {
    "findings": [
        {
            "title": "[P1] Await the save",
            "body": "The promise is dropped, so a failed save is lost.",
            "confidence_score": 0.8,
            "priority": 1,
            "code_location": {
                "absolute_file_path": "/w/repo/src/save.ts",
                "line_range": {"start": 4, "end": 6},
            },
        }
    ],
    "overall_correctness": "patch is incorrect",
}
CODERABBIT = "\n".join(  # noqa: FLY002 - a line each, as it prints them
    [
        '{"type":"review_context","reviewType":"all"}',
        '{"type":"heartbeat"}',
        '{"type":"finding","severity":"major","fileName":"src/cart.ts","comment":"Check qty for zero"}',
        '{"type":"complete","status":"review_completed","findings":1}',
    ]
)
OURS = {
    "findings": [
        {
            "path": "a.py",
            "line": 3,
            "quote": "eval(text)",
            "severity": "high",
            "rule": "eval",
            "cwe": "CWE-95",
            "title": "Code from input",
            "why": "text is a parameter",
            "fix": "ast.literal_eval",
            "reviewers": ["critic", "security"],
            "verified": "exact",
        }
    ],
    "counts": {"high": 1},
}
SEMGREP = {
    "results": [
        {
            "check_id": "go.weak-hash",
            "path": "h.go",
            "start": {"line": 9, "col": 1},
            "end": {"line": 9, "col": 9},
            "extra": {
                "message": "MD5 is weak",
                "severity": "WARNING",
                "metadata": {"cwe": ["CWE-328: Weak Hash"]},
            },
        }
    ]
}
BANDIT = {
    "results": [
        {
            "filename": "./a.py",
            "line_number": 2,
            "issue_text": "Use of assert detected.",
            "issue_severity": "LOW",
            "test_id": "B101",
            "issue_cwe": {"id": 703},
        }
    ]
}
RUFF = [
    {
        "filename": "/x/a.py",
        "code": "F401",
        "message": "`os` imported but unused",
        "location": {"row": 1, "column": 8},
        "end_location": {"row": 1, "column": 10},
    }
]
WRAPPED = {"type": "result", "result": "Here it is:\n```json\n" + json.dumps(REPORT_FINDINGS) + "\n```\n"}


def brief(finding: Finding) -> tuple[object, ...]:
    return (
        finding.reviewers,
        finding.path,
        finding.line,
        finding.severity,
        finding.rule,
        finding.cwe,
        finding.title,
    )


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        pytest.param(
            "s.sarif",
            json.dumps(SEMGREP_SARIF),
            [
                (("Semgrep OSS",), "src/my app.py", 3, "medium", "python.eval", 95, "Detected eval of text."),
                (("Semgrep OSS",), "", 0, "critical", "ql/sql", 89, "Query from input"),
            ],
            id="SARIF",
        ),
        pytest.param(
            "e.json",
            json.dumps(ESLINT),
            [(("eslint",), "/ci/repo/src/a.js", 7, "medium", "no-eval", None, "eval can be harmful.")],
            id="eslint",
        ),
        pytest.param(
            "g.json",
            json.dumps(GOLANGCI),
            [
                (
                    ("golangci-lint",),
                    "main.go",
                    12,
                    "medium",
                    "errcheck",
                    None,
                    "Error return value is not checked",
                )
            ],
            id="golangci-lint",
        ),
        pytest.param(
            "c.json",
            CLIPPY,
            [
                (
                    ("clippy",),
                    "src/main.rs",
                    5,
                    "high",
                    "clippy::never_loop",
                    None,
                    "this loop never actually loops",
                )
            ],
            id="clippy",
        ),
        pytest.param(
            "r.json",
            json.dumps(REPORT_FINDINGS),
            [(("claude-code",), "src/a.py", 8, "high", "correctness", None, "The retry never ends")],
            id="ReportFindings",
        ),
        pytest.param(
            "call.json",
            json.dumps({"type": "tool_use", "name": "ReportFindings", "input": REPORT_FINDINGS}),
            [(("claude-code",), "src/a.py", 8, "high", "correctness", None, "The retry never ends")],
            id="a call of ReportFindings",
        ),
        pytest.param(
            "p.json",
            json.dumps(WRAPPED),
            [(("claude-code",), "src/a.py", 8, "high", "correctness", None, "The retry never ends")],
            id="printed by claude -p",
        ),
        pytest.param(
            "x.json",
            json.dumps(CODEX),
            [(("codex",), "/w/repo/src/save.ts", 4, "high", "", None, "[P1] Await the save")],
            id="codex",
        ),
        pytest.param(
            "x.jsonl",
            json.dumps(
                {"type": "item.completed", "item": {"type": "agent_message", "text": json.dumps(CODEX)}}
            ),
            [(("codex",), "/w/repo/src/save.ts", 4, "high", "", None, "[P1] Await the save")],
            id="codex exec --json",
        ),
        pytest.param(
            "cr.jsonl",
            CODERABBIT,
            [(("coderabbit",), "src/cart.ts", 0, "high", "finding", None, "Check qty for zero")],
            id="CodeRabbit",
        ),
        pytest.param(
            "o.json",
            json.dumps(OURS),
            [(("critic", "security"), "a.py", 3, "high", "eval", 95, "Code from input")],
            id="our own",
        ),
        pytest.param(
            "s.json",
            json.dumps(SEMGREP),
            [(("semgrep",), "h.go", 9, "medium", "go.weak-hash", 328, "MD5 is weak")],
            id="semgrep",
        ),
        pytest.param(
            "b.json",
            json.dumps(BANDIT),
            [(("bandit",), "a.py", 2, "low", "B101", 703, "Use of assert detected.")],
            id="bandit",
        ),
        pytest.param(
            "ruff.json",
            json.dumps(RUFF),
            [(("ruff",), "/x/a.py", 1, "medium", "F401", None, "`os` imported but unused")],
            id="ruff, by the file's name",
        ),
        pytest.param(
            "l.jsonl",
            '{"reviewer": "a", "text": "One"}\n\n'
            '{"change": "c", "reviewer": "b", "path": "x.py", "line": "4-6", "text": "Two"}',
            [
                (("a",), "", 0, "medium", "", None, "One"),
                (("b",), "x.py", 4, "medium", "", None, "Two"),
            ],
            id="JSON lines",
        ),
    ],
)
def test_every_reviewer_s_form_is_read(name: str, text: str, expected: list[tuple[object, ...]]) -> None:
    assert [brief(finding) for finding in read_findings(name, text.encode()).findings] == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"findings": []}',
        json.dumps({"runs": []}),
        '{"Issues": null}',
        '{"type":"heartbeat"}\n{"type":"complete"}',
    ],
    ids=["nothing", "list", "findings", "SARIF", "golangci-lint", "events"],
)
def test_a_file_without_findings_is_not_an_error(text: str) -> None:
    assert read_findings("a.json", text.encode()).findings == ()


@pytest.mark.parametrize("text", ["Looks good to me!", "<xml/>", '{"name": "left-pad"}', "[1, 2"])
def test_a_file_in_no_known_form_is_refused_with_the_form_that_is_wanted(text: str) -> None:
    with pytest.raises(InvalidInput, match=r'no findings were recognised.*"reviewer"'):
        read_findings("a.txt", text.encode())


def test_numbers_are_those_of_the_lines_and_what_is_no_finding_is_counted() -> None:
    lines = [
        '{"reviewer": "a", "text": "One"}',
        "",
        "not json",
        '{"reviewer": "b", "text": "Two"}',
        '{"reviewer": "c"}',
    ]
    foreign = read_findings("l.jsonl", "\n".join(lines).encode())
    assert [finding.members for finding in foreign.findings] == [(0,), (3,)]
    assert foreign.bad == {"not a finding: it has no text": 1}
    assert foreign.count == 5


KEYS = st.sampled_from(
    ["findings", "runs", "results", "message", "text", "path", "line", "locations", "tool", "rule"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=80, deadline=None)
@given(VALUES)
def test_every_json_is_read_or_refused_with_a_sentence(value: Json) -> None:
    try:
        read_findings("a.json", json.dumps(value).encode())
    except InvalidInput as error:
        assert "recognised" in str(error)  # noqa: PT017 either is right


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param({"line": 2, "quote": "    eval(text)  # run"}, ("exact", 2), id="where it says"),
        pytest.param({"line": 40, "quote": "eval(text)  # run"}, ("moved", 2), id="elsewhere"),
        pytest.param({"quote": "eval(text)  # run"}, ("exact", 2), id="without a line"),
        pytest.param({"line": 3, "quote": "pass"}, ("exact", 3), id="short, at its line"),
        pytest.param({"line": 1, "quote": "exec(text)  # run"}, "quote not in the file", id="in no line"),
        pytest.param({"line": 1, "quote": "nope"}, "quote not in the file", id="short, and not near"),
        pytest.param({"line": 3}, ("place", 3), id="no quote"),
        pytest.param({"line": 99}, "line is beyond the end of the file", id="no such line"),
        pytest.param({}, ("unverified", 0), id="a file alone"),
        pytest.param({"path": "gone.py", "line": 3}, ("unverified", 3), id="no such file"),
        pytest.param(
            {"path": "gone.py", "quote": "value = 1000"}, "quote of a file that can't be read", id="gone"
        ),
        pytest.param(
            {"path": "../secret", "quote": "value = 1000"}, "quote of a file that can't be read", id="outside"
        ),
        pytest.param({"path": "/ci/build/src/a.py", "line": 2}, ("place", 2), id="another machine's path"),
    ],
)
def test_a_claim_is_checked_against_the_tree(
    tmp_path: Path, fields: dict[str, Json], expected: object
) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.py").write_text("def f(text):\n    eval(text)  # run\n    pass\n")
    item = {"path": "src/a.py", "reviewer": "a", "text": "It is wrong"} | fields
    checked = verify_in_tree(read_findings("a.json", json.dumps([item]).encode()).findings, tmp_path)
    if isinstance(expected, str):
        assert (checked.kept, checked.dropped) == ((), {expected: 1})
    else:
        assert [(one.verified, one.line) for one in checked.kept] == [expected]


def test_an_absolute_path_is_found_below_the_root_wherever_the_root_was(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("")
    assert localised(tmp_path, f"{tmp_path}/a.py") == "a.py"
    assert localised(tmp_path, "/builds/group/a.py") == "a.py"
    assert localised(tmp_path, "/etc/none.py") == "/etc/none.py"
