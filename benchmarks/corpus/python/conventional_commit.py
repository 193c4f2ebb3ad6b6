#!/usr/bin/env python3
"""Check the form of commit messages."""

import json
import re
import sys

FORM = re.compile(r"^(feat|fix|docs|test|refactor|chore)(\([\w-]+\))?: .{3,70}$")
event = json.load(sys.stdin)
command = str((event.get("tool_input") or {}).get("command", ""))
match = re.search(r"git commit .*-m [\"']([^\"']+)", command)
if match and not FORM.match(match.group(1)):
    print(json.dumps({"hookSpecificOutput": {"hookEventName": event["hook_event_name"],
                                             "permissionDecision": "deny",
                                             "permissionDecisionReason": "commit messages look like 'fix: what'"}}))
