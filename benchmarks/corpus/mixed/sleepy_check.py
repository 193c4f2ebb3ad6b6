#!/usr/bin/env python3
"""A slow check: waits as a call to another service would."""

import json
import sys
import time

json.load(sys.stdin)
time.sleep(0.15)
