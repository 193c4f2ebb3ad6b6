"""A storm of 65,000 random, mutated, cut and cancelled messages over stdio on several servers.

python -m benchmarks storm
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.table import Row
from fakes.storm import storm

MESSAGES = 65_000
SERVERS = 3
GROWTH_KB = 24_000


def run() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        found = storm(Path(folder), messages=MESSAGES, servers=SERVERS, seed=1)
    ended = sum(one.ended is not None for one in found)
    lost = sum(len(one.unanswered) for one in found)
    valid = sum(one.valid for one in found)
    grown = max(after - before for before, after in (one.memory_kb for one in found))
    opened = max(after - before for before, after in (one.descriptors for one in found))
    sent = sum(one.sent for one in found)
    yield Row(f"servers of {SERVERS} that ended in {sent:,} messages", str(ended), bar="0", met=not ended)
    yield Row(f"valid requests of {valid:,} not answered", str(lost), bar="0", met=not lost)
    yield Row("memory above its base", f"{grown:,} kB", bar=f"{GROWTH_KB:,} kB", met=grown < GROWTH_KB)
    yield Row("descriptors above their base", str(opened), bar="0", met=opened <= 0)
