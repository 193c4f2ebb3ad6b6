#!/usr/bin/env python3
"""Refuse JSON files that don't parse."""

import json
import sys

event = json.load(sys.stdin)
fields = event.get("tool_input") or {}
if str(fields.get("file_path", "")).endswith(".json") and "content" in fields:
    try:
        json.loads(fields["content"])
    except ValueError as error:
        sys.exit(f"not valid JSON: {error}")
