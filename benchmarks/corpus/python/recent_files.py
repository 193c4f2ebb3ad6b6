#!/usr/bin/env python3
"""Remember the last twenty files that were touched."""

import json
import os
import sys
from collections import deque
from pathlib import Path

event = json.load(sys.stdin)
path = (event.get("tool_input") or {}).get("file_path")
if path:
    file = Path(os.environ["CLAUDE_PROJECT_DIR"], ".claude", "state", "recent.json")
    file.parent.mkdir(parents=True, exist_ok=True)
    recent = deque(json.loads(file.read_text()) if file.exists() else [], maxlen=20)
    recent.append(path)
    file.write_text(json.dumps(list(recent)))
