"""`fanout-hooks cost` beside the real client's own telemetry."""

from __future__ import annotations

import pytest

from e2e.client import Client
from e2e.hooked import PRICED, prices

pytestmark = pytest.mark.e2e

CALLS = 24
FACTOR = 2.0
"""On a busy machine; the benchmark holds a tenth on a quiet one."""


@pytest.mark.parametrize("kind", PRICED)
def test_the_cost_page_shows_what_the_clients_telemetry_counts(kind: str, client: Client) -> None:
    page, told = prices(client, kind, CALLS)
    figure = f"{kind}: {page:.1f} ms on the page, {told:.1f} ms in telemetry, ratio {page / told:.2f}"
    print(figure)  # noqa: T201 - how near it came is worth a look
    assert 1 / FACTOR < page / told < FACTOR, figure
