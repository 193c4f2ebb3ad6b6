"""Two thousand calls at once: each is answered or refused with a time, and a ping gets through."""

from __future__ import annotations

from pathlib import Path

import pytest

from fakes.crowd import crowd, most_memory_mb
from fakes.service import TOKENS, running

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="needs Linux's count of work done"),
]

CALLS = 2_000
PING_S = 0.2
GROWTH_MB = 64


def test_of_two_thousand_calls_at_once_none_is_lost_and_none_holds_up_a_ping(tmp_path: Path) -> None:
    longest = []
    with running(tmp_path) as service:
        service.call("oracle_batch", {"question": "Is it wise?"})
        before = most_memory_mb(service)
        for number in range(3):
            seen = crowd(
                service, CALLS, f"Is it slowly wise, {number}?", [TOKENS["alice"], TOKENS["mallory"]]
            )
            assert most_memory_mb(service) - before < GROWTH_MB
            assert sum(seen["statuses"].values()) == CALLS
            assert seen["statuses"].keys() == {"200", "429"}
            assert seen["decisions"] == seen["statuses"]["200"]
            assert seen["unnamed"] == 0
            longest.append(max(seen["pings"]))
    assert min(longest) < PING_S, longest  # beside other work, processor time is longer too
