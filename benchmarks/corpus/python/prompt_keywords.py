#!/usr/bin/env python3
"""Add a reminder when the prompt speaks of a topic with house rules."""

import json
import re
import sys

RULES = {
    r"\bmigrations?\b": "Migrations need a rollback and a test on a copy.",
    r"\b(auth|login|password)\b": "Changes to authentication need a second reviewer.",
    r"\bperformance|slow|latency\b": "Measure before and after; put both figures into the message.",
}
event = json.load(sys.stdin)
prompt = event.get("prompt", "").lower()
hints = [hint for pattern, hint in RULES.items() if re.search(pattern, prompt)]
if hints:
    print(json.dumps({"hookSpecificOutput": {"hookEventName": event["hook_event_name"],
                                             "additionalContext": "\n".join(hints)}}))
