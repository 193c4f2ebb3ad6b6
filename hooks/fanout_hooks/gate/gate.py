"""The sequential-agent gate: an agent launched alone, after one that ran alone, is sent back once.

Theory of operation. Claude Code starts the tools of a message while the message still streams, and gives
a hook neither the message nor the turn. Two events delimit them: PostToolBatch fires once per assistant
message, after its calls; a human UserPromptSubmit begins a new task. So every agent call since the last
PostToolBatch belongs to one *wave*, and each scope (the main conversation or one sub-agent) has its own.

Rules, all of them here; what depends on what is dependence.py's:

1. A call with a sibling in its wave passes. A call that would be denied waits up to 250 ms for one.
2. smart: a lone call is denied when the wave before it, since the last human prompt, was one agent that has
   finished, nothing was changed in between, and the call does not depend on it. strict: a lone call is denied
   when any wave came before it. warn: as smart, with words instead of a denial. off: nothing.
3. One denial a wave. The same call sent again passes, and is logged as overruled.
4. After a wave of one, one line of advice, once a prompt.
5. Nothing unknown is ever denied: no history, no answer seen, an agent still running or failed, all pass.

`decide` and `settle` are pure: history in, history and verdict out. state.py keeps it, watch.py waits.
"""

from __future__ import annotations

import re
from typing import Any, Literal, NamedTuple

# --- What the gate remembers of one session, as values: scopes, their waves, agents. No rules here. ---------
# Bounded: of each text a part is kept, answers only as long as a call may still depend on them, agents only
# while they run or belong to a wave that counts. The whole is read and written at every agent call.

KEEP_CHARS = 20_000
"""Of each answer: enough for names and numbers."""
MAX_SCOPES = 64
"""Sub-agents that launched agents and were never seen to stop; the oldest are forgotten first."""


class Call(NamedTuple):
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
    answers: str = ""
    """What the agents of the waves before that one answered."""
    seen: str = ""
    """What other tools and notifications returned since that wave."""
    changed: bool = False
    """The conversation itself changed something since that wave, or a person answered a question."""
    spent: bool = False
    """The one denial on account of `last` was made."""
    sent_back: tuple[str, ...] = ()
    """Tasks that were denied once; sent again they pass."""
    split: tuple[str, ...] = ()
    """Ids of calls denied before a slow message brought their siblings; sent again, they are no new wave."""
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
    key = _key(event)
    others = {name: own for name, own in history.scopes.items() if name != key}
    kept = list(others)[-MAX_SCOPES:] + (["main"] if "main" in others else [])
    return history._replace(scopes={name: own for name, own in others.items() if name in kept} | {key: scope})


def put_agent(history: History, event: dict[str, Any], agent: Agent) -> History:
    """Return the history with an agent's state replaced; one that stopped has no scope any more."""
    agent_id = str(event.get("agent_id", ""))
    scopes = {key: scope for key, scope in history.scopes.items() if key != agent_id or not agent.finished}
    return History(scopes, {**history.agents, agent_id: agent})


def joined(history: History, call: Call) -> Call:
    """Join a call with what its agent's own events reported; a resumed agent runs again."""
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
        # a block's `type` is not part of the text
        return "\n".join(filter(None, (text_of(own) for key, own in value.items() if key != "type")))
    if isinstance(value, list):
        return "\n".join(filter(None, map(text_of, value)))
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""


def _key(event: dict[str, Any]) -> str:
    return str(event.get("agent_id") or "main")


# --- What becomes of a call ---------------------------------------------------------------------------------

Mode = Literal["smart", "strict", "warn", "off"]
MODES: tuple[Mode, ...] = ("smart", "strict", "warn", "off")
AGENT_TOOLS = frozenset({"Agent", "Task"})
SIBLING_WAIT_S = 0.25
"""Calls of one message that came at once were all seen within 0.2 s (14 agents, two busy cores)."""
NO_OUTPUT = re.compile(
    r"^\W{0,99}(?:sub-?agent|agent|task)?\W{0,99}(?:completed|finished)\b.{0,20}\bno\s{1,9}output\W{0,99}$",
    re.IGNORECASE,
)
MACHINE_TURN = "<task-notification>"
ENTRIES: dict[str, str] = {
    "UserPromptSubmit": "",
    "PreToolUse": "Agent|Task",
    "PostToolUse": "Agent|Task",
    "PostToolUseFailure": "Agent|Task",
    "PostToolBatch": "",
    "SubagentStart": "",
    "SubagentStop": "",
}
"""The settings entries that the gate needs: event to matcher. A wider matcher does no harm. Each entry
carries `fanout_gate: MODE` (cold: `--gate MODE`), which counts where nothing else is set (watch.py)."""


class Verdict(NamedTuple):
    """What to do with an event. `wait`: ask `settle` after SIBLING_WAIT_S, or when a sibling has come."""

    kind: Literal["pass", "deny", "context", "wait"]
    text: str = ""
    note: dict[str, Any] = {}  # noqa: RUF012 - never mutated
    """For the log: verdict (pass, deny, warn, overruled, skipped), why, call, after; wave: its size."""


PASS = Verdict("pass")


def concerns(event: dict[str, Any]) -> bool:
    """Say whether an event can mean anything here, so that others cost no look at the history."""
    name = event.get("hook_event_name")
    is_about_a_call = name in ("PreToolUse", "PostToolUse", "PostToolUseFailure")
    return name in ENTRIES and (not is_about_a_call or event.get("tool_name") in AGENT_TOOLS)


def decide(history: History, event: dict[str, Any], mode: Mode) -> tuple[History, Verdict]:
    """Take one hook event into the history and say what to do with it."""
    if mode == "off" or not concerns(event):
        return history, PASS
    name = event["hook_event_name"]
    if name == "PreToolUse":
        return _on_call(history, event, mode)
    if name == "PostToolBatch":
        return _on_batch(history, event)
    return _NOTES[name](history, event), PASS


def settle(history: History, event: dict[str, Any], mode: Mode) -> tuple[History, Verdict]:
    """Decide a call that has waited: a sibling came, or it is alone."""
    if is_settled(history, event):
        return history, _passed(scope_of(history, event), call_of(event), "has siblings")
    scope, call = scope_of(history, event), call_of(event)
    earlier = scope.last[0]
    note = {"verdict": "warn" if mode == "warn" else "deny", "call": call.name, "after": earlier.name}
    scope = scope._replace(spent=True)
    if mode != "warn":
        marked = tuple(own._replace(denied=True) if own.id == call.id else own for own in scope.open)
        scope = scope._replace(open=marked, sent_back=(*scope.sent_back, call.key))
    kind: Literal["context", "deny"] = "context" if mode == "warn" else "deny"
    return put(history, event, scope), Verdict(kind, _reason(call, scope.last, mode), note)


def hold(history: History, event: dict[str, Any]) -> History:
    """Take back a call that was let through here and is over a cap: sent again, it is not a new wave."""
    scope, call = scope_of(history, event), call_of(event)
    marked = tuple(own._replace(denied=True) if own.id == call.id else own for own in scope.open)
    again = scope.sent_back if call.key in scope.sent_back else (*scope.sent_back, call.key)
    return put(history, event, scope._replace(open=marked, sent_back=again))


def is_settled(history: History, event: dict[str, Any]) -> bool:
    """Say whether a waiting call has found a sibling, or its wave was closed meanwhile."""
    ids = {own.id for own in scope_of(history, event).open}
    return call_of(event).id not in ids or len(ids) > 1


# --- one step an event -------------------------------------------------------------------------------------


def _on_prompt(history: History, event: dict[str, Any]) -> History:
    prompt = str(event.get("prompt", ""))
    if is_machine(prompt):
        scope = scope_of(history, event)
        seen = scope._replace(seen=kept(scope.seen, prompt))
        return put(history, event, seen) if scope.last else history
    return pruned(put(history, event, Scope(prompt=prompt[:KEEP_CHARS])))


def is_machine(prompt: str) -> bool:
    return prompt.lstrip().startswith(MACHINE_TURN)


def _on_call(history: History, event: dict[str, Any], mode: Mode) -> tuple[History, Verdict]:
    call, scope = call_of(event), scope_of(history, event)
    split = scope.split + tuple(own.id for own in scope.open if own.denied)
    scope = scope._replace(open=(*scope.open, call), split=split)
    history = put(history, event, scope)
    if call.key in scope.sent_back:
        return history, Verdict("pass", "", {"verdict": "overruled", "call": call.name})
    why = _why_it_passes(history, scope, call, mode)
    return history, _passed(scope, call, why) if why else Verdict("wait")


def _why_it_passes(history: History, scope: Scope, call: Call, mode: Mode) -> str:
    """Return why a call passes at once, or "" when it must find a sibling."""
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
    earlier = joined(history, scope.last[0])
    if not earlier.finished:
        return "the earlier agent still runs"
    if earlier.failed:
        return "the earlier agent failed"
    if not earlier.answer.strip() or NO_OUTPUT.search(earlier.answer):
        return "the earlier agent answered nothing"
    if scope.changed:
        return "something was changed in between"
    from fanout_hooks.gate import dependence  # compile their words: only where there is something to compare

    before = dependence.Earlier(earlier.whole, earlier.answer, earlier.kind, scope.seen)
    return dependence.why(call.whole, before, scope.prompt, scope.answers)


def _on_result(history: History, event: dict[str, Any]) -> History:
    response = event.get("tool_response")
    fields: dict[str, Any] = response if isinstance(response, dict) else {}
    runs_on = fields.get("status") == "async_launched" or fields.get("isAsync") is True
    content = fields["content"] if "content" in fields else event.get("error") or response
    answer = text_of(content)[:KEEP_CHARS]
    result = {
        "agent": str(fields.get("agentId", "")),
        "finished": not runs_on,
        "failed": event["hook_event_name"] == "PostToolUseFailure",
        "answer": "" if runs_on else answer,
    }

    def with_result(call: Call) -> Call:
        return call._replace(**result) if call.id == event.get("tool_use_id") else call

    scope = scope_of(history, event)
    scope = scope._replace(open=tuple(map(with_result, scope.open)), last=tuple(map(with_result, scope.last)))
    history = put(history, event, scope)
    agent = str(fields.get("agentId") or "")
    if agent and not runs_on:  # its SubagentStop may come later, after the next call even
        known = history.agents.get(agent, Agent())
        ended = known._replace(finished=True, answer=known.answer or answer)
        history = put_agent(history, {"agent_id": agent}, ended)
    return history


def _on_batch(history: History, event: dict[str, Any]) -> tuple[History, Verdict]:
    """Close the wave: what was launched in this message becomes the last wave."""
    scope = scope_of(history, event)
    launched = tuple(call for call in scope.open if not call.denied)
    if not launched:
        return _on_other_tools(history, event, scope), PASS
    resent = len(launched) == 1 and bool(scope.split) and launched[0].key in scope.sent_back
    wave = scope.last + launched if resent else launched
    advise = len(wave) == 1 and not scope.advised
    before = "" if resent else "\n".join(joined(history, call).answer for call in scope.last)
    closed = Scope(
        prompt=scope.prompt,
        last=wave if len(wave) == 1 else tuple(call._replace(answer="") for call in wave),
        answers=kept(scope.answers, f"{before}\n{scope.seen}".strip()),
        sent_back=scope.sent_back,
        split=() if resent else scope.split,
        advised=scope.advised or advise,
    )
    held = sum(own.denied and own.id in scope.split for own in scope.open)
    note = {} if resent else {"wave": len(wave) + held}  # counted as sent: its resending adds nothing
    verdict = Verdict("context", ADVICE, note) if advise else Verdict("pass", "", note)
    return pruned(put(history, event, closed)), verdict


def _on_other_tools(history: History, event: dict[str, Any], scope: Scope) -> History:
    """Take in what a message without a launch did: it may be what the next agent had to wait for."""
    if not scope.last and not scope.open:
        return history
    calls = [call for call in event.get("tool_calls") or [] if isinstance(call, dict)]
    others = [call for call in calls if call.get("tool_name") not in AGENT_TOOLS]
    shown = "\n".join(text_of(call.get("tool_response")) for call in others)
    changed = scope.changed or any(map(_changes_something, others))
    scope = scope._replace(open=(), seen=kept(scope.seen, shown), changed=changed)
    return put(history, event, scope)


def _on_start(history: History, event: dict[str, Any]) -> History:
    """Also a resumed agent (SendMessage): it runs again, and is not a new launch."""
    known = history.agents.get(str(event.get("agent_id")), Agent())
    return put_agent(history, event, known._replace(finished=False))


def _on_stop(history: History, event: dict[str, Any]) -> History:
    answer = str(event.get("last_assistant_message") or "")[:KEEP_CHARS]
    return put_agent(history, event, Agent(finished=True, answer=answer))


_NOTES = {
    "UserPromptSubmit": _on_prompt,
    "PostToolUse": _on_result,
    "PostToolUseFailure": _on_result,
    "SubagentStart": _on_start,
    "SubagentStop": _on_stop,
}
"""What is only taken in: no verdict comes of it."""

# --- what other tools change -------------------------------------------------------------------------------

CHANGING_TOOLS = re.compile(
    r"Edit|MultiEdit|NotebookEdit|Write|AskUserQuestion|ExitPlanMode|EnterWorktree|ExitWorktree|"
    r"mcp__.*(?:create|update|write|delete|edit|insert|apply|move|rename|merge|push|commit|deploy|execute|run|"
    r"set|add|remove|send|post|publish|upload|install).*"
)
CHANGING_COMMAND = re.compile(
    r"(?:^|[;&|(]\s*|\b(?:sudo|env|xargs)\s+)(?:mv|cp|rm|mkdir|touch|tee|patch|ln|chmod|unzip|tar|wget|make|docker|"
    r"kubectl|terraform|alembic|prisma|"
    r"git\s+(?:checkout|switch|pull|merge|rebase|commit|stash|apply|reset|clone|cherry-pick|restore|mv|rm|add|init)|"
    r"sed\s+-i|perl\s+-p?i|(?:npm|pnpm|yarn|pip|pip3|uv|cargo|go|apt|apt-get|brew|gem|bundle|poetry|composer)\s+"
    r"(?:i|ci|install|add|sync|build|update|upgrade|generate|get|mod|remove|run\s+(?:build|migrate|generate)))\b"
    r"|(?<![<>\d&])>{1,2}(?!\s*/dev/null|&)",
    re.MULTILINE,
)


def _changes_something(call: dict[str, Any]) -> bool:
    tool, given = str(call.get("tool_name")), call.get("tool_input")
    if tool != "Bash":
        return CHANGING_TOOLS.fullmatch(tool) is not None
    command = str(given.get("command", "")) if isinstance(given, dict) else ""
    return CHANGING_COMMAND.search(command) is not None


# --- words -------------------------------------------------------------------------------------------------

ADVICE = (
    "fanout: that message launched one agent alone. Are more independent agents needed for this task? "
    "Send all of them in ONE message (several Agent calls side by side): they run at the same time."
)


SENT_BACK = "fanout gate: "
"""How the reason of a denial begins."""


def _reason(call: Call, before: tuple[Call, ...], mode: Mode) -> str:
    earlier = " and ".join(f'"{one.name}"' for one in before[:2]) + (" and others" if len(before) > 2 else "")
    happened = f'{SENT_BACK}"{call.name}" was sent alone after {earlier} had run'
    together = "ALL remaining independent agents in ONE message (several Agent calls side by side)"
    if mode == "warn":
        return (
            f"{happened}, and nothing in its task depends on that answer. Send {together}: they run at once."
        )
    again = "If it is the only one left, send the same call again: it will be let through."
    if mode == "strict":
        return f"{happened}. Send {together}: they run at once. {again}"
    return (
        f"{happened}, and nothing in its task depends on that answer. Send {together}: they run at once. "
        f'If this one does depend on the earlier answer, add a line "depends on: {before[0].name}" to its '
        f"prompt. {again}"
    )


def _passed(scope: Scope, call: Call, why: str) -> Verdict:
    note = {"verdict": "pass", "why": why, "call": call.name, "siblings": max(0, len(scope.open) - 1)}
    return Verdict("pass", "", note)
