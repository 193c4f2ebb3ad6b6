#!/usr/bin/env python3
"""Count the events of this session in a state file."""

import json
import os
import sys
import tempfile
from pathlib import Path

event = json.load(sys.stdin)
state = Path(os.environ["CLAUDE_PROJECT_DIR"]) / ".claude" / "state"
state.mkdir(parents=True, exist_ok=True)
file = state / "counter.json"
try:
    counts = json.loads(file.read_text())
except (FileNotFoundError, ValueError):
    counts = {}
name = event["hook_event_name"]
counts[name] = counts.get(name, 0) + 1
with tempfile.NamedTemporaryFile("w", dir=state, delete=False) as out:
    json.dump(counts, out)
os.replace(out.name, file)
