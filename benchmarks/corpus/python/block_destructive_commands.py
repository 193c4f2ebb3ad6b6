#!/usr/bin/env python3
"""Refuse shell commands that destroy what can't be brought back."""

import json
import re
import sys

DANGEROUS = [
    (re.compile(r"\brm\s+(-\w*r\w*f|-\w*f\w*r)\w*\s+(/|~|\$HOME)(\s|$)"), "removes a whole tree"),
    (re.compile(r"\bgit\s+push\s+.*--force(?!-with-lease)"), "force-pushes"),
    (re.compile(r"\bmkfs\.|\bdd\s+if=.*of=/dev/"), "writes to a device"),
    (re.compile(r":\(\)\s*\{.*\};"), "is a fork bomb"),
]

event = json.load(sys.stdin)
command = str((event.get("tool_input") or {}).get("command", ""))
for pattern, why in DANGEROUS:
    if pattern.search(command):
        print(f"refused: this command {why}", file=sys.stderr)
        sys.exit(2)
