#!/usr/bin/env python3
"""Prefer the project's own commands over raw ones."""

import json
import shlex
import sys

PREFERRED = {"pip": "uv pip", "npm": "pnpm", "grep": "rg"}
event = json.load(sys.stdin)
command = str((event.get("tool_input") or {}).get("command", ""))
try:
    words = shlex.split(command)
except ValueError:
    words = []
if words and words[0] in PREFERRED:
    print(json.dumps({"systemMessage": f"{words[0]}: this project uses {PREFERRED[words[0]]}"}))
