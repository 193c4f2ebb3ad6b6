#!/usr/bin/env python3
"""Deny edits of files that hold secrets."""

import fnmatch
import json
import sys
from pathlib import PurePosixPath

SECRET = [".env", ".env.*", "*.pem", "*.key", "id_rsa*", "credentials*"]

event = json.load(sys.stdin)
path = str((event.get("tool_input") or {}).get("file_path", ""))
name = PurePosixPath(path).name
if name and any(fnmatch.fnmatch(name, pattern) for pattern in SECRET):
    reason = f"{name} holds secrets; edit it by hand"
    print(json.dumps({"hookSpecificOutput": {"hookEventName": event["hook_event_name"],
                                             "permissionDecision": "deny", "permissionDecisionReason": reason}}))
