"""How many calls one provider may have in flight (filled in by the engine)."""

from __future__ import annotations


class Limits:
    """Limiters by provider, shared by all tool calls of a process."""
