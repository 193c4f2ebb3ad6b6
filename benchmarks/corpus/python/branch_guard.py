#!/usr/bin/env python3
"""Tell which branch is checked out, from .git/HEAD."""

import json
import os
import sys
from pathlib import Path

event = json.load(sys.stdin)
head = Path(os.environ["CLAUDE_PROJECT_DIR"]) / ".git" / "HEAD"
if head.is_file():
    ref = head.read_text().strip()
    branch = ref.rsplit("/", 1)[-1] if ref.startswith("ref:") else ref[:12]
    if event["hook_event_name"] == "UserPromptSubmit" and branch in {"main", "master"}:
        print(f"You are on {branch}: make a branch before you commit.")
