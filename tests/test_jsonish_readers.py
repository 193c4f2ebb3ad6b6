"""Every tool reads an answer alike: thinking, wrappers and slips are looked through, drafts never count."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanout_mcp import jsonish
from fanout_mcp.panel import answer as panel_answer
from fanout_mcp.panel import deliberation
from fanout_mcp.panel.answer import Position
from fanout_mcp.review import answers as review_parse
from fanout_mcp.tools import agent_swarm, explore_modules, summarize_files
from fanout_mcp.types import Answer


def panel(text: str, *, truncated: bool = False) -> str | None:
    read = panel_answer.parse(text, is_cut=truncated)
    return read.summary if isinstance(read, Position) else None


def of_summary(text: str, *, truncated: bool = False) -> str | None:
    read = summarize_files.parse(Answer(text, "m", truncated=truncated))
    return read.purpose if read else None


def of_module(text: str, *, truncated: bool = False) -> str | None:
    read = explore_modules.checked(Answer(text, "m", truncated=truncated), lambda path, quote, line: line)
    return read.purpose if read else None


def review(text: str, *, truncated: bool = False) -> str | None:
    read = review_parse.parse(text, "m")
    return read.findings[0].title if read.findings else None


def swarm(text: str, *, truncated: bool = False) -> str | None:
    read = agent_swarm.read_ideas("m", Answer(text, "m", truncated=truncated))
    return read[0].title if read else None


def of_synthesis(text: str, *, truncated: bool = False) -> str | None:
    read = deliberation.read_synthesis(Answer(text, "m", truncated=truncated))
    return read["agreement"] if read else None


FINDING: Final = {"path": "a.py", "line": 1, "quote": "x", "severity": "high"}
READERS: Final[Mapping[str, tuple[Callable[..., str | None], Callable[[str], dict[str, Any]]]]] = {
    "panel": (
        panel,
        lambda said: {"verdict": "STOP", "summary": said, "blocker": "b", "smallest_change": "c"},
    ),
    "summary": (of_summary, lambda said: {"purpose": said, "notes": ["n"]}),
    "explore": (of_module, lambda said: {"purpose": said, "statements": []}),
    "review": (review, lambda said: {"findings": [{**FINDING, "title": said}]}),
    "swarm": (swarm, lambda said: {"ideas": [{"title": said, "detail": "d"}]}),
    "synthesis": (of_synthesis, lambda said: {"agreement": said, "dissent": "", "changes": "", "risks": ""}),
}
FORMS: Final[Mapping[str, Callable[[str, str], str]]] = {
    "thinking before it": lambda draft, final: f"<think>Maybe {draft} no.</think>{final}",
    "thinking tags of others": lambda draft, final: f"<thinking>\n{draft}\n</thinking>\n\n{final}",
    "thinking without a beginning": lambda draft, final: f"Maybe {draft}? No.\n</think>\n\n{final}",
    "thinking in brackets (Magistral)": lambda draft, final: f"[THINK]{draft}[/THINK]{final}",
    "thinking as a seed": lambda draft, final: f"<seed:think>{draft}</seed:think>{final}",
    "thinking in arrows (Kimi)": lambda draft, final: f"◁think▷{draft}◁/think▷{final}",
    "channels (gpt-oss)": lambda draft, final: (
        f"<|channel|>analysis<|message|>{draft}<|end|><|start|>assistant<|channel|>final<|message|>{final}<|return|>"
    ),
    "twice thought": lambda draft, final: f"<think>{draft}</think>\n<think>Hm.</think>\n{final}",
    "a draft in prose": lambda draft, final: f"First: {draft}\nOn reflection:\n{final}",
    "a draft, then a broken one": lambda draft, final: f"First: {draft}\nOn reflection:\n{final[:-1]},}}",
    "a fence": lambda draft, final: f"Here:\n```json\n{final}\n```\nDone.",
    "a wrapper": lambda draft, final: f'{{"json_tool_call": {final}}}',
    "a tool call": lambda draft, final: json.dumps({"name": "answer", "arguments": final}),
    "a schema around it": lambda draft, final: f'{{"type": "object", "properties": {final}}}',
    "a string": lambda draft, final: json.dumps(final),
    "a trailing comma": lambda draft, final: f"{final[:-1]},}}",
    "single quotes": lambda draft, final: repr(json.loads(final)),
    "comments": lambda draft, final: f"{final[:-1]} // that is all\n}}",
    "end tokens": lambda draft, final: f"{final}<|im_end|>",
    "an answer tag": lambda draft, final: f"<think>{draft}</think><answer>{final}</answer>",
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
@pytest.mark.parametrize(("read", "made"), READERS.values(), ids=READERS.keys())
def test_every_reader_takes_the_final_answer_out_of_every_form(
    read: Callable[..., str | None],
    made: Callable[[str], dict[str, Any]],
    form: Callable[[str, str], str],
) -> None:
    assert read(form(json.dumps(made("The draft.")), json.dumps(made("The final.")))) == "The final."


@pytest.mark.parametrize(("read", "made"), READERS.values(), ids=READERS.keys())
def test_thinking_alone_is_no_answer(
    read: Callable[..., str | None], made: Callable[[str], dict[str, Any]]
) -> None:
    draft = json.dumps(made("The draft."))
    assert read(f"<think>Maybe {draft}") is None
    assert read(f"<think>- Maybe {draft}</think>\n") is None


@pytest.mark.parametrize(
    ("read", "made"),
    [pair for name, pair in READERS.items() if name != "review"],
    ids=[name for name in READERS if name != "review"],
)
def test_what_was_cut_off_is_never_completed(
    read: Callable[..., str | None], made: Callable[[str], dict[str, Any]]
) -> None:
    assert read(json.dumps(made("The final."))[:-3], truncated=True) is None


@given(st.text(max_size=80))
def test_every_tag_inside_an_answer_is_a_quotation(words: str) -> None:
    said = f"It strips <think> and </think>, [THINK] and <|channel|>analysis. {words}"
    whole = json.dumps({"purpose": said})
    assert jsonish.best(whole, None, jsonish.has("purpose")) == {"purpose": said}
    assert jsonish.best(f"Here: {whole}", None, jsonish.has("purpose")) == {"purpose": said}


def test_a_tag_that_a_sentence_is_about_cuts_nothing_off() -> None:
    text = 'The code strips <think> blocks and `</think>` ends.\n{"purpose": "It reads."}'
    assert of_summary(text) == "It reads."


@given(st.text())
def test_every_text_without_tags_is_all_spoken(text: str) -> None:
    if not any(sign in text for sign in "<[◁"):
        assert jsonish.spoken(text) == text


@pytest.mark.parametrize(
    "text",
    [
        '{"' * 20_000 + "}",
        '{"a" ' + "'\" " * 7_000 + "}",
        "{" + '"a":"b" "c" \n' * 2_500 + "}",
        "<think>" * 20_000,
        "</think>{" * 20_000,
        '{"a": ' * 5_000 + "}" * 5_000,
    ],
    ids=["braces", "quotes", "pairs", "opened", "closed", "deep"],
)
def test_no_degenerate_answer_takes_long_to_repair(text: str) -> None:
    before = time.process_time()
    assert jsonish.best(text, None, jsonish.has("purpose")) is None
    assert time.process_time() - before < 3
