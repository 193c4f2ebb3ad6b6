"""Runs the sequential-agent gate on one event: decides, and lets a lone call wait for siblings.

The decision is gate.py's, pure; the history is gate_state.py's. What is here is the waiting, for siblings and
for the lock, in the loop of whoever calls: other events go on meanwhile, and one of them may be the sibling.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any

from fanout_hooks import gate, gate_mode, gate_state
from fanout_hooks.decide import Opinion
from fanout_hooks.loop import Loop

NAME = "fanout gate"
LOOK_S = 0.01
LOCK_LOOK_S = 0.002
LOCK_WAIT_S = 2.0
"""A decision holds the lock for about a millisecond; longer means a stopped process."""


async def opinion(loop: Loop, event: dict[str, Any], env: dict[str, str], entry: str) -> Opinion:
    """Return the gate's opinion; `entry` is the mode that the settings entry says."""
    if not gate.concerns(event):
        return Opinion(NAME)
    chosen = gate_mode.choose(event, env, entry)
    message = _news(chosen.problem, event, env) if event["hook_event_name"] == "UserPromptSubmit" else ""
    reminder = _reminder(event) if chosen.remind else ""
    if chosen.mode == "off":
        return Opinion(NAME, context=reminder, message=message)
    try:
        done = await _decided(loop, event, env, chosen.mode)
    except gate_state.Unusable as trouble:
        # For the log alone: as a message it would come with every event of the session.
        note = {"verdict": "skipped", "why": str(trouble)}
        return Opinion(NAME, context=reminder, message=message, note=note)
    verdict = done.verdict
    message = "\n".join(filter(None, (message, _told(done.note))))
    if verdict.kind == "deny":
        return Opinion(NAME, "deny", verdict.text, message=message, note=verdict.note)
    context = verdict.text if verdict.kind == "context" else reminder
    return Opinion(NAME, context=context, message=message, note=verdict.note)


def _news(problem: str, event: dict[str, Any], env: dict[str, str]) -> str:
    """Return what to tell the user of a problem that this session wasn't told of yet."""
    session = str(event.get("session_id", ""))
    is_new = bool(problem) and gate_state.is_news(gate_state.folder(env), session, problem)
    return _told(problem) if is_new else ""


def _told(problem: str) -> str:
    return f"fanout: the gate {problem}" if problem else ""


async def _decided(
    loop: Loop, event: dict[str, Any], env: dict[str, str], mode: gate.Mode
) -> gate_state.Done:
    where, session = gate_state.folder(env), str(event.get("session_id", ""))
    event = _with_launcher(event)
    done = await _stepped(loop, where, session, lambda history: gate.decide(history, event, mode))
    if done.verdict.kind != "wait":
        return done
    until = time.monotonic() + gate.SIBLING_WAIT_S
    while time.monotonic() < until and not gate.is_settled(gate_state.peek(where, session), event):
        await loop.sleep(LOOK_S)
    settled = await _stepped(loop, where, session, lambda history: gate.settle(history, event, mode))
    return settled._replace(note=done.note or settled.note)


async def _stepped(loop: Loop, where: str, session: str, step: gate_state.Step) -> gate_state.Done:
    until = time.monotonic() + LOCK_WAIT_S
    while (done := gate_state.attempt(where, session, step)) is None:
        if time.monotonic() > until:
            raise gate_state.Unusable("another process has held the gate's lock for too long")
        await loop.sleep(LOCK_LOOK_S)
    return done


def _reminder(event: dict[str, Any]) -> str:
    if event.get("hook_event_name") != "UserPromptSubmit":
        return ""
    from fanout_hooks import gate_reminder

    return gate_reminder.for_prompt(str(event.get("prompt", "")))


def _with_launcher(event: dict[str, Any]) -> dict[str, Any]:
    """Add which call launched the sub-agent that speaks: the client keeps it beside its transcript."""
    agent = str(event.get("agent_id") or "")
    if event.get("hook_event_name") != "PreToolUse" or not agent or os.path.basename(agent) != agent:
        return event
    base = str(event.get("transcript_path") or "").removesuffix(".jsonl")
    try:
        with open(os.path.join(base, "subagents", f"agent-{agent}.meta.json"), "rb") as file:
            meta = json.loads(file.read(1 << 16))
        return event | {"launched_by": str(meta["toolUseId"])}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return event  # it only means that less is known of what the sub-agent was told
