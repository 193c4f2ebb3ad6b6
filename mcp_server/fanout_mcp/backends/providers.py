"""Providers as data: who can be asked, by which key, for which models; and what a model's name says.

The rows are in providers.toml; the user's own file of that name, beside config.toml, adds to them and
replaces single fields. Three rules:

1. A name `provider:model` goes to that provider where the user has agreed to it, once. Any other name goes to
   the endpoint that the settings choose, whole, colons and all (`qwen3:8b` of an Ollama).
2. A row's key goes to that row's host alone: a row whose base URL the user replaced takes no key of ours
   along unless the user's row names one.
3. What is found and not agreed to is named by `fanout doctor`, and never used.
"""

from __future__ import annotations

import re
import socket
import tomllib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from functools import cache, cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from fanout_mcp.backends.request import QUIRKS
from fanout_mcp.errors import InvalidInput, SettingsError
from fanout_mcp.state import policy
from fanout_mcp.state.folder import find_program
from fanout_mcp.state.settings import KINDS, LOOPBACK_HOSTS, OPENROUTER_URL, Settings
from fanout_mcp.text import hint
from fanout_mcp.types import Effort, Rate

OPENROUTER: Final = "openrouter"
CLIENTS: Final = ("claude", "codex", "gemini")
"""Command-line clients, by the names of their rows: what counts against their limits."""
OWN_FILE: Final = "providers.toml"
LOOK_S: Final = 0.2
"""For a local server to take a connection."""
NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,39}")
QUICK: Final = frozenset({"summary", "explore", "review", "swarm", "synthesis"})
"""Purposes with much text and little judgement."""


@dataclass(frozen=True, slots=True)
class Row:
    name: str
    title: str
    base_url: str = ""
    key: str | None = None
    key_header: str = "Authorization"
    path: str = "/chat/completions"
    """Below the base URL; `{model}` stands for the model's name (Azure's deployments)."""
    query: str = ""
    lacks: frozenset[str] = frozenset()
    """Names of QUIRKS that hold from the start."""
    effort: str = ""
    """The field that takes the reasoning effort, "" where none does."""
    maker: str = ""
    client: str = ""
    """The program of a command-line client; such a row has no base URL."""
    requests_per_second: float = 0.0
    tokens_per_minute: float = 0.0
    models: Mapping[str, Sequence[str]] = field(default_factory=dict)
    seats: Mapping[str, Sequence[str]] = field(default_factory=dict)
    is_own: bool = False
    """The user's own file has a row of this name."""

    @property
    def host(self) -> str:
        return urlsplit(self.base_url).netloc

    @property
    def is_local(self) -> bool:
        return urlsplit(self.base_url).hostname in LOOPBACK_HOSTS

    @property
    def rate(self) -> Rate:
        return Rate(self.requests_per_second, self.tokens_per_minute)

    @property
    def first(self) -> str:
        """Its first model as it is asked for; where only its server knows models, the row alone."""
        return ":".join((self.name, *self.models_for("default")[:1]))

    def models_for(self, purpose: str) -> tuple[str, ...]:
        """Return the models for a purpose, the first choice first; none where only the server knows them."""
        group = "quick" if purpose in QUICK else "strong"
        lists = (self.seats.get(purpose), self.models.get(group), self.models.get("strong"))
        company = policy.current()
        allowed = ([one for one in some or () if not company.refusal("models", one)] for some in lists)
        return tuple(next(filter(None, allowed), ()))

    def next_after(self, model: str) -> tuple[str, ...]:
        """Return what is asked in a model's place: the rest of its list, else the strong ones."""
        for listed in (*self.seats.values(), *self.models.values()):
            if model in listed:
                return tuple(listed[listed.index(model) + 1 :])
        return tuple(one for one in self.models.get("strong", ()) if one != model)


_TYPES: Final[Mapping[str, type]] = {
    **dict.fromkeys(("models", "seats"), dict),
    **dict.fromkeys(Rate._fields, float),
    "lacks": list,
}
_FIELDS: Final = {
    one.name: _TYPES.get(one.name, str) for one in fields(Row) if one.name not in {"name", "is_own"}
}


@cache
def _ours() -> Mapping[str, Any]:
    text = (files("fanout_mcp.backends") / "providers.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def read(config_dir: Path) -> dict[str, Row]:
    """Return all rows, ours and the user's, in their order. Raises SettingsError for a row that is wrong."""
    given = {name: row for name, row in _ours().items() if name not in {"makers", "thinking"}}
    rows = {name: _row(name, row) for name, row in given.items()}
    path = config_dir / OWN_FILE
    try:
        own = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return rows
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{path} can't be read: {error}. Correct or remove it.") from error
    for name, row in own.items():
        _check(path, name, row)
        rows[name] = _row(name, _over(given.get(name, {}), row), is_own=True)
        url = urlsplit(rows[name].base_url)
        if not rows[name].client and (url.scheme not in {"http", "https"} or not url.hostname):
            raise SettingsError(f'{path}: [{name}] needs base_url = "https://host/v1".')
    return rows


def _over(ours: Mapping[str, Any], own: Mapping[str, Any]) -> Mapping[str, Any]:
    """Put the user's fields over ours; our key stays with our host (rule 2)."""
    merged = {**ours, **own}
    moved = ours.get("base_url") and urlsplit(merged["base_url"]).netloc != urlsplit(ours["base_url"]).netloc
    if moved and "key" not in own:
        merged.pop("key", None)
    return merged


def _row(name: str, row: Mapping[str, Any], *, is_own: bool = False) -> Row:
    given = {**row, "lacks": frozenset(row.get("lacks", ())), "base_url": row.get("base_url", "").rstrip("/")}
    return Row(name=name, title=given.pop("title", name), is_own=is_own, **given)


def _check(path: Path, name: str, row: object) -> None:
    if not NAME.fullmatch(name):
        raise SettingsError(f"{path}: [{name}] is not a provider's name: small letters, digits and dashes.")
    if not isinstance(row, dict):
        raise SettingsError(f"{path}: {name} must be a table; begin it with a line [{name}].")
    for key, value in row.items():
        if key not in _FIELDS:
            raise SettingsError(f"{path}: [{name}] has no field {key}; {hint(key, _FIELDS)}")
        is_number = isinstance(value, int | float) and not isinstance(value, bool) and value > 0
        if not (is_number if _FIELDS[key] is float else isinstance(value, _FIELDS[key])):
            wanted = "a number above 0" if _FIELDS[key] is float else KINDS[_FIELDS[key]]
            raise SettingsError(f"{path}: {key} of [{name}] must be {wanted}.")
    for quirk in row.get("lacks", ()):
        if quirk not in QUIRKS:
            raise SettingsError(f"{path}: lacks of [{name}] names {quirk!r}; there are {', '.join(QUIRKS)}.")
    lists = [*row.get("models", {}).values(), *row.get("seats", {}).values()]
    if any(not isinstance(one, list) or not all(isinstance(model, str) for model in one) for one in lists):
        raise SettingsError(f"{path}: models and seats of [{name}] must be lists of model names.")


# --- who may be asked --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Providers:
    """The rows, and which of them the user has agreed to."""

    rows: Mapping[str, Row]
    settings: Settings
    env: Mapping[str, str] = field(repr=False)

    def key(self, row: Row) -> str | None:
        return self.env.get(row.key) or None if row.key else None

    def missing(self, row: Row) -> str:
        """Return what keeps a row from being used, "" where nothing does."""
        if row.client:
            return self._missing_for_client(row)
        if barred := policy.current().refusal("providers", row.name) or barred_host(row.base_url):
            return barred
        if not row.base_url:
            return f"give its base_url in your own {OWN_FILE}"
        if row.key and not self.key(row):
            return f"set {row.key}"
        if row.name == OPENROUTER and not row.is_own:
            return ""
        return "" if row.name in self.settings.enabled else f"fanout providers enable {row.name}"

    def _missing_for_client(self, row: Row) -> str:
        found = find_program(row.client, self.settings.project, self.env.get("PATH", ""))
        if barred := barred_client(row.client, found):
            return barred
        if self.settings.is_child:
            return "this process runs below such a client already"
        is_agreed = self.settings.backend == row.name or (
            row.name == "claude" and self.settings.claude_agreed
        )
        if not is_agreed and row.name not in self.settings.enabled:
            return NOT_AGREED if row.name == "claude" else f"fanout providers enable {row.name}"
        return "" if found else f"`{row.client}` is not on PATH"

    @cached_property
    def rates(self) -> Mapping[str, Rate]:
        """What is allowed of a model, by host; of two rows for one host, the first counts."""
        return {row.host: row.rate for row in reversed(list(self.rows.values()))}

    @cached_property
    def usable(self) -> Mapping[str, Row]:
        """Those that may be asked, OpenRouter first, then in the order in which the user enabled them."""
        order = [OPENROUTER, *self.settings.enabled, *self.rows]
        rows = {name: self.rows[name] for name in order if name in self.rows}
        return {name: row for name, row in rows.items() if not self.missing(row)}

    def is_there(self, row: Row) -> bool:
        """Say whether a row that is not in use could be: its key, its server or its client is there."""
        if row.client:
            return find_program(row.client, self.settings.project, self.env.get("PATH", "")) is not None
        if row.key:
            return bool(row.base_url) and self.key(row) is not None
        return row.is_local and _listens(row)

    def split(self, model: str) -> tuple[Row | None, str]:
        """Read a model's name: its row, and what that calls it; None where it has no provider's name in it.

        Raises InvalidInput for a provider that may not be used, where no endpoint could have the whole name.
        """
        name, colon, rest = model.partition(":")
        row = self.rows.get(name)
        if row is None:
            if colon and "/" not in name and (near := get_close_matches(name, self.usable, 1, 0.75)):
                raise InvalidInput(f"{model}: there is no provider {name!r}. Did you mean {near[0]}:…?")
            return None, model
        if name in self.usable:
            return row, rest
        if self.settings.base_url and colon and self.settings.base_url != OPENROUTER_URL:
            return None, model  # `mistral:7b` of a local server
        if not colon and row.client and self.settings.base_url:
            return None, model  # the name of a model, to whatever endpoint there is
        raise InvalidInput(f"{model}: {row.title} is not in use yet: {self.missing(row)}. No one was asked.")


def _listens(row: Row) -> bool:
    url = urlsplit(row.base_url)
    with suppress(OSError), socket.create_connection((url.hostname or "", url.port or 80), LOOK_S):
        return True
    return False


def barred_host(base_url: str) -> str:
    """Return why the policy lets nothing be sent to a base URL, "" where it does.

    A provider's name allows its own host alone, since a user's row may move it; and a host that belongs to
    providers of ours is allowed with one of them only.
    """
    found, url = policy.current(), urlsplit(base_url)
    if not base_url or not found.has_places:
        return ""
    owners = [name for name, row in _ours().items() if _place(row.get("base_url", "")) == _place(base_url)]
    if owners and all(found.refusal("providers", name) for name in owners):
        return found.refusal("providers", owners[0])
    if found.hosts is None and not owners:
        return f"{url.hostname or base_url} is not allowed: {found.sentence('providers')}"
    return found.refusal("hosts", url.hostname or "", also=url.netloc.rpartition("@")[2])


def _place(base_url: str) -> tuple[str, int | None]:
    """Return host and port, however they are spelled."""
    url = urlsplit(base_url)
    return (url.hostname or "").rstrip("."), url.port or {"https": 443, "http": 80}.get(url.scheme)


def barred_client(name: str, program: str | None) -> str:
    """Return why the policy bars a client, by its name or its program's path; "" where it doesn't."""
    also = str(Path(program).resolve()) if program else ""
    return policy.current().refusal("command-line clients", name, also=also)


NOT_AGREED: Final = "agree to it: fanout install --claude-backend"


def maker_of(model: str, row: Row | None = None) -> str:
    """Return whose model it is, as far as its name or its provider say: two of one maker are half a vote."""
    makers = _ours()["makers"].items()
    known = next((maker for maker, words in makers if re.search(words, model, re.IGNORECASE)), "")
    known = known or (row.maker if row else "")
    if known:
        return known
    if "/" in model:
        return model.rpartition(":")[2].lstrip("~").partition("/")[0]
    return row.name if row else model.partition(":")[0]


def thinking_tokens(model: str | None, effort: Effort) -> int:
    """Return the output tokens that a model's thinking takes beside its answer; 0 where it does not think."""
    table = _ours()["thinking"]
    return int(table[effort]) if model and re.search(table["families"], model, re.IGNORECASE) else 0


def panel_of(candidates: Callable[[str], Sequence[tuple[str | None, str]]]) -> Callable[[str], str | None]:
    """Return what gives each persona of a panel a model; `candidates`: (model, maker), the best first."""
    taken: dict[str, int] = {}

    def default(persona: str) -> str | None:
        offered = candidates(persona)
        if not offered:
            return None
        model, maker = min(offered, key=lambda one: taken.get(one[1], 0))  # the first of the least taken
        taken[maker] = taken.get(maker, 0) + 1
        return model

    return default
