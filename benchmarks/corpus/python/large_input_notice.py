#!/usr/bin/env python3
"""Note tool inputs that are unusually large."""

import json
import statistics
import sys

event = json.load(sys.stdin)
sizes = [len(json.dumps(value)) for value in (event.get("tool_input") or {}).values()]
if sizes and max(sizes) > 100_000:
    print(json.dumps({"systemMessage": f"large input: {max(sizes)} characters, median {statistics.median(sizes)}"}))
