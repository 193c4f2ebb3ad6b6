#!/usr/bin/env python3
"""Append one line an event to the audit log."""

import json
import os
import sys
import time

event = json.load(sys.stdin)
folder = os.path.join(os.environ["CLAUDE_PROJECT_DIR"], ".claude", "state")
os.makedirs(folder, exist_ok=True)
line = json.dumps({"t": round(time.time(), 3), "session": event.get("session_id"), "event": event["hook_event_name"],
                   "tool": event.get("tool_name"), "size": len(json.dumps(event))})
fd = os.open(os.path.join(folder, "audit.jsonl"), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
os.write(fd, line.encode() + b"\n")
os.close(fd)
