"""One Claude Code session as the gate's pure core sees it: events in the order of the client."""

from __future__ import annotations

from typing import Any

from fanout_hooks.gate import gate
from fanout_hooks.gate.gate import History, Mode, Verdict


class Session:
    """Replays the events of one Claude Code session, in the order in which the client sends them."""

    def __init__(self, mode: Mode = "smart", agent_id: str = "") -> None:
        self.mode, self.agent_id = mode, agent_id
        self.history = History()
        self.ids = 0

    def send(self, name: str, **fields: Any) -> Verdict:
        event = {"hook_event_name": name, "session_id": "s", **fields}
        if self.agent_id and "agent_id" not in fields:
            event["agent_id"] = self.agent_id
        self.history, verdict = gate.decide(self.history, event, self.mode)
        if verdict.kind == "wait" and not gate.is_settled(self.history, event):
            self.waiting = event
        return verdict

    def settle(self) -> Verdict:
        self.history, verdict = gate.settle(self.history, self.waiting, self.mode)
        return verdict

    def prompt(self, text: str = "Explain auth, billing and search.") -> None:
        self.send("UserPromptSubmit", prompt=text)

    def call(self, task: str, kind: str = "Explore", name: str = "") -> tuple[dict[str, Any], Verdict]:
        self.ids += 1
        fields = {
            "tool_name": "Agent",
            "tool_use_id": f"toolu_{self.ids}",
            "tool_input": {"description": name or task[:30], "prompt": task, "subagent_type": kind},
        }
        return fields, self.send("PreToolUse", **fields)

    def lone(self, task: str, kind: str = "Explore", name: str = "") -> tuple[dict[str, Any], Verdict]:
        """Send a call that no sibling follows."""
        fields, verdict = self.call(task, kind, name)
        return fields, self.settle() if verdict.kind == "wait" else verdict

    def message(
        self, *tasks: str, answers: str = "Fine.", background: bool = False, kind: str = "Explore"
    ) -> list[str]:
        """One assistant message with these agent calls; returns what the model was told for each."""
        told: list[str] = []
        sent: list[tuple[dict[str, Any], Verdict]] = []
        for task in tasks:
            fields, verdict = self.call(task, kind)
            sent.append((fields, verdict))
        for fields, first in sent:
            verdict = self.settle() if first.kind == "wait" else first
            told.append(verdict.kind)
            if verdict.kind != "deny":
                self.run(fields, answers, background=background)
        self.send("PostToolBatch", tool_calls=[fields for fields, _ in sent])
        return told

    def run(self, fields: dict[str, Any], answer: str, *, background: bool) -> None:
        agent = f"agent-{fields['tool_use_id']}"
        self.send("SubagentStart", agent_id=agent)
        if not background:
            self.send("SubagentStop", agent_id=agent, last_assistant_message=answer)
        done = {"status": "completed", "agentId": agent, "content": [{"type": "text", "text": answer}]}
        runs = {"status": "async_launched", "isAsync": True, "agentId": agent}
        self.send("PostToolUse", **fields, tool_response=runs if background else done)

    def finish(self, call: int, answer: str = "Fine.") -> None:
        self.send("SubagentStop", agent_id=f"agent-toolu_{call}", last_assistant_message=answer)

    def other(self, tool: str, response: str = "ok", **given: Any) -> None:
        call = {"tool_name": tool, "tool_use_id": "x", "tool_input": given, "tool_response": response}
        self.send("PostToolBatch", tool_calls=[call])
