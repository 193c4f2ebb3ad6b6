"""Any OpenAI-compatible endpoint, always streamed: an aborted stream is what stops the provider's bill.

Rules:
1. Every foreign error becomes the most specific leaf of errors.py (http.py); no text of ours has the key.
2. No redirect is followed, no proxy and no certificate is taken from the environment: a repository can set
   that, and the key would go with it. A proxy stands in the user's config.toml (`proxy = "http://..."`).
3. Whatever the server does, a call ends: by bytes (MAX_BYTES) and by time (CALL_S), not only by its caller.
4. What an endpoint does not know (request.py) is asked for once, then left out for that model.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
import zlib
from codecs import BOM_UTF8 as BOM
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Final, Self, cast
from urllib.parse import quote, urlsplit, urlunsplit

import anyio
import anyio.to_thread
import httpcore2
import httpx2

from fanout_hooks.client import files
from fanout_mcp import errors
from fanout_mcp.backends.completion import Completion, EventStream, dollars, parse
from fanout_mcp.backends.pool import KEEP_S, FastPool, Response, mapped
from fanout_mcp.backends.providers import Row, barred_host
from fanout_mcp.backends.refusals import NO_PATH, count, error_in, refusal
from fanout_mcp.backends.request import (
    MARGIN,
    MIN_OUTPUT,
    QUIRKS,
    Body,
    find_quirk,
    request_body,
    smaller_budget,
)
from fanout_mcp.state import policy
from fanout_mcp.state.settings import LOOPBACK_HOSTS, OPENROUTER_URL, Settings
from fanout_mcp.text import clean_text, printable
from fanout_mcp.types import Answer, Backend, Job, Json, ModelPrice
from fanout_mcp.usage import UNREPORTED, Usage

# --- What a model costs: from the provider's /models, else from the user's own table, else unknown, never 0.
# The list is kept for a day in the user's folder, not in the project's: a repository must not be able to ship
# one that makes dear models look cheap, or names the model to be asked.

DAY_S: Final = 86_400
RETRY_S: Final = 60
"""After a failed fetch the list is not asked for again so long."""
MILLION: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Model:
    id: str
    price: ModelPrice | None = None
    context: int | None = None
    """Tokens of question and answer together, as far as the provider lists them."""
    is_chat: bool = True
    """False for what answers no question: embeddings, speech, images, moderation."""


@dataclass(slots=True)
class Prices:
    """`fetch` gets the body of /models, or raises BackendError; nothing here raises on a network failure."""

    fetch: Callable[[], Awaitable[Json]]
    kept: Path | None
    """None where the policy limits dollars: the user could write a price into it."""
    table: Mapping[str, ModelPrice]
    now: Callable[[], float] = time.time
    problem: errors.BackendError | None = None
    """Why the provider could not be asked last time."""
    _models: Mapping[str, Model] | None = None
    _until: float = 0.0
    _lock: anyio.Lock = field(default_factory=anyio.Lock)

    async def of(self, model: str | None) -> ModelPrice | None:
        if model is None:
            return None
        listed = (await self.models()).get(model)
        return listed.price if listed and listed.price else self.table.get(model)

    def known(self, model: str) -> Model | None:
        """Return what has been listed of a model so far, without asking."""
        return (self._models or {}).get(model)

    async def first_chat(self) -> str | None:
        return next((one.id for one in (await self.models()).values() if one.is_chat), None)

    async def models(self) -> Mapping[str, Model]:
        """Return the provider's models in its order; empty when it lists none."""
        found = self._fresh()
        if found is None:
            async with self._lock:
                found = self._fresh()
                if found is None:
                    found, self._until = await self._load()
                    self._models = found
        return found

    def _fresh(self) -> Mapping[str, Model] | None:
        return self._models if self.now() < self._until else None

    async def _load(self) -> tuple[Mapping[str, Model], float]:
        with suppress(OSError, ValueError, RecursionError):
            age = self.now() - self.kept.stat().st_mtime if self.kept else -1.0
            if self.kept and 0 <= age < DAY_S and (models := read_models(json.loads(self.kept.read_bytes()))):
                return models, self.now() + DAY_S - age
        try:
            body = await self.fetch()
        except errors.BackendError as error:
            self.problem = error
            return self._models or {}, self.now() + RETRY_S
        self.problem = None
        models = read_models(body)
        if not models:
            return {}, self.now() + RETRY_S
        with suppress(OSError, ValueError):
            if self.kept is not None:
                self.kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                files.replace(str(self.kept), json.dumps(body).encode())
        return models, self.now() + DAY_S


NOT_CHAT: Final = re.compile(
    r"embed|rerank|bge-|\be5-|gte-|whisper|\btts\b|-tts|transcri|speech|voice|audio|realtime|dall-e|image|flux|"
    r"imagen|diffusion|veo|sora|moderation|guard|shield|ocr|clip|colbert|reward|babbage|davinci|\baqa\b|mmproj",
    re.IGNORECASE,
)
"""In a model's name, where the provider lists no kind."""
CHAT_KINDS: Final = frozenset({"chat", "llm", "vlm", "language", "model", "text-generation", "base"})
_CONTEXTS: Final = (
    *("context_length", "max_model_len", "loaded_context_length", "context_window", "max_context_length"),
    *("inputTokenLimit", "n_ctx"),
)


def read_models(body: Json) -> dict[str, Model]:
    """Take what is usable of a /models answer: {"data": [...]}, {"models": [...]} or a bare list."""
    data = body.get("data", body.get("models")) if isinstance(body, dict) else body
    entries = [entry for entry in data if isinstance(entry, dict)] if isinstance(data, list) else []
    return {one.id: one for entry in entries if (one := _model(entry)) is not None}


def _model(entry: dict[str, Json]) -> Model | None:
    name = entry.get("id", entry.get("name"))
    if not isinstance(name, str) or not name.strip():
        return None
    limits = entry.get("meta")
    places = (entry, limits if isinstance(limits, dict) else {})
    context = next((value for name in _CONTEXTS for at in places if (value := count(at.get(name)))), None)
    return Model(clean_text(name), _price(entry.get("pricing")), context, _is_chat(entry, name))


def _is_chat(entry: dict[str, Json], name: str) -> bool:
    can, shape = entry.get("capabilities"), entry.get("architecture")
    if isinstance(can, dict) and isinstance(can.get("completion_chat"), bool):
        return bool(can["completion_chat"])
    written = shape.get("output_modalities") if isinstance(shape, dict) else None
    if isinstance(written, list) and written:
        return "text" in written
    kind = entry.get("type")
    if isinstance(kind, str) and kind:
        return kind.lower() in CHAT_KINDS
    return not NOT_CHAT.search(name)


def _price(pricing: Json) -> ModelPrice | None:
    if not isinstance(pricing, dict):
        return None
    names, unit = ("prompt", "completion"), MILLION
    if "prompt" not in pricing and {"input", "output"} <= pricing.keys():  # Together: dollars a million
        names, unit = ("input", "output"), 1
    asked, answered = (_dollars(pricing.get(name)) for name in names)
    return None if asked is None or answered is None else ModelPrice(asked * unit, answered * unit)


def _dollars(value: Json) -> float | None:
    """Read dollars a token; OpenRouter gives -1 for routers, whose price depends on what they pick."""
    try:
        return dollars(float(value))
    except (TypeError, ValueError, OverflowError):
        return None


def kept_at(config_dir: Path, base_url: str) -> Path:
    return config_dir / "cache" / f"models-{hashlib.sha256(base_url.encode()).hexdigest()[:16]}.json"


# --- http ------------------------------------------------------------------------------------------

MAX_BYTES: Final = 4_000_000
"""Of one answer, framing included. An answer of 100,000 tokens in small chunks is about half of it."""
MAX_LIST_BYTES: Final = 16_000_000
"""Of /models; OpenRouter's list is about 1 MB."""
MAX_ERROR_BYTES: Final = 16_000
PIECE: Final = 1 << 18
"""Bytes unpacked at a time, of what a server packed."""
CALL_S: Final = 600.0
"""A call's last deadline; callers bring a shorter one."""
LIST_S: Final = 5.0
END_S: Final = 0.25
"""From [DONE] to the end of the stream; some servers leave it open."""

CONNECT: Final = {"timeout": {"connect": 10.0}}
"""Only connecting has a time of its own: models think long before the first byte, and a local one loads."""

JSON_BODY: Final = (b"Content-Type", b"application/json")
Headers = Sequence[tuple[bytes, bytes]]
_TITLE: Final = re.compile(rb"<title[^>]{0,100}>(?:\s|[1-5]\d\d\b)*([^<]{1,100})", re.IGNORECASE)
Pool = FastPool | httpcore2.AsyncConnectionPool
"""Of a base URL, or of a proxy."""


def row_of(base_url: str) -> Row:
    """Return the row of a plain base URL; its query (`?api-version=`) goes with every request."""
    url = urlsplit(base_url)
    path = url.path.rstrip("/").removesuffix("/chat/completions").rstrip("/")
    base = urlunsplit((url.scheme, url.netloc, path, "", ""))
    return Row("", base, base, query=url.query, effort="reasoning" if base == OPENROUTER_URL else "")


@dataclass(slots=True)
class HttpBackend(Backend):
    """One pool for one base URL and key; calls share nothing but its idle connections."""

    settings: Settings
    pool: Pool = field(repr=False)
    headers: Headers = field(repr=False)
    row: Row
    key: str | None = field(default=None, repr=False)
    default: str | None = None
    """The model to ask where a job names none; None: the first that the endpoint lists."""
    name: str = "http"
    prices: Prices = field(init=False, repr=False)
    _quirks: dict[str, frozenset[str]] = field(default_factory=dict)
    _contexts: dict[str, int] = field(default_factory=dict)
    """Tokens that a model's context was found to have."""
    provider: str = field(init=False)
    _completions: httpcore2.URL = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.provider = urlsplit(self.row.base_url).netloc
        self._completions = self._url(self.row.path)
        is_free = not policy.current().is_capped
        kept = kept_at(self.settings.config_dir, self.row.base_url) if is_free else None
        self.prices = Prices(self._fetch_models, kept, self.settings.prices)

    def _url(self, path: str) -> httpcore2.URL:
        query = f"?{self.row.query}" if self.row.query else ""
        return core_url(f"{self.row.base_url}{path}{query}")

    def default_model(self, purpose: str) -> str | None:  # noqa: ARG002 - the seam's signature
        """Return None where only the endpoint knows its models: `ask` then takes the first it lists."""
        return self.default

    async def price(self, model: str | None) -> ModelPrice | None:
        """Price the model that will be asked; where none is named, that is the first of the list."""
        return await self.prices.of(model or self.default_model("default") or await self.prices.first_chat())

    async def ask(self, job: Job) -> Answer:
        model = job.model or self.default_model("default") or await self._first_model()
        if barred := policy.current().refusal("models", model):
            raise errors.NotAllowed(f"{barred}.")
        body = request_body(
            self._fitting(job, model), model, is_openrouter=self.row.base_url == OPENROUTER_URL
        )
        if job.effort and self.row.effort:
            effort = self.row.effort
            body[effort] = {"effort": job.effort} if effort == "reasoning" else job.effort
        try:
            with anyio.fail_after(CALL_S):
                return await self._ask_as_it_can(job, model, body)
        except TimeoutError:
            late = errors.DeadlineExceeded(f"{self.provider} was not done after {CALL_S:g} s.")
            raise late.billed(UNREPORTED) from None

    def _fitting(self, job: Job, model: str) -> Job:
        """Ask for no more output than the model's context has room for, where its size is known."""
        listed = self.prices.known(model)
        context = self._contexts.get(model) or (listed.context if listed else None)
        if context is None:
            return job
        room = context - job.prompt.tokens - MARGIN
        return replace(job, max_tokens=room) if MIN_OUTPUT <= room < job.max_tokens else job

    async def _ask_as_it_can(self, job: Job, model: str, body: Body) -> Answer:
        """Ask; when the endpoint says what it does not know, ask without it, once for each quirk.

        What an answer came without is left out from then on; a refusal that stays proves nothing. A context
        or an output limit that is too small for the budget is asked once with what it leaves room for.
        """
        unknown = self._quirks.get(model, self.row.lacks)
        room: int | None = None
        spent = Usage()
        while True:
            sent = body if room is None else {**body, "max_tokens": room}
            for quirk in unknown:
                sent = QUIRKS[quirk].change(sent)
            try:
                answer = await self._send(job, sent, model, spent)
            except errors.BackendError as error:
                if isinstance(error, errors.ContextTooSmall) and error.limit:
                    self._contexts[model] = error.limit
                found = find_quirk(error, sent)
                smaller = (
                    smaller_budget(error, job.prompt.tokens, body["max_tokens"]) if room is None else None
                )
                if found is None and smaller is None:
                    raise error.billed(spent) from None
                spent += error.usage
                room = smaller if found is None else room
                unknown |= frozenset({found} if found else ())
            else:
                if unknown != self._quirks.get(model, self.row.lacks):  # a caller may name any model
                    self._quirks[model] = self._quirks.get(model, self.row.lacks) | unknown
                return replace(answer, usage=spent + answer.usage) if spent != Usage() else answer

    async def _send(self, job: Job, body: Body, model: str, spent: Usage) -> Answer:
        """Send one request; `spent`: what those before it in this call were billed."""
        completion = Completion(self.provider, self.key)
        url = self._completions
        if "{model}" in self.row.path:
            url = self._url(self.row.path.replace("{model}", quote(model, safe="")))
        if job.on_request is not None:
            job.on_request(spent)
        try:
            with mapped(self.provider):
                response = await self._open("POST", url, body)
                try:
                    if response.status != 200:
                        raise await self._refusal(response)
                    is_stream = await self._read_answer(completion, response)
                    return completion.answer(job, streamed=is_stream)
                finally:
                    await response.aclose()
        except errors.BackendError as error:
            error.billed(completion.spent(job))
            raise

    async def _open(self, method: str, url: httpcore2.URL, body: Body | None = None) -> Response:
        company = policy.current()
        # A row's path can't move it to another host.
        for at in (self.row.base_url, _shown(url)) if company.has_places else ():
            if barred := barred_host(at) or (company.hosts and _barred_proxy(self.settings, at)):
                raise errors.NotAllowed(f"{barred}.")
        # To the pool itself: of httpx2's client we would use nothing but its generators, which are left open
        # when an answer is left in its middle, and its objects, which cost more than all else of a call.
        content = b"" if body is None else json.dumps(body).encode()
        sized = [] if body is None else [JSON_BODY, (b"Content-Length", b"%d" % len(content))]
        request = httpcore2.Request(
            method, url, headers=[*self.headers, *sized], content=content, extensions=CONNECT
        )
        return await self.pool.handle_async_request(request)

    async def _read_answer(self, completion: Completion, response: Response) -> bool:
        """Read to the end, which makes the connection fit for the next call; after [DONE] not for long.

        Returns whether it was a stream. Its first byte decides that, not its content type: providers and
        proxies label streams as text or JSON, and whole answers as streams.
        """
        kind = headers_of(response).get("content-type", "").partition(";")[0].strip().lower()
        events = EventStream()
        whole = bytearray()
        size = 0
        is_stream: bool | None = None
        with anyio.CancelScope() as reading:
            async for part in self._parts_of(response):
                size += len(part)
                if size > MAX_BYTES:
                    raise self._too_large(MAX_BYTES)
                if not size - len(part):
                    part = part.removeprefix(BOM)  # noqa: PLW2901 - the same part, without its mark
                if is_stream is None and (begin := part.lstrip()[:1]):
                    is_stream = begin not in b"{[<" if kind == "text/event-stream" else begin in b"de:i"
                if not is_stream:
                    whole += part
                    continue
                for data in events.feed(part):
                    completion.add_event(data)
                if completion.is_done:
                    reading.deadline = min(reading.deadline, anyio.current_time() + END_S)
        for data in events.end():
            completion.add_event(data)
        if not is_stream:
            self._read_whole(completion, kind, bytes(whole))
        return bool(is_stream)

    def _read_whole(self, completion: Completion, kind: str, body: bytes) -> None:
        if not body.strip():
            if kind == "text/event-stream":
                return  # a stream that was cut before its first event
            raise errors.BadAnswer(f"{self.provider} sent an empty answer.")
        if kind == "text/html" or body.lstrip()[:1] == b"<":
            title = f" ({printable(found)})" if (found := _title(body)) else ""
            raise errors.BadAnswer(
                f"{self.provider} sent an HTML page{title}: is the base URL that of the API?"
            )
        try:
            completion.add(parse(body))
        except errors.Rejected as error:
            raise self._hinted(error, 200) from None
        except errors.BadAnswer:
            lines = body.splitlines()
            if len(lines) < 2 or not lines[0].strip().endswith(b"}"):
                raise
            for line in filter(None, map(bytes.strip, lines)):  # one object a line, without `data:`
                completion.add(parse(line))

    async def _refusal(self, response: Response) -> errors.BackendError:
        status, key = response.status, self.key
        text = await self._read(response, MAX_ERROR_BYTES, cut=True)
        is_page = text.lstrip()[:1] == b"<"
        plain = _title(text) if is_page else text.decode("utf-8", "replace")
        try:
            found = error_in(parse(text), is_refusal=True)
        except errors.BadAnswer:
            found = None
        error = refusal(status, found or plain, self.provider, key, headers_of(response))
        return self._no_path(status) if is_page and status in {404, 405} else self._hinted(error, status)

    def _hinted(self, error: errors.BackendError, status: int) -> errors.BackendError:
        """Return the error, or what is wrong with the base URL where it is about that."""
        kind = type(error)
        may_be_path = kind is errors.Rejected or (kind is errors.ModelGone and error.is_by_status)
        is_path = may_be_path and status in {200, 404, 405} and NO_PATH.search(error.words)
        return self._no_path(status) if is_path else error

    def _no_path(self, status: int) -> errors.Rejected:
        return errors.Rejected(
            f"{self.provider} answered {status}: it has no {self.row.path}. {self._hint()}"
        )

    def _hint(self) -> str:
        """Say what a base URL must look like, where this one leads nowhere."""
        base = self.row.base_url
        if re.search(r"/v\d+[a-z]*(?:/|$)", urlsplit(base).path):
            return f"Check the base URL {base}: it is the part before /chat/completions."
        return f"The base URL is {base}; most servers want {base}/v1."

    async def _read(self, response: Response, most: int, *, cut: bool = False) -> bytes:
        body = bytearray()
        async for part in self._parts_of(response):
            body += part
            if len(body) > most:
                if cut:
                    break
                raise self._too_large(most)
        return bytes(body[:most])

    def _parts_of(self, response: Response) -> AsyncIterable[bytes]:
        parts = cast("AsyncIterable[bytes]", response.stream)  # whatever came from an asynchronous pool
        encoding = headers_of(response).get("content-encoding", "identity").strip().lower()
        if encoding in {"", "identity"}:
            return parts
        if encoding not in {"gzip", "x-gzip", "deflate"}:
            raise errors.BadAnswer(
                f"{self.provider} sent an answer compressed with {printable(encoding)[:20]}, which was not "
                "asked for (Accept-Encoding: identity). Does a proxy or gateway in between compress?"
            )
        broken = errors.BadAnswer(f"{self.provider} sent {encoding} that can't be unpacked.")
        return _Unpacked(parts, broken)

    def _too_large(self, most: int) -> errors.TooLarge:
        return errors.TooLarge(
            f"{self.provider} sent more than {most // 1_000_000} MB; the answer was cut off."
        )

    async def _first_model(self) -> str:
        model = await self.prices.first_chat()
        if model is not None:
            return model
        problem = self.prices.problem
        if isinstance(problem, errors.Unreachable):
            cause = f" ({problem.words})" if problem.words else ""
            raise errors.Unreachable(
                f"{self.provider} can't be reached{cause}: does the server run, and is the base URL right?"
            )
        if isinstance(problem, errors.AuthRejected):
            raise errors.AuthRejected(str(problem))
        if await self.prices.models():
            raise errors.Rejected(f"{self.provider} lists no model that answers questions: set FANOUT_MODEL.")
        why = f" ({str(problem).rstrip('.')})" if problem else ""
        raise errors.Rejected(f"{self.provider} lists no model{why}: set FANOUT_MODEL.")

    async def _fetch_models(self) -> Json:
        try:
            with anyio.fail_after(LIST_S), mapped(self.provider):
                response = await self._open("GET", self._url("/models"))
                try:
                    if response.status != 200:
                        raise await self._refusal(response)
                    return parse(await self._read(response, MAX_LIST_BYTES))
                finally:
                    await response.aclose()
        except TimeoutError:
            raise errors.DeadlineExceeded(
                f"{self.provider} did not list its models in {LIST_S:g} s."
            ) from None


class _Unpacked:
    """What a server has packed although it was asked not to, piece by piece.

    Not a generator, which would be left open when an answer is left in its middle.
    """

    def __init__(self, parts: AsyncIterable[bytes], broken: errors.BadAnswer) -> None:
        self._parts, self._broken = aiter(parts), broken
        self._unpack = zlib.decompressobj(zlib.MAX_WBITS | 32)
        self._packed = b""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        packed = self._packed or await anext(self._parts)
        try:
            piece = self._unpack.decompress(packed, PIECE)
        except zlib.error:
            raise self._broken from None
        self._packed = self._unpack.unconsumed_tail
        return piece


def _title(page: bytes) -> str:
    """Return an HTML page's title, without the status in it."""
    found = _TITLE.search(page)
    return found[1].decode("utf-8", "replace").strip() if found else ""


def headers_of(response: Response) -> dict[str, str]:
    """Return its headers by lower-case name; of one sent twice, the last."""
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}


def core_url(text: str) -> httpcore2.URL:
    url = httpx2.URL(text)  # it knows international names, and what must be escaped
    return httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)


@asynccontextmanager
async def open_http(
    settings: Settings, row: Row | None = None, key: str | None = None
) -> AsyncIterator[HttpBackend]:
    """Yield a provider's backend, that of the settings unless given. Raises SettingsError for an odd key."""
    default = settings.model
    if row is None:
        row, key = row_of(settings.base_url or ""), settings.api_key
    else:
        default = next(iter(row.models_for("default")), None)
    base = row.base_url
    headers = [
        (b"Host", httpx2.URL(base).netloc),
        (b"Accept-Encoding", b"identity"),
        (b"User-Agent", b"fanout"),
        (b"X-Title", b"fanout"),
    ]
    if key:
        sent = _checked(key).encode("ascii")
        is_bearer = row.key_header == "Authorization"
        headers.append((row.key_header.encode(), b"Bearer " + sent if is_bearer else sent))
    # In a thread: it reads all certificates, and hook events pass through this loop.
    context = await anyio.to_thread.run_sync(partial(httpx2.create_ssl_context, trust_env=False))
    proxy, connections = _proxy(settings, base), max(1024, settings.max_parallel)
    pool: Pool = (
        FastPool(core_url(base).origin, context, connections)
        if proxy is None
        else httpcore2.AsyncConnectionPool(context, proxy, connections, keepalive_expiry=KEEP_S)
    )
    async with pool:
        yield HttpBackend(settings, pool, headers, row, key, default)


def _shown(url: httpcore2.URL) -> str:
    """Return an address as text, without what follows its host."""
    port = f":{url.port}" if url.port else ""
    host = url.host.decode("ascii", "replace")
    return f"{url.scheme.decode('ascii')}://{f'[{host}]' if ':' in host else host}{port}"


def _barred_proxy(settings: Settings, base_url: str) -> str:
    """Return why the policy forbids the user's proxy: it is a host that all of this passes through."""
    if settings.proxy is None or urlsplit(base_url).hostname in LOOPBACK_HOSTS:
        return ""
    url = urlsplit(settings.proxy)
    return policy.current().refusal("hosts", url.hostname or "", also=url.netloc.rpartition("@")[2])


def _checked(key: str) -> str:
    key = key.strip()
    if not key.isascii() or not key.isprintable() or " " in key:
        raise errors.SettingsError(
            "The API key holds characters that no key has (a line break, a space?). Set it again."
        )
    return key


def _proxy(settings: Settings, base_url: str) -> httpcore2.Proxy | None:
    proxy = settings.proxy
    if proxy is None or urlsplit(base_url).hostname in LOOPBACK_HOSTS:
        return None
    try:
        return httpcore2.Proxy(core_url(proxy), auth=httpx2.Proxy(proxy).raw_auth)
    except (ValueError, httpx2.InvalidURL):
        raise errors.SettingsError("config.toml: proxy must look like http://host:port.") from None
