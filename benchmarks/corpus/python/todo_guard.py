#!/usr/bin/env python3
"""Refuse to write files with leftover markers."""

import json
import re
import sys

event = json.load(sys.stdin)
text = str((event.get("tool_input") or {}).get("content", ""))
left = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1)
        if re.search(r"\b(FIXME|XXX)\b", line)]
if left:
    for number, line in left[:5]:
        print(f"line {number}: {line}", file=sys.stderr)
    sys.exit(2)
