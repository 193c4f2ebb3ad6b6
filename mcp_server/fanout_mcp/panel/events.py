"""What a council tells while it goes on: for a line of progress, and for the board in a terminal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fanout_mcp.panel.answer import Position
from fanout_mcp.panel.vote import Decision


@dataclass(frozen=True, slots=True)
class Opened:
    """A round's questions are out; `speculative`: before the round before it is through."""

    n: int
    asked: tuple[str, ...]
    speculative: bool


@dataclass(frozen=True, slots=True)
class Said:
    """A member's answer to round `n` has come, or why there is none."""

    n: int
    member: str
    position: Position | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class RoundClosed:
    """A round was judged; `out`: members that it did not wait for."""

    n: int
    decision: Decision
    agreement: float
    is_converged: bool
    out: frozenset[str]


@dataclass(frozen=True, slots=True)
class Synthesised:
    """A round's synthesis is there, or why it is not."""

    n: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Discarded:
    """A speculative round was not needed, and its streams are closed."""

    n: int


Event = Opened | Said | RoundClosed | Synthesised | Discarded
Tell = Callable[[Event], None]


def line(event: Event) -> str:
    """The event as a line of progress; empty where none is worth showing."""
    match event:
        case Opened(n, asked, speculative):
            return f"round {n}: {len(asked)} asked{', speculatively' if speculative else ''}"
        case Said(n, member, None, reason):
            return f"round {n}, {member} failed: {reason}"
        case Said(n, member, Position(verdict=verdict, confidence=confidence)):
            sure = "" if confidence is None else f" ({confidence} % sure)"
            return f"round {n}, {member}: {verdict}{sure}"
        case RoundClosed(n, decision, agreement, is_converged):
            return (
                f"round {n}: {decision}, {100 * agreement:.0f} % agree{', converged' if is_converged else ''}"
            )
        case Synthesised(n, reason):
            return f"round {n}: {f'no synthesis: {reason}' if reason else 'synthesised'}"
        case Discarded(n):
            return f"round {n} was not needed: its calls are cancelled"
    return ""
