#!/usr/bin/env python3
"""Keep a digest of each prompt, to find repeated ones."""

import hashlib
import json
import os
import sys

event = json.load(sys.stdin)
prompt = event.get("prompt")
if prompt:
    digest = hashlib.sha256(prompt.strip().lower().encode()).hexdigest()[:16]
    folder = os.path.join(os.environ["CLAUDE_PROJECT_DIR"], ".claude", "state")
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, "prompts.txt")
    seen = open(path).read().split() if os.path.exists(path) else []
    if digest in seen:
        print("This prompt was sent before; say what should be different this time.")
    with open(path, "a") as out:
        out.write(digest + "\n")
