"""What stands in the user's config.toml and changes how a panel is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from fakes.scripted import Reply, Scripted, verdict
from fakes.virtual import virtually
from fanout_mcp.engine.limits import Limits
from fanout_mcp.state import settings
from fanout_mcp.tools.services import Services
from tools.consulting import Consulted, ask

ASKED_BEFORE = 16
"""Panels of three: 48 answers, so that one twin is a fiftieth of the calls with the last panel's."""


def configured(folder: Path, line: str, backend: Scripted) -> Services:
    config = folder / ".config" / "fanout" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text(line)
    read = settings.read({"HOME": str(folder)}, folder)
    return Services(read, backend, Limits(read.max_parallel))


@pytest.mark.parametrize(
    ("line", "seconds", "calls"),
    [("hedge = true\n", 2.0, 4), ("", 30.0, 3)],
    ids=["hedge = true sends it twice", "by default it is waited for"],
)
def test_a_late_member_that_can_change_the_verdict(
    tmp_path: Path, line: str, seconds: float, calls: int
) -> None:
    usual, late = Reply(delay_s=1.0), Reply(delay_s=30.0)
    backend = Scripted(
        {
            "model-of-critic": Reply(verdict("SIMPLIFY"), 0.5),
            "model-of-skeptic": [*[usual] * ASKED_BEFORE, late, usual],
        },
        Reply(delay_s=0.5),
    )
    given = configured(tmp_path, line, backend)

    async def main() -> Consulted:
        for _ in range(ASKED_BEFORE):
            await ask(given, {})
        return await ask(given, {})

    got = virtually(main)
    assert len(got.verdicts) == 3
    assert (got.seconds, got.data["receipt"]["calls"]) == (seconds, calls)
