#!/usr/bin/env python3
"""Ask git how many files changed."""

import json
import os
import subprocess
import sys

event = json.load(sys.stdin)
got = subprocess.run(["git", "-C", os.environ["CLAUDE_PROJECT_DIR"], "status", "--porcelain"],
                     capture_output=True, text=True, check=False)
changed = len(got.stdout.splitlines())
if changed > 100:
    print(json.dumps({"systemMessage": f"{changed} files have changed; commit soon"}))
