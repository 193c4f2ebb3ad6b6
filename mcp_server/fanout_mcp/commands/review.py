"""`fanout review GLOB...` and `fanout merge FILE...`: findings with quotes; exit status 1 on severe ones."""

from __future__ import annotations

import argparse
import difflib
import json
import os
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

from rich.console import Console
from rich.text import Text

from fanout_mcp import __version__
from fanout_mcp.commands import display, flags
from fanout_mcp.commands.display import paragraph
from fanout_mcp.commands.flags import FINDINGS, NO_VERDICT, OK, Command
from fanout_mcp.commands.shell import add_output, call_tool, emit, put_json
from fanout_mcp.errors import InvalidInput, NoVerdict, why
from fanout_mcp.review.agreement import rates
from fanout_mcp.review.answers import verify_in_tree
from fanout_mcp.review.finding import FOCUSES, ID_LENGTH, SEVERITIES, Finding, is_at_least
from fanout_mcp.review.foreign import MAX_BYTES, read_findings, shifted
from fanout_mcp.review.merge import rated
from fanout_mcp.review.result import quote_of, to_markdown
from fanout_mcp.review.sarif import to_sarif
from fanout_mcp.review.scope import ACCEPTED, INCLUDES, accept, accepted
from fanout_mcp.source.read import lines_of
from fanout_mcp.state.settings import read as read_settings
from fanout_mcp.text import clean, counted, flat
from fanout_mcp.types import Json

# --- The file that `fanout review --sarif FILE` writes: checked before the review, written after it. --------


def check(target: Path) -> None:
    """Raise InvalidInput where no log could be written, or where the file exists and is not a log."""
    if target.is_dir():
        raise InvalidInput(f"--sarif: {target} is a folder; name a file.")
    if not target.parent.is_dir():
        raise InvalidInput(f"--sarif: there is no folder {target.parent}; make it, or name another.")
    if not os.access(target if target.exists() else target.parent, os.W_OK):
        raise InvalidInput(f"--sarif: {target} can't be written; name another file.")
    if target.is_file() and target.stat().st_size and not _is_log(target):
        raise InvalidInput(
            f"--sarif: {target} is not a SARIF log, and is not overwritten; name another file."
        )


def _is_log(path: Path) -> bool:
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(value, dict) and isinstance(value.get("runs"), list)


def copy(written: str, target: Path) -> str:
    """Copy the log out of the project's state, where the tool put it; return what went wrong, or ""."""
    try:
        log = Path(written).read_bytes()
    except OSError:
        return f"there is no SARIF log: it {written}." if written else "there is no SARIF log."
    return write(log, target)


def write(data: bytes, target: Path) -> str:
    """Write a file that was asked for; return what went wrong, or ""."""
    try:
        target.write_bytes(data)
    except OSError as error:
        return f"{target} could not be written: {error.strerror}."
    return ""


# --- review ------------------------------------------------------------------------------------------

COLOURS = {"critical": "bold red", "high": "red", "medium": "yellow", "low": "cyan", "info": "dim"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "patterns", nargs="*", default=["."], metavar="GLOB", help="paths, folders or globs below the project"
    )
    add(
        "--focus",
        type=flags.names,
        metavar="F1,F2",
        help=f"any of {', '.join(FOCUSES)} (default: security,bugs)",
    )
    add(
        "--include",
        type=flags.names,
        metavar="K1,K2",
        help=f"also review files of these kinds: {', '.join(INCLUDES)}",
    )
    add(
        "--accept",
        action="append",
        metavar="ID",
        help="accept this finding: record it in a file to be committed",
    )
    add(
        "--explain",
        metavar="RULE",
        help="explain a rule, with an example and its source; nothing is reviewed",
    )
    add("--base", metavar="REF", help="review only lines changed since this git ref")
    flags.add_engine(parser, "model", "static", "plan")
    add("--reviewers", type=int, default=1, metavar="N", help="ask N times, independently (default: 1)")
    add("--models", type=flags.names, metavar="M1,M2", help="models to ask, separated by commas")
    add("--max-files", type=int, default=5000, help="refuse to review more files than this (default 5000)")
    flags.add_max_cost(parser)
    flags.add_page(parser)
    add("--sarif", metavar="FILE", help="write SARIF 2.1.0 to this file")
    add("--markdown", metavar="FILE", help="write a summary for a pull request to this file")
    add("--fail-on", choices=SEVERITIES, help="exit with 1 on a finding at least this severe")
    add_output(parser)


def run(args: argparse.Namespace) -> int:
    if args.explain:
        sys.stdout.write(explain(args.explain, read_settings().config_dir / "rules"))
        return OK
    from fanout_mcp.tools.batch_review import TOOL

    target = Path(args.sarif) if args.sarif else None
    if target:
        check(target)  # before a review that may take long, or cost money
    if args.markdown and Path(args.markdown).is_dir():
        raise InvalidInput(f"--markdown: {args.markdown} is a folder; name a file.")
    has_log = bool(args.sarif or args.markdown or args.accept)  # a result is a page, the log holds all
    result = call_tool(TOOL, args, quiet=args.json, sarif=has_log)
    log = str(result.data.pop("sarif", ""))
    if args.accept:
        return _accept(args.accept, log)
    problem = copy(log, target) if target else ""
    if target and not problem:
        result.data["sarif"] = str(target)
    if args.markdown:
        problem = _summarise(Path(args.markdown), result.data, log) or problem
    emit(result, args, show)
    if problem:
        sys.stderr.write(f"fanout review: {flat(problem)}\n")
    if problem or result.is_error or _is_unreviewed(result.data):
        return NO_VERDICT
    counts = result.data.get("counts", {})
    is_severe = args.fail_on and any(is_at_least(severity, args.fail_on) for severity in counts)
    return FINDINGS if is_severe else OK


def explain(name: str, folder: Path) -> str:
    """Return a rule's meaning, an example and its source as text. Raises InvalidInput with near names."""
    from fanout_mcp.review.static.analyse import read_own
    from fanout_mcp.review.static.lint import ruff_says
    from fanout_mcp.review.static.quality import DEFECTS
    from fanout_mcp.review.static.rules import WEAKNESSES, own_rules, quality_rules, read_table

    own = {one.rule.weakness.name: one for one in own_rules(read_own(folder))}
    rules = files("fanout_mcp.review.static").joinpath("rules")
    examples = dict(read_table("examples.toml"))
    quality = (rule.weakness for rule in quality_rules())
    of_user = (one.rule.weakness for one in own.values())
    named = {one.name: one for one in (*DEFECTS, *quality, *WEAKNESSES.values(), *of_user)}
    if name not in named:
        if words := ruff_says(name):
            return words
        near = difflib.get_close_matches(name, list(named), n=5, cutoff=0.55)
        listed = f"; near it are {', '.join(near)}" if near else ""
        raise InvalidInput(f"--explain: there is no rule {name!r}{listed}. Findings name theirs.")
    meaning = named[name]
    said = [f"{name}: {meaning.title} ({meaning.severity})", f"Do: {meaning.fix}" if meaning.fix else ""]
    if meaning.cwe:
        said.append(f"Source: CWE-{meaning.cwe}, https://cwe.mitre.org/data/definitions/{meaning.cwe}.html")
    if name in own:
        said.append(f"Rule: {own[name].source}")
        examples[name] = [", ".join(sorted(own[name].rule.languages)), own[name].bad]
    else:
        where = [one.name for one in rules.iterdir() if f'= "{name}"' in one.read_text("utf-8")]
        said.append(f"Rules: {', '.join(sorted(where)) or 'read from the program, by no pattern'}")
    language, program = examples[name]
    said += ["", f"Example ({language}):", *(f"    {line}" for line in program.strip("\n").split("\n"))]
    return "\n".join(line for at, line in enumerate(said) if line or at > 1) + "\n"


def show(console: Console, data: Json) -> None:
    if "plan" in data:
        display.show(console, data)
    for item in data.get("findings", []):
        _show_finding(console, item)
    for line in [*_lost(data), *display.lines("skipped", data["receipt"]["skipped"])]:
        paragraph(console, line, "yellow", hanging=2)
    if "plan" in data:
        return
    looked = _looked(data)
    if looked:
        paragraph(console, looked, "bold")
    if data.get("note"):
        paragraph(console, data["note"], "dim" if looked else "bold")
    for line in [*_scope(data), *_further(data)]:
        paragraph(console, line)
    paragraph(console, display.took(data["receipt"]), "dim")


def _all_findings(log: str) -> list[Finding]:
    try:
        return list(read_findings("fanout.sarif", Path(log).read_bytes()).findings)
    except OSError as error:
        raise NoVerdict(f"the review's log can't be read: {why(error)}.") from None


def _accept(wanted: Sequence[str], log: str) -> int:
    by_id = {finding.identity[:ID_LENGTH]: finding for finding in _all_findings(log)}
    known = accepted(read_settings().root)
    unknown = [one for one in wanted if one not in by_id and one not in known]
    if unknown:
        raise InvalidInput(
            f"--accept: this review has no finding {unknown[0]!r}; each finding is listed with its id."
        )
    found = [by_id[one] for one in wanted if one in by_id]
    accept(read_settings().root, found)
    sys.stdout.write(f"Accepted {counted(len(found), 'finding')} in {ACCEPTED}; commit it.\n")
    return OK


def _summarise(target: Path, data: Json, log: str) -> str:
    """Write the summary for a pull request; return what went wrong, or ""."""
    notes = [*_scope(data), *_lost(data)]
    text = to_markdown("fanout review", _all_findings(log) if log else [], [_looked(data), *notes])
    return write(text.encode("utf-8", "replace"), target)


def _scope(data: Json) -> Iterator[str]:
    """What was not looked at on purpose, and where rules looked."""
    if left := data.get("left_out"):
        kinds = ", ".join(f"{number:,} {kind}" for kind, number in left.items())
        yield f"Left out (--include): {kinds}."
    if passed := data.get("passed_over"):
        yield f"Passed over: {', '.join(f'{number:,} {why}' for why, number in passed.items())}."
    coverage = data.get("coverage", {})
    is_blind = not all(all(kinds.values()) for kinds in coverage.values())
    looked = [
        f"{focus}: " + ", ".join(f"{kind} {number or 'no'} rules" for kind, number in kinds.items())
        for focus, kinds in coverage.items()
    ]
    if looked and ("base" not in data["receipt"] or is_blind):
        yield f"Looked for {'; '.join(looked)}."


def _show_finding(console: Console, item: Json) -> None:
    if isinstance(item, str):
        paragraph(console, flat(item), hanging=2)
        return
    place = ":".join(str(item[name]) for name in ("path", "line") if item.get(name))
    head = Text(f"{flat(place)} ")
    head.append(item["severity"], COLOURS[item["severity"]])
    facts = [item[name] for name in ("rule", "cwe", "id") if item.get(name)]
    paragraph(console, head.append(flat(f" {item['title']} [{', '.join(facts)}]")), hanging=2)
    below = [
        (flat(lines_of(item.get("quote") or " ")[0]), "dim"),
        (display.sentences(item.get("why"), item.get("fix")), ""),
    ]
    for text, style in below:
        if text:
            paragraph(console, text, style, indent=4)


def _is_unreviewed(data: Json) -> bool:
    """Whether there were files and none of them was reviewed. A change that touches none of them is fine."""
    is_no_change = "base" in data["receipt"] and not data["receipt"]["read"]
    return "plan" not in data and not is_no_change and not _looked(data)


def _looked(data: Json) -> str:
    """Count the findings and the files that were reviewed; empty when none was."""
    read = data["receipt"]["read"]
    looked = read - data.get("not_analysed", {}).get("count", 0) - sum(data.get("left_out", {}).values())
    found = ", ".join(f"{n} {severity}" for severity, n in data.get("counts", {}).items())
    if looked <= 0 and not found:
        return ""
    of = counted(looked, "file") if looked == read else f"{max(0, looked):,} of {read:,} files"
    return f"{found or 'Nothing found'} in {of}."


def _lost(data: Json) -> Iterator[str]:
    """What of the review is missing, and why."""
    for name, what, noun in (("not_analysed", "not analysed", "file"), ("failed_reviews", "lost", "review")):
        some = data.get(name, {"by_reason": {}, "first": {}})
        named = some["first"] if noun == "file" else {}  # our number of a review means nothing to a reader
        by_reason = {
            reason: {"count": count, "paths": [path for path, why in named.items() if why == reason]}
            for reason, count in some["by_reason"].items()
        }
        yield from display.lines(what, by_reason, noun)
    for reason, count in data.get("dropped", {}).items():
        yield f"dropped {counted(count, 'claim')}: {reason}"


def _further(data: Json) -> Iterator[str]:
    if data.get("more_of_a_rule"):
        yield f"Not listed: {', '.join(f'{n} more of {rule}' for rule, n in data['more_of_a_rule'].items())}."
    if "next_cursor" in data:
        yield f"Go on with --cursor {data['next_cursor']}."
    if data.get("report"):
        yield f"All of it: {data['report']}"
    if data.get("sarif"):
        yield f"SARIF: {data['sarif']}"


# --- merge -------------------------------------------------------------------------------------------------


def _add_merge(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="SARIF, JSON or JSON lines from any reviewer; - for stdin",
    )
    add_output(parser)
    parser.add_argument("--sarif", metavar="FILE", help="write SARIF 2.1.0 to this file")
    parser.add_argument("--fail-on", choices=SEVERITIES, help="exit with 1 on a finding at least this severe")


def _run_merge(args: argparse.Namespace) -> int:
    target = Path(args.sarif) if args.sarif else None
    if target:
        check(target)
    findings, dropped, count = _gathered(args.files, read_settings().root)
    data = _data(findings, dropped, count)
    problem = ""
    if target:
        log = json.dumps(clean(to_sarif(findings, __version__, {})), ensure_ascii=False)
        problem = write(log.encode("utf-8", "replace"), target)
        data |= {} if problem else {"sarif": str(target)}
    if args.json:
        put_json(clean(data))
    else:
        sys.stdout.write(to_markdown(data["headline"], findings, _notes(data)))
    if problem:
        sys.stderr.write(f"fanout merge: {problem}\n")
        return NO_VERDICT
    is_severe = args.fail_on and any(is_at_least(finding.severity, args.fail_on) for finding in findings)
    return FINDINGS if is_severe else OK


merge = Command(_add_merge, _run_merge)


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
    united = [replace(one, quote=quote_of(one)) for one in rated(checked.kept)]
    return united, dict(sorted(dropped.items())), count


def _bytes(name: str) -> bytes:
    try:
        with nullcontext(sys.stdin.buffer) if name == "-" else Path(name).open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise InvalidInput(f"{name} can't be read: {why(error)}. Nothing was merged.") from None
    if len(data) > MAX_BYTES:
        raise InvalidInput(f"{name} is larger than the {MAX_BYTES:,} bytes that are read; split it by tool.")
    return data


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
