"""Read-only calls that ran one a message and needn't have: no call of the run needed what another showed.

A call needs those before it when it names what only they showed (a path, a word of its pattern, an address),
when the one before failed or showed nothing (a search is being refined), and when it reads on in the same
file. In doubt it needs them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from itertools import pairwise

from fanout_hooks.audit import Observation
from fanout_hooks.transcript import Message, Prompt, Transcript, Use

READ_ONLY = frozenset({"Glob", "Grep", "LS", "NotebookRead", "Read", "WebFetch", "WebSearch"})
READ_ONLY_COMMAND = re.compile(
    r"\s*(?:cat|find|grep|head|ls|rg|stat|tail|tree|wc|file|git\s+(?:blame|diff|log|show|status))\b"
    r"[^;&|<>`$]*"
)
LEAST_RUN = 3
"""Two lone calls in a row may be chance; from three on it is a habit that costs."""
PARTICULAR = re.compile(r"[^\W\d_][\w.-]{4,}|\d{3,}")
"""A word that is no chance: at least five letters, or a number of three digits."""
SHOWED_NOTHING = re.compile(
    r"\s*(?:no (?:files|matches|results)\b.*|found 0 \w+|"
    r".{0,200}\b(?:does not exist|not found|no such file)\b"
    r".*|<tool_use_error>.*|error\b.*)?",
    re.IGNORECASE | re.DOTALL,
)
FREE_TEXT = frozenset({"description", "prompt", "output_mode"})
"""Inputs that say why or how, not what is read."""


def sequential_calls(transcript: Transcript) -> Iterator[Observation]:
    run: list[Message] = []
    known = ""
    for entry in (*transcript.entries, Prompt("", 0, 0)):
        if isinstance(entry, Message) and is_lone_read(entry) and not _needs(entry.uses[0], run, known):
            run.append(entry)
            continue
        if len(run) >= LEAST_RUN:
            yield _observation(transcript.path, run)
        known += "\n" + "\n".join(message.uses[0].text for message in run)
        run = []
        if isinstance(entry, Message) and is_lone_read(entry):
            run = [entry]
        else:
            known += "\n" + (
                entry.text if isinstance(entry, Prompt) else "\n".join(use.text for use in entry.uses)
            )


def is_lone_read(message: Message) -> bool:
    if len(message.uses) != 1:
        return False
    (use,) = message.uses
    command = str(use.input.get("command", ""))
    return use.tool in READ_ONLY or (use.tool == "Bash" and bool(READ_ONLY_COMMAND.fullmatch(command)))


def _needs(use: Use, run: list[Message], known: str) -> bool:
    if not run:
        return False
    last = run[-1].uses[0]
    if SHOWED_NOTHING.fullmatch(last.text[:2000]) or not last.ended:
        return True
    earlier = [message.uses[0] for message in run]
    if any(_target(use) and _target(use) == _target(own) for own in earlier):
        return True
    shown = "\n".join(own.text for own in earlier).casefold()
    before = known.casefold() + "\n" + "\n".join(" ".join(_values(own)) for own in earlier).casefold()
    return any(name in shown and name not in before for name in _names(use))


def _target(use: Use) -> str:
    """Return the one file that a call reads: reading on in it is no second task."""
    return str(use.input.get("file_path") or use.input.get("notebook_path") or "")


def _values(use: Use) -> list[str]:
    return [
        value for key, value in use.input.items() if isinstance(value, str) and value and key not in FREE_TEXT
    ]


def _names(use: Use) -> Iterator[str]:
    """Yield what a call names: whole values, the last parts of paths, and particular words."""
    for value in _values(use):
        low = value.casefold()
        yield low
        if "/" in low:
            yield os.path.basename(low.rstrip("/")) or low
        if not _is_path(low):
            yield from PARTICULAR.findall(low)


def _is_path(value: str) -> bool:
    """Say whether a value is a path: its folders are shown everywhere, only its end is particular."""
    return "/" in value and not re.search(r"\s|://", value)


def _observation(path: str, run: list[Message]) -> Observation:
    gaps = [max(0.0, later.at - earlier.uses[0].ended) for earlier, later in pairwise(run)]
    tools = ", ".join(sorted({message.uses[0].tool for message in run}))
    return Observation(
        "sequential calls",
        f"{path}:{run[0].line}",
        f"{len(run)} read-only calls ({tools}) in {len(run)} messages, none needing the one before",
        sum(gaps),
        measured=True,
        basis="the model's turns between them",
        advice="Send independent reads in one message; for whole files or modules use summarize_files.",
    )
