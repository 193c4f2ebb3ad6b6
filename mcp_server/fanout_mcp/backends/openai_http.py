"""Any OpenAI-compatible endpoint, always streamed: an aborted stream is what stops the provider's bill.

Rules:
1. Every foreign error becomes the most specific leaf of errors.py (foreign.py); no text of ours has the key.
2. No redirect is followed, no proxy and no certificate is taken from the environment: a repository can set
   that, and the key would go with it. A proxy stands in the user's config.toml (`proxy = "http://..."`).
3. Whatever the server does, a call ends: by bytes (MAX_BYTES) and by time (CALL_S), not only by its caller.
4. What an endpoint does not know (request.py) is asked for once, then left out for that model.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterable, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

import anyio
import httpcore2
import httpx2

from fanout_mcp.backends.completion import Completion, parse
from fanout_mcp.backends.foreign import Mapped
from fanout_mcp.backends.models import model_for
from fanout_mcp.backends.pool import KEEP_S, FastPool
from fanout_mcp.backends.prices import Prices, kept_at
from fanout_mcp.backends.refusals import error_in, refusal
from fanout_mcp.backends.request import QUIRKS, Body, find_quirk, request_body
from fanout_mcp.backends.sse import EventStream
from fanout_mcp.clean import printable
from fanout_mcp.errors import (
    AuthRejected,
    BackendError,
    BadAnswer,
    DeadlineExceeded,
    Rejected,
    SettingsError,
    TooLarge,
    Unreachable,
)
from fanout_mcp.settings import LOOPBACK_HOSTS, OPENROUTER_URL, Settings
from fanout_mcp.types import Answer, Job, Json, ModelPrice
from fanout_mcp.usage import UNTOLD

MAX_BYTES: Final = 4_000_000
"""Of one answer, framing included. An answer of 100,000 tokens in small chunks is about half of it."""
MAX_LIST_BYTES: Final = 16_000_000
"""Of /models; OpenRouter's list is about 1 MB."""
MAX_ERROR_BYTES: Final = 16_000
CALL_S: Final = 600.0
"""The end of a call that nobody else ends; callers bring a shorter deadline."""
LIST_S: Final = 5.0
END_S: Final = 0.25
"""From [DONE] to the end of the stream; some servers leave it open."""

CONNECT: Final = {"timeout": {"connect": 10.0}}
"""Only connecting has a time of its own: models think long before the first byte, and a local one loads."""

JSON_BODY: Final = (b"Content-Type", b"application/json")
Headers = Sequence[tuple[bytes, bytes]]
Pool = FastPool | httpcore2.AsyncConnectionPool
"""Of a base URL, or of a proxy."""


@dataclass(slots=True)
class HttpBackend:
    """One pool for one base URL and key; calls share nothing but its idle connections."""

    settings: Settings
    pool: Pool = field(repr=False)
    headers: Headers = field(repr=False)
    name: str = "http"
    has_model: bool = True
    max_parallel: int | None = None
    prices: Prices = field(init=False, repr=False)
    _quirks: dict[str, frozenset[str]] = field(default_factory=dict)
    provider: str = field(init=False)
    _completions: httpcore2.URL = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.provider = urlsplit(self._url).netloc
        self._completions = core_url(f"{self._url}/chat/completions")
        kept = kept_at(self.settings.config_dir, self._url)
        self.prices = Prices(self._fetch_models, kept, self.settings.prices)

    @property
    def _url(self) -> str:
        return self.settings.base_url or ""

    def default_model(self, purpose: str) -> str | None:
        """Return None where only the endpoint knows its models: `ask` then takes the first it lists."""
        if self.settings.model:
            return self.settings.model
        return model_for("openrouter", purpose) if self._url == OPENROUTER_URL else None

    async def price(self, model: str | None) -> ModelPrice | None:
        """Price the model that will be asked; where none is named, that is the first of the list."""
        return await self.prices.of(model or self.default_model("default") or await self._first_listed())

    async def ask(self, job: Job) -> Answer:
        model = job.model or self.default_model("default") or await self._first_model()
        body = request_body(job, model, is_openrouter=self._url == OPENROUTER_URL)
        try:
            with anyio.fail_after(CALL_S):
                return await self._ask_as_it_can(job, model, body)
        except TimeoutError:
            late = DeadlineExceeded(f"{self.provider} was not done after {CALL_S:g} s.")
            raise late.billed(UNTOLD) from None

    async def _ask_as_it_can(self, job: Job, model: str, body: Body) -> Answer:
        """Ask; when the endpoint says what it does not know, ask without it, once for each quirk.

        What an answer came without is left out from then on; a refusal that stays proves nothing.
        """
        unknown = self._quirks.get(model, frozenset())
        while True:
            sent = body
            for quirk in unknown:
                sent = QUIRKS[quirk].change(sent)
            try:
                answer = await self._send(job, sent)
            except Rejected as error:
                found = find_quirk(str(error), sent)
                if found is None:
                    raise
                unknown |= {found}
            else:
                self._quirks[model] = self._quirks.get(model, frozenset()) | unknown
                return answer

    async def _send(self, job: Job, body: Body) -> Answer:
        completion = Completion(self.provider, self.settings.api_key)
        try:
            with Mapped(self.provider):
                response = await self._open("POST", self._completions, body)
                try:
                    return await self._receive(job, completion, response)
                finally:
                    await response.aclose()
        except BackendError as error:
            error.billed(completion.spent(job))
            raise

    async def _receive(self, job: Job, completion: Completion, response: httpcore2.Response) -> Answer:
        if response.status != 200:
            raise await self._refusal(response)
        self._must_be_plain(response)
        kind = headers_of(response).get("content-type", "").partition(";")[0].strip().lower()
        is_stream = kind == "text/event-stream"
        if is_stream:
            await self._read_stream(completion, response)
        else:
            self._read_whole(completion, kind, await self._read(response, MAX_BYTES))
        return completion.answer(job, streamed=is_stream)

    def _must_be_plain(self, response: httpcore2.Response) -> None:
        """Raise BadAnswer for a body that was compressed although we asked for a plain one."""
        packed = headers_of(response).get("content-encoding", "").strip().lower()
        if packed not in {"", "identity"}:
            raise BadAnswer(
                f"{self.provider} sent an answer compressed with {printable(packed)[:20]}, which was not "
                "asked for (Accept-Encoding: identity). Does a proxy or gateway in between compress?"
            )

    async def _open(self, method: str, url: httpcore2.URL, body: Body | None = None) -> httpcore2.Response:
        # To the pool itself: of httpx2's client we would use nothing but its generators, which nobody closes
        # when an answer is left in its middle, and its objects, which cost more than all else of a call.
        content = b"" if body is None else json.dumps(body).encode()
        sized = [] if body is None else [JSON_BODY, (b"Content-Length", b"%d" % len(content))]
        request = httpcore2.Request(
            method, url, headers=[*self.headers, *sized], content=content, extensions=CONNECT
        )
        return await self.pool.handle_async_request(request)

    async def _read_stream(self, completion: Completion, response: httpcore2.Response) -> None:
        """Read to the end, which makes the connection fit for the next call; after [DONE] not for long."""
        events = EventStream()
        size = 0
        with anyio.CancelScope() as reading:
            async for part in parts_of(response):
                size += len(part)
                if size > MAX_BYTES:
                    raise self._too_large(MAX_BYTES)
                for data in events.feed(part):
                    completion.add_event(data)
                if completion.is_done:
                    reading.deadline = min(reading.deadline, anyio.current_time() + END_S)
        for data in events.end():
            completion.add_event(data)

    def _read_whole(self, completion: Completion, kind: str, body: bytes) -> None:
        """Read an answer that came in one piece, from a server that does not stream."""
        if not body.strip():
            raise BadAnswer(f"{self.provider} sent an empty answer.")
        if kind == "text/html" or body.lstrip()[:1] == b"<":
            raise BadAnswer(f"{self.provider} sent an HTML page: is the base URL that of the API?")
        completion.add(parse(body))

    async def _refusal(self, response: httpcore2.Response) -> BackendError:
        status = response.status
        text = b"" if status in {401, 403} else await self._read(response, MAX_ERROR_BYTES, cut=True)
        try:
            found = error_in(parse(text))
        except BadAnswer:
            found = None
        is_page = text.lstrip()[:1] == b"<" or "content-encoding" in headers_of(response)
        message = found[1] if found else "" if is_page else text.decode("utf-8", "replace")
        return refusal(status, message, self.provider, self.settings.api_key, headers_of(response))

    async def _read(self, response: httpcore2.Response, most: int, *, cut: bool = False) -> bytes:
        body = bytearray()
        async for part in parts_of(response):
            body += part
            if len(body) > most:
                if cut:
                    break
                raise self._too_large(most)
        return bytes(body[:most])

    def _too_large(self, most: int) -> TooLarge:
        return TooLarge(f"{self.provider} sent more than {most // 1_000_000} MB; the answer was cut off.")

    async def _first_listed(self) -> str | None:
        return next(iter(await self.prices.models()), None)

    async def _first_model(self) -> str:
        model = await self._first_listed()
        if model is not None:
            return model
        problem = self.prices.problem
        if isinstance(problem, Unreachable):
            raise Unreachable(
                f"{self.provider} can't be reached: does the server run, and is the base URL right?"
            )
        if isinstance(problem, AuthRejected):
            raise AuthRejected(str(problem))
        why = f" ({str(problem).rstrip('.')})" if problem else ""
        raise Rejected(f"{self.provider} lists no model{why}: set FANOUT_MODEL.")

    async def _fetch_models(self) -> Json:
        try:
            with anyio.fail_after(LIST_S), Mapped(self.provider):
                response = await self._open("GET", core_url(f"{self._url}/models"))
                try:
                    if response.status != 200:
                        raise await self._refusal(response)
                    self._must_be_plain(response)
                    return parse(await self._read(response, MAX_LIST_BYTES))
                finally:
                    await response.aclose()
        except TimeoutError:
            raise DeadlineExceeded(f"{self.provider} did not list its models in {LIST_S:g} s.") from None


def parts_of(response: httpcore2.Response) -> AsyncIterable[bytes]:
    if not isinstance(response.stream, AsyncIterable):
        raise BadAnswer("The connection gave no stream.")
    return response.stream


def headers_of(response: httpcore2.Response) -> dict[str, str]:
    """Return its headers by lower-case name; of one sent twice, the last."""
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}


def core_url(text: str) -> httpcore2.URL:
    url = httpx2.URL(text)  # it knows international names, and what must be escaped
    return httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)


@asynccontextmanager
async def open_http(settings: Settings) -> AsyncIterator[HttpBackend]:
    """Yield the backend with its client. Raises SettingsError for a key that no header can carry."""
    base = settings.base_url or ""
    headers = [
        (b"Host", httpx2.URL(base).netloc),
        (b"Accept-Encoding", b"identity"),
        (b"User-Agent", b"fanout"),
        (b"X-Title", b"fanout"),
    ]
    if settings.api_key:
        headers.append((b"Authorization", b"Bearer " + _checked(settings.api_key).encode("ascii")))
    context = httpx2.create_ssl_context(trust_env=False)
    proxy = _proxy(settings)
    pool: Pool = (
        FastPool(core_url(base).origin, context, max(1024, settings.max_parallel))
        if proxy is None
        else httpcore2.AsyncConnectionPool(ssl_context=context, proxy=proxy, keepalive_expiry=KEEP_S)
    )
    async with pool:
        yield HttpBackend(settings, pool, headers)


def _checked(key: str) -> str:
    key = key.strip()
    if not key.isascii() or not key.isprintable() or " " in key:
        raise SettingsError(
            "The API key holds characters that no key has (a line break, a space?). Set it anew."
        )
    return key


def _proxy(settings: Settings) -> httpcore2.Proxy | None:
    proxy = settings.proxy
    if proxy is None or urlsplit(settings.base_url or "").hostname in LOOPBACK_HOSTS:
        return None
    try:
        return httpcore2.Proxy(core_url(proxy), auth=httpx2.Proxy(proxy).raw_auth)
    except (ValueError, httpx2.InvalidURL):
        raise SettingsError("config.toml: proxy must look like http://host:port.") from None
