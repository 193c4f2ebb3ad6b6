#!/usr/bin/env python3
"""Ask before a page outside the list is fetched."""

import json
import sys
from urllib.parse import urlsplit

ALLOWED = {"docs.python.org", "developer.mozilla.org", "localhost", "127.0.0.1"}
event = json.load(sys.stdin)
url = (event.get("tool_input") or {}).get("url")
if url and urlsplit(url).hostname not in ALLOWED:
    print(json.dumps({"hookSpecificOutput": {"hookEventName": event["hook_event_name"],
                                             "permissionDecision": "ask",
                                             "permissionDecisionReason": f"{urlsplit(url).hostname} is new"}}))
