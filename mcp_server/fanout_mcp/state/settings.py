"""Settings: one frozen object, read once, from the user's own files and the environment.

Rules:
1. Nothing is read from files of the project being worked on: a repository is not its user.
2. A key goes only to its own host: OPENROUTER_API_KEY to OpenRouter alone, those of fanout to the base URL in
   the user's own file, and FANOUT_API_KEY to FANOUT_BASE_URL where that file names none.
3. The environment can be set by a repository's tooling (.envrc), so a base URL or a Redis beyond loopback
   counts only when the user's own file (`config.toml` in the configuration folder) names it too.
4. What is kept to be opened again (cache, receipts) lies in the user's own folders, one a project; a folder
   of the project is never taken for one of them, whatever the environment says.
5. A company's policy (policy.py) beats all of this; where it can't be trusted, nothing is read at all.
"""

from __future__ import annotations

import json
import math
import os
import re
import stat
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from fanout_hooks.gate.governor import KEYS as CAPS
from fanout_hooks.learn.memory import name_of
from fanout_mcp.errors import SettingsError, why
from fanout_mcp.state import policy
from fanout_mcp.text import hint
from fanout_mcp.types import Json, ModelPrice

BackendName = Literal["auto", "http", "claude", "plan"]
BACKEND_NAMES: tuple[BackendName, ...] = ("auto", "http", "claude", "plan")

KEYS: Mapping[str, type] = {
    **dict.fromkeys(("backend", "base_url", "api_key", "model", "proxy", "gate", "redis_url"), str),
    **dict.fromkeys(("claude_agreed", "claude_api_key", "hedge", "gate_reminder"), bool),
    **dict.fromkeys(CAPS.values(), int),
    "prices": dict,
    "enabled": list,
}
"""What config.toml may say. Any other key is refused: a typo that is ignored looks as if it had been set."""

KINDS = {
    str: "text in quotes",
    bool: "true or false",
    int: "a whole number",
    dict: "a table",
    list: "a list",
}

OPENROUTER_URL = "https://openrouter.ai/api/v1"
DEFAULT_MAX_PARALLEL = 50
"""Calls in flight to one provider. Above it the provider's limit decides, not ours; 100 and more work."""

LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Settings:
    """What the user decided. Build it with `read`, or by hand in tests."""

    root: Path
    """Files are read below it, and named relative to it."""
    config_dir: Path
    """The user's own folder: config.toml, personas/*.md, presets.toml."""
    backend: BackendName = "auto"
    backend_from: str = "FANOUT_BACKEND"
    """What set it: that variable, or config.toml."""
    base_url: str | None = None
    api_key: str | None = field(default=None, repr=False)
    """The key for `base_url`, already matched to its host; never shown."""
    model: str | None = None
    max_parallel: int = DEFAULT_MAX_PARALLEL
    claude_agreed: bool = False
    """The user agreed once that the `claude` backend may spend their subscription."""
    claude_api_key: bool = False
    """Leave ANTHROPIC_API_KEY in the child's environment (it beats the login)."""
    is_child: bool = False
    """We run below our own `claude` backend: it must not be used again (recursion guard)."""
    hedge: bool = False
    """Send a late call twice (engine/retry.py): shorter waits for up to 2 % more calls."""
    proxy: str | None = None
    """The way out to hosts beyond this machine."""
    prices: Mapping[str, ModelPrice] = field(default_factory=dict)
    """Of models whose provider lists none."""
    enabled: tuple[str, ...] = ()
    """Providers that the user agreed to, by name (backends/providers.toml and the user's own rows)."""
    state_dir: Path | None = None
    """Where reports go instead of `<project>/.claude/fanout`."""
    cache_home: Path | None = None
    """The user's own folder for what can be made again; None: beside the settings."""
    state_home: Path | None = None
    """The user's own folder for what can't; None: beside the settings."""
    redis_url: str | None = field(default=None, repr=False)
    """Where answers, limits and dollars are shared (scale/shared.py); never shown, it may have a password."""
    top: Path | None = None
    """The project's own folder, where `root` is one inside of it."""

    @property
    def project(self) -> Path:
        """The folder whose .claude/ counts: settings, hooks, their log, and what we keep."""
        return self.top or self.root

    @property
    def state(self) -> Path:
        return self.state_dir or self.project / ".claude" / "fanout"

    @property
    def cache(self) -> Path:
        """The user's own folder for what was answered and outlined of this project."""
        return (self.cache_home or self.config_dir / "cache") / "projects" / name_of(str(self.project))

    @property
    def records(self) -> Path:
        """The user's own folder for the receipts of this project."""
        return (self.state_home or self.config_dir / "state") / "projects" / name_of(str(self.project))

    @property
    def votes(self) -> Path:
        """The user's own folder of how members of panels voted, over all projects."""
        return (self.state_home or self.config_dir / "state") / "votes"


def read(env: Mapping[str, str] | None = None, root: Path | None = None) -> Settings:
    """Read the environment and the user's config.toml. Raises SettingsError that names what is wrong."""
    company = policy.current()
    env = os.environ if env is None else env
    given = root or (Path(env["CLAUDE_PROJECT_DIR"]) if env.get("CLAUDE_PROJECT_DIR") else None)
    root = (given or Path.cwd()).resolve()
    top = None if given else _top(root, _home(env))
    config_dir = _config_dir(env, top or root)
    table = _checked(_read_table(config_dir / "config.toml"), config_dir / "config.toml")
    base_url, key = _endpoint(env, table, config_dir / "config.toml")
    redis_url = _redis_url(env.get("FANOUT_REDIS_URL"), table.get("redis_url") or None)
    return Settings(
        root=root,
        top=top,
        config_dir=config_dir,
        backend=_backend(env, table),
        backend_from="FANOUT_BACKEND" if env.get("FANOUT_BACKEND") else "config.toml",
        base_url=base_url,
        api_key=key,
        model=env.get("FANOUT_MODEL") or table.get("model") or None,
        max_parallel=_max_parallel(env.get("FANOUT_MAX_PARALLEL")),
        claude_agreed=bool(table.get("claude_agreed")) or env.get("CLAUDE_PLUGIN_OPTION_CLAUDE") == "true",
        claude_api_key=bool(table.get("claude_api_key")),
        hedge=bool(table.get("hedge")),
        is_child="FANOUT_CHILD" in env,
        proxy=table.get("proxy") or None,
        redis_url=redis_url,
        # Where dollars are limited, a user's own price of 0 would lift the limit.
        prices={model: ModelPrice(*each) for model, each in company.prices.items()}
        if company.is_capped
        else _prices(table, config_dir / "config.toml"),
        enabled=_names(table, "enabled", config_dir / "config.toml"),
        state_dir=Path(env["FANOUT_STATE_DIR"]).resolve() if env.get("FANOUT_STATE_DIR") else None,
        cache_home=_kept_in(env, "cache", "XDG_CACHE_HOME", ".cache", root),
        state_home=_kept_in(env, "state", "XDG_STATE_HOME", ".local/state", root),
    )


def _kept_in(env: Mapping[str, str], kind: str, variable: str, usual: str, root: Path) -> Path:
    """Return the user's own folder of a kind: the first that does not lie in the project (rule 4)."""
    project = _top(root, _home(env)) or root
    own, base = env.get("FANOUT_STATE_DIR"), Path(env.get(variable, ""))
    chosen = [Path(own) / kind] if own else []
    chosen += [base / "fanout"] if base.is_absolute() else []
    for folder in chosen:
        if not folder.resolve().is_relative_to(project):
            return folder.resolve()
    return (_home(env) / usual / "fanout").resolve()


def _home(env: Mapping[str, str]) -> Path:
    return Path(env["HOME"]) if env.get("HOME") else Path.home()


def _config_dir(env: Mapping[str, str], project: Path) -> Path:
    """Return the user's own folder. A project can set variables, and ship what they name (rule 3)."""
    base, usual = Path(env.get("XDG_CONFIG_HOME", "")), _home(env) / ".config"
    if not base.is_absolute():  # also what the XDG specification says of relative ones
        return usual / "fanout"
    if base.resolve().is_relative_to(project) and not usual.resolve().is_relative_to(project):
        raise SettingsError(
            f"XDG_CONFIG_HOME is {base}, which lies in the project, and settings are the user's own. "
            "Unset it, or name a folder outside the project."
        )
    return base / "fanout"


def _top(folder: Path, home: Path) -> Path | None:
    """Return the nearest folder upwards that is a project: it has a .claude, or is a repository's top.

    Home is not one (its .claude is the user's), nor is a folder that anyone may write to, such as /tmp.
    """
    for at in (folder, *folder.parents):
        if at == home.resolve() or at.stat().st_mode & stat.S_IWOTH:
            return None
        if any(_is_own(at / name) for name in (".claude", ".git")):
            return at
    return None


def _is_own(path: Path) -> bool:
    try:
        return path.lstat().st_uid == os.getuid()
    except OSError:
        return False


def _read_table(path: Path) -> Mapping[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{path} can't be read: {why(error)}. Fix or remove it.") from error


def _checked(table: Mapping[str, Any], path: Path) -> Mapping[str, Any]:
    """Return the table when it holds nothing but what it may. Raises SettingsError."""
    for name, value in table.items():
        if name not in KEYS:
            raise SettingsError(f"{path}: there is no setting {name}; {hint(name, KEYS)}")
        if not isinstance(value, KEYS[name]) or (KEYS[name] is int and isinstance(value, bool)):
            raise SettingsError(f"{path}: {name} must be {KINDS[KEYS[name]]}, not {type(value).__name__}.")
    return table


_TABLE: Final = re.compile(r"^[ \t]*\[", re.MULTILINE)


def with_setting(text: str, name: str, value: Json) -> tuple[str, str]:
    """Return config.toml with a setting, and what it replaces ("" where there was none).

    Raises SettingsError where anything else would change with it.
    """
    line, table = f"{name} = {json.dumps(value)}", _TABLE.search(text)
    pattern = re.compile(
        rf"^[ \t]*{name}[ \t]*=[ \t]*(?:\[[^\]]*\][ \t]*(?:#[^\r\n]*)?|[^\r\n]*)(?=\r?$)", re.MULTILINE
    )
    found = pattern.search(text, 0, table.start() if table else len(text))
    # First, where there is none: below a [table] it would belong to that table.
    changed = f"{text[: found.start()]}{line}{text[found.end() :]}" if found else f"{line}\n{text}"
    by_hand = f"Write the line yourself: {line}"
    try:
        is_safe = tomllib.loads(changed) == {**tomllib.loads(text), name: value}
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"config.toml can't be changed: {error}. {by_hand}") from None
    if not is_safe:
        raise SettingsError(f"config.toml can't be changed safely. {by_hand}")
    return changed, found.group() if found else ""


def _backend(env: Mapping[str, str], table: Mapping[str, Any]) -> BackendName:
    chosen = env.get("FANOUT_BACKEND")
    name = chosen or table.get("backend") or "auto"
    for known in BACKEND_NAMES:
        if name == known:
            return known
    where = "FANOUT_BACKEND" if chosen else "backend in config.toml"
    raise SettingsError(f"{where} is {name!r}; it must be one of {', '.join(BACKEND_NAMES)}.")


def _endpoint(env: Mapping[str, str], table: Mapping[str, Any], path: Path) -> tuple[str | None, str | None]:
    """Return base URL and the key that belongs to it (rules 2 and 3)."""
    given, trusted = env.get("FANOUT_BASE_URL"), table.get("base_url") or None
    own_key = table.get("api_key") or None
    if own_key and not trusted:
        raise SettingsError(
            f'{path}: api_key needs the base_url that it belongs to: base_url = "https://...".'
        )
    wanted = _url(given, "FANOUT_BASE_URL") if given else _url(trusted, "base_url in config.toml")
    if wanted is None:
        openrouter = env.get("OPENROUTER_API_KEY")
        return (OPENROUTER_URL, openrouter) if openrouter else (None, None)
    is_trusted = trusted is not None and wanted == trusted.rstrip("/")
    host = urlsplit(wanted).hostname
    if host not in LOOPBACK_HOSTS and wanted != OPENROUTER_URL and not is_trusted:
        raise SettingsError(
            f"FANOUT_BASE_URL names {host}, which is not this machine. A repository can set "
            f'environment variables, so confirm it in your own config.toml: base_url = "{given}".'
        )
    key = env.get("FANOUT_API_KEY") or own_key if is_trusted or trusted is None else None
    if key is None and wanted == OPENROUTER_URL:
        key = env.get("OPENROUTER_API_KEY")
    return wanted, key


def _url(text: str | None, where: str) -> str | None:
    """Return a base URL without its last slash. Raises SettingsError where it is none."""
    if text is None:
        return None
    url = urlsplit(text)
    if url.scheme not in {"http", "https"} or not url.hostname:
        raise SettingsError(f"{where} is {text!r}; it must look like https://host/v1.")
    if url.username or url.password:
        raise SettingsError(f"{where} contains a user or password; set FANOUT_API_KEY instead.")
    return text.rstrip("/")


def _redis_url(given: str | None, trusted: str | None) -> str | None:
    """Return where the shared Redis is (rule 3). No message has the URL itself: it may have a password."""
    name = "FANOUT_REDIS_URL" if given else "redis_url in config.toml"
    if not (given or trusted):
        return None
    try:
        wanted, own = (urlsplit(text or "") for text in (given or trusted, trusted))
        place, confirmed = ((url.scheme, url.hostname, url.port or 6379) for url in (wanted, own))
    except ValueError:
        place = confirmed = ("", None, 0)
    if place[0] not in {"redis", "rediss"} or not place[1]:
        raise SettingsError(f"{name} must look like redis://HOST:PORT/0, or rediss:// for TLS.")
    if place[1] not in LOOPBACK_HOSTS and place != confirmed:
        raise SettingsError(
            f"{name} names {place[1]}, which is not this machine. A repository can set environment "
            "variables, so confirm it in your own config.toml, with or without the password: "
            f'redis_url = "{place[0]}://{place[1]}:{place[2]}/0".'
        )
    return given or trusted


def _prices(table: Mapping[str, Any], path: Path) -> dict[str, ModelPrice]:
    """Read [prices."model"] in = 3.0, out = 15.0 (dollars per million tokens)."""
    prices = {}
    for model, entry in table.get("prices", {}).items():
        usd_in, usd_out = (_usd(entry, name) for name in ("in", "out"))
        if usd_in is None or usd_out is None:
            raise SettingsError(f'{path}: prices."{model}" must hold in and out, dollars per million tokens.')
        prices[model] = ModelPrice(usd_in, usd_out)
    return prices


def _usd(entry: object, name: str) -> float | None:
    value = entry.get(name) if isinstance(entry, dict) else None
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < math.inf:
        return None
    return float(value)


def _names(table: Mapping[str, Any], name: str, path: Path) -> tuple[str, ...]:
    given = table.get(name, [])
    if not all(isinstance(one, str) for one in given):
        raise SettingsError(f'{path}: {name} must be a list of names, such as ["openai", "ollama"].')
    return tuple(dict.fromkeys(given))


def _max_parallel(text: str | None) -> int:
    if not text:
        return DEFAULT_MAX_PARALLEL
    with suppress(ValueError):
        if int(text) >= 1:
            return int(text)
    raise SettingsError(f"FANOUT_MAX_PARALLEL is {text!r}; it must be a whole number from 1 on.")
