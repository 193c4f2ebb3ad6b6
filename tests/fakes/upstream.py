"""A fake OpenAI-compatible provider on loopback: what it does is set by rules, what it saw can be read.

In a test:      with serving(Rule("critic", "status", status=429, retry_after="1", times=1)) as upstream: ...
As a process:   python tests/fakes/upstream.py --port 0 --delay 1.0     (prints {"port": N} as its first line)
Over HTTP:      POST /v1/chat/completions, GET /v1/models, GET /_log, POST /_rules (a JSON list of rules)

A rule applies when its `match` is found in the request's model or messages; the first that applies counts.
What was seen before new rules came is forgotten.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import ssl
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from typing import Any, Final

ANSWER: Final = json.dumps(
    {"verdict": "PROCEED", "confidence": 80, "summary": "It holds.", "reasons": ["It was asked."]}
)
MODELS: Final = [
    {"id": "maker/first", "pricing": {"prompt": "0.000001", "completion": "0.000002"}},
    {"id": "maker/second", "pricing": {"prompt": "0.000003", "completion": "0.000015"}},
]
RECORD: Final = 2**14
"""Bytes of the largest TLS record."""
CHUNKED: Final = "Transfer-Encoding: chunked\r\n"


@dataclass(frozen=True)
class Rule:
    """`kind` is one of the keys of KINDS; `times` None means for ever."""

    match: str = ""
    kind: str = "answer"
    delay: float = 0.0
    text: str = ANSWER
    status: int = 200
    retry_after: str | None = None
    body: str = ""
    """For `status`, `raw_json` and `sse`: what is sent as it stands."""
    content_type: str = "application/json"
    encoding: str = ""
    data: bytes = b""
    """For `raw`: the body as bytes, with its packing; else `body` is sent."""
    finish: str = "stop"
    times: int | None = None
    share: float = 1.0
    """Of the requests that it would apply to, by chance."""


@dataclass
class Seen:
    """One request. Times are time.monotonic() of the fake's process."""

    model: str
    prompt: str
    headers: dict[str, str]
    body: dict[str, Any]
    started: float
    target: str = ""
    first_byte: float | None = None
    finished: float | None = None
    aborted: float | None = None


@dataclass
class Upstream:
    """The state of one fake provider."""

    rules: list[Rule] = field(default_factory=list)
    delay: float = 0.0
    models: Any = field(default_factory=lambda: list(MODELS))
    log: list[Seen] = field(default_factory=list)
    port: int = 0
    in_flight: int = 0
    peak: int = 0
    connections: int = 0
    model_lists: int = 0
    used: dict[int, int] = field(default_factory=dict)
    open: set[asyncio.Transport] = field(default_factory=set)
    latest: asyncio.Transport | None = None
    paths: tuple[str, ...] = ()
    """The only paths that answer; none: every one that ends as it should."""
    allows: int = 0
    """Answers in any second; what is beyond that is refused with `Retry-After: 1`. 0: no limit."""
    allowed: deque[float] = field(default_factory=deque)
    loop: asyncio.AbstractEventLoop | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def hang_up(self) -> None:
        """Close all connections but the one asked last, as providers do with idle ones; from any thread."""
        for transport in self.open - {self.latest}:
            assert self.loop is not None
            self.loop.call_soon_threadsafe(transport.close)

    def rule_for(self, text: str) -> Rule:
        for place, rule in enumerate(self.rules):
            used = self.used.get(place, 0)
            is_due = rule.match in text and (rule.times is None or used < rule.times)
            if is_due and (rule.share == 1 or random.random() < rule.share):
                self.used[place] = used + 1
                return rule
        return Rule()

    def is_over(self, now: float) -> bool:
        while self.allowed and self.allowed[0] <= now - 1:
            self.allowed.popleft()
        if len(self.allowed) >= self.allows:
            return True
        self.allowed.append(now)
        return False


class Connection(asyncio.Protocol):
    """One client connection: parses requests, answers each in a task that dies with the connection."""

    def __init__(self, upstream: Upstream) -> None:
        self.upstream = upstream
        self.buffer = b""
        self.task: asyncio.Task[None] | None = None
        self.writable = asyncio.Event()
        self.writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.upstream.connections += 1
        self.upstream.open.add(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.upstream.open.discard(self.transport)
        self.writable.set()
        if self.task is not None:
            self.task.cancel()

    def pause_writing(self) -> None:
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, separator, rest = self.buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        lines = head.decode("latin-1").split("\r\n")
        headers = {
            name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])
        }
        size = int(headers.get("content-length", "0"))
        if len(rest) < size:
            return
        self.buffer = rest[size:]
        self.upstream.latest = self.transport
        method, target, _ = lines[0].split(" ")
        self.task = asyncio.create_task(self.answer(method, target, headers, rest[:size]))

    async def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> None:
        if self.upstream.paths and target.partition("?")[0] not in self.upstream.paths:
            self.send_body("404 page not found", "text/plain", 404)
        elif target.partition("?")[0].endswith("/models"):
            self.upstream.model_lists += 1
            self.send_json({"data": self.upstream.models})
        elif target == "/_log":
            self.send_json([asdict(seen) for seen in self.upstream.log])
        elif target == "/_rules":
            self.upstream.rules = [Rule(**rule) for rule in json.loads(body)]
            self.upstream.used.clear()
            self.upstream.log.clear()
            self.send_json({"rules": len(self.upstream.rules)})
        elif method == "POST" and target.partition("?")[0].endswith("/chat/completions"):
            await self.complete(target, headers, json.loads(body))
        else:
            self.send_json({"error": {"message": "no such path"}}, status=404)

    async def complete(self, target: str, headers: dict[str, str], body: dict[str, Any]) -> None:
        upstream = self.upstream
        prompt = "\n".join(str(message.get("content")) for message in body["messages"])
        seen = Seen(str(body.get("model")), prompt, headers, body, time.monotonic(), target)
        upstream.log.append(seen)
        rule = upstream.rule_for(f"{seen.model}\n{prompt}")
        if upstream.allows and upstream.is_over(seen.started):
            rule = Rule(kind="status", status=429, retry_after="1")
        upstream.in_flight += 1
        upstream.peak = max(upstream.peak, upstream.in_flight)
        try:
            await asyncio.sleep(rule.delay or (upstream.delay if rule.kind == "answer" else 0))
            seen.first_byte = time.monotonic()
            await KINDS[rule.kind](self, rule, seen)
            seen.finished = time.monotonic()
        except asyncio.CancelledError:
            seen.aborted = time.monotonic()
        finally:
            upstream.in_flight -= 1

    def send_head(self, status: int, kind: str, extra: str = "") -> None:
        self.transport.write(f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\n{extra}\r\n".encode())

    def send_body(self, text: str, kind: str, status: int = 200, extra: str = "") -> None:
        data = text.encode("utf-8", "surrogatepass")
        self.send_head(status, kind, f"Content-Length: {len(data)}\r\n{extra}")
        self.transport.write(data)

    def send_json(self, value: Any, status: int = 200) -> None:
        self.send_body(json.dumps(value), "application/json", status)

    def chunk(self, data: bytes) -> None:
        self.transport.write(b"%x\r\n%b\r\n" % (len(data), data))

    def event(self, value: Any) -> None:
        self.chunk(f"data: {json.dumps(value)}\n\n".encode())

    def delta(self, seen: Seen, delta: dict[str, Any], finish: str | None = None) -> None:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        self.event({"id": "1", "model": seen.model, "choices": [choice]})


async def answer(connection: Connection, rule: Rule, seen: Seen) -> None:
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 20,
        "cost": 0.0015,
    }
    if not seen.body.get("stream"):
        message = {"role": "assistant", "content": rule.text}
        choice = {"index": 0, "message": message, "finish_reason": rule.finish}
        connection.send_json({"model": seen.model, "choices": [choice], "usage": usage})
        return
    connection.send_head(200, "text/event-stream", CHUNKED)
    half = len(rule.text) // 2
    for part in (rule.text[:half], rule.text[half:]):
        connection.delta(seen, {"content": part})
    connection.delta(seen, {}, rule.finish)
    if rule.kind != "no_usage":
        connection.event({"model": seen.model, "choices": [], "usage": usage})
    connection.chunk(b"data: [DONE]\n\n")
    if rule.kind == "left_open":
        await asyncio.sleep(3600)
    connection.transport.write(b"0\r\n\r\n")


async def status(connection: Connection, rule: Rule, seen: Seen) -> None:
    extra = f"Retry-After: {rule.retry_after}\r\n" if rule.retry_after is not None else ""
    body = rule.body or json.dumps({"error": {"message": f"status {rule.status}", "code": rule.status}})
    connection.send_body(body, "application/json", rule.status, extra)


async def html(connection: Connection, rule: Rule, seen: Seen) -> None:
    connection.send_body("<html><body>Welcome to the proxy</body></html>", "text/html")


async def empty(connection: Connection, rule: Rule, seen: Seen) -> None:
    connection.send_body("", "application/json")


async def raw_json(connection: Connection, rule: Rule, seen: Seen) -> None:
    connection.send_body(rule.body, "application/json")


async def raw(connection: Connection, rule: Rule, seen: Seen) -> None:
    data = rule.data or rule.body.encode("utf-8", "surrogatepass")
    extra = f"Content-Encoding: {rule.encoding}\r\n" if rule.encoding else ""
    kind = f"Content-Type: {rule.content_type}\r\n" if rule.content_type else ""
    head = f"HTTP/1.1 200 X\r\n{kind}Content-Length: {len(data)}\r\n{extra}\r\n"
    connection.transport.write(head.encode() + data)


@cache
def _bomb() -> bytes:
    packer = zlib.compressobj(wbits=31)
    return b"".join(packer.compress(bytes(1 << 20)) for _ in range(100)) + packer.flush()


async def bomb(connection: Connection, rule: Rule, seen: Seen) -> None:
    """0.1 MB of gzip that unpack to 100."""
    await raw(connection, replace(rule, encoding="gzip", data=_bomb()), seen)


async def continued(connection: Connection, rule: Rule, seen: Seen) -> None:
    connection.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n" * 2_000)
    await answer(connection, rule, seen)


async def cut_json(connection: Connection, rule: Rule, seen: Seen) -> None:
    connection.send_body('{"model": "m", "choices": [{"mess', "application/json")


async def sse(connection: Connection, rule: Rule, seen: Seen) -> None:
    connection.send_head(200, "text/event-stream", CHUNKED)
    for byte in rule.body.encode("utf-8", "surrogatepass"):
        connection.chunk(bytes([byte]))
    connection.transport.write(b"0\r\n\r\n")


async def cut_stream(connection: Connection, rule: Rule, seen: Seen) -> None:
    connection.send_head(200, "text/event-stream", CHUNKED)
    connection.delta(seen, {"content": '{"verdict": "PRO'})
    connection.transport.write(b"0\r\n\r\n")


async def broken(connection: Connection, rule: Rule, seen: Seen) -> None:
    connection.send_head(200, "text/event-stream", CHUNKED)
    connection.delta(seen, {"content": "half"})
    connection.transport.close()


async def reset(connection: Connection, rule: Rule, seen: Seen) -> None:
    connection.transport.abort()


async def endless(connection: Connection, rule: Rule, seen: Seen) -> None:
    connection.send_head(200, "text/event-stream", CHUNKED)
    while not connection.transport.is_closing():
        connection.delta(seen, {"content": "x" * 50_000})
        await connection.writable.wait()
        await asyncio.sleep(0)


async def drip(connection: Connection, rule: Rule, seen: Seen) -> None:
    connection.send_head(200, "text/event-stream", CHUNKED)
    while not connection.transport.is_closing():
        connection.chunk(b":")
        await asyncio.sleep(1)


async def hang(connection: Connection, rule: Rule, seen: Seen) -> None:
    await asyncio.sleep(3600)


async def big_header(connection: Connection, rule: Rule, seen: Seen) -> None:
    connection.send_body("{}", "application/json", 200, f"X-Big: {'h' * 300_000}\r\n")


async def not_http(connection: Connection, rule: Rule, seen: Seen) -> None:
    connection.transport.write(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")
    connection.transport.close()


async def wire(connection: Connection, rule: Rule, seen: Seen) -> None:
    connection.transport.write(rule.body.encode("latin-1"))


async def surrogate(connection: Connection, rule: Rule, seen: Seen) -> None:
    connection.send_head(200, "text/event-stream", CHUNKED)
    event = r'{"choices": [{"delta": {"content": "\ud83d\u0000"}, "finish_reason": "stop"}]}'
    connection.chunk(f"data: {event}\n\ndata: [DONE]\n\n".encode())
    connection.transport.write(b"0\r\n\r\n")


async def redirect(connection: Connection, rule: Rule, seen: Seen) -> None:
    connection.send_body("", "text/html", 307, f"Location: {rule.body}\r\n")


async def stray(connection: Connection, rule: Rule, seen: Seen) -> None:
    """An answer with a second one in the same packet as its end: later, nobody could tell it apart."""
    connection.send_head(200, "text/event-stream", CHUNKED)
    connection.delta(seen, {"content": rule.text}, "stop")
    connection.transport.write(b"0\r\n\r\n" + second_answer())


async def stray_record(connection: Connection, rule: Rule, seen: Seen) -> None:
    """The same, where over TLS the second one begins a record: the end of the first fills one."""
    connection.send_head(200, "text/event-stream", CHUNKED)
    connection.delta(seen, {"content": rule.text}, "stop")
    around = len(b"%x\r\n:\n\n\r\n0\r\n\r\n" % RECORD)
    comment = b":" + b"-" * (RECORD - around) + b"\n\n"
    end = b"%x\r\n%b\r\n0\r\n\r\n" % (len(comment), comment)
    assert len(end) == RECORD
    connection.transport.write(end + second_answer())


def second_answer() -> bytes:
    other = json.dumps({"choices": [{"message": {"content": "STRAY"}, "finish_reason": "stop"}]}).encode()
    head = b"HTTP/1.1 200 X\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(other)
    return head + other


KINDS: Final = {
    "answer": answer,
    "no_usage": answer,
    "left_open": answer,
    "status": status,
    "html": html,
    "empty": empty,
    "raw": raw,
    "bomb": bomb,
    "continued": continued,
    "raw_json": raw_json,
    "cut_json": cut_json,
    "sse": sse,
    "cut_stream": cut_stream,
    "broken": broken,
    "reset": reset,
    "endless": endless,
    "drip": drip,
    "hang": hang,
    "big_header": big_header,
    "not_http": not_http,
    "wire": wire,
    "surrogate": surrogate,
    "redirect": redirect,
    "stray": stray,
    "stray_record": stray_record,
}


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what happens in the fake's thread, from any loop."""
    import anyio  # not at the top: the process needs the standard library only

    while not condition():  # noqa: ASYNC110 - an Event would have to cross threads and loops
        await anyio.sleep(0.002)


async def serve(upstream: Upstream, port: int = 0, tls: ssl.SSLContext | None = None) -> asyncio.Server:
    loop = upstream.loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(upstream), "127.0.0.1", port, backlog=1024, ssl=tls)
    upstream.port = server.sockets[0].getsockname()[1]
    return server


@contextmanager
def serving(
    *rules: Rule,
    delay: float = 0.0,
    models: Sequence[Any] | None = None,
    tls: ssl.SSLContext | None = None,
    paths: tuple[str, ...] = (),
) -> Iterator[Upstream]:
    """Serve from a thread with a loop of its own, so that a test may use any loop and any clock."""
    upstream = Upstream(list(rules), delay, list(MODELS if models is None else models), paths=paths)
    loop = asyncio.new_event_loop()
    asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop)
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(serve(upstream, tls=tls), loop).result(5)

    async def stop() -> None:
        server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        for transport in list(upstream.open):  # of clients that outlive the test, or were killed in it
            transport.abort()
        await asyncio.sleep(0)

    try:
        yield upstream
    finally:
        asyncio.run_coroutine_threadsafe(stop(), loop).result(5)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
        loop.close()


async def _run(port: int, delay: float, allows: int) -> None:
    upstream = Upstream(delay=delay, allows=allows)
    server = await serve(upstream, port)
    print(json.dumps({"port": upstream.port}), flush=True)  # noqa: T201 - the first line tells the port
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--delay", type=float, default=0.0)
    parser.add_argument("--allows", type=int, default=0)
    chosen = parser.parse_args()
    with suppress(KeyboardInterrupt):
        asyncio.run(_run(chosen.port, chosen.delay, chosen.allows))
