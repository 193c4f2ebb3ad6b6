"""`fanout serve`: the MCP server over stdin and stdout, or with --http for several users over HTTP.

Theory of operation of --http. Each POST is whole by itself (stateless, both eras of the protocol), so any
replica can take any request. In front of the SDK's application is one door: it knows the user by a bearer
token, of which the service's file holds the SHA-256 alone, and bounds how much is at work. What a user may do
is decided where every tool call passes (Seams.admitted): by scope, by dollars a day, by what a call names.

Rules:
1. Beyond loopback there is no service without tokens and without the exact names of its hosts.
2. A caller from outside reads nothing of the service's machine: only the project that the service was given,
   and that only with the scope `read`. Hooks and their report are the machine's own.
3. Over a bound a request is refused at once, with the seconds after which to come again; nothing queues.
4. SIGTERM ends it in order: /readyz says so, no request is taken, and those at work get time to end.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import ipaddress
import json
import os
import re
import signal
import socket
import stat
import sys
import tempfile
import time
import tomllib
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from fanout_mcp.errors import BudgetExceeded, InvalidInput, SettingsError, why
from fanout_mcp.types import Json

if TYPE_CHECKING:
    from pydantic import BaseModel

    from fanout_mcp.edge.server import Seams
    from fanout_mcp.scale.shared import Shared
    from fanout_mcp.state.audit import Call, Spent

SCOPES: Final[Mapping[str, frozenset[str]]] = {
    "read": frozenset({"paths", "patterns", "modules"}),
    "ask": frozenset({"question", "task"}),
}
"""Scope -> arguments: a tool needs the first scope that it has one of; one without is not for outsiders."""
MAX_AT_WORK: Final = 64
MAX_BODY: Final = 4 << 20
RETRY_AFTER_S: Final = 2
DRAIN_S: Final = 30
USER: Final = "fanout.user"
"""Where a request's scope holds who sent it."""

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class User(NamedTuple):
    """One row of the tokens' file."""

    name: str
    scopes: frozenset[str] = frozenset(SCOPES)
    max_parallel: int = 8
    max_usd_per_day: float | None = None


LOCAL: Final = User("local", max_parallel=MAX_AT_WORK)
"""Whoever may connect to loopback, where the service was started without tokens."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--http", metavar="HOST:PORT", help="serve over HTTP instead of stdin and stdout")
    parser.add_argument(
        "--tokens", type=Path, metavar="FILE", help="users: SHA-256 of tokens, scopes, bounds"
    )
    parser.add_argument("--allow-host", action="append", default=[], metavar="HOST", help="exact Host header")
    parser.add_argument(
        "--allow-origin", action="append", default=[], metavar="URL", help="exact Origin header"
    )
    parser.add_argument("--project", type=Path, metavar="FOLDER", help="what may be read (default: nothing)")
    parser.add_argument(
        "--max-parallel", type=int, default=MAX_AT_WORK, metavar="N", help="requests at work at once"
    )
    parser.add_argument(
        "--health", metavar="HOST:PORT", help="/livez, /readyz, /metrics (default: no such port)"
    )
    parser.add_argument("--begun", type=int, metavar="DESCRIPTOR", help=argparse.SUPPRESS)
    parser.epilog = "Register it with `fanout install`; docs/policy.md has the service."


def run(args: argparse.Namespace) -> int:
    if args.http is None:
        from fanout_mcp.edge.first import taken_over
        from fanout_mcp.edge.process import main

        return main(begun=b"" if args.begun is None else taken_over(args.begun))
    users = read_users(args.tokens) if args.tokens else None
    if not is_loopback(_address(args.http)[0]) and (users is None or not args.allow_host):
        raise SettingsError(
            f"--http {args.http} is beyond this machine: name its users with --tokens FILE and the exact "
            "names that it is called by with --allow-host. Nothing was started."
        )
    if users is None:
        sys.stderr.write("fanout: without --tokens every user of this machine may use this service\n")
    try:
        return asyncio.run(_serve(Service(users, args.max_parallel), args))
    except OSError as error:
        raise SettingsError(f"--http {args.http} can't be served: {why(error)}.") from error


def _address(text: str) -> tuple[str, int]:
    match = re.fullmatch(r"(?:\[([0-9a-fA-F:]+)\]|([^:\s]+)):(\d{1,5})", text)
    if match is None or int(match[3]) > 65535:
        raise InvalidInput(f"{text!r} must look like 127.0.0.1:8080.")
    return match[1] or match[2], int(match[3])


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def read_users(path: Path) -> dict[str, User]:
    """Return users by the SHA-256 of their token. Raises SettingsError."""
    try:
        status = path.stat()
        if status.st_uid not in {0, os.getuid()} or status.st_mode & (stat.S_IRWXO | stat.S_IWGRP):
            raise SettingsError(
                f"{path} must be root's or the service's own, and closed to others: chmod 600"
            )
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        return dict(_user(name, row) for name, row in table.items())
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        reason = why(error) if isinstance(error, OSError | ValueError) else f"{type(error).__name__} {error}"
        raise SettingsError(
            f'{path} can\'t be used: {reason}. A user is [name], sha256 = "<64 digits>", '
            'scopes = ["ask", "read"], and as wanted max_parallel and max_usd_per_day.'
        ) from error


def _user(name: str, row: Json) -> tuple[str, User]:
    known = {"sha256", "scopes", "max_parallel", "max_usd_per_day"}
    scopes = frozenset(row.get("scopes", SCOPES))
    if not re.fullmatch(r"[0-9a-f]{64}", row["sha256"]) or row.keys() - known or scopes - set(SCOPES):
        raise ValueError(f"[{name}] has a wrong sha256, scope or field")
    cap = row.get("max_usd_per_day")
    return row["sha256"], User(
        name, scopes, int(row.get("max_parallel", 8)), None if cap is None else float(cap)
    )


# --- the door ----------------------------------------------------------------------------------------------


def _own_dollars() -> Spent:
    from fanout_mcp.scale.shared import Dollars  # the start over stdin passes through this module

    return Dollars()


@dataclass(slots=True)
class Service:
    """What is at work, and what was spent; one a process."""

    users: Mapping[str, User] | None
    max_at_work: int = MAX_AT_WORK
    has_project: bool = False
    at_work: Counter[str] = field(default_factory=Counter)
    dollars: Spent = field(default_factory=_own_dollars)
    """By user and day, with what calls at work have set aside."""
    shared: Shared | None = None
    figures: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    """Prometheus samples: name with labels -> value. No user, path or question is a label."""

    def door(self, app: App) -> App:
        """Let in who is known, up to the bounds; everyone else reads why not."""

        async def entered(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            user = self._known(scope)
            if user is None:
                await self._refuse(send, 401, "a bearer token is required", b"WWW-Authenticate", b"Bearer")
            elif scope["method"] != "POST":  # a stateless service has no stream that a GET could wait at
                await self._refuse(send, 405, "POST alone is served", b"Allow", b"POST")
            elif self.at_work.total() >= self.max_at_work:
                await self._refuse(send, 503, "the service is busy", b"Retry-After", b"%d" % RETRY_AFTER_S)
            elif self.at_work[user.name] >= user.max_parallel:
                words = f"{user.max_parallel} of your requests are at work already"
                await self._refuse(send, 429, words, b"Retry-After", b"%d" % RETRY_AFTER_S)
            else:
                self.at_work[user.name] += 1
                try:
                    await app({**scope, USER: user}, receive, send)
                finally:
                    self.at_work[user.name] -= 1

        return entered

    def _known(self, scope: Scope) -> User | None:
        if self.users is None:
            return LOCAL
        given = [value for name, value in scope["headers"] if name.lower() == b"authorization"]
        kind, _, token = given[0].partition(b" ") if len(given) == 1 else (b"", b"", b"")
        return self.users.get(hashlib.sha256(token).hexdigest()) if kind.lower() == b"bearer" else None

    async def _refuse(self, send: Send, status: int, words: str, name: bytes, value: bytes) -> None:
        self.figures[f'fanout_refused_total{{status="{status}"}}'] += 1
        busy = f"busy: {words}; retry after {RETRY_AFTER_S} s" if name == b"Retry-After" else words
        error = {"jsonrpc": "2.0", "id": None, "error": {"code": -32000, "message": busy}}
        headers = [(b"content-type", b"application/json"), (name.lower(), value)]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(error).encode()})

    @contextlib.contextmanager
    def admitted(self, request: Any, tool: str, given: BaseModel, record: Call) -> Iterator[None]:
        """Decide on one tool call; count it and what it spent. Raises InvalidInput or BudgetExceeded."""
        from fanout_mcp.state import audit

        user: User = request.scope[USER]
        self._check(user, tool, given)
        audit.who.set(user.name)
        day, began = f"user:{user.name}:{time.strftime('%Y-%m-%d', time.gmtime())}", time.monotonic()
        aside, cap = record.most_usd, user.max_usd_per_day
        if cap is not None and (over := self.dollars.take({day: cap}, aside)):
            raise BudgetExceeded(
                f"${cap:g} a day are allowed to {user.name}, ${max(cap - over[1], 0):.4g} are left, "
                f"and this call may cost ${aside:g}. Lower max_cost_usd, or ask again tomorrow."
            )
        try:
            yield
        finally:
            if cap is not None:
                self.dollars.add([day], record.usd - aside)
            self._count(tool, record, time.monotonic() - began)

    def _check(self, user: User, tool: str, given: BaseModel) -> None:
        takes = type(given).model_fields
        needed = next((scope for scope, names in SCOPES.items() if not names.isdisjoint(takes)), None)
        if needed is None:
            raise InvalidInput(f"{tool} is not served over HTTP: it is about the service's own machine.")
        if needed not in user.scopes:
            raise InvalidInput(f"{tool} needs the scope {needed!r}, which {user.name} does not have.")
        if not (needed == "read" or getattr(given, "files", None)):
            return
        if "read" not in user.scopes or not self.has_project:
            lacks = "the scope 'read'" if self.has_project else "a project (fanout serve --project FOLDER)"
            raise InvalidInput(f"No file is read here: that needs {lacks}. Put the text into the question.")

    def _count(self, tool: str, record: Call, seconds: float) -> None:
        verdict = record.verdict or "refused"
        label = f'{{tool="{tool}"}}'
        self.figures[f'fanout_calls_total{{tool="{tool}",verdict="{verdict}"}}'] += 1
        for name, value in (
            (f"fanout_call_seconds_sum{label}", seconds),
            (f"fanout_call_seconds_count{label}", 1),
            (f"fanout_cost_usd_total{label}", record.usd),
            ('fanout_tokens_total{kind="in"}', record.usage.tokens_in),
            ('fanout_tokens_total{kind="out"}', record.usage.tokens_out),
        ):
            self.figures[name] += value
        line = {"trace": record.trace, "tool": tool, "verdict": verdict, "seconds": round(seconds, 3)}
        sys.stderr.write(json.dumps({**line, "usd": round(record.usd, 6)}) + "\n")

    def metrics(self) -> str:
        """Return all figures in the text form of Prometheus."""
        figures = {"fanout_inflight": self.at_work.total(), **self.figures}
        figures |= self.shared.figures() if self.shared else {}
        return "\n".join([*(f"{name} {value:g}" for name, value in sorted(figures.items())), ""])


# --- the process -------------------------------------------------------------------------------------------


class NoHooks:
    """In the place of the process that runs hooks: those are the machine's own."""

    async def handle(self, arguments: dict[str, Json]) -> str:  # noqa: ARG002 - the seam's signature
        return ""

    async def get_ready(self) -> None: ...
    async def close(self) -> None: ...


def application(service: Service, seams: Seams, hosts: list[str], origins: list[str]) -> App:
    """Return the whole service as an ASGI application."""
    from mcp.server.transport_security import TransportSecuritySettings

    from fanout_mcp.edge.server import build

    own = replace(seams, admitted=service.admitted, bridge=NoHooks)
    exact = TransportSecuritySettings(allowed_hosts=hosts, allowed_origins=origins)
    app = build(own).streamable_http_app(
        stateless_http=True, transport_security=exact, max_request_body_size=MAX_BODY
    )
    return service.door(app)


async def _serve(service: Service, args: argparse.Namespace) -> int:
    import uvicorn
    from sse_starlette.sse import AppStatus

    from fanout_mcp.edge.opening import open_services
    from fanout_mcp.edge.server import Seams
    from fanout_mcp.scale.shared import open_shared
    from fanout_mcp.state import settings

    host, port = _address(args.http)
    listening = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    port = listening.getsockname()[1]
    hosts = args.allow_host or [f"{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]")]
    async with contextlib.AsyncExitStack() as stack:
        empty = stack.enter_context(tempfile.TemporaryDirectory(prefix="fanout-service-"))
        root = Path(os.path.realpath(args.project or empty))  # noqa: ASYNC240 - once, before anything is served
        service.has_project = args.project is not None
        # Reports are files of this machine, which no caller reads.
        had = replace(settings.read(root=root), state_dir=Path(empty) / ".claude" / "fanout")
        origins = args.allow_origin or ([] if args.allow_host else [f"http://{one}" for one in hosts])
        if had.redis_url:
            service.shared = await stack.enter_async_context(open_shared(had))
            service.dollars = service.shared.dollars
        seams = Seams(read_settings=lambda: had, open=partial(open_services, shared=service.shared))
        app = application(service, seams, hosts, origins)
        config = uvicorn.Config(
            app,
            log_level="warning",
            timeout_graceful_shutdown=DRAIN_S,
            server_header=False,
            proxy_headers=False,
        )
        server = uvicorn.Server(config)
        AppStatus.enable_automatic_graceful_drain = False  # it would cut every answer at the first signal
        sys.stderr.write(f"fanout: serving http://{args.http.rpartition(':')[0]}:{port}/mcp\n")
        if args.health:
            watched = await asyncio.start_server(_answering(service, server), *_address(args.health))
            await stack.enter_async_context(watched)
            name, number, *_ = watched.sockets[0].getsockname()
            sys.stderr.write(f"fanout: /livez, /readyz and /metrics at http://{name}:{number}\n")
        for number in (signal.SIGTERM, signal.SIGINT):  # uvicorn raises it again at its end, for its caller
            signal.signal(number, lambda *_: None)
        await server.serve(sockets=[listening])
    return 0


def _answering(
    service: Service, server: Any
) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    """Answer GET /livez, /readyz and /metrics, one request a connection."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, ValueError, TimeoutError, asyncio.IncompleteReadError):
            async with asyncio.timeout(5):
                path = (await reader.readline()).split(b" ")[1:2]
                is_ready = server.started and not server.should_exit
                status, text = {
                    b"/livez": ("200 OK", "alive\n"),
                    b"/readyz": ("200 OK", "ready\n")
                    if is_ready
                    else ("503 Service Unavailable", "not ready\n"),
                    b"/metrics": ("200 OK", service.metrics()),
                }.get(path[0] if path else b"", ("404 Not Found", "no such path\n"))
                head = (
                    f"HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4\r\nConnection: close\r\n"
                )
                writer.write(f"{head}Content-Length: {len(text.encode())}\r\n\r\n{text}".encode())
                await writer.drain()
        writer.close()

    return answer
