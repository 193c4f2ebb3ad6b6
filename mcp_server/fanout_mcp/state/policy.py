"""The company's policy: a file of root's that beats the user's settings, the environment and every argument.

Rules:
1. Its place is a constant. No variable, no setting and no argument moves it, and no other file adds to it.
2. It binds only as root's: owned by root, in folders of root's, and writable by no one else. A file that is
   there and isn't so, can't be read, or says something unknown stops every call (closed, never open), with a
   sentence for the administrator.
3. It is looked at anew for each decision (two stats), so that a running server obeys a change at once.
4. A list that is absent forbids nothing, with one exception: once providers, hosts or models are limited, no
   command-line client is allowed that `clients` doesn't name.

docs/policy.md has the fields, and against whom all of this holds.
"""

from __future__ import annotations

import json
import os
import stat
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache, lru_cache
from pathlib import Path
from typing import ClassVar, Final, Literal, NamedTuple, Protocol

from fanout_hooks.gate.gate import Mode
from fanout_hooks.gate.governor import KEYS as CAPS
from fanout_mcp.errors import InvalidInput, SettingsError, why
from fanout_mcp.types import Json

PLACE: Final = "/etc/fanout/policy.toml"
COPY: Final = "/etc/fanout/policy.json"
"""What hooks read of it (hooks/fanout_hooks/gate/watch.py): they start without a TOML parser."""
OWNER: Final = 0
TOP: Final = "/"
"""Folders from here on must be root's, too. Tests replace these four in their own process."""
MAX_BYTES: Final = 256 << 10
ASK: Final = "ask your administrator"

CLOSED: Final[Mapping[str, object]] = {"extra": "forbid", "allow_inf_nan": False}
"""For pydantic, which checks the file: an unknown field is an error."""
Kind = Literal["providers", "hosts", "models", "command-line clients"]


@dataclass(frozen=True, slots=True)
class Audit:
    """Where each call leaves its line (audit.py)."""

    folder: str
    second: str = ""
    """`syslog`, or a file of another owner: it gets the newest hash and count. "": there is none."""
    required: bool = False
    """A call whose line can't be written is refused."""
    __pydantic_config__: ClassVar[Mapping[str, object]] = CLOSED

    def __post_init__(self) -> None:
        if not self.folder.startswith("/") or (self.second not in {"", "syslog"} and self.second[0] != "/"):
            raise ValueError('folder must be an absolute path, and second one or "syslog"')


@dataclass(frozen=True, slots=True)
class Policy:
    """What is allowed; None and empty: everything. float are of one user."""

    providers: tuple[str, ...] | None = None
    hosts: tuple[str, ...] | None = None
    models: tuple[str, ...] | None = None
    clients: tuple[str, ...] | None = None
    sources_may_leave: bool = True
    never_leave: tuple[str, ...] = ()
    """Paths in the form of a .gitignore, from the root of the file system on."""
    max_usd_per_call: float | None = None
    max_usd_per_day: float | None = None
    max_usd_per_month: float | None = None
    service_accounts: tuple[str, ...] = ()
    """Accounts of the machine whose services name their users: dollars are counted for each of these."""
    unpriced: bool = False
    """Models without a known price may be asked where dollars are limited."""
    prices: dict[str, tuple[float, float]] = field(default_factory=dict)
    """By model: of a million tokens in, and out; instead of the user's own where dollars are limited."""
    gate: Mode | Literal[""] = ""
    governor: dict[str, int] = field(default_factory=dict)
    audit: Audit | None = None
    is_there: bool = False
    __pydantic_config__: ClassVar[Mapping[str, object]] = CLOSED

    def __post_init__(self) -> None:
        if any(pattern.startswith("!") for pattern in self.never_leave):
            raise ValueError('never_leave takes no exceptions ("!")')
        if any(cap < 0 for cap in (*self.caps, *self.governor.values()) if cap is not None):
            raise ValueError("dollars and counts must be at least 0")
        if unknown := self.governor.keys() - CAPS.values():
            raise ValueError(f"[governor] has no {min(unknown)}; there are {', '.join(CAPS.values())}")
        if self.audit is None and (self.max_usd_per_day, self.max_usd_per_month) != (None, None):
            raise ValueError("dollars a day or a month are counted in the audit log: name its [audit] folder")

    @property
    def has_places(self) -> bool:
        """Whether it says where questions may go."""
        return (self.providers, self.hosts) != (None, None)

    @property
    def is_capped(self) -> bool:
        return any(cap is not None for cap in self.caps)

    @property
    def caps(self) -> tuple[float | None, float | None, float | None]:
        return self.max_usd_per_call, self.max_usd_per_day, self.max_usd_per_month

    @property
    def is_service(self) -> bool:
        """Whether this process runs as one of the service accounts."""
        return bool(self.service_accounts) and not _account().isdisjoint(self.service_accounts)

    def refusal(self, kind: Kind, name: str, *, also: str = "") -> str:
        """Return why `name` (or `also`, the same thing spelled longer) may not be used, "" where it may."""
        allowed = self.allowed(kind)
        names = {name, also or name, name.removeprefix("~")}  # `~author/family-latest` is an alias
        if allowed is None or any(fnmatchcase(one, pattern) for one in names for pattern in allowed):
            return ""
        return f"{name or 'a model without a name'} is not allowed: {self.sentence(kind)}"

    def allowed(self, kind: Kind) -> tuple[str, ...] | None:
        if kind != "command-line clients":
            return {"providers": self.providers, "hosts": self.hosts, "models": self.models}[kind]
        is_limited = any(one is not None for one in (self.providers, self.hosts, self.models))
        return () if self.clients is None and is_limited else self.clients

    def sentence(self, kind: Kind) -> str:
        allowed = self.allowed(kind)
        only = f"allows only the {kind} {', '.join(allowed)}" if allowed else f"allows no {kind}"
        return f"the policy {PLACE} {only}; {ASK}"

    def forbids(self) -> Iterator[str]:
        kinds: tuple[Kind, ...] = ("providers", "hosts", "models", "command-line clients")
        for kind in kinds:
            if (allowed := self.allowed(kind)) is not None:
                yield f"only the {kind} {', '.join(allowed)}" if allowed else f"no {kind}"
        if not self.sources_may_leave:
            yield "no model is sent sources"
        if self.never_leave:
            yield f"never read: {' '.join(self.never_leave)}"
        for cap, span in zip(self.caps, ("call", "day", "month"), strict=True):
            if cap is not None:
                yield f"at most ${cap:g} a {span}"
        if self.gate:
            yield f"the gate is {self.gate}"
        for name, count in self.governor.items():
            yield f"{name} at most {count}"
        if self.audit is not None:
            yield f"every call leaves a line in {self.audit.folder}" + (
                ", or is refused" if self.audit.required else ""
            )


@cache
def _account() -> frozenset[str]:
    """Return this process's user by number, and by name where it has one."""
    import pwd  # not on Windows, where this module is imported too

    with suppress(KeyError):
        return frozenset((str(os.getuid()), pwd.getpwuid(os.getuid()).pw_name))
    return frozenset((str(os.getuid()),))


# --- reading -----------------------------------------------------------------------------------------------


class _Kept(NamedTuple):
    stamp: tuple[object, ...]
    policy: Policy


_NONE: Final = Policy()
_kept = _Kept((), _NONE)


def current() -> Policy:
    """Return the policy in force, an empty one where there is none. Raises SettingsError (rule 2)."""
    global _kept  # noqa: PLW0603 - what the last look found, so that a look costs one stat
    try:
        # A Path would cost more than the calls.
        status, folder = os.stat(PLACE), os.stat(os.path.dirname(PLACE))  # noqa: PTH116, PTH120
    except FileNotFoundError:
        if os.path.lexists(COPY):
            raise _closed(f"is missing, and {COPY} is there") from None
        return _NONE
    except OSError as error:
        raise _closed(f"can't be looked at: {why(error)}") from error
    stamp = (PLACE, OWNER, *_stamp(status), *_stamp(folder))
    if stamp != _kept.stamp:
        _kept = _Kept(stamp, _loaded())
    return _kept.policy


def _stamp(status: os.stat_result) -> tuple[int, ...]:
    return (
        *(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns),
        *(status.st_uid, status.st_mode),
    )


def _closed(problem: str) -> SettingsError:
    return SettingsError(
        f"The policy {PLACE} {problem}. Until that is corrected nothing is read or asked; {ASK} "
        "(sudo fanout policy check)."
    )


def _loaded() -> Policy:
    try:
        if problem := untrusted(PLACE):
            raise _closed(problem)
        text = trusted_bytes(PLACE).decode("utf-8")
        if not text.strip():
            raise _closed("is empty")  # it may be half written: never open for that moment
        return parse(tomllib.loads(text))
    except OSError as error:
        raise _closed(f"can't be read: {why(error)}") from error
    except (ValueError, RecursionError) as error:
        raise _closed(f"can't be read: {error}") from error


def untrusted(path: str) -> str:
    """Return why a file does not bind as root's, "" where it does."""
    at = os.path.realpath(path)
    for folder in {*Path(path).parents, *Path(at).parents}:
        if folder.is_relative_to(TOP) and (problem := _foreign(folder.stat())):
            return f"can't be trusted: its folder {folder} is {problem}"
    problem = _foreign(os.lstat(at))
    return f"can't be trusted: it is {problem}" if problem else ""


def _foreign(status: os.stat_result) -> str:
    if status.st_uid != OWNER:
        return f"owned by user {status.st_uid}, not by root"
    return "writable by others than root" if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) else ""


def trusted_bytes(path: str) -> bytes:
    """Read a file whose owner and mode hold for what was opened. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    with os.fdopen(descriptor, "rb") as file:
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode) or before.st_size > MAX_BYTES:
            raise OSError(0, f"not a regular file of at most {MAX_BYTES:,} bytes")
        if problem := _foreign(before):
            raise OSError(0, f"it is {problem}")
        data = file.read(MAX_BYTES + 1)
        if _stamp(os.fstat(descriptor)) != _stamp(before) or len(data) != before.st_size:
            raise OSError(0, "it changed while it was read; replace it by `mv`, which is one step")
        return data


def parse(table: Mapping[str, Json]) -> Policy:
    """Return the policy that a table says. Raises ValueError that names what is wrong."""
    from pydantic import TypeAdapter, ValidationError  # only where there is a policy

    try:
        # As JSON, where strict mode still lets an array become a tuple.
        return TypeAdapter(Policy).validate_json(json.dumps({**table, "is_there": True}), strict=True)
    except ValidationError as error:
        wrong = [
            f"{'.'.join(map(str, one['loc'])) or 'it'}: {one['msg'].removeprefix('Value error, ')}"
            for one in error.errors(include_url=False)
        ]
        raise ValueError("; ".join(wrong)) from error
    except TypeError as error:
        raise ValueError(str(error)) from error


# --- deciding ----------------------------------------------------------------------------------------------


def dollars_of(asked: float, *, is_default: bool) -> float:
    """Return what a call may cost: the default is lowered to the policy's. Raises InvalidInput for more."""
    cap = current().max_usd_per_call
    if cap is None or asked <= cap:
        return asked
    if is_default:
        return cap
    raise InvalidInput(
        f"max_cost_usd is {asked:g}, and the policy {PLACE} allows at most ${cap:g} a call; {ASK}."
    )


def kept_in(path: str, links: int = 1) -> str:
    """Return why a file at an absolute path, one of so many `links`, must not be read, "" where it may."""
    patterns = current().never_leave
    if not patterns:
        return ""
    if links != 1:
        return f"has several names or none (hard links), and the policy {PLACE} keeps paths in"
    return f"kept in by the policy {PLACE}" if _spec(patterns).match_file(path.lstrip("/")) else ""


def kept_in_file(descriptor: int) -> str:
    """The same of an open file: its path is the system's, whatever was swapped on the way to it."""
    if not current().never_leave:
        return ""
    links = os.fstat(descriptor).st_nlink
    try:
        return kept_in(os.readlink(f"/proc/self/fd/{descriptor}"), links)  # noqa: PTH115 - a text
    except OSError:
        import fcntl

        named = fcntl.fcntl(descriptor, fcntl.F_GETPATH, bytes(1024)) if hasattr(fcntl, "F_GETPATH") else b""
        path = os.fsdecode(named.rstrip(b"\0"))
        return (
            kept_in(path, links) if path else f"its path is not known, and the policy {PLACE} keeps paths in"
        )


@lru_cache(maxsize=4)
def _spec(patterns: tuple[str, ...]) -> _Spec:
    from pathspec import GitIgnoreSpec  # only where there is such a list

    return GitIgnoreSpec.from_lines(patterns)


class _Spec(Protocol):
    def match_file(self, file: str) -> bool: ...


def copy_of(policy: Policy, digest: str) -> bytes:
    data = {"gate": policy.gate, "governor": dict(policy.governor), "policy": digest}
    return (json.dumps(data, indent=1) + "\n").encode()
