"""What the agents of a swarm answer: a few ideas each, the most important first."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from fanout_mcp import jsonish
from fanout_mcp.panel.answer import words
from fanout_mcp.panel.lenses import Chosen, Lens
from fanout_mcp.panel.prompts import LANGUAGE
from fanout_mcp.panel.shown import clip
from fanout_mcp.types import Answer, Json, Prompt

MOST_IDEAS: Final = 5
MOST_CHARS: Final = 2_000
"""Of one idea's detail: what is longer is no idea any more."""
TITLE_CHARS: Final = 200

SCHEMA: Final[dict[str, Json]] = {
    "type": "object",
    "properties": {
        "ideas": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"title": {"type": "string"}, "detail": {"type": "string"}},
                "required": ["title", "detail"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["ideas"],
    "additionalProperties": False,
}
SYSTEM: Final = f"""You are one of many agents on the same task. Each looks through another lens; look through
yours alone, the others cover the rest. {LANGUAGE}
Answer with one JSON object and nothing else:
{{"ideas": [{{"title": "the point in one sentence", "detail": "one to three sentences: where, why, how"}}]}}
One to {MOST_IDEAS} ideas, the most important first. Nothing that everybody would say anyway; none is better
than a weak one: then send an empty list."""
IN_WORDS: Final = (
    f"Answer with one to {MOST_IDEAS} points, the most important first, each with one to three sentences."
)

_BULLET: Final = re.compile(r"^[ \t]*(?:[-*•]|\d+[.)])[ \t]+(\S.*)$", re.MULTILINE)
"""Within its line: models degenerate into endless line breaks, and each would be a start to look from."""


HAS_IDEAS: Final = jsonish.has("ideas", list)


@dataclass(frozen=True, slots=True)
class Idea:
    """What one agent said. `agent` is the name of its lens, `place` its rank among its own, from 0."""

    agent: str
    place: int
    title: str
    detail: str = ""


def prompt(task: str, chosen: Chosen, lens: Lens) -> Prompt:
    return Prompt(SYSTEM, _asked(task, chosen, lens))


def for_agent(task: str, chosen: Chosen, lens: Lens) -> str:
    """The same for an agent of the host, which answers in words."""
    return f"{_asked(task, chosen, lens)}\n\n{IN_WORDS}"


def brief(task: str, chosen: Chosen) -> str:
    """What is the same for all agents of the host, to be read from a file."""
    return "\n\n".join(filter(None, (task, chosen.ask, IN_WORDS))) + "\n"


def for_reader(path: str, lens: Lens) -> str:
    """What such an agent is told beside the brief."""
    return f"Read {path}: it holds your task. {_lens(lens)}"


def read(agent: str, answer: Answer) -> list[Idea] | None:
    """Return the ideas of an answer, a list in words too; None when there is none to be found."""
    found = jsonish.best(answer.text, answer.data, HAS_IDEAS, is_cut=answer.truncated)
    if found is not None:
        pairs = islice(_pairs(found["ideas"]), MOST_IDEAS)
        return [Idea(agent, place, *pair) for place, pair in enumerate(pairs)]
    lines = [words(match[1]) for match in islice(_BULLET.finditer(jsonish.spoken(answer.text)), MOST_IDEAS)]
    return [Idea(agent, place, clip(line, TITLE_CHARS)) for place, line in enumerate(lines)] or None


def _asked(task: str, chosen: Chosen, lens: Lens) -> str:
    return "\n\n".join(filter(None, (f"Task:\n{task}", chosen.ask, _lens(lens))))


def _lens(lens: Lens) -> str:
    look = lens.look if lens.look == lens.name else f"{lens.name}: {lens.look}"
    return f"Your lens: {look}."


def _pairs(items: list[Json]) -> Iterator[tuple[str, str]]:
    for item in items:
        title, detail = (item.get("title"), item.get("detail")) if isinstance(item, dict) else (item, "")
        if isinstance(title, str) and title.strip():
            more = words(detail) if isinstance(detail, str) else ""
            yield clip(words(title), TITLE_CHARS), clip(more, MOST_CHARS)
