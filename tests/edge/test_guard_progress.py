"""Progress on its way to the client."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable

import anyio
import anyio.to_thread
import pytest

from fakes.virtual import virtually
from fanout_mcp.edge.guard import GAP_S, Feed, feeding

Sent = list[tuple[float, float | None, str | None]]


@pytest.mark.both_loops
async def test_what_a_thread_says_is_sent_while_the_thread_still_works() -> None:
    sent: Sent = []
    arrived = threading.Event()

    async def send(done: float, total: float | None, message: str | None) -> None:
        sent.append((done, total, message))
        arrived.set()

    with anyio.fail_after(30):
        async with feeding(send) as feed:

            def work() -> bool:
                feed(1, 3, "the first file")
                return arrived.wait(25)

            assert await anyio.to_thread.run_sync(work)
    assert sent == [(1.0, 3, "the first file")]


def told(talk: Callable[[Feed], Awaitable[None]]) -> Sent:
    """Return what the client was sent of a talk, in virtual time."""
    sent: Sent = []

    async def send(done: float, total: float | None, message: str | None) -> None:
        sent.append((round(done, 3), total, message))

    async def main() -> None:
        async with feeding(send) as feed:
            await talk(feed)

    virtually(main)
    return sent


def test_the_news_of_one_gap_travel_together_and_the_last_go_out_before_the_end() -> None:
    async def talk(feed: Feed) -> None:
        feed(1, 3, "judge")
        feed(2, 3, "critic")
        await anyio.sleep(2.5 * GAP_S)
        feed(2, 3, "skeptic is late")
        feed(3, 3, "skeptic")

    assert told(talk) == [(2.0, 3, "judge \u00b7 critic"), (3.0, 3, "skeptic is late \u00b7 skeptic")]


def test_progress_grows_where_nothing_more_was_done() -> None:
    async def talk(feed: Feed) -> None:
        feed(1, None, "one")
        await anyio.sleep(1.5 * GAP_S)
        feed(0, None, "a second phase begins")

    assert [done for done, _, _ in told(talk)] == [1.0, 1.001]
