"""How each event of a scope will run once its hooks are adopted, and where that is slower than natively.

The rule, as `fanout-hooks bench` measures it: a cold event waits for a process of ours, which takes about as
long as Claude Code needs to start this many Python hooks at once. With fewer, cold is slower; a warm event
never waits for a start. Hooks that aren't Python start in a millisecond or two and count for nothing here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from fanout_hooks import config
from fanout_hooks.client import events
from fanout_hooks.command import plain_python

WORTH_A_START = 4
"""Python hooks on two cores; with more cores natively starts more of them in the same time."""
PRICE = (
    f"Slower: a cold event waits for a process of ours, about as long as natively for {WORTH_A_START} Python "
    "hooks. That buys order, isolation and the log. `fanout-hooks bench` measures it, `restore` undoes it."
)


class Outlook(NamedTuple):
    """What becomes of one event."""

    event: str
    names: tuple[str, ...]
    is_guard: bool
    is_warm: bool
    is_slower: bool
    """Than natively, as far as the number of its Python hooks tells."""

    @property
    def line(self) -> str:
        word = "guard" if self.is_guard else "hook"
        counted = f"1 {word}" if len(self.names) == 1 else f"{len(self.names)} {word}s"
        way = "warm" if self.is_warm else "cold, slower than natively" if self.is_slower else "cold"
        return f"{self.event}: {counted}, {way}: {', '.join(self.names)}"


def of(hooks: Sequence[config.Hook], server: str, env: dict[str, str], cwd: str) -> list[Outlook]:
    """Return the outlook of each event, and of each guard: it is a cold entry of its own."""
    own: dict[tuple[str, str], list[config.Hook]] = {}
    for hook in hooks:
        own.setdefault((hook.event, hook.name if hook.guard else ""), []).append(hook)
    return [
        _outlook(event, held, env, cwd, is_warm=bool(server) and event in events.WARM and not guard)
        for (event, guard), held in own.items()
    ]


def _outlook(
    event: str, hooks: Sequence[config.Hook], env: dict[str, str], cwd: str, *, is_warm: bool
) -> Outlook:
    starts = sum(
        hook.type == "command" and plain_python(hook.command, hook.args, env, cwd) is not None
        for hook in hooks
    )
    names = tuple(hook.name for hook in hooks)
    return Outlook(event, names, hooks[0].guard, is_warm, not is_warm and starts < WORTH_A_START)
