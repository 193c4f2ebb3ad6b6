"""Exit statuses of the shell commands."""

from __future__ import annotations

import signal
from typing import Final

OK: Final = 0
FINDINGS: Final = 1
"""Findings or a regression at or above what the caller said should fail."""
USAGE: Final = 2
NO_VERDICT: Final = 3
INTERRUPTED: Final = 128 + signal.SIGINT
"""What a shell reports for a program ended by Ctrl-C."""
