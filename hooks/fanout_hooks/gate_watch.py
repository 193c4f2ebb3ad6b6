"""Runs the sequential-agent gate on one event: decides, and lets a lone call wait for siblings.

The decision is gate.py's, pure; the history is gate_state.py's. What is here is the waiting: other events of
the same message go on meanwhile, and one of them may be the sibling.
"""

from __future__ import annotations

import time
from typing import Any

from fanout_hooks import gate, gate_state
from fanout_hooks.decide import Opinion
from fanout_hooks.loop import Loop

NAME = "fanout gate"
LOOK_S = 0.01


async def opinion(loop: Loop, event: dict[str, Any], env: dict[str, str], mode: str) -> Opinion:
    """Return the gate's opinion; without usable history it has none."""
    chosen = env.get("FANOUT_GATE") or mode
    if chosen not in gate.MODES or event.get("hook_event_name") not in gate.ENTRIES:
        return Opinion(NAME)
    where, session = gate_state.folder(env), str(event.get("session_id", ""))
    own: gate.Mode = next(one for one in gate.MODES if one == chosen)
    try:
        verdict = gate_state.update(where, session, lambda history: gate.decide(history, event, own))
        if verdict.kind == "wait":
            until = time.monotonic() + gate.SIBLING_WAIT_S
            while time.monotonic() < until and not gate.is_settled(gate_state.peek(where, session), event):
                await loop.sleep(LOOK_S)
            verdict = gate_state.update(where, session, lambda history: gate.settle(history, event, own))
    except gate_state.Unusable as problem:
        return Opinion(NAME, problem=f"has no history: {problem}")
    if verdict.kind == "deny":
        return Opinion(NAME, "deny", verdict.text, note=verdict.note)
    return Opinion(NAME, context=verdict.text if verdict.kind == "context" else "", note=verdict.note)
