"""Read Claude Code's transcripts: what was asked, which tools ran when, how long hooks took.

A transcript is a JSON line a record. One assistant message is several lines with the same `message.id`, one
for each content block; its tools' results follow as `user` records. Sub-agents have files of their own below
`<session>/subagents/`. Form seen in client 2.1.330; damaged lines are counted, unknown records passed over.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any, NamedTuple

MAX_LINE = 16 << 20
"""Longer lines are passed over: a single result of that size holds nothing that an audit reads."""


class Use(NamedTuple):
    """One tool call with its result. Times are seconds since the epoch; `ended` is 0 when no result came."""

    id: str
    tool: str
    input: dict[str, Any]
    started: float
    ended: float
    response: Any
    text: str
    """The result as the model saw it."""
    line: int


class Prompt(NamedTuple):
    """Something was said to the model: by a person, or by the machine (a notification)."""

    text: str
    at: float
    line: int


class Message(NamedTuple):
    uses: tuple[Use, ...]
    at: float
    line: int


class HookRun(NamedTuple):
    """A hook that left a line: those with output or failure only."""

    name: str
    command: str
    ms: float
    exit: int | None
    at: float
    line: int


class Transcript(NamedTuple):
    path: str
    entries: tuple[Prompt | Message, ...]
    hooks: tuple[HookRun, ...]
    damaged: int


def project_folder(root: str, claude: str) -> str:
    """Return where the client keeps a project's transcripts: its path, all but letters and digits as `-`."""
    slug = "".join(char if char.isascii() and char.isalnum() else "-" for char in os.path.realpath(root))
    return os.path.join(claude, "projects", slug)


def find(folder: str, since: float = 0.0) -> list[str]:
    """List the transcripts below a folder, sub-agents' included, written since a time, the newest first."""
    found: list[tuple[float, str]] = []
    for below, _, names in os.walk(folder):
        for path in (os.path.join(below, name) for name in names if name.endswith(".jsonl")):
            with suppress(OSError):  # the client has just removed it
                about = os.lstat(path)
                if stat.S_ISREG(about.st_mode) and about.st_mtime >= since:
                    found.append((about.st_mtime, path))
    return [path for _, path in sorted(found, reverse=True)]


def read(path: str) -> Transcript:
    """Read one transcript. Raises OSError when it can't be opened; nothing else."""
    found = list(records_in(path))
    records = [(line, record) for line, record in found if record is not None]
    damaged = len(found) - len(records)
    results = {str(use): (at, response, text) for _, r in records for use, at, response, text in _results(r)}
    return Transcript(path, tuple(_entries(records, results)), tuple(hook_runs(records)), damaged)


def distinct(transcripts: Iterable[Transcript]) -> Iterator[Transcript]:
    """Leave out what a transcript repeats of one before: a resumed session's file begins with its history."""
    seen: set[tuple[str, float, str]] = set()

    def keys(entry: Message) -> set[tuple[str, float, str]]:
        return {(use.id, use.started, repr(use.input)) for use in entry.uses}

    for transcript in transcripts:
        entries = [
            entry for entry in transcript.entries if isinstance(entry, Prompt) or not keys(entry) & seen
        ]
        for entry in entries:
            seen |= keys(entry) if isinstance(entry, Message) else set()
        yield transcript._replace(entries=tuple(entries))


def records_in(path: str, mark: bytes = b"") -> Iterator[tuple[int, dict[str, Any] | None]]:
    """Yield the records of lines that hold a mark, by number; None for a damaged one. Raises OSError."""
    with open(path, "rb") as file:
        for number, raw in enumerate(file, 1):
            if len(raw) > MAX_LINE or mark not in raw or not raw.strip():
                continue
            try:
                record = json.loads(raw)
            except (ValueError, RecursionError):
                yield number, None
                continue
            if isinstance(record, dict):
                yield number, record


def _entries(
    records: list[tuple[int, dict[str, Any]]], results: dict[str, tuple[float, Any, str]]
) -> Iterator[Prompt | Message]:
    uses: list[Use] = []
    message_id, first, at = "", 0, 0.0
    for line, record in records:
        message = record.get("message")
        message = message if isinstance(message, dict) else {}
        if record.get("type") == "assistant":
            if message.get("id") != message_id:
                if uses:
                    yield Message(tuple(uses), at, first)
                uses, message_id, first, at = [], str(message.get("id")), line, _time(record)
            uses += _uses(message, results, _time(record), line)
        elif (text := _said(record, message)) is not None:
            if uses:
                yield Message(tuple(uses), at, first)
            uses, message_id = [], ""
            yield Prompt(text, _time(record), line)
    if uses:
        yield Message(tuple(uses), at, first)


def _said(record: dict[str, Any], message: dict[str, Any]) -> str | None:
    """Return what was said to the model, None when the record is not a prompt."""
    if record.get("type") != "user" or record.get("isMeta"):
        return None
    content = message.get("content")
    if isinstance(content, str):
        return content
    kinds = {block.get("type") for block in _blocks(message)}
    return _text(content) if "text" in kinds and "tool_result" not in kinds else None


def _uses(
    message: dict[str, Any], results: dict[str, tuple[float, Any, str]], at: float, line: int
) -> Iterator[Use]:
    for block in _blocks(message):
        if block.get("type") == "tool_use":
            given = block.get("input")
            ended, response, text = results.get(str(block.get("id")), (0.0, None, ""))
            fields = given if isinstance(given, dict) else {}
            yield Use(str(block.get("id")), str(block.get("name")), fields, at, ended, response, text, line)


def _results(record: dict[str, Any]) -> Iterator[tuple[Any, float, Any, str]]:
    if record.get("type") != "user" or not isinstance(record.get("message"), dict):
        return
    for block in _blocks(record["message"]):
        if block.get("type") == "tool_result":
            response, text = record.get("toolUseResult"), _text(block.get("content"))
            yield block.get("tool_use_id"), _time(record), response, text


def hook_runs(records: Iterable[tuple[int, dict[str, Any]]]) -> Iterator[HookRun]:
    for line, record in records:
        noted = record.get("attachment")
        noted = noted if isinstance(noted, dict) else {}
        if str(noted.get("type", "")).startswith("hook_") and "durationMs" in noted:
            yield _run(str(noted.get("hookName", "")), noted, record, line)
        if record.get("subtype") == "stop_hook_summary":
            for info in record.get("hookInfos") or []:
                if isinstance(info, dict) and "durationMs" in info:
                    yield _run("Stop", info, record, line)


def _run(name: str, noted: dict[str, Any], record: dict[str, Any], line: int) -> HookRun:
    code, ms, command = noted.get("exitCode"), noted["durationMs"], str(noted.get("command", ""))
    ms, code = float(ms if isinstance(ms, int | float) else 0), code if isinstance(code, int) else None
    return HookRun(name, command, ms, code, _time(record), line)


def _blocks(message: dict[str, Any]) -> list[dict[str, Any]]:
    content = message.get("content")
    return [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []


def _text(content: object) -> str:
    if isinstance(content, list):
        return "\n".join(str(block.get("text", "")) for block in content if isinstance(block, dict))
    return str(content or "")


def _time(record: dict[str, Any]) -> float:
    try:
        return datetime.fromisoformat(str(record.get("timestamp"))).timestamp()
    except ValueError:
        return 0.0
