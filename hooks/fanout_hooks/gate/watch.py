"""Runs the sequential-agent gate on one event: decides, and lets a lone call wait for siblings.

The decision is gate.py's, pure; the history is state.py's. What is here is the waiting, for siblings and
for the lock, in the caller's loop: other events go on meanwhile, and one of them may be the sibling.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from fanout_hooks.client import files
from fanout_hooks.client.home import state_folder
from fanout_hooks.gate import gate, governor, state
from fanout_hooks.gate.gate import MODES, Mode
from fanout_hooks.run import claims
from fanout_hooks.run.decide import Opinion
from fanout_hooks.warm.loop import Loop

# --- Which mode the gate is in for one event, in this order -------------------------------------------------
#     /etc/fanout/policy.json                  what `fanout policy write-json` wrote there, as root's
#     FANOUT_GATE                              for this session
#     <project>/.claude/fanout/config.json     {"gate": "strict"}; a project may say this and nothing else
#     ~/.config/fanout/config.toml             gate = "warn"
#     the settings entry                       what the install wrote, else smart
#
# What can't be read or isn't a mode is passed over, and reported once a session (watch.py): a typo must
# neither block nor switch off.

DEFAULT: Mode = "smart"
MAX_BYTES = 64 << 10
POLICY = "/etc/fanout/policy.json"
POLICY_OWNER = 0
TABLE = re.compile(r"^[ \t]{0,99}\[", re.MULTILINE)


class Chosen(NamedTuple):
    mode: Mode
    remind: bool = False
    """The user wants the reminder (watch.py)."""
    problem: str = ""
    caps: governor.Caps = governor.Caps()


def choose(event: dict[str, Any], env: dict[str, str], entry: str) -> Chosen:
    """Return the mode for an event, and what was wrong on the way to it."""
    project = env.get("CLAUDE_PROJECT_DIR") or str(event.get("cwd") or "")
    problems: list[str] = []
    base = env.get("XDG_CONFIG_HOME") or os.path.join(env.get("HOME") or os.path.expanduser("~"), ".config")
    user = os.path.join(base, "fanout", "config.toml")
    own = _read(user, problems, follow=True)
    company = _of_company(problems)
    places = (
        (POLICY, str(company.get("gate") or "")),
        ("FANOUT_GATE", env.get("FANOUT_GATE")),
        (os.path.join(project, ".claude", "fanout", "config.json"), _of_project(project, problems)),
        (user, toml_value(own, "gate")),
        ("the settings entry", entry),
    )
    remind = toml_value(own, "gate_reminder") == "true"
    caps = governor.bounded(
        governor.caps_of(env, lambda key: toml_value(own, key), problems), company.get("governor")
    )
    for where, word in places:
        if not word or word == "on":
            continue
        if mode := next((one for one in MODES if one == word), None):
            return Chosen(mode, remind, "; ".join(problems), caps)
        problems.append(f'reads "{word}" in {where}, which is not a mode: there are {", ".join(MODES)}')
    return Chosen(DEFAULT, remind, "; ".join(problems), caps)


def _of_company(problems: list[str]) -> dict[str, Any]:
    """Return what the company's policy says to hooks; where it has no valid copy, the gate is strict."""
    try:
        fd = os.open(POLICY, files.FLAGS)
    except FileNotFoundError:
        if not os.path.lexists(POLICY[: -len("json")] + "toml"):
            return {}
        problems.append(f"finds no {POLICY} beside the policy: sudo fanout policy write-json")
        return {"gate": "strict"}
    except OSError as error:
        problems.append(f"can't read {POLICY}: {error.strerror}")
        return {"gate": "strict"}
    with os.fdopen(fd, "rb") as file:
        for status in (os.fstat(fd), os.stat(os.path.dirname(POLICY))):
            if status.st_uid != POLICY_OWNER or status.st_mode & 0o022:
                problems.append(
                    f"can't trust {POLICY}: it and its folder must be root's, writable by root alone"
                )
                return {"gate": "strict"}
        try:
            data = json.loads(file.read(MAX_BYTES))
        except (OSError, ValueError, RecursionError):
            data = None
    if isinstance(data, dict) and data.get("gate") in ("", *MODES):
        return data
    problems.append(f"can't read {POLICY}: sudo fanout policy write-json")
    return {"gate": "strict"}


def toml_value(text: str, name: str) -> str:
    """Return a top-level key's text or bare word. tomllib would cost 8 ms for it, at every cold event."""
    top = TABLE.split(text, maxsplit=1)[0]
    match = re.search(rf"""^[ \t]*{name}\s*=\s*(?:"([^"\n]*)"|'([^'\n]*)'|(\w+))""", top, re.MULTILINE)
    return next((group for group in match.groups() if group), "") if match else ""


def _of_project(project: str, problems: list[str]) -> str:
    path = os.path.join(project, ".claude", "fanout", "config.json")
    text = _read(path, problems)
    if not text:
        return ""
    try:
        data = json.loads(text)
        return str(data.get("gate") or "")
    except (ValueError, AttributeError, RecursionError):
        problems.append(f"can't read {path}: it must hold one JSON object")
        return ""


def _read(path: str, problems: list[str], *, follow: bool = False) -> str:
    """Return a small file's text, "" where there is none or it can't be read."""
    try:
        return files.read(path, MAX_BYTES, follow=follow).decode("utf-8", "replace")
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError as error:
        problems.append(f"can't read {path}: {error.strerror}")
        return ""


# --- Deciding and waiting -----------------------------------------------------------------------------------

NAME = "fanout gate"
LOOK_S = 0.01
LOCK_LOOK_S = 0.002
LOCK_WAIT_S = 2.0
"""A decision holds the lock for about a millisecond; longer means a stopped process."""
T = TypeVar("T")


async def opinion(loop: Loop, event: dict[str, Any], env: dict[str, str], entry: str) -> Opinion:
    """Return the gate's opinion; `entry` is the mode that the settings entry says."""
    if not gate.concerns(event):
        return Opinion(NAME)
    chosen, is_prompt = choose(event, env, entry), event["hook_event_name"] == "UserPromptSubmit"
    message = _unreported(chosen.problem, event, env) if is_prompt else ""
    reminder = for_prompt(str(event.get("prompt", ""))) if chosen.remind and is_prompt else ""
    if chosen.mode == "off":
        return Opinion(NAME, context=reminder, message=message)
    try:
        done, ruling = await _decided(loop, event, env, chosen.mode), governor.Ruling()
        if done.verdict.kind != "deny":
            ruling = await _governed(loop, event, env, chosen.caps)
    except state.Unusable as trouble:
        # For the log alone: as a message it would come with every event of the session.
        note = {"verdict": "skipped", "why": str(trouble)}
        return Opinion(NAME, context=reminder, message=message, note=note)
    except Exception as error:  # noqa: BLE001 - a defect of the gate must not cost what the hooks said
        from fanout_hooks.crash import explain_alike

        note = {"verdict": "skipped", "why": explain_alike("the gate", error, env)}
        return Opinion(NAME, context=reminder, message=message, note=note)
    verdict = done.verdict
    message = "\n".join(filter(None, (message, _message(done.note), ruling.warning)))
    if ruling.denial:
        note = {"verdict": "held", "why": ruling.why, "call": gate.call_of(event).name}
        return Opinion(NAME, "deny", ruling.denial, message=message, note=note)
    if verdict.kind == "deny":
        return Opinion(NAME, "deny", verdict.text, message=message, note=verdict.note)
    context = "\n".join(filter(None, (verdict.text if verdict.kind == "context" else reminder, ruling.twice)))
    return Opinion(NAME, context=context, message=message, note=verdict.note)


def _unreported(problem: str, event: dict[str, Any], env: dict[str, str]) -> str:
    """Return the message about a problem that wasn't reported in this session yet."""
    session = str(event.get("session_id", ""))
    is_new = bool(problem) and claims.report_once(claims.folder(state_folder(env)), session, problem)
    return _message(problem) if is_new else ""


def _message(problem: str) -> str:
    return f"fanout: the gate {problem}" if problem else ""


async def _decided(loop: Loop, event: dict[str, Any], env: dict[str, str], mode: gate.Mode) -> state.Done:
    where, session = state.folder(env), str(event.get("session_id", ""))
    event = _with_launcher(event)
    done = await _locked(
        loop, lambda: state.attempt(where, session, lambda old: gate.decide(old, event, mode))
    )
    if done.verdict.kind != "wait":
        return done
    until = time.monotonic() + gate.SIBLING_WAIT_S
    while time.monotonic() < until and not gate.is_settled(state.peek(where, session), event):
        await loop.sleep(LOOK_S)
    settled = await _locked(
        loop, lambda: state.attempt(where, session, lambda old: gate.settle(old, event, mode))
    )
    return settled._replace(note=done.note or settled.note)


async def _locked(loop: Loop, attempt: Callable[[], T | None]) -> T:
    """Try until no other process holds the lock. Raises state.Unusable."""
    until = time.monotonic() + LOCK_WAIT_S
    while (done := attempt()) is None:
        if time.monotonic() > until:
            raise state.Unusable("another process has held the gate's lock for too long")
        await loop.sleep(LOCK_LOOK_S)
    return done


async def _governed(
    loop: Loop, event: dict[str, Any], env: dict[str, str], caps: governor.Caps
) -> governor.Ruling:
    """Count a call that is about to start, or what has ended. Raises state.Unusable."""
    where, session, now = state.folder(env), str(event.get("session_id", "")), time.time()
    starts = event["hook_event_name"] == "PreToolUse"
    if not starts and not state.has_launches(where, session):
        return governor.Ruling()

    def step(ledger: governor.Ledger) -> tuple[governor.Ledger, governor.Ruling]:
        if not starts:
            return governor.ended(ledger, event, gate.is_machine), governor.Ruling()
        call, pid = gate.call_of(event), env.get("CLAUDE_PID", "")
        task = files.digest(call.key).hex()
        launch = governor.Launch(
            *(session, str(event.get("agent_id") or "main"), call.id, task, call.name, now),
            pid if files.is_running(pid) else "",
        )
        return governor.launched(governor.pruned(ledger, now), launch, caps)

    ruling = await _locked(loop, lambda: state.count(where, step))
    if ruling.denial:
        await _locked(
            loop, lambda: state.attempt(where, session, lambda old: (gate.hold(old, event), gate.PASS))
        )
    return ruling


def _with_launcher(event: dict[str, Any]) -> dict[str, Any]:
    """Add which call launched the sub-agent of the event: the client keeps it beside its transcript."""
    agent = str(event.get("agent_id") or "")
    if event.get("hook_event_name") != "PreToolUse" or not agent or os.path.basename(agent) != agent:
        return event
    base = str(event.get("transcript_path") or "").removesuffix(".jsonl")
    try:
        with open(os.path.join(base, "subagents", f"agent-{agent}.meta.json"), "rb") as file:
            meta = json.loads(file.read(1 << 16))
        return event | {"launched_by": str(meta["toolUseId"])}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return event  # it only means that less is known of the sub-agent's own prompt


# --- The reminder: a line of context for a prompt that looks like work for several agents -------------------
# Off unless `gate_reminder = true` is in the user's config.toml. It comes only when the prompt itself counts
# or lists several things, or says that it wants the whole of something.

TEXT = (
    "fanout: this looks like work for several agents. If its parts don't need one another, send all "
    "Agent calls in ONE message (3 to 6, each with its own files and 50 to 200 words back), or use "
    "explore_modules, summarize_files or batch_review in one call."
)
LOOKS_LARGE = re.compile(
    r"\b(?:all|every|each|both|several|various|multiple|many|(?:two|three|four|five|six|seven|eight|nine|ten|\d+))\s+"
    r"(?:of\s+)?(?:the\s+|our\s+)?(?:\w+\s+)?(?:modules?|packages?|services?|files|folders|directories|components?|"
    r"endpoints?|repositories|repos|agents|areas|layers|subsystems?|plugins?|crates|apps?)\b|"
    r"\b(?:whole|entire|full)\s+(?:code\s?base|repository|repo|project|application|system)\b|\bin\s+parallel\b|"
    r"\bcodebase[\s-]wide\b|\bacross\s+the\s+(?:code\s?base|repository|repo|project)\b",
    re.IGNORECASE,
)
WORK = re.compile(
    r"\b(?:explore|explain|review|audit|analy[sz]e|summari[sz]e|document|investigate|understand|map|survey|compare|"
    r"research|check|inspect|test|refactor|migrate|update|find|describe|assess|look)\b",
    re.IGNORECASE,
)
LISTED = re.compile(r"^[ \t]{0,99}(?:[-*•]|\d{1,4}[.)])[ \t]{1,99}\S", re.MULTILINE)
PATHS = re.compile(r"(?<![\w/.-])[\w.-]+(?:/[\w.-]+)+")
FROM = 3


def for_prompt(prompt: str) -> str:
    """Return the reminder when the prompt looks like work for several agents, else ""."""
    if prompt.lstrip().startswith(("/", "<")) or not WORK.search(prompt):
        return ""
    several = len(LISTED.findall(prompt)) >= FROM or len(set(PATHS.findall(prompt))) >= FROM
    return TEXT if several or LOOKS_LARGE.search(prompt) else ""
