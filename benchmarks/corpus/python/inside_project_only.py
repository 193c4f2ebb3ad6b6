#!/usr/bin/env python3
"""Ask before a tool touches a path outside the project."""

import json
import os
import sys

event = json.load(sys.stdin)
root = os.path.realpath(os.environ.get("CLAUDE_PROJECT_DIR", event.get("cwd", ".")))
path = (event.get("tool_input") or {}).get("file_path")
if path:
    target = os.path.realpath(os.path.join(root, path))
    if os.path.commonpath([root, target]) != root:
        print(json.dumps({"hookSpecificOutput": {"hookEventName": event["hook_event_name"],
                                                 "permissionDecision": "ask",
                                                 "permissionDecisionReason": f"{target} is outside {root}"}}))
