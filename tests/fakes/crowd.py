"""A crowd of callers of the service over HTTP, all at once, in a process of its own; and pings beside it.

seen = crowd(service, calls=2_000, question="...", tokens=[...])
seen["statuses"], seen["pings"]
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from fakes.service import Service

GAP_S = 0.02
PING = {"jsonrpc": "2.0", "id": 2, "method": "ping"}


def crowd(service: Service, calls: int, question: str, tokens: Sequence[str]) -> dict[str, Any]:
    """Return `statuses` (0: no answer), `decisions`, `unnamed` (refusals without a time), and `pings`.

    Those are the seconds that the service's own thread worked until each was answered: what a client would
    wait on a machine that does nothing else.
    """
    command = [sys.executable, __file__, service.url, str(calls), question, *tokens]
    pings: list[float] = []
    connection = HTTPConnection(urlsplit(service.url).netloc, timeout=60)
    assert ping(connection, tokens[0])
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()  # it is about to begin
        while process.poll() is None:
            before = worked(service)
            assert ping(connection, tokens[0])
            pings.append(worked(service) - before)
            time.sleep(GAP_S)
        seen: dict[str, Any] = json.loads(process.stdout.read())
    connection.close()
    return {**seen, "pings": pings}


def worked(service: Service) -> float:
    """Return the seconds that the service's main thread has run."""
    number = service.process.pid
    return int(Path(f"/proc/{number}/task/{number}/schedstat").read_text().split()[0]) / 1e9


def most_memory_mb(service: Service) -> float:
    status = Path(f"/proc/{service.process.pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024


def ping(connection: HTTPConnection, token: str) -> bool:
    """Ping over a connection that is open, as clients and proxies keep them."""
    connection.request("POST", "/mcp", json.dumps(PING), headers(token))
    answer = connection.getresponse()
    return answer.status == 200 and b'"result"' in answer.read()


def headers(token: str) -> dict[str, str]:
    accepted = "application/json, text/event-stream"
    return {"Content-Type": "application/json", "Accept": accepted, "Authorization": f"Bearer {token}"}


async def _exchange(url: str, token: str, body: bytes) -> bytes:
    """Send over a connection of its own; return all that comes."""
    parts = urlsplit(url)
    given = {**headers(token), "Host": parts.netloc, "Connection": "close", "Content-Length": str(len(body))}
    head = "".join(f"{name}: {value}\r\n" for name, value in given.items())
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        writer.write(f"POST {parts.path} HTTP/1.1\r\n{head}\r\n".encode() + body)
        return await reader.read()
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def _all(url: str, calls: int, question: str, tokens: Sequence[str]) -> dict[str, Any]:
    statuses: Counter[int] = Counter()
    decisions = unnamed = 0
    params = {"name": "oracle_batch", "arguments": {"question": question, "deadline_s": 60}}
    call = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).encode()

    async def one(number: int) -> None:
        nonlocal decisions, unnamed
        try:
            reply = await _exchange(url, tokens[number % len(tokens)], call)
            status = int(reply.split(b" ", 2)[1])
        except (OSError, IndexError):
            status, reply = 0, b""
        statuses[status] += 1
        decisions += b"PROCEED" in reply
        unnamed += status != 200 and (b"retry-after: " not in reply or b"busy: " not in reply)

    await asyncio.gather(*(one(number) for number in range(calls)))
    return {"statuses": dict(statuses), "decisions": decisions, "unnamed": unnamed}


if __name__ == "__main__":
    print("ready", flush=True)  # noqa: T201 - the parent waits for it
    print(json.dumps(asyncio.run(_all(sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4:]))))  # noqa: T201 - its result
