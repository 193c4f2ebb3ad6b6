"""Which files are test code: asked of kinds.py, which decides it for everyone."""

from __future__ import annotations

from fanout_mcp.source.kinds import is_test

__all__ = ["is_test"]
