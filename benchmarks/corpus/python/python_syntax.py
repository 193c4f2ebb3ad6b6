#!/usr/bin/env python3
"""Refuse Python files that don't compile."""

import ast
import json
import sys

event = json.load(sys.stdin)
fields = event.get("tool_input") or {}
if str(fields.get("file_path", "")).endswith(".py") and "content" in fields:
    try:
        ast.parse(fields["content"])
    except SyntaxError as error:
        print(f"line {error.lineno}: {error.msg}", file=sys.stderr)
        raise SystemExit(2)
