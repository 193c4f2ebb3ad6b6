"""The audit log that a policy asks for: one JSON line a call, each holding the hash of the line before it.

Theory of operation. Each user of the machine has one chain of lines, in `<folder>/<uid>.jsonl` and the files
that it was rotated to. A line has its number `n` and, as `prev`, the SHA-256 of the whole line before it, so
a line that is changed, taken out, put in or moved breaks the chain at that place. What a chain alone can't
show is that its newest lines are gone, or that all of it was written again; so number and hash of each line
also go to a second place, which the writer can only add to (syslog, or a file of another owner).

Rules:
1. A call has its line when it ends, however it ends. One that asks a model has a line before its first
   question leaves, too: a process that is killed can't take that back.
2. Writers lock the file, so that number, hash and the sum of dollars are those of the newest line.
3. Who spent what is added up from the lines themselves. What was set aside by a call whose end is missing
   counts as spent. Anyone may start a service with users that don't exist, so its users have dollars of their
   own only where the policy names its account; else all of an account's lines count as one user's.
4. No question, answer, path or key is written: hashes, names of models, and figures.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import secrets
import socket
import stat
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple, Protocol

import anyio
import anyio.to_thread

from fanout_hooks.client import files
from fanout_mcp.errors import BackendError, NotAllowed, OverBudget, Rejected, SettingsError, why
from fanout_mcp.state import policy
from fanout_mcp.state.folder import APPENDED
from fanout_mcp.state.policy import Audit, Policy
from fanout_mcp.types import Answer, Job, Json, ModelPrice
from fanout_mcp.usage import UNREPORTED, Usage

log = logging.getLogger("fanout")

MAX_BYTES: Final = 8 << 20
"""Some 20,000 calls; then the file is renamed to `<uid>.<number of its last line>.jsonl`."""
MAX_LINE: Final = 64 << 10
MAX_FILES: Final = 500
"""Hashes in one line; of more files there is one hash over all of theirs."""
LOCK_S: Final = 1.0
"""Another writer holds the lock for less than a millisecond."""
FIRST: Final = "0" * 64
SYSLOG: Final = "/dev/log"
AUTHPRIV_INFO: Final = 10 * 8 + 6
APPEND_ONLY: Final = 0x20
"""FS_APPEND_FL: the file can only grow, whatever its owner; root alone sets and clears it."""
GET_FLAGS: Final = 0x80086601

SPANS: Final[Mapping[str, str]] = {"user": "%Y-%m-%d", "day": "%Y-%m-%d", "month": "%Y-%m"}
"""What dollars are summed by: a service's user and day, the policy's user and day, and month."""
SETTLED: Final = "settled:"
"""Before the name of a sum: that of what was spent, without what is set aside for calls that run."""

who: ContextVar[str] = ContextVar("who", default="")
"""The user of a service, where it isn't the system's."""


class Spent(Protocol):
    """Sums of dollars that several machines count together."""

    async def take(self, caps: Mapping[str, float], usd: float) -> tuple[str, float] | None:
        """Set dollars aside under each name; where that would pass a cap, return its name and its sum."""

    def add(self, names: Iterable[str], usd: float) -> None:
        """Add dollars, or give them back (below 0)."""


class Origin(NamedTuple):
    """The call for which a worker asks."""

    trace: str = ""
    max_usd_per_day: float | None = None
    """Of its user, by the service."""


@dataclass(slots=True)
class Call:
    """What one call of a tool has done so far."""

    tool: str
    most_usd: float = 0.0
    """What it may cost, by its own argument."""
    trace: str = field(default_factory=lambda: secrets.token_hex(16))
    files: dict[str, None] = field(default_factory=dict)
    """SHA-256 of each file that left."""
    models: Counter[str] = field(default_factory=Counter)
    usage: Usage = field(default_factory=Usage)
    usd: float = 0.0
    """Spent, by the provider's bill, else by its price; what no bill came for, at its most."""
    earlier_usd: float = 0.0
    """Spent before by other lines of the same call."""
    elsewhere: Usage = field(default_factory=Usage)
    """Spent for it by workers, whose own lines have it."""
    verdict: str = ""
    is_begun: bool = False
    beginning: anyio.Lock = field(default_factory=lambda: anyio.Lock(fast_acquire=True))
    """Its first questions leave at once, and one of them sets the dollars aside."""
    max_usd_per_day: float | None = None
    """Of its user, by the service. Where there is one, what a model costs must be known."""
    origin: Origin | None = None
    """The call for which this one asks, as a worker."""
    spent: Spent | None = None
    """Where the policy's dollars of a day and a month are counted beside the log; None: in the log alone."""
    aside: tuple[str, ...] = ()
    """The sums there under which its dollars are set aside."""


_call: ContextVar[Call | None] = ContextVar("call", default=None)


def caller() -> str:
    """Return who calls: a service's user, else this machine's."""
    return who.get() or str(os.getuid())


def sum_of(span: str) -> str:
    """Name the sum of the caller's dollars in a span of SPANS that has today."""
    payer = caller() if span == "user" or policy.current().is_service else str(os.getuid())  # rule 3
    return f"{span}:{payer}:{time.strftime(SPANS[span], time.gmtime())}"


@contextmanager
def call(
    tool: str, most_usd: float = 0.0, spent: Spent | None = None, origin: Origin | None = None
) -> Iterator[Call]:
    """Log what happens inside as one call. Raises SettingsError where a call must have a line, and can't."""
    now, found = Call(tool, most_usd, spent=spent, origin=origin), policy.current()
    if origin is not None:  # whatever is limited where the call is: its dollars are counted to its user
        now.max_usd_per_day, now.aside = origin.max_usd_per_day, tuple(map(sum_of, SPANS))
    token = _call.set(now)
    try:
        yield now
    except BaseException as error:
        now.verdict = now.verdict or ("refused" if isinstance(error, Exception) else "cancelled")
        with suppress(SettingsError):  # the error itself is what the caller is to read
            _write(found, now, "done")
        raise
    else:
        _write(found, now, "done")
    finally:
        _call.reset(token)
        if spent is not None and now.aside:
            settle(spent, now.aside, now.usd, most_usd)


def settle(spent: Spent, names: Iterable[str], usd: float, aside: float) -> None:
    """Count what a call spent, and give back what was set aside for it."""
    spent.add(names, usd - aside)
    if usd:
        spent.add([SETTLED + name for name in names], usd)


def charge(usage: Usage) -> None:
    """Note what workers spent for the running call; their own lines and sums have it."""
    if (now := _call.get()) is not None:
        now.elsewhere += usage


async def hand_over(jobs: Iterable[Job]) -> Origin:
    """Let questions leave for workers, if the policy does; return what those count by.

    Raises Rejected: nothing may leave before the call has its line, and its dollars are set aside.
    """
    found, now = policy.current(), _call.get()
    for job in jobs:
        _check_sources(found, job)
        if now is not None:
            now.files.update(dict.fromkeys(job.prompt.sources))
    if now is None:
        return Origin(secrets.token_hex(16))
    await _begin(found, now)
    return Origin(now.trace, now.max_usd_per_day)


@asynccontextmanager
async def asking(
    job: Job, price_of: Callable[[], Awaitable[ModelPrice | None]], provider: str
) -> AsyncIterator[Callable[[Answer], None]]:
    """Let one question leave, if the policy does; yield what takes its answer. Raises BackendError."""
    found, outer = policy.current(), _call.get()
    now = outer or Call("check")  # fanout doctor --check: a call of one question
    # A list of prices may take seconds to come: only where dollars are counted.
    is_counted = found.is_capped or found.audit is not None or bool(who.get()) or now.origin is not None
    price = await price_of() if is_counted else None
    _check_sources(found, job)
    is_capped = now.max_usd_per_day is not None
    if price is None and (is_capped or (found.is_capped and not found.unpriced)):
        who_limits, way = (
            ("this service limits your", "a price")
            if is_capped
            else (f"the policy {policy.PLACE} limits", "`unpriced`, or a price")
        )
        raise NotAllowed(
            f"Not asked: {who_limits} dollars, and what {job.model or provider} costs is not known; "
            f"{policy.ASK} ({way} under [prices])."
        )
    spent = now.earlier_usd + now.usd
    if found.max_usd_per_call is not None and spent >= max(found.max_usd_per_call, 1e-9):
        raise OverBudget(
            f"not asked: the ${found.max_usd_per_call:g} that the policy allows a call are spent"
        )
    if not now.is_begun:
        await _begin(found, now)
    now.files.update(dict.fromkeys(job.prompt.sources))
    now.models[f"{provider}:{job.model or 'default'}"] += 1
    most = price.of(job.prompt.tokens, job.max_tokens) if price else 0.0
    used: Usage | None = None

    def answered(answer: Answer) -> None:
        nonlocal used
        used = answer.usage

    try:
        yield answered
    except BackendError as error:
        used = error.usage
        raise
    finally:
        if used is None or used.is_partial:  # its bill never came
            now.usd += max(most, (used and used.cost_usd) or 0.0)
        elif used.cost_usd is None:
            now.usd += price.of(used.tokens_in, used.tokens_out) if price else 0.0
        else:
            now.usd += used.cost_usd
        now.usage += used or UNREPORTED
        if outer is None:
            with suppress(SettingsError):
                _write(found, now, "done")


def _check_sources(found: Policy, job: Job) -> None:
    if not found.sources_may_leave and (job.prompt.sources or job.workspace is not None):
        raise Rejected(f"Not asked: the policy {policy.PLACE} lets no sources leave; {policy.ASK}.")


async def _begin(found: Policy, now: Call) -> None:
    """Set a call's dollars aside and write its first line, once. Raises Rejected."""
    async with now.beginning:
        if now.is_begun:
            return
        try:
            await _set_aside(found, now)
            await _catch_up(found)
            _write(found, now, "asking")
        except SettingsError as error:
            raise Rejected(str(error)) from None
        now.is_begun = True


# --- writing -----------------------------------------------------------------------------------------------


def _write(found: Policy, now: Call, state: str) -> None:
    """Write a call's line. Raises SettingsError where it must be and can't, or where dollars are used up."""
    if found.audit is None:
        return
    line: dict[str, Json] = {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "user": caller(),
        "tool": now.tool[:60],
        "state": state,
        "trace": now.trace,
        **({"call": now.origin.trace} if now.origin else {}),
    }
    if state == "asking":
        line["reserved_usd"] = now.most_usd
    else:
        hashes = list(now.files)
        many = hashlib.sha256("".join(sorted(hashes)).encode()).hexdigest()
        line |= {
            "files": len(hashes),
            "sha256": hashes if len(hashes) <= MAX_FILES else [many],
            "models": {name[:200]: count for name, count in now.models.most_common(50)},
            "tokens_in": now.usage.tokens_in,
            "tokens_out": now.usage.tokens_out,
            "cost_usd": round(now.usd, 6),
            "verdict": now.verdict[:40],
        }
    is_counted = state == "asking" and (found.max_usd_per_day, found.max_usd_per_month) != (None, None)
    try:
        append(found.audit, line, partial(_afford, found, line) if is_counted else None)
    except OSError as error:
        sentence = (
            f"The audit log {found.audit.folder} can't be written ({why(error)}), and the policy "
            f"{policy.PLACE} refuses calls that leave no line in it; {policy.ASK}."
        )
        if found.audit.required or is_counted:
            raise SettingsError(sentence) from error
        log.warning("the audit log %s can't be written: %s", found.audit.folder, why(error))


def _path(audit: Audit) -> Path:
    return Path(audit.folder) / f"{os.getuid()}.jsonl"


def append(audit: Audit, line: Mapping[str, Json], check: Callable[[_Log], None] | None = None) -> None:
    """Add a line to this user's chain, and its hash to the second place. Raises OSError, and as `check`."""
    path = _path(audit)
    with _locked(path) as descriptor:
        last = _last(path, descriptor)
        if check is not None:
            if not is_append_only(descriptor):
                raise OSError(0, "its file must be root's and append-only: sudo fanout policy prepare USER")
            check(_chain(path))
        text = json.dumps({"n": last.n + 1, "prev": last.hash, **line}, separators=(",", ":")).encode()
        torn = b"" if last.is_whole else b"\n"
        if os.write(descriptor, torn + text + b"\n") != len(torn) + len(text) + 1:
            raise OSError(0, "the disk is full")
        _note(audit.second, f"{path.stem} {last.n + 1} {hashlib.sha256(text).hexdigest()}")
        if os.fstat(descriptor).st_size > MAX_BYTES:
            with suppress(OSError):  # a file of root's is rotated by root: fanout policy prepare
                path.rename(part_of(path))


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    flags = APPENDED & ~os.O_WRONLY | os.O_RDWR
    until = time.monotonic() + LOCK_S
    while True:
        descriptor = os.open(path, flags, 0o600)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode) or status.st_uid not in {os.getuid(), policy.OWNER}:
                raise OSError(0, f"{path} is not a regular file of this user's or of root's")
            if not files.lock(descriptor, until, 0.001):
                raise OSError(0, f"{path} can't be locked: another process holds it, or there are no locks")
            if _is_at(path, status):  # else it was rotated meanwhile
                yield descriptor
                return
        finally:
            os.close(descriptor)


def _is_at(path: Path, status: os.stat_result) -> bool:
    try:
        return os.path.samestat(path.lstat(), status)
    except FileNotFoundError:
        return False


class _Last(NamedTuple):
    n: int = 0
    hash: str = FIRST
    is_whole: bool = True
    """The file ends with a line's end."""


def _last(path: Path, descriptor: int) -> _Last:
    """Return the newest line of a chain; that of the newest rotated file where this one is empty."""
    size = os.fstat(descriptor).st_size
    if size:
        return newest(os.pread(descriptor, 2 * MAX_LINE, max(0, size - 2 * MAX_LINE)))
    older = _rotated(path)
    return newest(older[-1].read_bytes()[-2 * MAX_LINE :]) if older else _Last()


def newest(tail: bytes) -> _Last:
    whole, end, torn = tail.rpartition(b"\n")
    line = whole.rpartition(b"\n")[2] if end else b""
    try:
        n = int(json.loads(line)["n"])
    except (ValueError, TypeError, KeyError, RecursionError):
        n = 0
    return _Last(n, hashlib.sha256(line).hexdigest() if line else FIRST, not torn)


def _rotated(path: Path) -> list[Path]:
    return sorted(one for one in path.parent.glob(f"{path.stem}.*.jsonl") if _number_of(one).isdecimal())


def _number_of(part: Path) -> str:
    return part.name.split(".")[1]


def part_of(path: Path) -> Path:
    """Name what a log is rotated to: by its newest line, and after every part that is there.

    That line is its user's to write: by its number alone a part could hide, or replace another.
    """
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 2 * MAX_LINE))
        n = newest(file.read()).n
    older = _rotated(path)
    after = int(_number_of(older[-1])) + 1 if older else 0
    return path.with_name(f"{path.stem}.{max(n, after):010d}.jsonl")


def flags_of(descriptor: int) -> int:
    """Return the flags that a file has on Linux's file systems. Raises OSError."""
    return int.from_bytes(files.fcntl.ioctl(descriptor, GET_FLAGS, bytes(8))[:4], "little")


def is_append_only(descriptor: int) -> bool:
    """Say whether a file is root's and can only grow, so that this user can neither cut nor remove it."""
    if os.fstat(descriptor).st_uid != policy.OWNER:
        return False
    try:
        return bool(flags_of(descriptor) & APPEND_ONLY)
    except OSError:
        return bool(getattr(os.fstat(descriptor), "st_flags", 0) & getattr(stat, "SF_APPEND", 0))


def _note(second: str, words: str) -> None:
    """Send user, number and hash to the second place. Raises OSError."""
    if not second:
        return
    if second == "syslog":
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to:
            to.setblocking(False)
            to.connect(SYSLOG)
            to.send(f"<{AUTHPRIV_INFO}>fanout-audit[{os.getpid()}]: {words}".encode())
        return
    descriptor = os.open(second, APPENDED & ~os.O_CREAT)
    try:
        os.write(descriptor, f"{words}\n".encode())
    finally:
        os.close(descriptor)


# --- dollars of a day and a month --------------------------------------------------------------------------


FAR: Final = 64 << 10
"""More bytes than these are read in a thread: a month's log takes a fifth of a second."""
MAX_USD: Final = 1e9
NANO: Final = 1e9
"""Sums are whole billionths of a dollar, so that what was added can be taken off again without a rest."""


class _Open(NamedTuple):
    user: str
    day: str
    nano: int


@dataclass(slots=True)
class _Log:
    """What a chain says was spent this month; reads only what was added since the last look."""

    path: Path
    at: int = 0
    inode: int = 0
    sums: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By user ("": all of them), and by day and month: what is spent or set aside."""
    open: dict[str, _Open] = field(default_factory=dict)
    """By trace: what a call set aside whose end isn't there."""
    reading: threading.Lock = field(default_factory=threading.Lock)

    def is_far_behind(self) -> bool:
        """Say whether a look would take long. Raises OSError."""
        status = self.path.stat()
        return status.st_size - (self.at if status.st_ino == self.inode else 0) > FAR

    def read(self) -> None:
        with self.reading, self.path.open("rb") as file:
            inode = os.fstat(file.fileno()).st_ino
            if inode != self.inode:  # the first look, or it was rotated
                self.inode, self.at = inode, 0
                self.sums.clear()
                self.open.clear()
                for older in _rotated(self.path):  # a part's newest line is from when it was last written
                    if _month(older.stat().st_mtime) >= _month(time.time()):
                        self._add(older.read_bytes())
            file.seek(self.at)
            data = file.read()
            whole = data[: data.rfind(b"\n") + 1]  # without the lock the newest line may be half there
            self.at += len(whole)
            self._add(whole)

    def _add(self, data: bytes) -> None:
        for text in data.splitlines():
            try:
                line = json.loads(text)
                user, day, trace = str(line["user"]), str(line["at"])[:10], line["trace"]
                if line["state"] == "asking":
                    aside = _nano(line["reserved_usd"])
                    self._close(trace)
                    self.open[trace] = _Open(user, day, aside)
                    self._count(user, day, aside)
                    continue
                spent = _nano(line["cost_usd"])
                self._close(trace)
                self._count(user, day, spent)
                if (origin := self.open.get(line.get("call"))) is not None:
                    # A worker's: the call that it asked for has set these dollars aside.
                    self._close(line["call"])
                    self.open[line["call"]] = left = origin._replace(nano=max(0, origin.nano - spent))
                    self._count(*left)
            except (ValueError, TypeError, KeyError, RecursionError):
                continue

    def _close(self, trace: str) -> None:
        if (found := self.open.pop(trace, None)) is not None:
            self._count(found.user, found.day, -found.nano)

    def _count(self, user: str, day: str, nano: int) -> None:
        for one in (user, ""):
            for span in (day, day[:7]):
                self.sums[one, span] += nano

    def usd(self, user: str, span: str) -> float:
        """Return what a user ("": all) spent and set aside: on a day ("2026-11-30"), or in a month."""
        return self.sums[user, span] / NANO


def _nano(usd: Json) -> int:
    return round(min(max(0.0, float(usd)), MAX_USD) * NANO)


def _month(seconds: float) -> str:
    return time.strftime("%Y-%m", time.gmtime(seconds))


_logs: dict[Path, _Log] = {}


def _chain(path: Path) -> _Log:
    return _logs.setdefault(path, _Log(path))


async def _catch_up(found: Policy) -> None:
    """Read what is new in the log before its lock is taken, in a thread where that takes long."""
    if found.audit is None or (found.max_usd_per_day, found.max_usd_per_month) == (None, None):
        return
    chain = _chain(_path(found.audit))
    with suppress(OSError):  # which writing the line will report
        if chain.is_far_behind():
            await anyio.to_thread.run_sync(chain.read)


def _afford(found: Policy, line: Mapping[str, Json], chain: _Log) -> None:
    chain.read()
    user = line["user"] if found.is_service else ""
    for cap, span, length in ((found.max_usd_per_day, "day", 10), (found.max_usd_per_month, "month", 7)):
        if cap is None:
            continue
        spent = chain.usd(user, line["at"][:length])
        if spent + line["reserved_usd"] > cap:
            raise _used_up(cap, span, spent, line["reserved_usd"])


def _used_up(cap: float, span: str, spent: float, wanted: float) -> SettingsError:
    return SettingsError(
        f"The policy {policy.PLACE} allows ${cap:g} a {span}: ${spent:.2f} are spent or set aside, "
        f"and this call may cost ${wanted:g}. Lower max_cost_usd, wait, or {policy.ASK}."
    )


async def _set_aside(found: Policy, now: Call) -> None:
    """Set a call's dollars aside on all machines at once. Raises SettingsError where they are used up."""
    if now.spent is None or (now.aside and now.origin is None):
        return
    limits = {"day": found.max_usd_per_day, "month": found.max_usd_per_month}
    # The call that a worker asks for has set its dollars aside, or has ended: what is spent counts.
    before = SETTLED if now.origin is not None else ""
    if now.origin is not None:
        limits["user"] = now.max_usd_per_day
    caps = {before + sum_of(span): cap for span, cap in limits.items() if cap is not None}
    if caps and (over := await now.spent.take(caps, now.most_usd)):
        span = over[0].removeprefix(SETTLED).partition(":")[0]
        if span == "user":
            raise SettingsError(
                f"Not asked: the ${caps[over[0]]:g} that this service allows you a day are spent."
            )
        raise _used_up(caps[over[0]], span, over[1], now.most_usd)
    now.aside = now.aside or tuple(caps)


# --- checking ----------------------------------------------------------------------------------------------

_NOTE: Final = re.compile(r"(?:^|\s)(\d+) (\d+) ([0-9a-f]{64})\s*$")


def verify(folder: Path, second: Iterable[str] | None) -> tuple[list[str], list[str]]:
    """Check every chain, and the lines of a `second` place; return what is wrong, and what is unknown."""
    wrong: list[str] = []
    chains = {path.name.partition(".")[0] for path in folder.glob("*.jsonl")}
    seen: dict[str, dict[int, str]] = {name: {} for name in chains}
    for name in sorted(chains):
        wrong += _check(folder / f"{name}.jsonl", seen[name])
    if second is None:
        unknown = "whether the newest lines were cut off, a whole chain removed, or all of it written again"
        return wrong, [f"{unknown}: the policy names no second place"]
    notes: dict[str, list[tuple[int, str]]] = {}
    for text in second:
        if match := _NOTE.search(text):
            notes.setdefault(match[1], []).append((int(match[2]), match[3]))
    for name in sorted({*chains, *notes}):
        wrong += _compare(name, seen.get(name, {}), notes.get(name, []))
    return wrong, ["calls of a copy of fanout that was changed not to write"]


def _check(path: Path, seen: dict[int, str]) -> Iterator[str]:
    before = _Last()
    for part in [*_rotated(path), *([path] if path.exists() else [])]:
        data = part.read_bytes()
        if data and not data.endswith(b"\n"):
            yield f"{part.name}: its last line is torn"
        for row, text in enumerate(data.split(b"\n")[: data.count(b"\n")], 1):
            try:
                line = json.loads(text)
                n, prev = int(line["n"]), line["prev"]
            except (ValueError, TypeError, KeyError, RecursionError):
                yield f"{part.name}: row {row} is not a line of the log"
                continue
            if (n, prev) != (before.n + 1, before.hash):
                gap = (
                    f"line {before.n + 1} was expected" if n != before.n + 1 else "the line before it changed"
                )
                yield f"{part.name}: row {row} (line {n}) breaks the chain: {gap}"
            before = _Last(n, hashlib.sha256(text).hexdigest())
            seen[n] = before.hash


def _compare(name: str, seen: Mapping[int, str], notes: list[tuple[int, str]]) -> Iterator[str]:
    noted = dict(notes)
    if len(noted) != len(notes):
        twice = sorted(n for n, count in Counter(n for n, _ in notes).items() if count > 1)
        yield f"{name}: line {twice[0]} was written more than once: the chain began again"
    if missing := sorted(noted.keys() - seen.keys()):
        yield f"{name}: {len(missing)} lines from line {missing[0]} on are gone; the second place has them"
    if changed := sorted(n for n, hash_ in noted.items() if seen.get(n, hash_) != hash_):
        yield f"{name}: line {changed[0]} is not the one that was written"
    if noted and (added := sorted(n for n in seen if n not in noted and n > min(noted))):
        yield f"{name}: line {added[0]} is not in the second place"
