"""`fanout serve`: the MCP server over stdin and stdout, or with --http for several users over HTTP.

Theory of operation of --http. Each POST is whole by itself (stateless, both eras of the protocol), so any
replica can take any request. In front of the SDK's application is one door: it knows the user by a bearer
token, of which the service's file holds the SHA-256 alone, or which an issuer signed (issuer.py), and bounds
how much is at work. What a user may do is decided where every tool call passes (Seams.admitted): by scope, by
dollars a day, by what a call names; what the call works with is the user's own there.

Rules:
1. Beyond loopback there is no service without tokens and without the exact names of its hosts.
2. A caller from outside reads nothing of the service's machine: only the project that the service was given,
   and that only with the scope `read`. Hooks, their report and reports in files are the machine's own.
3. No user learns what another has asked: answers are kept by user, and so is how panels voted.
4. Over a bound a call is refused at once, with the seconds after which to come again; nothing queues. What is
   not a call (ping, a list) is answered even when all places are taken.
5. SIGTERM ends it in order: /readyz says so, no request is taken, and those at work get time to end. What is
   not done by then goes on where workers ask it, for the same call at another replica.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import heapq
import ipaddress
import json
import logging
import os
import re
import selectors
import signal
import socket
import stat
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast
from urllib.parse import urlsplit

from fanout_mcp.errors import BudgetExceeded, InvalidInput, SettingsError, why
from fanout_mcp.types import Json

if TYPE_CHECKING:
    from pydantic import BaseModel

    from fanout_mcp.edge.server import Context, Seams
    from fanout_mcp.engine.limits import Limits
    from fanout_mcp.scale.issuer import Issuer
    from fanout_mcp.scale.shared import Shared
    from fanout_mcp.scale.telemetry import Figures
    from fanout_mcp.state.audit import Call, Spent
    from fanout_mcp.tools.services import Services, ToolResult
    from fanout_mcp.types import Backend

SCOPES: Final[Mapping[str, frozenset[str]]] = {
    "read": frozenset({"paths", "patterns", "modules"}),
    "ask": frozenset({"question", "task"}),
}
"""Scope -> arguments: a tool needs the first scope that it has one of; one without is not for outsiders."""
FREE: Final = frozenset({"static", "plan"})
"""Engines that ask no model."""
MAX_AT_WORK: Final = 64
MAX_OPEN: Final = 4_096
"""Requests that are being read or answered, of every kind."""
MAX_BODY: Final = 4 << 20
MAX_LIGHT: Final = 4_096
"""Bytes of a message that is looked at before it counts as a call."""
READ_S: Final = 10
RETRY_AFTER_S: Final = 2
DRAIN_S: Final = 30
ACCEPTED: Final = 1
"""New connections in one turn of the loop."""
READ: Final = 6
"""Sockets that are read in one turn of the loop."""
WAITING: Final = 2_048
"""Connections that the system keeps until their turn."""
KEEP_ALIVE_S: Final = 75
"""Longer than a proxy's 60 s: the proxy ends a connection, so that it never sends into one that ends."""
USER: Final = "fanout.user"
"""Where a request's scope holds who sent it."""
ANYONE: Final = "*"
"""The row of the tokens' file that bounds the issuer's users."""

MALLOC: Final = {-8: 1, -3: 128 << 10}
"""For mallopt(3): M_ARENA_MAX, and M_MMAP_THRESHOLD at its first value, which else grows to 32 MB."""

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
    add = parser.add_argument
    add("--http", metavar="HOST:PORT", help="serve over HTTP instead of stdin and stdout")
    add("--tokens", type=Path, metavar="FILE", help="users: SHA-256 of their tokens, scopes and limits")
    add("--issuer", metavar="URL", help="also accept JWTs from this issuer")
    add("--resource", metavar="URL", help="this service's URL, as the issuer's clients see it")
    add(
        "--audience", metavar="NAME", help="audience that the issuer's tokens must have (default: --resource)"
    )
    add("--allow-host", action="append", default=[], metavar="HOST", help="Host header to accept, exactly")
    add("--allow-origin", action="append", default=[], metavar="URL", help="Origin header to accept, exactly")
    add("--project", type=Path, metavar="FOLDER", help="folder that users may read (default: none)")
    add("--max-parallel", type=int, default=MAX_AT_WORK, metavar="N", help="maximum number of calls at once")
    add("--health", metavar="HOST:PORT", help="serve /livez, /readyz and /metrics there (default: off)")
    add("--begun", type=int, metavar="DESCRIPTOR", help=argparse.SUPPRESS)
    parser.epilog = "`fanout install` registers it; docs/service.md describes the service over HTTP."


def run(args: argparse.Namespace) -> int:
    if args.http is None:
        from fanout_mcp.edge.first import taken_over
        from fanout_mcp.edge.process import main

        return main(begun=b"" if args.begun is None else taken_over(args.begun))
    users = read_users(args.tokens) if args.tokens else {} if args.issuer else None
    if not is_loopback(_address(args.http)[0]) and (users is None or not args.allow_host):
        raise SettingsError(
            f"--http {args.http} is beyond this machine: name its users with --tokens FILE or --issuer URL, "
            "and the exact names that it is called by with --allow-host. Nothing was started."
        )
    if users is None:
        sys.stderr.write("fanout: without --tokens every user of this machine may use this service\n")
    from fanout_mcp.scale.telemetry import Figures, exporting

    handler = logging.StreamHandler()
    handler.setFormatter(Redacting("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    service = Service(Figures(), users, args.max_parallel, issuer=_issuer(args))
    return_memory()
    try:
        turns = asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(InTurns()))
        with exporting(os.environ), turns as runner:
            return runner.run(_serve(service, args))
    except OSError as error:
        raise SettingsError(f"--http {args.http} can't be served: {why(error)}.") from error


def return_memory() -> None:
    """Have glibc give back what was freed. Call it before there are threads.

    Each of a service's threads, which come and go, would else take its memory from an arena of its own, up to
    eight a core, and none would shrink below the largest answer that was read there.
    """
    import ctypes  # the start over stdin passes through this module

    with contextlib.suppress(AttributeError, OSError, TypeError):  # another system's library
        mallopt = ctypes.CDLL(None).mallopt
        for parameter, value in MALLOC.items():
            mallopt(parameter, value)


def _issuer(args: argparse.Namespace) -> Issuer | None:
    """Return whose tokens are taken. Raises SettingsError."""
    if args.issuer is None:
        return None
    from fanout_mcp.scale.issuer import Issuer, must_be_private

    try:
        return Issuer(
            must_be_private(args.issuer), must_be_private(args.resource or ""), args.audience or args.resource
        )
    except ValueError as error:
        raise SettingsError(
            f"--issuer needs --resource, and of these {error}. Nothing was started."
        ) from None


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
    known = {"sha256", "scopes", "max_parallel", "max_usd_per_day"} - (
        {"sha256"} if name == ANYONE else set()
    )
    scopes = frozenset(row.get("scopes", SCOPES))
    key = ANYONE if name == ANYONE else row["sha256"]
    is_key = key == ANYONE or re.fullmatch(r"[0-9a-f]{64}", key)
    if not is_key or row.keys() - known or scopes - set(SCOPES) or "#" in name:
        raise ValueError(f"[{name}] has a wrong name, sha256, scope or field")
    cap = row.get("max_usd_per_day")
    return key, User(name, scopes, int(row.get("max_parallel", 8)), None if cap is None else float(cap))


# --- the door ----------------------------------------------------------------------------------------------


def _own_dollars() -> Spent:
    from fanout_mcp.scale.shared import Dollars  # the start over stdin passes through this module

    return Dollars()


@dataclass(slots=True)
class Service:
    """What is at work, and what was spent; one a process."""

    figures: Figures
    users: Mapping[str, User] | None
    max_at_work: int = MAX_AT_WORK
    has_project: bool = False
    root: str = os.sep
    """Where its project lies."""
    issuer: Issuer | None = None
    document: str = ""
    """The URL of what tells clients where to get a token (RFC 9728)."""
    open: int = 0
    at_work: Counter[str] = field(default_factory=Counter)
    dollars: Spent = field(default_factory=_own_dollars)
    """By user and day, with what calls at work have set aside."""
    shared: Shared | None = None
    limits: Limits | None = None
    """Of the providers, once a call was at work."""

    def door(self, app: App) -> App:
        """Let in who is known, up to the bounds; everyone else reads why not."""

        async def entered(scope: Scope, receive: Receive, send: Send) -> None:
            is_http = scope["type"] == "http"
            is_public = is_http and scope["path"] == urlsplit(self.document).path
            if not is_http or (is_public and scope["method"] in {"GET", "OPTIONS"}):
                await app(scope, receive, send)
            elif self.open >= MAX_OPEN:
                await self._refuse(send, 503, "the service is busy", b"Retry-After", b"%d" % RETRY_AFTER_S)
            else:
                self.open += 1
                try:
                    await self._let_in(app, scope, receive, send)
                finally:
                    self.open -= 1

        return entered

    async def _let_in(self, app: App, scope: Scope, receive: Receive, send: Send) -> None:
        again = (b"Retry-After", b"%d" % RETRY_AFTER_S)
        try:
            user = await self._known(scope)
        except SettingsError as error:
            await self._refuse(send, 503, str(error).rstrip("."), *again)
            return
        if user is None:
            has_token = any(name.lower() == b"authorization" for name, _ in scope["headers"])
            failed = "invalid_token" if has_token else ""
            await self._refuse(send, 401, "a bearer token is required", *self._challenge(failed))
            return
        if not user.scopes:
            words = f"none of the scopes {', '.join(SCOPES)} is in the token"
            await self._refuse(send, 403, words, *self._challenge("insufficient_scope"))
            return
        if scope["method"] != "POST":  # a stateless service has no stream that a GET could wait at
            await self._refuse(send, 405, "POST alone is served", b"Allow", b"POST")
            return
        scope = {**scope, USER: user}
        try:
            async with asyncio.timeout(READ_S):
                is_light, receive = await _looked_at(scope, receive)
        except TimeoutError:
            await self._refuse(send, 408, "the request took too long to arrive", *again)
            return
        if is_light:
            await app(scope, receive, send)
        elif self.at_work.total() >= self.max_at_work:
            await self._refuse(send, 503, "the service is busy", *again)
        elif self.at_work[user.name] >= user.max_parallel:
            words = f"{user.max_parallel} of your requests are at work already"
            await self._refuse(send, 429, words, *again)
        else:
            self.at_work[user.name] += 1
            try:
                await app(scope, receive, send)
            finally:
                self.at_work.subtract([user.name])
                self.at_work = +self.at_work  # forgets who has none

    async def _known(self, scope: Scope) -> User | None:
        """Return who sends a request, None for a stranger. Raises SettingsError where no one can say."""
        if self.users is None:
            return LOCAL
        given = [value for name, value in scope["headers"] if name.lower() == b"authorization"]
        kind, _, token = given[0].partition(b" ") if len(given) == 1 else (b"", b"", b"")
        if kind.lower() != b"bearer":
            return None
        user = self.users.get(hashlib.sha256(token).hexdigest())
        if user is not None or self.issuer is None:
            return user
        claims = await self.issuer.claims_of(token.decode("latin-1"))
        if claims is None:
            return None
        bounds = self.users.get(ANYONE, User(ANYONE))
        granted = claims.get("scope", claims.get("scp", ""))
        words = granted.split() if isinstance(granted, str) else map(str, granted or ())
        # No name in the tokens' file has the sign between the two.
        return bounds._replace(
            name=f"{self.issuer.url}#{claims['sub']}", scopes=bounds.scopes.intersection(words)
        )

    def _challenge(self, error: str) -> tuple[bytes, bytes]:
        parts = [f'error="{error}"'] if error and self.issuer else []
        if self.issuer:
            parts += [f'scope="{" ".join(SCOPES)}"', f'resource_metadata="{self.document}"']
        return b"WWW-Authenticate", f"Bearer {', '.join(parts)}".strip().encode()

    async def _refuse(self, send: Send, status: int, words: str, name: bytes, value: bytes) -> None:
        self.figures.add("fanout_refused_total", status=str(status))
        busy = f"busy: {words}; retry after {RETRY_AFTER_S} s" if name == b"Retry-After" else words
        error = {"jsonrpc": "2.0", "id": None, "error": {"code": -32000, "message": busy}}
        headers = [(b"content-type", b"application/json"), (name.lower(), value)]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(error).encode()})

    @contextlib.asynccontextmanager
    async def admitted(
        self, ctx: Context, services: Services, given: BaseModel, record: Call
    ) -> AsyncIterator[Services]:
        """Decide on one tool call; count it and what it spent. Raises InvalidInput or BudgetExceeded."""
        from fanout_mcp.scale.telemetry import Observed, count, joined
        from fanout_mcp.state import audit

        user: User = ctx.request.scope[USER]  # type: ignore[union-attr] # a request over HTTP has one
        audit.who.set(user.name)  # first: the line of a refused call names its user, too
        self._check(user, record.tool, given)
        day, began = audit.sum_of("user"), time.monotonic()
        is_free = getattr(given, "engine", "") in FREE or getattr(given, "dry_run", False)
        aside, cap = 0.0 if is_free else record.most_usd, user.max_usd_per_day
        record.max_usd_per_day = cap
        if cap is not None and (over := await self.dollars.take({day: cap}, aside)):
            raise BudgetExceeded(
                f"${cap:g} a day are allowed to {user.name}, ${max(cap - over[1], 0):.4g} are left, "
                f"and this call may cost ${aside:g}. Lower max_cost_usd, or ask again tomorrow."
            )
        self.limits = services.limits
        observed = Observed(services.backend, self.figures)
        own = hashlib.sha256(user.name.encode()).hexdigest()[:16]
        home = (services.settings.state_home or services.settings.config_dir / "state") / "users" / own
        trace_id = joined(ctx.meta, record.trace)
        try:
            yield replace(
                services,
                settings=replace(services.settings, state_home=home),
                backend=cast("Backend", observed),  # what it lacks it takes from the one it wraps
            )
        finally:
            if cap is not None:
                audit.settle(self.dollars, [day], record.usd, aside)
            count(self.figures, record, time.monotonic() - began, trace_id)

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
        named = [one for name in (*SCOPES["read"], "files") for one in getattr(given, name, None) or ()]
        for one in named:  # the source layer would take another worktree of the project's repository
            if one.startswith(("/", "~")) or ".." in one.split("/"):
                raise InvalidInput(f"{one[:200]!r} leads out of the project; name files as they lie in it.")

    def hand_over(self) -> None:
        """Leave to workers what the calls that are about to be cut off wait for."""
        if self.shared is not None:
            self.shared.link.is_leaving = True

    def metrics(self) -> str:
        """Return all figures in the text form of Prometheus."""
        from fanout_mcp.scale.telemetry import gauges

        at_work = ("fanout_inflight", (), float(self.at_work.total()))
        return self.figures.text([at_work, *gauges(self.limits, self.shared)])

    def shown(self, result: ToolResult) -> ToolResult:
        """Take out what is of this machine: where its project lies, and where a report would be."""
        text = json.dumps(result.data)
        data = json.loads(
            text if self.root == os.sep else text.replace(json.dumps(self.root)[1:-1], "the project")
        )
        if isinstance(data, dict):
            data.pop("report", None)
            self.figures.add("fanout_cached_total", (data.get("receipt") or {}).get("cached") or 0)
        return replace(result, data=data)


async def _looked_at(scope: Scope, receive: Receive) -> tuple[bool, Receive]:
    """Say whether a message surely is no call of a tool, without parsing it; return what reads it again.

    A method's name can be written otherwise only with an escape, or in another encoding, which has NULs.
    """
    length = next((value for name, value in scope["headers"] if name.lower() == b"content-length"), b"")
    if not length.isdigit() or int(length) > MAX_LIGHT:
        return False, receive
    messages: list[MutableMapping[str, Any]] = []
    while not messages or messages[-1].get("more_body"):
        messages.append(await receive())
    body, again = b"".join(one.get("body", b"") for one in messages), iter(messages)

    async def read_again() -> MutableMapping[str, Any]:
        return next(again, None) or await receive()

    return not any(word in body for word in (b"tools/call", b"\\", b"\0")), read_again


# --- the process -------------------------------------------------------------------------------------------


class InTurns(selectors.DefaultSelector):
    """Gives the loop a few ready sockets a turn: half of them those open longest, half the next in line.

    A request takes some forty turns of the loop. When two thousand arrive at once, a ping over a connection
    that was there before would wait for as many requests in its turns.
    """

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(timeout)
        if len(ready) <= READ:
            return ready
        oldest = heapq.nsmallest(READ // 2, ready, key=lambda one: one[0].fd)
        return [*oldest, *(one for one in ready[:READ] if one not in oldest)][:READ]


class Redacting(logging.Formatter):
    """Takes secrets out of what is logged: the trace of a defect may quote what a caller sent."""

    def format(self, record: logging.LogRecord) -> str:
        from fanout_mcp.source.secrets import redact

        return redact(super().format(record))[0]


class NoHooks:
    """In the place of the process that runs hooks: those are the machine's own."""

    async def handle(self, arguments: dict[str, Json]) -> str:  # noqa: ARG002 - the seam's signature
        return ""

    async def get_ready(self) -> None: ...
    async def close(self) -> None: ...


def application(service: Service, seams: Seams, hosts: list[str], origins: list[str]) -> App:
    """Return the whole service as an ASGI application."""
    from mcp.server.auth.routes import build_resource_metadata_url, create_protected_resource_routes
    from mcp.server.transport_security import TransportSecuritySettings
    from pydantic import AnyHttpUrl

    from fanout_mcp.edge.server import build

    own = replace(
        seams,
        admitted=service.admitted,
        bridge=NoHooks,
        shown=service.shown,
        names=lambda: [name for name in seams.names() if name != "hook_report"],
    )
    exact = TransportSecuritySettings(allowed_hosts=hosts, allowed_origins=origins)
    documents = []
    if issuer := service.issuer:
        resource = AnyHttpUrl(issuer.resource)
        service.document = str(build_resource_metadata_url(resource))
        documents = create_protected_resource_routes(
            resource, [AnyHttpUrl(issuer.url)], list(SCOPES), "fanout"
        )
    app = build(own).streamable_http_app(
        stateless_http=True,
        transport_security=exact,
        max_request_body_size=MAX_BODY,
        custom_starlette_routes=documents,
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
        service.has_project, service.root = args.project is not None, str(root)
        # Reports are files of this machine, which no caller reads: none is written.
        had = replace(settings.read(root=root), state_dir=Path(os.devnull))
        origins = args.allow_origin or ([] if args.allow_host else [f"http://{one}" for one in hosts])
        if had.redis_url:
            service.shared = await stack.enter_async_context(open_shared(had))
            service.dollars = service.shared.dollars
        seams = Seams(read_settings=lambda: had, open=partial(open_services, shared=service.shared))
        app = application(service, seams, hosts, origins)
        config = uvicorn.Config(
            app,
            log_config=None,
            timeout_graceful_shutdown=DRAIN_S,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            backlog=ACCEPTED,
        )

        class Server(uvicorn.Server):
            async def startup(self, sockets: list[socket.socket] | None = None) -> None:
                await super().startup(sockets)
                listening.listen(WAITING)

            async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
                asyncio.get_running_loop().call_later(DRAIN_S, service.hand_over)
                await super().shutdown(sockets)
                service.hand_over()

        server = Server(config)
        AppStatus.enable_automatic_graceful_drain = False  # it would cut every answer at the first signal
        sys.stderr.write(f"fanout: serving http://{args.http.rpartition(':')[0]}:{port}/mcp\n")
        if args.health:
            own = watched(args.health, service.metrics, lambda: server.started and not server.should_exit)
            await stack.enter_async_context(own)
        for number in (signal.SIGTERM, signal.SIGINT):  # uvicorn raises it again at its end
            signal.signal(number, lambda *_: None)
        await server.serve(sockets=[listening])
    return 0


@contextlib.asynccontextmanager
async def watched(
    address: str, metrics: Callable[[], str], is_ready: Callable[[], bool]
) -> AsyncIterator[None]:
    """Answer GET /livez, /readyz and /metrics while the block runs, one request a connection."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, ValueError, TimeoutError, asyncio.IncompleteReadError):
            async with asyncio.timeout(5):
                path = (await reader.readline()).split(b" ")[1:2]
                status, text = {
                    b"/livez": ("200 OK", "alive\n"),
                    b"/readyz": ("200 OK", "ready\n")
                    if is_ready()
                    else ("503 Service Unavailable", "not ready\n"),
                    b"/metrics": ("200 OK", metrics()),
                }.get(path[0] if path else b"", ("404 Not Found", "no such path\n"))
                head = (
                    f"HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4\r\nConnection: close\r\n"
                )
                writer.write(f"{head}Content-Length: {len(text.encode())}\r\n\r\n{text}".encode())
                await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, *_address(address)) as server:
        name, number, *_ = server.sockets[0].getsockname()
        sys.stderr.write(f"fanout: /livez, /readyz and /metrics at http://{name}:{number}\n")
        yield
