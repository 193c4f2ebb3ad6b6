"""More context than the client shows: cut as the client counts, and kept whole in a file that is named."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.sandbox import Sandbox, prompt
from fanout_hooks.run import decide as run_decide
from fanout_hooks.run.decide import CONTEXT_UNITS, Decision, HookResult, decide, understand


def _says(name: str, **specific: Any) -> HookResult:
    return HookResult(
        name, 0, json.dumps({"hookSpecificOutput": {"hookEventName": "PreToolUse", **specific}})
    )


def _decided(*left: HookResult) -> Decision:
    return decide({"hook_event_name": "PreToolUse"}, [understand(one, "PreToolUse") for one in left])


TEXTS = st.text(max_size=60).flatmap(lambda text: st.integers(0, 200).map(lambda times: text * times))


@given(st.lists(st.tuples(st.text(min_size=1, max_size=80), TEXTS), max_size=6))
def test_context_of_every_size_stays_below_the_clients_limit(said: list[tuple[str, str]]) -> None:
    left = [_says(name, additionalContext=text) for name, text in said]
    context = json.loads(_decided(*left).stdout).get("hookSpecificOutput", {}).get("additionalContext", "")
    whole = "\n".join(text for _, text in said if text)
    assert _utf16_units(context) <= CONTEXT_UNITS
    assert context == whole or _utf16_units(whole) > CONTEXT_UNITS


def _utf16_units(text: str) -> int:
    """Return a text's length as JavaScript has it."""
    return sum(2 if ord(char) > 0xFFFF else 1 for char in text)


@pytest.mark.parametrize(("count", "fits"), [(CONTEXT_UNITS // 2, True), (CONTEXT_UNITS // 2 + 1, False)])
def test_an_emoji_counts_twice_as_in_the_client(count: int, *, fits: bool) -> None:
    said = _says("one", additionalContext="\U0001f600" * count)
    assert (_decided(said).overflow == "") == fits


def test_too_much_context_lies_in_a_file_that_the_answer_names(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path)
    sandbox.hooks("UserPromptSubmit", "yes 12345678 | head -2000")
    with sandbox.running() as run:
        context = json.loads(run.event(prompt()).stdout)["hookSpecificOutput"]["additionalContext"]
    path = Path(context.rpartition(" in ")[2].rstrip("]"))
    assert len(context) < 10_000
    assert path.read_text().count("12345678") == 2000


def test_context_is_kept_whole_although_what_is_old_cannot_be_swept(tmp_path: Path) -> None:
    """Of two events that sweep at once, one finds the other's prey gone; a folder stands in for that."""
    cache = tmp_path / ".claude" / "fanout" / "cache"
    (cache / "context-old.txt").mkdir(parents=True)
    os.utime(cache / "context-old.txt", (0, 0))
    cut = Decision('{"hookSpecificOutput": {"additionalContext": "cut"}}', overflow="all of it")
    kept = json.loads(run_decide.kept_whole(cut, str(tmp_path)).stdout)
    path = kept["hookSpecificOutput"]["additionalContext"].rpartition(" in ")[2].rstrip("]")
    assert Path(path).read_text() == "all of it"
