"""`fanout merge FILE...`: findings of any reviewers as one list, verified, without duplicates, ranked."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from fanout_mcp import __version__
from fanout_mcp.commands import review as commands_review
from fanout_mcp.commands.flags import FINDINGS, NO_VERDICT, OK
from fanout_mcp.errors import InvalidInput, why
from fanout_mcp.review.agreement import rates
from fanout_mcp.review.answers import verify_in_tree
from fanout_mcp.review.finding import SEVERITIES, Finding, is_at_least
from fanout_mcp.review.foreign import MAX_BYTES, read_findings, shifted
from fanout_mcp.review.merge import rated
from fanout_mcp.review.result import to_markdown
from fanout_mcp.review.sarif import to_sarif
from fanout_mcp.source.secrets import masked, redact
from fanout_mcp.state import settings
from fanout_mcp.text import clean, counted
from fanout_mcp.types import Json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="SARIF, JSON or JSON lines from any reviewer; - for stdin",
    )
    parser.add_argument("--json", action="store_true", help="print the result as compact JSON, nothing else")
    parser.add_argument("--sarif", metavar="FILE", help="write SARIF 2.1.0 to this file")
    parser.add_argument("--fail-on", choices=SEVERITIES, help="exit with 1 on a finding at least this severe")


def run(args: argparse.Namespace) -> int:
    target = Path(args.sarif) if args.sarif else None
    if target:
        commands_review.check(target)
    findings, dropped, count = _gathered(args.files, settings.read().root)
    data = _data(findings, dropped, count)
    problem = ""
    if target:
        log = to_sarif(findings, __version__, {})
        problem = commands_review.write(clean(log), target)
        data |= {} if problem else {"sarif": str(target)}
    if args.json:
        sys.stdout.write(json.dumps(clean(data), ensure_ascii=False, separators=(",", ":")) + "\n")
    else:
        sys.stdout.write(to_markdown(data["headline"], findings, _notes(data)))
    if problem:
        sys.stderr.write(f"fanout merge: {problem}\n")
        return NO_VERDICT
    is_severe = args.fail_on and any(is_at_least(finding.severity, args.fail_on) for finding in findings)
    return FINDINGS if is_severe else OK


def _gathered(files: Sequence[str], root: Path) -> tuple[list[Finding], Mapping[str, int], int]:
    """Return the united findings, what was dropped by reason, and how many there were."""
    read: list[Finding] = []
    dropped: Counter[str] = Counter()
    numbers = count = 0
    for name in files:
        foreign = read_findings(name, _bytes(name))
        read += shifted(foreign.findings, numbers)
        numbers += foreign.count
        count += len(foreign.findings) + sum(foreign.bad.values())
        dropped.update(foreign.bad)
    checked = verify_in_tree(read, root)
    dropped.update(checked.dropped)
    united = [replace(one, quote=shown(one)) for one in rated(checked.kept)]
    return united, dict(sorted(dropped.items())), count


def shown(finding: Finding) -> str:
    """Return the quote as it may leave: a key in it stays in its file."""
    return (
        masked(finding.quote)
        if finding.rule == "hardcoded-secret"
        else redact(finding.quote, finding.path)[0]
    )


def _bytes(name: str) -> bytes:
    try:
        data = sys.stdin.buffer.read(MAX_BYTES + 1) if name == "-" else _file(Path(name))
    except OSError as error:
        raise InvalidInput(f"{name} can't be read: {why(error)}. Nothing was merged.") from None
    if len(data) > MAX_BYTES:
        raise InvalidInput(f"{name} is larger than the {MAX_BYTES:,} bytes that are read; split it by tool.")
    return data


def _file(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(MAX_BYTES + 1)


def _data(findings: Sequence[Finding], dropped: Mapping[str, int], count: int) -> dict[str, Json]:
    reviewers = {name for finding in findings for name in finding.reviewers}
    agreed = sum(len(finding.reviewers) > 1 for finding in findings)
    lost = sum(dropped.values())
    headline = (
        f"{counted(count, 'finding')} of {counted(len(reviewers), 'reviewer')} are {len(findings):,}, "
        f"{agreed:,} named by more than one" + (f"; {lost:,} dropped" if lost else "")
    )
    return {
        "headline": headline,
        "findings": [_as_json(finding) for finding in findings],
        "counts": dict(Counter(finding.severity for finding in findings)),
        "dropped": dict(dropped),
        "measured_on": rates().data,
    }


def _as_json(finding: Finding) -> dict[str, Json]:
    fields: dict[str, Json] = {
        "reviewers": list(finding.reviewers),
        "members": list(finding.members),
        "probability": round(finding.probability or 0.0, 3),
        "severity": finding.severity,
        "path": finding.path or None,
        "line": finding.line or None,
        "text": finding.text,
        "verified": finding.verified,
    }
    more: dict[str, Json] = {
        "change": finding.change,
        "quote": finding.quote,
        "rule": finding.rule,
        "cwe": f"CWE-{finding.cwe}" if finding.cwe else "",
    }
    return fields | {name: value for name, value in more.items() if value}


def _notes(data: Mapping[str, Json]) -> list[str]:
    notes = [f"Dropped {counted(number, 'finding')}: {reason}." for reason, number in data["dropped"].items()]
    if any(len(finding["reviewers"]) > 1 for finding in data["findings"]):
        notes.append(
            f"The rates are those of findings that so many reviewers named in {data['measured_on']}."
        )
    return notes
