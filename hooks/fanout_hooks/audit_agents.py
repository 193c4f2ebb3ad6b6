"""Agents that ran one after another and needn't have: the gate's own rules, replayed over a transcript.

So the audit and the gate never disagree: what the gate would have sent back is found, nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from fanout_hooks import gate
from fanout_hooks.audit import Observation, shorten
from fanout_hooks.gate import AGENT_TOOLS
from fanout_hooks.gate_history import History
from fanout_hooks.transcript import Prompt, Transcript, Use

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
    """A notification tells that a background agent has stopped; a person's prompt starts anew."""
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
