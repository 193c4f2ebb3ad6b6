#!/usr/bin/env python3
"""Add the project's notes to the first prompt of a session."""

import json
import os
import sys
from pathlib import Path

event = json.load(sys.stdin)
if event["hook_event_name"] == "UserPromptSubmit":
    root = Path(os.environ["CLAUDE_PROJECT_DIR"])
    seen = root / ".claude" / "state" / "noted.txt"
    session = event.get("session_id", "")
    if not seen.exists() or session not in seen.read_text():
        seen.parent.mkdir(parents=True, exist_ok=True)
        with seen.open("a") as out:
            out.write(session + "\n")
        notes = root / "NOTES.md"
        if notes.exists():
            print(notes.read_text()[:2000])
