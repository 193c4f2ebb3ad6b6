"""What the gate remembers of one session, as values: scopes, their waves, agents. No rules here.

Bounded: of each text a part is kept, answers only as long as a call may still depend on them, agents only
while they run or belong to a wave that counts. The whole is read and written at every agent call.
"""

from __future__ import annotations

from typing import Any, NamedTuple

KEEP_CHARS = 20_000
"""Of each answer: enough for names and numbers."""
MOST_SCOPES = 64
"""Sub-agents that launched agents and were never seen to stop; the oldest are forgotten first."""


class Call(NamedTuple):
    """One agent call."""

    id: str
    name: str
    task: str
    kind: str
    denied: bool = False
    finished: bool = False
    failed: bool = False
    agent: str = ""
    answer: str = ""

    @property
    def whole(self) -> str:
        return f"{self.name}\n{self.task}"

    @property
    def key(self) -> str:
        """The same for the same task sent again."""
        return " ".join(self.task.split())[:500]


class Scope(NamedTuple):
    """The waves of one conversation since its last human prompt."""

    prompt: str = ""
    open: tuple[Call, ...] = ()
    last: tuple[Call, ...] = ()
    """The last closed wave that launched anything."""
    told: str = ""
    """What the agents of the waves before that one answered."""
    seen: str = ""
    """What other tools and notifications said since that wave."""
    changed: bool = False
    """The conversation itself changed something since that wave, or a person answered a question."""
    spent: bool = False
    """The one denial on account of `last` was made."""
    sent_back: tuple[str, ...] = ()
    """Tasks that were denied once; sent again they pass."""
    split: tuple[str, ...] = ()
    """Ids of calls denied before a slow message brought their siblings: their resending is no new wave."""
    advised: bool = False


class Agent(NamedTuple):
    """What is known of a launched agent, whichever event came first."""

    finished: bool = False
    answer: str = ""


class History(NamedTuple):
    """All that one session's decisions rest on."""

    scopes: dict[str, Scope] = {}  # noqa: RUF012 - never mutated: every change makes a new dict
    agents: dict[str, Agent] = {}  # noqa: RUF012 - as above


def call_of(event: dict[str, Any]) -> Call:
    """Read an agent call out of its event."""
    given = event.get("tool_input")
    fields: dict[str, Any] = given if isinstance(given, dict) else {}
    task = str(fields.get("prompt") or "")[:KEEP_CHARS]
    name = " ".join(str(fields.get("description") or task or "agent").split())[:80]
    return Call(str(event.get("tool_use_id", "")), name, task, str(fields.get("subagent_type") or ""))


def scope_of(history: History, event: dict[str, Any]) -> Scope:
    """Return the scope of an event: the main conversation's, or its sub-agent's.

    A sub-agent's prompt is the task of the call that launched it, where the event names it (`launched_by`).
    """
    known = history.scopes.get(_key(event))
    if known is not None:
        return known
    by = event.get("launched_by")
    calls = (call for scope in history.scopes.values() for call in (*scope.open, *scope.last))
    return Scope(prompt=next((call.whole for call in calls if by and call.id == by), ""))


def put(history: History, event: dict[str, Any], scope: Scope) -> History:
    """Return the history with an event's scope replaced."""
    key = _key(event)
    others = {name: own for name, own in history.scopes.items() if name != key}
    kept = list(others)[-MOST_SCOPES:] + (["main"] if "main" in others else [])
    return history._replace(scopes={name: own for name, own in others.items() if name in kept} | {key: scope})


def put_agent(history: History, event: dict[str, Any], agent: Agent) -> History:
    """Return the history with an agent's state replaced; one that stopped has no scope any more."""
    agent_id = str(event.get("agent_id", ""))
    scopes = {key: scope for key, scope in history.scopes.items() if key != agent_id or not agent.finished}
    return History(scopes, {**history.agents, agent_id: agent})


def joined(history: History, call: Call) -> Call:
    """Join a call with what its agent's own events said; a resumed agent runs again."""
    agent = history.agents.get(call.agent) if call.agent else None
    if agent is None:
        return call
    answer = call.answer if agent.answer in call.answer else f"{call.answer}\n{agent.answer}"
    return call._replace(finished=agent.finished, answer=answer)


def pruned(history: History) -> History:
    """Forget the agents that no decision can rest on any more: stopped, and of no wave that counts."""
    counted = {call.agent for scope in history.scopes.values() for call in (*scope.open, *scope.last)}
    kept = {key: own for key, own in history.agents.items() if not own.finished or key in counted}
    return history._replace(agents=kept)


def kept(before: str, more: str) -> str:
    """Append to a bounded text."""
    return f"{before}\n{more}"[-KEEP_CHARS:] if more else before


def text_of(value: object) -> str:
    """Return all the words of a tool's response, whatever its shape."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        # a block's `type` is no word of anybody's
        return "\n".join(filter(None, (text_of(own) for key, own in value.items() if key != "type")))
    if isinstance(value, list):
        return "\n".join(filter(None, map(text_of, value)))
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""


def _key(event: dict[str, Any]) -> str:
    return str(event.get("agent_id") or "main")
