#!/usr/bin/env python3
"""Warn when a session has used many tools."""

import json
import os
import sys

event = json.load(sys.stdin)
path = os.path.join(os.environ["CLAUDE_PROJECT_DIR"], ".claude", "state", "counter.json")
try:
    with open(path) as file:
        used = json.load(file).get("PreToolUse", 0)
except (OSError, ValueError):
    used = 0
if used and used % 500 == 0:
    print(json.dumps({"systemMessage": f"{used} tool calls so far"}))
