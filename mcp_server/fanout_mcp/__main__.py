"""`python -P -m fanout_mcp`: the command `fanout`."""

from __future__ import annotations

import sys

from fanout_mcp.cli import main

sys.exit(main())
