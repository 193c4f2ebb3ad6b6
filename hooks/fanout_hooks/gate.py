"""The sequential-agent gate: an agent launched alone, after one that ran alone, is sent back once.

Theory of operation. Claude Code starts the tools of a message while the message still streams, and tells a
hook neither the message nor the turn. Two events do delimit: PostToolBatch fires once per assistant message,
after its calls; a human UserPromptSubmit begins a new task. So every agent call since the last PostToolBatch
belongs to one *wave*, and each scope (the main conversation, or one sub-agent) has its own waves.

Rules, all of them here; what depends on what is depend.py's:

1. A call with a sibling in its wave passes. A call that would be denied waits up to 250 ms for one.
2. smart: a lone call is denied when the wave before it, since the last human prompt, was one agent that has
   finished, nothing was changed in between, and the call does not depend on it. strict: a lone call is denied
   when any wave came before it. warn: as smart, with words instead of a denial. off: nothing.
3. One denial a wave. The same call sent again passes, and is logged as overruled.
4. After a wave of one, one line of advice, once a prompt.
5. Nothing unknown is ever denied: no history, no answer seen, an agent still running, all pass.

`decide` and `settle` are pure: history in, history and verdict out. Where the history is kept is
gate_state.py's business; who waits is the caller's.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from fanout_hooks import depend

Mode = Literal["smart", "strict", "warn", "off"]
MODES: tuple[Mode, ...] = ("smart", "strict", "warn", "off")
AGENT_TOOLS = frozenset({"Agent", "Task"})
WRITES = frozenset({"Edit", "MultiEdit", "NotebookEdit", "Write"})
SIBLING_WAIT_S = 0.25
"""Calls of one message that came at once were all seen within 0.2 s (14 agents, two busy cores)."""
MACHINE_TURN = "<task-notification>"
KEEP_CHARS = 20_000
"""Of each answer: enough for names and numbers, bounded for a state file that is read on every call."""
ENTRIES: dict[str, str] = {
    "UserPromptSubmit": "",
    "PreToolUse": "Agent|Task",
    "PostToolUse": "Agent|Task",
    "PostToolUseFailure": "Agent|Task",
    "PostToolBatch": "",
    "SubagentStart": "",
    "SubagentStop": "",
}
"""The settings entries that the gate needs: event to matcher. Each says `fanout_gate: "on"` (cold: `--gate on`);
which mode counts is read at every event (gate_mode.py)."""


class Call(NamedTuple):
    """One agent call."""

    id: str
    name: str
    task: str
    kind: str
    denied: bool = False
    finished: bool = False
    agent: str = ""
    answer: str = ""


class Scope(NamedTuple):
    """The waves of one conversation since its last human prompt."""

    prompt: str = ""
    open: tuple[Call, ...] = ()
    last: tuple[Call, ...] = ()
    """The last closed wave that launched anything."""
    seen: str = ""
    """What other tools and notifications said since that wave."""
    changed: bool = False
    """The conversation itself changed files since that wave."""
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


class Verdict(NamedTuple):
    """What to do with an event. `wait`: ask `settle` after SIBLING_WAIT_S, or when a sibling has come."""

    kind: Literal["pass", "deny", "context", "wait"]
    text: str = ""
    note: dict[str, Any] = {}  # noqa: RUF012 - as above
    """For the log: verdict, why, wave."""


PASS = Verdict("pass")


def decide(history: History, event: dict[str, Any], mode: Mode) -> tuple[History, Verdict]:
    """Take one hook event into the history and say what to do with it."""
    step = _STEPS.get(str(event.get("hook_event_name")))
    if step is None:
        return history, PASS
    return step(history, event, mode)


def settle(history: History, event: dict[str, Any], mode: Mode) -> tuple[History, Verdict]:
    """Decide a call that has waited: a sibling came, or it is alone."""
    scope, call = _scope(history, event), _call(event)
    if any(other.id != call.id for other in scope.open) or not any(own.id == call.id for own in scope.open):
        return history, _passed(scope, "has siblings")
    earlier = scope.last[0]
    if mode == "warn":
        return _put(history, event, scope._replace(spent=True)), Verdict(
            "context", _words(call, earlier), {"verdict": "warn"}
        )
    marked = tuple(own._replace(denied=True) if own.id == call.id else own for own in scope.open)
    scope = scope._replace(open=marked, spent=True, sent_back=(*scope.sent_back, _key(call)))
    note = {"verdict": "deny", "call": call.name, "after": earlier.name}
    return _put(history, event, scope), Verdict("deny", _words(call, earlier), note)


def is_settled(history: History, event: dict[str, Any]) -> bool:
    """Say whether a waiting call has found a sibling, or its wave was closed meanwhile."""
    scope, call = _scope(history, event), _call(event)
    ids = {own.id for own in scope.open}
    return call.id not in ids or len(ids) > 1


# --- one step an event -------------------------------------------------------------------------------------


def _on_prompt(history: History, event: dict[str, Any], mode: Mode) -> tuple[History, Verdict]:
    del mode
    prompt = str(event.get("prompt", ""))
    if prompt.lstrip().startswith(MACHINE_TURN):
        scope = _scope(history, event)
        return _put(history, event, scope._replace(seen=_kept(scope.seen, prompt))), PASS
    return _put(history, event, Scope(prompt=prompt[:KEEP_CHARS])), PASS


def _on_call(history: History, event: dict[str, Any], mode: Mode) -> tuple[History, Verdict]:
    if event.get("tool_name") not in AGENT_TOOLS or mode == "off":
        return history, PASS
    call = _call(event)
    scope = _scope(history, event)
    split = scope.split + tuple(own.id for own in scope.open if own.denied)
    scope = scope._replace(open=(*scope.open, call), split=split)
    history = _put(history, event, scope)
    why_not = _passes(history, scope, call, mode)
    if why_not == "sent again":
        note = {"verdict": "overruled", "call": call.name}
        return history, Verdict("pass", "", note)
    return (history, _passed(scope, why_not)) if why_not else (history, Verdict("wait"))


def _passes(history: History, scope: Scope, call: Call, mode: Mode) -> str:
    """Return why a call passes at once, or "" when it must find a sibling."""
    if _key(call) in scope.sent_back:
        return "sent again"
    if len(scope.open) > 1:
        return "has siblings"
    if not scope.last:
        return "first"
    if scope.spent:
        return "denied once already"
    if mode == "strict":
        return ""
    if len(scope.last) > 1:
        return "after a wave of several"
    earlier = _known(history, scope.last[0])
    if not earlier.finished:
        return "the earlier agent still runs"
    if scope.changed:
        return "files were changed in between"
    answers = f"{earlier.answer}\n{scope.seen}"
    return depend.why(
        f"{call.name}\n{call.task}", f"{earlier.name}\n{earlier.task}", answers, scope.prompt, earlier.kind
    )


def _on_result(history: History, event: dict[str, Any], mode: Mode) -> tuple[History, Verdict]:
    del mode
    if event.get("tool_name") not in AGENT_TOOLS:
        return history, PASS
    response = event.get("tool_response")
    fields: dict[str, Any] = response if isinstance(response, dict) else {}
    agent = str(fields.get("agentId", ""))
    runs_on = fields.get("status") == "async_launched" or fields.get("isAsync") is True
    answer = _text(fields.get("content") or event.get("error") or response)[:KEEP_CHARS]
    scope = _scope(history, event)

    def told(call: Call) -> Call:
        if call.id != event.get("tool_use_id"):
            return call
        return call._replace(agent=agent, finished=not runs_on, answer="" if runs_on else answer)

    scope = scope._replace(open=tuple(map(told, scope.open)), last=tuple(map(told, scope.last)))
    return _put(history, event, scope), PASS


def _on_batch(history: History, event: dict[str, Any], mode: Mode) -> tuple[History, Verdict]:
    """Close the wave: what was launched in this message becomes the last wave."""
    calls = [call for call in event.get("tool_calls") or [] if isinstance(call, dict)]
    scope = _scope(history, event)
    launched = tuple(call for call in scope.open if not call.denied)
    others = [call for call in calls if call.get("tool_name") not in AGENT_TOOLS]
    if not launched:
        changed = scope.changed or any(call.get("tool_name") in WRITES for call in others)
        said = "\n".join(_text(call.get("tool_response")) for call in others)
        return _put(
            history, event, scope._replace(open=(), seen=_kept(scope.seen, said), changed=changed)
        ), PASS
    resent = len(launched) == 1 and bool(scope.split) and _key(launched[0]) in scope.sent_back
    wave = scope.last + launched if resent else launched
    advise = mode != "off" and len(wave) == 1 and not scope.advised
    closed = Scope(
        prompt=scope.prompt,
        last=wave,
        sent_back=scope.sent_back,
        split=() if resent else scope.split,
        advised=scope.advised or advise,
    )
    note = {"verdict": "wave", "wave": len(wave)}
    verdict = Verdict("context", ADVICE, note) if advise else Verdict("pass", "", note)
    return _put(history, event, closed), verdict


def _on_start(history: History, event: dict[str, Any], mode: Mode) -> tuple[History, Verdict]:
    """Also a resumed agent (SendMessage): it runs again, and is no new launch."""
    del mode
    known = history.agents.get(str(event.get("agent_id")), Agent())
    return _put_agent(history, event, known._replace(finished=False)), PASS


def _on_stop(history: History, event: dict[str, Any], mode: Mode) -> tuple[History, Verdict]:
    del mode
    answer = str(event.get("last_assistant_message") or "")[:KEEP_CHARS]
    return _put_agent(history, event, Agent(finished=True, answer=answer)), PASS


_STEPS = {
    "UserPromptSubmit": _on_prompt,
    "PreToolUse": _on_call,
    "PostToolUse": _on_result,
    "PostToolUseFailure": _on_result,
    "PostToolBatch": _on_batch,
    "SubagentStart": _on_start,
    "SubagentStop": _on_stop,
}

# --- words -------------------------------------------------------------------------------------------------

ADVICE = (
    "fanout: that message launched one agent alone. Are more independent agents needed for this task? "
    "Send all of them in ONE message (several Agent calls side by side): they run at the same time."
)


def _words(call: Call, earlier: Call) -> str:
    return (
        f'fanout gate: "{call.name}" was sent alone after "{earlier.name}" had run, and nothing in its task '
        "depends on that answer. Send ALL remaining independent agents in ONE message (several Agent calls "
        "side by side): they run at the same time. If this one does depend on the earlier answer, add a line "
        f'"depends on: {earlier.name}" to its prompt. If it is the only one left, send the same call again: '
        "it will be let through."
    )


def _passed(scope: Scope, why: str) -> Verdict:
    return Verdict("pass", "", {"verdict": "pass", "why": why, "siblings": len(scope.open) - 1})


# --- small things ------------------------------------------------------------------------------------------


def _call(event: dict[str, Any]) -> Call:
    given = event.get("tool_input")
    fields: dict[str, Any] = given if isinstance(given, dict) else {}
    task = str(fields.get("prompt") or "")[:KEEP_CHARS]
    name = " ".join(str(fields.get("description") or task or "agent").split())[:80]
    return Call(str(event.get("tool_use_id", "")), name, task, str(fields.get("subagent_type") or ""))


def _key(call: Call) -> str:
    return " ".join(call.task.split())[:500]


def _known(history: History, call: Call) -> Call:
    """Join a call with what its agent's own events said; a resumed agent runs again."""
    agent = history.agents.get(call.agent) if call.agent else None
    if agent is None:
        return call
    return call._replace(finished=agent.finished, answer=f"{call.answer}\n{agent.answer}")


def _scope_key(event: dict[str, Any]) -> str:
    return str(event.get("agent_id") or "main")


def _scope(history: History, event: dict[str, Any]) -> Scope:
    return history.scopes.get(_scope_key(event), Scope())


def _put(history: History, event: dict[str, Any], scope: Scope) -> History:
    return history._replace(scopes={**history.scopes, _scope_key(event): scope})


def _put_agent(history: History, event: dict[str, Any], agent: Agent) -> History:
    agent_id = str(event.get("agent_id", ""))
    scopes = {key: scope for key, scope in history.scopes.items() if key != agent_id or not agent.finished}
    return History(scopes, {**history.agents, agent_id: agent})


def _kept(before: str, more: str) -> str:
    return f"{before}\n{more}"[-KEEP_CHARS:] if more else before


def _text(value: object) -> str:
    """All the words of a tool's response, whatever its shape."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return "\n".join(filter(None, map(_text, value.values())))
    if isinstance(value, list):
        return "\n".join(filter(None, map(_text, value)))
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""
