"""What a model costs: from the provider's /models, else from the user's own table, else unknown, never 0.

The list is kept for a day in the user's folder, not in the project's: a repository must not be able to ship
one that makes dear models look cheap, or names the model to be asked.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import anyio

from fanout_mcp.errors import BackendError
from fanout_mcp.text import clean_text
from fanout_mcp.types import Json, ModelPrice

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
    """`fetch` gets the body of /models, or raises BackendError; nothing here raises for want of a network."""

    fetch: Callable[[], Awaitable[Json]]
    kept: Path | None
    """None where the policy limits dollars: the user could write a price into it."""
    table: Mapping[str, ModelPrice]
    now: Callable[[], float] = time.time
    problem: BackendError | None = None
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
        """Return the first listed model that answers questions."""
        return next((one.id for one in (await self.models()).values() if one.is_chat), None)

    async def models(self) -> Mapping[str, Model]:
        """Return the provider's models in its order; empty when it tells none."""
        async with self._lock:
            if self._models is None or self.now() >= self._until:
                self._models, self._until = await self._load()
            return self._models

    async def _load(self) -> tuple[Mapping[str, Model], float]:
        with suppress(OSError, ValueError, RecursionError):
            age = self.now() - self.kept.stat().st_mtime if self.kept else -1.0
            if self.kept and 0 <= age < DAY_S and (models := read_models(json.loads(self.kept.read_bytes()))):
                return models, self.now() + DAY_S - age
        try:
            body = await self.fetch()
        except BackendError as error:
            self.problem = error
            return self._models or {}, self.now() + RETRY_S
        self.problem = None
        models = read_models(body)
        if not models:
            return {}, self.now() + RETRY_S
        with suppress(OSError, ValueError):
            if self.kept is not None:
                _write(self.kept, body)
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
    context = next((value for name in _CONTEXTS for at in places if (value := _count(at.get(name)))), None)
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


def _count(value: Json) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _price(pricing: Json) -> ModelPrice | None:
    if not isinstance(pricing, dict):
        return None
    if "prompt" not in pricing and {"input", "output"} <= pricing.keys():  # Together: dollars a million
        each = [_dollars(pricing.get(name)) for name in ("input", "output")]
        return ModelPrice(each[0], each[1]) if each[0] is not None and each[1] is not None else None
    dollars = [_dollars(pricing.get(name)) for name in ("prompt", "completion")]
    if dollars[0] is None or dollars[1] is None:
        return None
    return ModelPrice(dollars[0] * MILLION, dollars[1] * MILLION)


def _dollars(value: Json) -> float | None:
    """Read dollars a token; OpenRouter gives -1 for routers, whose price depends on what they pick."""
    try:
        dollars = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return dollars if math.isfinite(dollars) and dollars >= 0 else None


def _write(path: Path, body: Json) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(body, file)
    Path(name).replace(path)


def kept_at(config_dir: Path, base_url: str) -> Path:
    return config_dir / "cache" / f"models-{hashlib.sha256(base_url.encode()).hexdigest()[:16]}.json"
