"""What ran one after another and needn't have: agents, read-only calls, hooks that are slow, hooks that race.

Each observation names its place, the time (measured, or estimated: it says which), and what to do.
Sequential agents are judged by the gate's own rules (gate.py, depend.py), replayed over the transcript: the
audit and the gate never disagree.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any, Literal, NamedTuple

from fanout_hooks import gate
from fanout_hooks.gate import AGENT_TOOLS
from fanout_hooks.gate_history import History
from fanout_hooks.transcript import HookRun, Message, Prompt, Transcript, Use

Kind = Literal["sequential agents", "sequential calls", "slow hook", "racing hooks"]
READ_ONLY = frozenset({"Glob", "Grep", "LS", "NotebookRead", "Read", "WebFetch", "WebSearch"})
LEAST_RUN = 3
"""Two lone calls in a row may be chance; from three on it is a habit that costs."""
SLOW_MS = 100.0
"""A hook on every tool call that takes longer is felt."""
LEAST_RUNS = 3


AGENT_ID = re.compile(r"<task-id>([^<]+)</task-id>")


class Observation(NamedTuple):
    """One thing that could be faster or safer."""

    kind: Kind
    place: str
    """`file:line`."""
    what: str
    seconds: float
    """What it cost, or may cost."""
    measured: bool
    """False: estimated; `basis` says from what."""
    basis: str
    advice: str


def audit_transcript(transcript: Transcript) -> list[Observation]:
    """Look for agents and read-only calls that ran one after another without need."""
    return [*_sequential_agents(transcript), *_sequential_calls(transcript)]


def audit_hook_runs(transcripts: Iterable[Transcript]) -> list[Observation]:
    """Look for slow hooks among those that left a line (the silent ones leave none)."""
    runs: dict[tuple[str, str], list[tuple[HookRun, str]]] = {}
    for transcript in transcripts:
        for run in transcript.hooks:
            runs.setdefault((run.name, run.command), []).append((run, transcript.path))
    return [found for group in runs.values() for found in _slow(group)]


def audit_settings(path: str, settings: dict[str, Any], root: str) -> list[Observation]:
    """Look for hooks of one event that read and write the same file: natively they run at once and race."""
    found = []
    for event, hooks in _command_hooks(settings):
        touched = [(hook, _touches(hook, root)) for hook in hooks]
        for file in sorted({name for _, (reads, writes) in touched for name in reads | writes}):
            writers = sorted(_name(hook) for hook, (_, writes) in touched if file in writes)
            readers = sorted(_name(hook) for hook, (reads, _) in touched if file in reads)
            if writers and len({*writers, *readers}) > 1:
                found.append(_race(path, event, file, writers, readers))
    return found


# --- agents ------------------------------------------------------------------------------------------------


def _sequential_agents(transcript: Transcript) -> Iterator[Observation]:
    """Replay the conversation as hook events: what the gate would have sent back is found."""
    history, earlier = History(), None
    ends = _background_ends(transcript)
    for entry in transcript.entries:
        if isinstance(entry, Prompt):
            history = _on_prompt(history, entry)
            continue
        agents = [use for use in entry.uses if use.tool in AGENT_TOOLS]
        if len(agents) == 1:
            event = _event(agents[0])
            history, verdict = gate.decide(history, event, "smart")
            if verdict.kind == "wait":
                denied, _ = gate.settle(history, event, "smart")
                if earlier is not None:
                    yield _agents_in_sequence(transcript.path, earlier, agents[0], ends)
                history = _as_launched(denied, agents[0])
        else:
            for use in agents:
                history, _ = gate.decide(history, _event(use), "smart")
        for use in agents:
            history = _step(history, "PostToolUse", **_fields(use), tool_response=_whole(use))
        calls = [{**_fields(use), "tool_response": use.text} for use in entry.uses]
        history = _step(history, "PostToolBatch", tool_calls=calls)
        earlier = agents[0] if len(agents) == 1 else (None if agents else earlier)


def _on_prompt(history: History, prompt: Prompt) -> History:
    """A notification tells that a background agent has stopped; a person's prompt starts anew."""
    for agent in AGENT_ID.findall(prompt.text if prompt.text.startswith(gate.MACHINE_TURN) else ""):
        history = _step(history, "SubagentStop", agent_id=agent, last_assistant_message=prompt.text)
    return _step(history, "UserPromptSubmit", prompt=prompt.text)


def _background_ends(transcript: Transcript) -> dict[str, float]:
    """When each background agent was reported as done."""
    prompts = [entry for entry in transcript.entries if isinstance(entry, Prompt)]
    return {
        agent: prompt.at
        for prompt in prompts
        if prompt.text.startswith(gate.MACHINE_TURN)
        for agent in AGENT_ID.findall(prompt.text)
    }


def _as_launched(history: History, use: Use) -> History:
    """Take back the denial: in this conversation the agent did run."""
    scope = history.scopes["main"]
    opened = tuple(call._replace(denied=False) if call.id == use.id else call for call in scope.open)
    return history._replace(scopes={**history.scopes, "main": scope._replace(open=opened)})


def _agents_in_sequence(path: str, earlier: Use, later: Use, ends: dict[str, float]) -> Observation:
    spans = [span for span in (_span(earlier, ends), _span(later, ends)) if span > 0]
    return Observation(
        "sequential agents",
        f"{path}:{later.line}",
        f'"{_title(later)}" ran alone after "{_title(earlier)}" (line {earlier.line}), not depending on it',
        min(spans) if len(spans) == 2 else 0.0,
        measured=False,
        basis="the shorter of the two measured runs: together they take as long as the longer",
        advice="Send independent agents in one message, side by side.",
    )


def _whole(use: Use) -> dict[str, Any]:
    response = use.response if isinstance(use.response, dict) else {}
    return response or {"status": "completed", "content": use.text}


def _step(history: History, name: str, **fields: Any) -> History:
    return gate.decide(history, {"hook_event_name": name, **fields}, "smart")[0]


def _event(use: Use) -> dict[str, Any]:
    return {"hook_event_name": "PreToolUse", **_fields(use)}


def _fields(use: Use) -> dict[str, Any]:
    return {"tool_name": use.tool, "tool_use_id": use.id, "tool_input": use.input}


# --- read-only calls ---------------------------------------------------------------------------------------


def _sequential_calls(transcript: Transcript) -> Iterator[Observation]:
    run: list[Message] = []
    known = ""
    for entry in (*transcript.entries, Prompt("", 0, 0)):
        if isinstance(entry, Message) and _is_lone_read(entry) and not _needs(entry.uses[0], run, known):
            run.append(entry)
            continue
        if len(run) >= LEAST_RUN:
            yield _calls_in_sequence(transcript.path, run)
        known += "\n".join([entry.text] if isinstance(entry, Prompt) else [use.text for use in entry.uses])
        known += "\n".join(message.uses[0].text for message in run)
        run = [entry] if isinstance(entry, Message) and _is_lone_read(entry) else []


def _is_lone_read(message: Message) -> bool:
    return len(message.uses) == 1 and message.uses[0].tool in READ_ONLY


def _needs(use: Use, run: list[Message], known: str) -> bool:
    """Say whether a call names what only the calls of this run have shown: then it had to wait for them."""
    shown = "\n".join(message.uses[0].text for message in run).casefold()
    before = known.casefold()
    names = [str(value) for value in use.input.values() if isinstance(value, str) and value]
    names += [os.path.basename(name) for name in names if "/" in name]
    return any(name.casefold() in shown and name.casefold() not in before for name in names)


def _calls_in_sequence(path: str, run: list[Message]) -> Observation:
    gaps = [max(0.0, later.at - earlier.uses[0].ended) for earlier, later in pairwise(run)]
    tools = ", ".join(sorted({message.uses[0].tool for message in run}))
    return Observation(
        "sequential calls",
        f"{path}:{run[0].line}",
        f"{len(run)} read-only calls ({tools}) in {len(run)} messages, none needing the one before",
        sum(gaps),
        measured=True,
        basis="the model's turns between them",
        advice="Send independent reads in one message; for whole files or modules use summarize_files.",
    )


# --- hooks -------------------------------------------------------------------------------------------------


def _slow(group: list[tuple[HookRun, str]]) -> Iterator[Observation]:
    times = sorted(run.ms for run, _ in group)
    median = times[len(times) // 2]
    if len(times) >= LEAST_RUNS and median >= SLOW_MS:
        run, path = group[0]
        yield Observation(
            "slow hook",
            f"{path}:{run.line}",
            f"{run.name}: {_shorten(run.command)} takes {median:.0f} ms (median of {len(times)} with output)",
            sum(times) / 1000,
            measured=True,
            basis="durationMs in the transcript",
            advice="Adopt it with fanout-hooks (no interpreter start), split it, or make it async.",
        )


def _race(path: str, event: str, file: str, writers: list[str], readers: list[str]) -> Observation:
    who = sorted({*writers, *readers})
    return Observation(
        "racing hooks",
        f"{path}:{_line_of(path, who[0])}",
        f"{event}: {', '.join(who)} touch {file} at the same time ({', '.join(writers)} write it)",
        0.0,
        measured=False,
        basis="file names in the hooks' source text",
        advice="Adopt them with fanout-hooks: it orders hooks that touch the same file, across events too.",
    )


FILE_NAME = re.compile(
    r"""["']([\w.~/-]*[\w-]+\.(?:json|jsonl|txt|log|db|sqlite|csv|md|lock|yaml|toml))["']"""
)
WRITES = re.compile(
    r"write_text|write_bytes|json\.dump\(|os\.replace|os\.rename|os\.write|\.write\(|O_WRONLY|O_APPEND|"
    r"""open\([^)\n]*["'][wax]b?\+?["']|>>|\btee\b|sqlite3\.connect"""
)


def _touches(hook: dict[str, Any], root: str) -> tuple[frozenset[str], frozenset[str]]:
    """Return the file names that stand in a hook's source, as read and as written. A hint, no proof."""
    text = _source(hook, root)
    names = frozenset(os.path.basename(name) for name in FILE_NAME.findall(text))
    return names, names if WRITES.search(text) else frozenset()


def _source(hook: dict[str, Any], root: str) -> str:
    script = _script(hook, root)
    try:
        with open(script, encoding="utf-8", errors="replace") as file:
            return file.read(1 << 20)
    except OSError:
        return ""


def _script(hook: dict[str, Any], root: str) -> str:
    words = _words(hook)
    for word in words:
        path = word.replace("${CLAUDE_PROJECT_DIR}", root).replace("$CLAUDE_PROJECT_DIR", root)
        path = os.path.join(root, os.path.expanduser(path))
        if os.path.splitext(path)[1] and os.path.isfile(path):
            return path
    return ""


def _words(hook: dict[str, Any]) -> list[str]:
    args = hook.get("args")
    if isinstance(args, list):
        return [str(hook.get("command", "")), *map(str, args)]
    try:
        return shlex.split(str(hook.get("command", "")))
    except ValueError:
        return str(hook.get("command", "")).split()


def _name(hook: dict[str, Any]) -> str:
    with_ending = [word for word in _words(hook) if os.path.splitext(word)[1]]
    return os.path.basename(with_ending[0]) if with_ending else _shorten(str(hook.get("command", "")))


def _command_hooks(settings: dict[str, Any]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    events = settings.get("hooks")
    for event, groups in events.items() if isinstance(events, dict) else ():
        hooks = [
            hook
            for group in (groups if isinstance(groups, list) else [])
            if isinstance(group, dict)
            for hook in group.get("hooks") or []
            if isinstance(hook, dict) and hook.get("type") == "command"
        ]
        yield str(event), hooks


def _line_of(path: str, word: str) -> int:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return next((number for number, line in enumerate(file, 1) if word in line), 1)
    except OSError:
        return 1


def _title(use: Use) -> str:
    return _shorten(str(use.input.get("description") or use.input.get("prompt") or use.tool))


def _span(use: Use, ends: dict[str, float]) -> float:
    agent = str(use.response.get("agentId", "")) if isinstance(use.response, dict) else ""
    ended = ends.get(agent, 0.0) if _whole(use).get("isAsync") else use.ended
    return max(0.0, ended - use.started)


def _shorten(text: str) -> str:
    one_line = " ".join(text.split())
    return one_line if len(one_line) <= 70 else one_line[:69] + "…"


def to_json(observations: Iterable[Observation]) -> str:
    return json.dumps([found._asdict() for found in observations], ensure_ascii=False, indent=2)
