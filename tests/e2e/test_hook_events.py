"""The table of events against the shipped client: one that knows more makes these fail, and they say what."""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from e2e.client import Client
from fanout_hooks.client import events
from fanout_hooks.client import hook_input as inputs

pytestmark = pytest.mark.e2e

_LIST = re.compile(rb'\["PreToolUse"(?:,"[A-Za-z]+"){25,60}\]')
_SCHEMA = re.compile(rb'\(\{hook_event_name:[\w$]+\("([A-Za-z]+)"\)')
_FIELD = re.compile(r"[,{]([a-z_]+):")
_QUOTED = re.compile(r"""`(?:\\.|[^`\\])*`|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'""")
MAX_SCHEMA = 6_000


def known_to(client: bytes | mmap.mmap) -> dict[str, set[str]]:
    """Return the events that a client's program knows, each with its own fields."""
    found: dict[str, set[str]] = {}
    for listed in _LIST.finditer(client):
        found |= {name: set() for name in re.findall(r"\w+", listed.group().decode())}
    for schema in _SCHEMA.finditer(client):
        text = client[schema.end() : schema.end() + MAX_SCHEMA].decode("utf-8", "replace")
        found.setdefault(schema[1].decode(), set()).update(_fields(_QUOTED.sub("''", text)))
    return found


def _fields(text: str) -> Iterator[str]:
    """Yield the names at the top of an object whose first brace is open already."""
    depth, top = 0, "{"
    for char in text:
        depth += (char in "({[") - (char in ")}]")
        if depth < 0:
            break
        top += char if depth == 0 else ""
    yield from _FIELD.findall(top)


def lacking(known: dict[str, set[str]]) -> list[str]:
    """Return what our table lacks, a sentence each."""
    where = "hooks/fanout_hooks/client/events.py has no row of it"
    found = []
    for name, fields in known.items():
        if name not in events.BY_NAME:
            found.append(f"Claude Code knows the event {name}, and {where}: add one, `native` if in doubt")
            continue
        ours = {field.name for field in inputs.fields_of(name)}
        found += [
            f"Claude Code's event {name} has the field {field}, and its row in client/events.py lacks it: "
            "warm hooks would not be shown it"
            for field in sorted(fields - ours)
        ]
    return found


@cache
def known_by(program: str) -> dict[str, set[str]]:
    """Return what a client knows; its program has 400 MB, so each is read once."""
    with (
        Path(program).resolve().open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text,
    ):
        return known_to(text)


def test_the_table_lacks_no_event_and_no_field_of_the_client(either_client: Client) -> None:
    known = known_by(either_client.program)
    assert len(known) >= 33, "the client's list of events was not found: has its form changed?"
    assert known["PreToolUse"] == {"tool_name", "tool_input", "tool_use_id", "mcp_server"}
    assert lacking(known) == []


def test_the_table_has_no_event_that_the_newest_client_does_not_know(client: Client) -> None:
    assert set(events.BY_NAME) <= set(known_by(client.program))


def test_a_client_that_knows_more_is_told_from_one_that_does_not() -> None:
    newer = (
        b'["PreToolUse"'
        + b"".join(b',"%s"' % name.encode() for name in events.BY_NAME if name != "PreToolUse")
        + b',"PreNothing"];D().and(u({hook_event_name:P("Stop"),stop_hook_active:M(),'
        b'mood:r().describe("how, it:is"),last_assistant_message:u({deep:r()}).optional()}))'
    )
    field, event = lacking(known_to(newer))
    assert "event Stop has the field mood" in field
    assert "knows the event PreNothing" in event
