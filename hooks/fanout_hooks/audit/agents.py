"""Find agents and read-only calls that ran one after another without need, in a transcript.

So the audit and the gate never disagree: what the gate would have sent back is found, nothing else.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any, Literal, NamedTuple

from fanout_hooks.client.transcripts import Message, Prompt, Transcript, Use
from fanout_hooks.gate import gate
from fanout_hooks.gate.gate import AGENT_TOOLS, History

# --- What an audit says: one observation each, with its place, the time it costs, and what to do. -----------
# Found here (transcripts) and by hooks.py (the log, transcripts, and what hooks were seen to touch).

Kind = Literal["sequential agents", "prevented sequences", "sequential calls", "slow hook", "racing hooks"]


class Observation(NamedTuple):
    """One thing that could be faster or safer."""

    kind: Kind
    place: str
    """`file:line`."""
    what: str
    seconds: float
    """What it cost, or may cost; 0 when that can't be known."""
    measured: bool
    """False: estimated; `basis` says from what."""
    basis: str
    advice: str


def shorten(text: str, most: int = 70) -> str:
    one_line = " ".join(text.split())
    return one_line if len(one_line) <= most else one_line[: most - 1] + "…"


def to_json(observations: Iterable[Observation]) -> str:
    return json.dumps([found._asdict() for found in observations], ensure_ascii=False, indent=2)


# --- Agents one after another -------------------------------------------------------------------------------

AGENT_ID = re.compile(r"<task-id>([^<]+)</task-id>")


def sequential_agents(transcript: Transcript) -> Iterator[Observation]:
    """Replay the conversation as hook events: what the gate would have sent back is found."""
    history, earlier = History(), None
    ends = _background_ends(transcript)
    for entry in transcript.entries:
        if isinstance(entry, Prompt):
            history = _on_prompt(history, entry)
            continue
        agents = [use for use in entry.uses if use.tool in AGENT_TOOLS]
        stopped = [use for use in agents if gate.SENT_BACK in use.text and "was sent alone after" in use.text]
        yield from (_prevented(transcript.path, use) for use in stopped)
        agents = [use for use in agents if use not in stopped]
        if stopped and not agents:
            continue  # they never ran, so nothing follows them
        if len(agents) == 1:
            event = _event(agents[0])
            history, verdict = gate.decide(history, event, "smart")
            if verdict.kind == "wait":
                denied, _ = gate.settle(history, event, "smart")
                if earlier is not None:
                    yield _agents_in_sequence(transcript.path, earlier, agents[0], ends)
                history = _as_launched(denied, agents[0])
        else:
            for use in agents:
                history, _ = gate.decide(history, _event(use), "smart")
        for use in agents:
            history = _step(history, "PostToolUse", **_fields(use), tool_response=_whole(use))
        calls = [{**_fields(use), "tool_response": use.text} for use in entry.uses]
        history = _step(history, "PostToolBatch", tool_calls=calls)
        earlier = agents[0] if len(agents) == 1 else (None if agents else earlier)


def _on_prompt(history: History, prompt: Prompt) -> History:
    """A notification says that a background agent has stopped; a person's prompt starts over."""
    for agent in AGENT_ID.findall(prompt.text if prompt.text.startswith(gate.MACHINE_TURN) else ""):
        history = _step(history, "SubagentStop", agent_id=agent, last_assistant_message=prompt.text)
    return _step(history, "UserPromptSubmit", prompt=prompt.text)


def _background_ends(transcript: Transcript) -> dict[str, float]:
    """When each background agent was reported as done."""
    prompts = [entry for entry in transcript.entries if isinstance(entry, Prompt)]
    return {
        agent: prompt.at
        for prompt in prompts
        if prompt.text.startswith(gate.MACHINE_TURN)
        for agent in AGENT_ID.findall(prompt.text)
    }


def _as_launched(history: History, use: Use) -> History:
    """Take back the denial: in this conversation the agent did run."""
    scope = history.scopes["main"]
    opened = tuple(call._replace(denied=False) if call.id == use.id else call for call in scope.open)
    return history._replace(scopes={**history.scopes, "main": scope._replace(open=opened)})


def _agents_in_sequence(path: str, earlier: Use, later: Use, ends: dict[str, float]) -> Observation:
    spans = [span for span in (_span(earlier, ends), _span(later, ends)) if span > 0]
    return Observation(
        "sequential agents",
        f"{path}:{later.line}",
        f'"{_title(later)}" ran alone after "{_title(earlier)}" (line {earlier.line}), not depending on it',
        min(spans) if len(spans) == 2 else 0.0,
        measured=False,
        basis="the shorter of the two measured runs",
        advice="Send independent agents in one message, side by side.",
    )


def _prevented(path: str, use: Use) -> Observation:
    return Observation(
        "prevented sequences",
        f"{path}:{use.line}",
        f'"{_title(use)}" was sent alone, and the gate sent it back before it ran',
        0.0,
        measured=False,
        basis="it did not run",
        advice="Nothing to do: this is what the gate is for.",
    )


def _whole(use: Use) -> dict[str, Any]:
    response = use.response if isinstance(use.response, dict) else {}
    return response or {"status": "completed", "content": use.text}


def _step(history: History, name: str, **fields: Any) -> History:
    return gate.decide(history, {"hook_event_name": name, **fields}, "smart")[0]


def _event(use: Use) -> dict[str, Any]:
    return {"hook_event_name": "PreToolUse", **_fields(use)}


def _fields(use: Use) -> dict[str, Any]:
    return {"tool_name": use.tool, "tool_use_id": use.id, "tool_input": use.input}


def _title(use: Use) -> str:
    return shorten(str(use.input.get("description") or use.input.get("prompt") or use.tool))


def _span(use: Use, ends: dict[str, float]) -> float:
    agent = str(use.response.get("agentId", "")) if isinstance(use.response, dict) else ""
    ended = ends.get(agent, 0.0) if _whole(use).get("isAsync") else use.ended
    return max(0.0, ended - use.started)


# --- Read-only calls one after another ----------------------------------------------------------------------
# Read-only calls that ran one a message and needn't have: no call of the run needed what another showed.
# A call needs those before it when it names what only they showed (a path, a word of its pattern, an
# address), when the one before failed or showed nothing (a search is being refined), and when it reads on in
# the same file. In doubt it needs them.

READ_ONLY = frozenset({"Glob", "Grep", "LS", "NotebookRead", "Read", "WebFetch", "WebSearch"})
READ_ONLY_COMMAND = re.compile(
    r"\s*(?:cat|find|grep|head|ls|rg|stat|tail|tree|wc|file|git\s+(?:blame|diff|log|show|status))\b"
    r"[^;&|<>`$]*"
)
MIN_RUN = 3
"""Two lone calls in a row may be chance; from three on it is a habit that costs."""
PARTICULAR = re.compile(r"[^\W\d_][\w.-]{4,}|\d{3,}")
"""A word that is not there by chance: at least five letters, or a number of three digits."""
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
        if len(run) >= MIN_RUN:
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
    """Return the one file that a call reads: reading on in it is not a second task."""
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
