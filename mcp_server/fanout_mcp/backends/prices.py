"""What a model costs: from the provider's /models, else from the user's own table, else unknown, never 0.

The list is kept for a day in the user's folder, not in the project's: a repository must not be able to ship
one that makes dear models look cheap, or names the model to be asked.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import anyio

from fanout_mcp.clean import clean_text
from fanout_mcp.errors import BackendError
from fanout_mcp.types import Json, ModelPrice

DAY_S: Final = 86_400
RETRY_S: Final = 60
"""After a failed fetch the list is not asked for again so long."""
MILLION: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Model:
    id: str
    price: ModelPrice | None = None


@dataclass(slots=True)
class Prices:
    """`fetch` gets the body of /models, or raises BackendError; nothing here raises for want of a network."""

    fetch: Callable[[], Awaitable[Json]]
    kept: Path
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

    async def models(self) -> Mapping[str, Model]:
        """Return the provider's models in its order; empty when it tells none."""
        async with self._lock:
            if self._models is None or self.now() >= self._until:
                self._models, self._until = await self._load()
            return self._models

    async def _load(self) -> tuple[Mapping[str, Model], float]:
        with suppress(OSError, ValueError, RecursionError):
            age = self.now() - self.kept.stat().st_mtime
            if 0 <= age < DAY_S and (models := read_models(json.loads(self.kept.read_bytes()))):
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
            _write(self.kept, body)
        return models, self.now() + DAY_S


def read_models(body: Json) -> dict[str, Model]:
    """Take what is usable of a /models answer; what is no model is left out."""
    data = body.get("data") if isinstance(body, dict) else None
    entries = [entry for entry in data if isinstance(entry, dict)] if isinstance(data, list) else []
    return {
        clean_text(entry["id"]): Model(clean_text(entry["id"]), _price(entry.get("pricing")))
        for entry in entries
        if isinstance(entry.get("id"), str)
    }


def _price(pricing: Json) -> ModelPrice | None:
    if not isinstance(pricing, dict):
        return None
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
