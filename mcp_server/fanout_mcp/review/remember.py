"""What reviewers said of files before: by content, so that a changed file costs one call and no other does.

The journal keeps whole answers, by whole prompts. A prompt holds many files, and one that changes would have
its unchanged neighbours read again; so what an answer said is kept by file as well.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from hashlib import sha256

from fanout_mcp.backends.base import Backend
from fanout_mcp.cache import Cache
from fanout_mcp.review.finding import Focus, from_json
from fanout_mcp.review.model import Said, SaidBy, Seat
from fanout_mcp.review.prompts import CHANGE, RULES
from fanout_mcp.types import Answer

FORM = 2
"""Of what is kept; another form is another key."""


def keys(  # noqa: PLR0917 - everything that an answer may depend on
    cache: Cache,
    texts: Mapping[str, str],
    focuses: Sequence[Focus],
    sitting: Sequence[Seat],
    backend: Backend,
    diffs: Mapping[str, str],
) -> dict[tuple[str, str], str]:
    """Return the cache's key for each seat and file: everything that may change what is said of it."""
    digests = {
        path: sha256(f"{text}\0{diffs.get(path, '')}".encode("utf-8", "surrogatepass")).hexdigest()
        for path, text in texts.items()
    }
    asked = ["review", FORM, backend.name, backend.provider, RULES, CHANGE if diffs else "", list(focuses)]
    return {
        (seat.name, path): cache.key([*asked, seat.model, seat.reviewer.stance, path, digest])
        for seat in sitting
        for path, digest in digests.items()
    }


def recall(cache: Cache, by_place: Mapping[tuple[str, str], str]) -> dict[tuple[str, str], Said]:
    found = cache.known(list(by_place.values()))
    return {place: _read(found[key], place[0]) for place, key in by_place.items() if key in found}


def remember(cache: Cache, by_place: Mapping[tuple[str, str], str], said: SaidBy) -> None:
    for place, one in said.items():
        kept = {"findings": [asdict(finding) for finding in one.findings], "dropped": dict(one.dropped)}
        cache.keep(by_place[place], Answer(json.dumps(kept), ""))


def _read(answer: Answer, reviewer: str) -> Said:
    kept = json.loads(answer.text)
    tables = [{**table, "reviewers": [reviewer]} for table in kept["findings"]]
    return Said(tuple(from_json(table) for table in tables), kept["dropped"])
