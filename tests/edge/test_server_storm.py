"""The short form of the storm (`python -m benchmarks storm` is the long one): no death, no hang, no leak."""

from __future__ import annotations

from pathlib import Path

import pytest

from fakes.storm import storm

pytestmark = pytest.mark.slow

MAX_GROWTH_KB = 24_000
"""What Python's allocator may keep of a storm's largest moment."""
MAX_AGAIN_KB = 4_000
"""What a second storm of the same size may add to that: a leak would add as much as the first time."""


def test_a_storm_costs_no_valid_request_its_answer_and_no_server_its_life(tmp_path: Path) -> None:
    found = storm(tmp_path, messages=2_400, servers=2, seed=20_261_130, parts=2)
    for one in found:
        assert one.ended is None
        assert one.unanswered == []
        assert one.strays == 0
        assert one.valid > 300
        base, first, second = one.memory_kb
        assert first - base < MAX_GROWTH_KB
        assert second - first < MAX_AGAIN_KB
        assert max(one.descriptors) <= one.descriptors[0]
