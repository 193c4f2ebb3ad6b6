"""A table of cases that each start processes: a few of them at every run, all of them with `make slow`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def few(cases: Iterable[Any], *quick: Any) -> list[Any]:
    """Mark every case but these as slow."""
    table = list(cases)
    assert all(case in table for case in quick)
    return [case if case in quick else pytest.param(case, marks=pytest.mark.slow) for case in table]
