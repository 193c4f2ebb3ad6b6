"""The governor: counts the agents that run, in this session and in all sessions of this user, and caps them.

One ledger for all sessions, in the user's state folder: a line per launch of the last hour or that still
runs. A launch begins when a call is let through, and ends with the call's result, with the stop of the agent
that it left in the background, with the message that it was sent in (a call that another hook denied never
ran), or with its client's process.

By default it warns from 20 at once and denies nothing. Caps are the user's own, in config.toml or for one
session in the environment; a project can't set them. A call over a cap is denied with what may go now, and is
judged again when it is sent again. A call that has started is never denied: only PreToolUse has a say.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from fanout_hooks.client import files

WARN_AT = 20
"""Claude Code's own cap of one session (CLAUDE_CODE_MAX_CONCURRENT_SUBAGENTS): beyond it sessions add up."""
HOUR_S = 3600.0
MAX_RUN_S = 6 * HOUR_S
"""A background agent whose end was never seen counts no longer than this."""
MAX_LAUNCHES = 5000
MAX_STOPPED = 100
MAX_BYTES = 4 << 20
FILE = "launches"


class Caps(NamedTuple):
    """How many agents the user allows; 0: no cap."""

    at_once: int = 0
    at_once_session: int = 0
    per_hour: int = 0
    per_hour_session: int = 0
    warn_at: int = WARN_AT
    """Warn when so many run at once in all sessions; 0 never warns."""
    by: str = "the user"
    """Who set them."""


KEYS: dict[str, str] = {
    "at_once": "agents_at_once",
    "at_once_session": "agents_at_once_session",
    "per_hour": "agents_per_hour",
    "per_hour_session": "agents_per_hour_session",
    "warn_at": "agents_warn_at",
}
"""Field of `Caps` to key in config.toml; in the environment FANOUT_ and the key in capitals."""


class Launch(NamedTuple):
    session: str
    scope: str
    """"main", or the sub-agent that sent it."""
    id: str
    key: str
    """The same for the same task."""
    name: str
    began: float
    pid: str = ""
    """The client's process, "" where it isn't known."""
    agent: str = ""
    """Of a call that left its agent in the background."""
    ended: bool = False


class Ledger(NamedTuple):
    launches: tuple[Launch, ...] = ()
    stopped: tuple[str, ...] = ()
    """Agents that stopped before it was seen which call launched them."""


class Ruling(NamedTuple):
    """What to do with a call: `denial` for the model when it is over a cap, else `warning` and `twice`."""

    denial: str = ""
    why: str = ""
    """The denial in a few words, for the log."""
    warning: str = ""
    """For the person."""
    twice: str = ""
    """For the model: the same task runs already."""


# --- rules -------------------------------------------------------------------------------------------------


def launched(ledger: Ledger, call: Launch, caps: Caps) -> tuple[Ledger, Ruling]:
    """Count a call that is about to start, or say why it may not. `call.began` is the time now."""
    if any(own.id == call.id and own.session == call.session for own in ledger.launches):
        return ledger, Ruling()  # it has started
    now = call.began
    running = [own for own in ledger.launches if not own.ended]
    recent = [own for own in ledger.launches if now - own.began < HOUR_S]
    for limit, counted, words, per_hour in _limits(caps, running, recent, call.session):
        if limit and len(counted) >= limit:
            mine = sum(own.session == call.session for own in counted)
            why = f"{len(counted)} agents {words} ({mine} of this session), and the cap is {limit}"
            return ledger, Ruling(_denial(call, why, limit, counted, now, caps.by, per_hour=per_hour), why)
    after = ledger._replace(launches=(*ledger.launches, call)[-MAX_LAUNCHES:])
    return after, Ruling(warning=_warning(caps, [*running, call]), twice=_twice(call, running))


def _limits(
    caps: Caps, running: list[Launch], recent: list[Launch], session: str
) -> Iterable[tuple[int, list[Launch], str, bool]]:
    own_running, own_recent = ([one for one in some if one.session == session] for some in (running, recent))
    yield caps.at_once, running, "are running", False
    yield caps.at_once_session, own_running, "are running", False
    yield caps.per_hour, recent, "were started within an hour", True
    yield caps.per_hour_session, own_recent, "were started within an hour", True


def _denial(
    call: Launch, why: str, limit: int, counted: list[Launch], now: float, by: str, *, per_hour: bool
) -> str:
    if per_hour:
        minutes = max(1, round((min(own.began for own in counted) + HOUR_S - now) / 60))
        when = f"The next one may start in {minutes} min"
    else:
        when = "The rest are to follow when some have ended"
    return (
        f'fanout governor: "{call.name}" was not started: {why} (set by {by}). 0 more may go now; those '
        f"that have started run on. {when}: then send this call again, unchanged, at most {limit} at once. "
        "It is judged again each time. Don't do its work in another way to get around the cap."
    )


def _warning(caps: Caps, running: list[Launch]) -> str:
    """Return a warning at the threshold and at each doubling of it: one a call would be noise."""
    at, count = caps.warn_at, len(running)
    while at and at < count:
        at *= 2
    if not at or at != count:
        return ""
    sessions = len({own.session for own in running})
    where = "this session" if sessions == 1 else f"{sessions} sessions"
    return (
        f"fanout: {count} agents are running at once in {where}. A cap is yours to set: "
        f"{KEYS['at_once']} = {count} in ~/.config/fanout/config.toml."
    )


def _twice(call: Launch, running: list[Launch]) -> str:
    same = next((own for own in reversed(running) if call.key and own.key == call.key), None)
    if same is None:
        return ""
    where = "in this session" if same.session == call.session else "in another session of this user"
    ago = max(0, round(call.began - same.began))
    return (
        f'fanout governor: the same task as "{call.name}" is already running {where}, launched {ago} s ago.'
    )


def ended(ledger: Ledger, event: dict[str, Any], is_machine: Callable[[str], bool]) -> Ledger:
    """Return the ledger with the launches ended that an event says have ended."""
    session, scope = str(event.get("session_id", "")), str(event.get("agent_id") or "main")
    name, use = event.get("hook_event_name"), str(event.get("tool_use_id", ""))
    response = event.get("tool_response")
    fields: dict[str, Any] = response if isinstance(response, dict) else {}
    left = fields.get("status") == "async_launched" or fields.get("isAsync") is True
    agent = str(fields.get("agentId", "")) if left else ""
    stops = name == "SubagentStop"
    new_prompt = name == "UserPromptSubmit" and not is_machine(str(event.get("prompt", "")))

    background = {
        own.agent for own in ledger.launches if own.session == session and own.agent and not own.ended
    }

    def after(own: Launch) -> Launch:
        if own.ended or own.session != session:
            return own
        if stops:
            return own._replace(ended=own.agent == scope or (own.scope == scope and not own.agent))
        if use and own.id == use and name in ("PostToolUse", "PostToolUseFailure"):
            return own._replace(agent=agent, ended=not agent or agent in ledger.stopped)
        # A message waits for its agents; at a prompt, only what the background launched still runs.
        over = own.scope == scope if name == "PostToolBatch" else new_prompt and own.scope not in background
        return own._replace(ended=True) if over and not own.agent else own

    is_unknown = stops and not any(own.agent == scope and own.session == session for own in ledger.launches)
    stopped = (*ledger.stopped, scope)[-MAX_STOPPED:] if is_unknown else ledger.stopped
    return Ledger(tuple(map(after, ledger.launches)), stopped)


def pruned(ledger: Ledger, now: float, is_alive: Callable[[str], bool] = files.is_running) -> Ledger:
    """Forget what ended over an hour ago; what a dead client left counts as ended."""

    def after(own: Launch) -> Launch:
        runs = not own.ended and now - own.began <= MAX_RUN_S and (not own.pid or is_alive(own.pid))
        return own if runs or own.ended else own._replace(ended=True)

    kept = (own for own in map(after, ledger.launches) if not own.ended or now - own.began < HOUR_S)
    return ledger._replace(launches=tuple(kept))


# --- reading and writing -----------------------------------------------------------------------------------


def caps_of(env: dict[str, str], value_of: Callable[[str], str], problems: list[str]) -> Caps:
    """Read the caps: the environment first, then the user's config.toml, by `value_of(key)`."""
    found: dict[str, Any] = {}
    for field, key in KEYS.items():
        word = env.get(f"FANOUT_{key.upper()}") or value_of(key)
        if word and not (word.isascii() and word.isdigit() and len(word) < 10):
            problems.append(f'reads "{word}" for {key}, which must be a whole number; it counts as not set')
        elif word:
            found[field] = int(word)
    return Caps(**found)


def bounded(caps: Caps, company: object) -> Caps:
    """Return caps that are at most the company's, by key as in config.toml."""
    for field, key in KEYS.items():
        most = company.get(key) if isinstance(company, dict) else None
        if not isinstance(most, int) or isinstance(most, bool) or most <= 0:
            continue
        if not 0 < getattr(caps, field) <= most:
            changed: dict[str, Any] = {field: most, "by": "the company's policy"}
            caps = caps._replace(**changed)
    return caps


def read(path: str) -> Ledger:
    """Read the ledger; one that is missing or damaged is empty. Raises OSError."""
    try:
        return parsed(files.read(path, MAX_BYTES))
    except FileNotFoundError:
        return Ledger()


def parsed(raw: bytes) -> Ledger:
    try:
        data = json.loads(raw)
        return Ledger(tuple(map(_launch, data["launches"])), tuple(map(str, data["stopped"])))
    except (ValueError, TypeError, KeyError, RecursionError):
        return Ledger()


def _launch(own: list[Any]) -> Launch:
    session, scope, use, key, name, began, pid, agent, has_ended = own
    texts = (str(session), str(scope), str(use), str(key), str(name))
    return Launch(*texts, float(began), str(pid or ""), str(agent), has_ended is True)


def write(path: str, ledger: Ledger) -> None:
    """Replace the ledger. Raises OSError."""
    data = {"launches": ledger.launches, "stopped": ledger.stopped}
    files.replace(path, json.dumps(data, ensure_ascii=True, separators=(",", ":")).encode())
