"""`fanout batch show|wait|cancel`: the batches that large calls left in the queue on Redis."""

from __future__ import annotations

import argparse
from typing import Final

import anyio

from fanout_mcp.commands import shell
from fanout_mcp.commands.flags import NO_VERDICT, OK
from fanout_mcp.engine.budget import dollars
from fanout_mcp.errors import InvalidInput
from fanout_mcp.scale.queue import LAST_LOOK_S, Counts, Queue, through_outages
from fanout_mcp.state import audit, settings
from fanout_mcp.text import flat
from fanout_mcp.types import Json

AGAIN: Final = {
    (True, False): "The answers are in the cache: the same call again shows them, and costs nothing.",
    (True, True): "The answers are in the cache: the same call again asks only the questions that failed.",
    (
        False,
        True,
    ): "No question was answered: the same call again asks all of them.",
    (False, False): "No question was asked.",
}
"""Whether anything was answered, and whether anything failed -> what the same call would do."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = ["show", "wait", "cancel"]
    parser.add_argument("action", nargs="?", choices=actions, default="show", help="default: show")
    parser.add_argument(
        "handle",
        nargs="?",
        metavar="HANDLE",
        help="handle that the call returned; without it, `show` lists your batches",
    )
    parser.add_argument("--user", metavar="NAME", help="a user of `fanout serve`, for who runs it")
    shell.add_output(parser)


def run(args: argparse.Namespace) -> int:
    if args.handle is None and args.action != "show":
        raise InvalidInput(f"`fanout batch {args.action}` needs a handle; `fanout batch show` lists yours.")
    queue = Queue(settings.read())
    if args.user:
        audit.who.set(args.user)
    data = shell.run_async(lambda: _done(queue, args))
    if args.json:
        shell.put_json(data)
    else:
        shell.put(lambda console: console.print(flat_lines(data), markup=False))
    is_whole = args.action != "wait" or all(one["done"] == one["total"] and not one["failed"] for one in data)
    return OK if is_whole else NO_VERDICT


async def _done(queue: Queue, args: argparse.Namespace) -> list[Json]:
    async with queue.used():
        return await {"show": _shown, "wait": _waited, "cancel": _cancelled}[args.action](queue, args)


async def _shown(queue: Queue, args: argparse.Namespace) -> list[Json]:
    if args.handle is not None:
        return [await _row(queue, args.handle, await queue.own(args.handle))]
    known = [(handle, await queue.counts(handle)) for handle in await queue.batches()]
    return [await _row(queue, handle, counts) for handle, counts in known if counts is not None]


async def _waited(queue: Queue, args: argparse.Namespace) -> list[Json]:
    await queue.own(args.handle)  # what Redis refuses now is not waited for
    with shell.live("batch", quiet=args.json) as progress:
        while not (counts := await through_outages(lambda: queue.own(args.handle))).is_over:
            progress(counts.done, counts.total, f"{counts.failed} failed")
            await anyio.sleep(LAST_LOOK_S)
    return [await _row(queue, args.handle, counts)]


async def _cancelled(queue: Queue, args: argparse.Namespace) -> list[Json]:
    await queue.own(args.handle)
    await queue.cancel(args.handle)
    return [await _row(queue, args.handle, await queue.own(args.handle))]


async def _row(queue: Queue, handle: str, counts: Counts) -> Json:
    failing = await queue.failed(handle) if counts.failed else {}
    state = counts.state or ("done" if counts.is_over else "running")
    return {"batch": handle, **counts._asdict(), "state": state, "failing": failing}


def flat_lines(rows: list[Json]) -> str:
    lines = [] if rows else ["You have no batches."]
    for row in rows:
        lines.append(
            f"{flat(row['batch'])}  {row['state']}: {row['done']:,} of {row['total']:,} done, "
            f"{row['cached']:,} cached, {row['failed']:,} failed, {dollars(row['usd'])}"
        )
        lines += [f"  {flat(name)}: {flat(reason)}" for name, reason in row["failing"].items()]
    done = [row for row in rows if row["state"] == "done"]
    has_answers = any(row["failed"] < row["done"] for row in done)
    if done:
        lines.append(AGAIN[has_answers, any(row["failed"] for row in done)])
    return "\n".join(lines)
