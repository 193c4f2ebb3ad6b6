"""Find agents and reads that ran one after another without need, and hooks that are slow or race.

The audit and the gate never disagree: what the gate would have sent back is found, nothing else. A race is
taken from what hooks were seen to read and write while fanout ran them, never from their source text: a hook
that was not watched yet, or whose script changed since, is in no race.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterable, Iterator
from itertools import combinations, pairwise
from typing import Any, Literal, NamedTuple

from fanout_hooks.adoption import adopt, entries, native
from fanout_hooks.client import config, files, matchers
from fanout_hooks.client.home import state_folder
from fanout_hooks.client.settings import Refused, read
from fanout_hooks.client.transcripts import Message, Prompt, Transcript, Use
from fanout_hooks.gate import gate
from fanout_hooks.gate.gate import AGENT_TOOLS, History
from fanout_hooks.learn import memory
from fanout_hooks.learn.memory import Memory
from fanout_hooks.log import daily
from fanout_hooks.log.tally import Digest, Tally

# --- An observation, with its place, the time it costs, and what to do --------------------------------------

Kind = Literal["sequential agents", "prevented sequences", "sequential calls", "slow hook", "racing hooks"]


class Observation(NamedTuple):
    kind: Kind
    place: str
    """`file:line`."""
    what: str
    seconds: float
    """What it cost, or may cost; 0 when that can't be known."""
    measured: bool
    """False: estimated; `basis` says from what."""
    basis: str
    advice: str


TEXTS: dict[Kind, tuple[bool, str, str]] = {
    "sequential agents": (
        False,
        "the shorter of the two measured runs",
        "Send independent agents in one message, side by side.",
    ),
    "prevented sequences": (False, "it did not run", "Nothing to do: this is what the gate is for."),
    "sequential calls": (
        True,
        "the model's turns between them",
        "Send independent reads in one message; for whole files or modules use summarize_files.",
    ),
    "racing hooks": (
        False,
        "seen while they ran",
        "Adopt them (fanout-hooks adopt): hooks that touch one file then take turns. Or lock the file.",
    ),
}
"""Whether the time is measured, what it is taken from, and what to do."""


def observed(kind: Kind, place: str, what: str, seconds: float = 0.0) -> Observation:
    return Observation(kind, place, what, seconds, *TEXTS[kind])


def shorten(text: str, most: int = 70) -> str:
    one_line = " ".join(text.split())
    return one_line if len(one_line) <= most else one_line[: most - 1] + "…"


def to_json(observations: Iterable[Observation]) -> str:
    return json.dumps([found._asdict() for found in observations], ensure_ascii=False, indent=2)


# --- Agents one after another -------------------------------------------------------------------------------

AGENT_ID = re.compile(r"<task-id>([^<]+)</task-id>")


def sequential_agents(transcript: Transcript) -> Iterator[Observation]:
    """Replay the conversation as hook events: what the gate would have sent back is found."""
    history, earlier = History(), None
    ends = _background_ends(transcript)
    for entry in transcript.entries:
        if isinstance(entry, Prompt):
            history = _on_prompt(history, entry)
            continue
        agents = [use for use in entry.uses if use.tool in AGENT_TOOLS]
        stopped = [use for use in agents if gate.SENT_BACK in use.text and "was sent alone after" in use.text]
        yield from (_prevented(transcript.path, use) for use in stopped)
        agents = [use for use in agents if use not in stopped]
        if stopped and not agents:
            continue  # they never ran, so nothing follows them
        if len(agents) == 1:
            event = {"hook_event_name": "PreToolUse", **_fields(agents[0])}
            history, verdict = gate.decide(history, event, "smart")
            if verdict.kind == "wait":
                denied, _ = gate.settle(history, event, "smart")
                if earlier is not None:
                    yield _agents_in_sequence(transcript.path, earlier, agents[0], ends)
                history = _as_launched(denied, agents[0])
        else:
            for use in agents:
                history = _step(history, "PreToolUse", **_fields(use))
        for use in agents:
            history = _step(history, "PostToolUse", **_fields(use), tool_response=_whole(use))
        calls = [{**_fields(use), "tool_response": use.text} for use in entry.uses]
        history = _step(history, "PostToolBatch", tool_calls=calls)
        earlier = agents[0] if len(agents) == 1 else (None if agents else earlier)


def _on_prompt(history: History, prompt: Prompt) -> History:
    """A notification says that a background agent has stopped; a person's prompt starts over."""
    for agent in _stopped(prompt):
        history = _step(history, "SubagentStop", agent_id=agent, last_assistant_message=prompt.text)
    return _step(history, "UserPromptSubmit", prompt=prompt.text)


def _background_ends(transcript: Transcript) -> dict[str, float]:
    prompts = [entry for entry in transcript.entries if isinstance(entry, Prompt)]
    return {agent: prompt.at for prompt in prompts for agent in _stopped(prompt)}


def _stopped(prompt: Prompt) -> list[str]:
    return AGENT_ID.findall(prompt.text) if prompt.text.startswith(gate.MACHINE_TURN) else []


def _as_launched(history: History, use: Use) -> History:
    """Take back the denial: in this conversation the agent did run."""
    scope = history.scopes["main"]
    opened = tuple(call._replace(denied=False) if call.id == use.id else call for call in scope.open)
    return history._replace(scopes={**history.scopes, "main": scope._replace(open=opened)})


def _agents_in_sequence(path: str, earlier: Use, later: Use, ends: dict[str, float]) -> Observation:
    spans = [span for span in (_span(earlier, ends), _span(later, ends)) if span > 0]
    what = f'"{_title(later)}" ran alone after "{_title(earlier)}" (line {earlier.line}), not depending on it'
    seconds = min(spans) if len(spans) == 2 else 0.0
    return observed("sequential agents", f"{path}:{later.line}", what, seconds)


def _prevented(path: str, use: Use) -> Observation:
    what = f'"{_title(use)}" was sent alone, and the gate sent it back before it ran'
    return observed("prevented sequences", f"{path}:{use.line}", what)


def _whole(use: Use) -> dict[str, Any]:
    response = use.response if isinstance(use.response, dict) else {}
    return response or {"status": "completed", "content": use.text}


def _step(history: History, name: str, **fields: Any) -> History:
    return gate.decide(history, {"hook_event_name": name, **fields}, "smart")[0]


def _fields(use: Use) -> dict[str, Any]:
    return {"tool_name": use.tool, "tool_use_id": use.id, "tool_input": use.input}


def _title(use: Use) -> str:
    return shorten(str(use.input.get("description") or use.input.get("prompt") or use.tool))


def _span(use: Use, ends: dict[str, float]) -> float:
    agent = str(use.response.get("agentId", "")) if isinstance(use.response, dict) else ""
    ended = ends.get(agent, 0.0) if _whole(use).get("isAsync") else use.ended
    return max(0.0, ended - use.started)


# --- Read-only calls one after another ----------------------------------------------------------------------
# Read-only calls that ran one a message and needn't have: no call of the run needed what another showed.
# A call needs those before it when it names what only they showed (a path, a word of its pattern, an
# address), when the one before failed or showed nothing (a search is being refined), and when it reads on in
# the same file. In doubt it needs them.

READ_ONLY = frozenset({"Glob", "Grep", "LS", "NotebookRead", "Read", "WebFetch", "WebSearch"})
READ_ONLY_COMMAND = re.compile(
    r"\s*(?:cat|find|grep|head|ls|rg|stat|tail|tree|wc|file|git\s+(?:blame|diff|log|show|status))\b"
    r"[^;&|<>`$]*"
)
MIN_LONE = 3
"""Two lone calls in a row may be chance; from three on it is a habit that costs."""
PARTICULAR = re.compile(r"[^\W\d_][\w.-]{4,}|\d{3,}")
"""A word that is not there by chance: at least five letters, or a number of three digits."""
SHOWED_NOTHING = re.compile(
    r"\s*(?:no (?:files|matches|results)\b.*|found 0 \w+|"
    r".{0,200}\b(?:does not exist|not found|no such file)\b"
    r".*|<tool_use_error>.*|error\b.*)?",
    re.IGNORECASE | re.DOTALL,
)
FREE_TEXT = frozenset({"description", "prompt", "output_mode"})
"""Inputs that say why or how, not what is read."""


def sequential_calls(transcript: Transcript) -> Iterator[Observation]:
    run: list[Message] = []
    known = ""
    for entry in (*transcript.entries, Prompt("", 0, 0)):
        if isinstance(entry, Message) and is_lone_read(entry) and not _needs(entry.uses[0], run, known):
            run.append(entry)
            continue
        if len(run) >= MIN_LONE:
            yield _observation(transcript.path, run)
        known += "\n" + "\n".join(message.uses[0].text for message in run)
        run = []
        if isinstance(entry, Message) and is_lone_read(entry):
            run = [entry]
        else:
            known += "\n" + (
                entry.text if isinstance(entry, Prompt) else "\n".join(use.text for use in entry.uses)
            )


def is_lone_read(message: Message) -> bool:
    if len(message.uses) != 1:
        return False
    (use,) = message.uses
    command = str(use.input.get("command", ""))
    return use.tool in READ_ONLY or (use.tool == "Bash" and bool(READ_ONLY_COMMAND.fullmatch(command)))


def _needs(use: Use, run: list[Message], known: str) -> bool:
    if not run:
        return False
    last = run[-1].uses[0]
    if SHOWED_NOTHING.fullmatch(last.text[:2000]) or not last.ended:
        return True
    earlier = [message.uses[0] for message in run]
    if any(_target(use) and _target(use) == _target(own) for own in earlier):
        return True
    shown = "\n".join(own.text for own in earlier).casefold()
    before = known.casefold() + "\n" + "\n".join(" ".join(_values(own)) for own in earlier).casefold()
    return any(name in shown and name not in before for name in _names(use))


def _target(use: Use) -> str:
    """Return the one file that a call reads: reading on in it is not a second task."""
    return str(use.input.get("file_path") or use.input.get("notebook_path") or "")


def _values(use: Use) -> list[str]:
    return [
        value for key, value in use.input.items() if isinstance(value, str) and value and key not in FREE_TEXT
    ]


def _names(use: Use) -> Iterator[str]:
    """Yield what a call names: whole values, the last parts of paths, and particular words."""
    for value in _values(use):
        low = value.casefold()
        yield low
        if "/" in low:
            yield os.path.basename(low.rstrip("/")) or low
        if not _is_path(low):
            yield from PARTICULAR.findall(low)


def _is_path(value: str) -> bool:
    """Say whether a value is a path: its folders are shown everywhere, only its end is particular."""
    return "/" in value and not re.search(r"\s|://", value)


def _observation(path: str, run: list[Message]) -> Observation:
    gaps = [max(0.0, later.at - earlier.uses[0].ended) for earlier, later in pairwise(run)]
    tools = ", ".join(sorted({message.uses[0].tool for message in run}))
    what = f"{len(run)} read-only calls ({tools}) in {len(run)} messages, none needing the one before"
    return observed("sequential calls", f"{path}:{run[0].line}", what, sum(gaps))


# --- The hooks of a project ---------------------------------------------------------------------------------

ENDINGS = (".py", ".sh", ".bash", ".zsh", ".js", ".mjs", ".cjs", ".ts")


class Found(NamedTuple):
    name: str
    """What the hook log calls it."""
    event: str
    matcher: str
    command: str
    place: str
    """`file:line` of its entry."""
    is_adopted: bool
    """fanout runs it: in order, and never beside one that touches the same."""
    script: str
    reads: frozenset[str]
    writes: frozenset[str]
    """What it was seen to touch, relative to the project; nothing where it was not watched."""

    @property
    def shown(self) -> str:
        return os.path.basename(self.script) or self.name


def find(project: str, env: dict[str, str]) -> tuple[list[Found], list[str]]:
    """Return a project's hooks and what could not be read, in words."""
    learned = Memory(memory.path_of(state_folder(env), project))
    hooks: list[Found] = []
    problems: list[str] = []
    for own, there, problem in adopt.registered(project, env):
        problems += filter(None, [problem])
        hooks += _placed(own.settings, there, project, learned, is_adopted=False)
        if native.is_adopted(there, own.scope):
            try:
                adopted = adopt.hooks_of(read(own.hooks))
            except Refused as refused:
                problems.append(str(refused))
            else:
                hooks += _placed(own.hooks, adopted, project, learned, is_adopted=True)
    return hooks, problems


def _placed(
    file: str, hooks: dict[str, Any], project: str, learned: Memory, *, is_adopted: bool
) -> Iterator[Found]:
    lines = files.text(file).splitlines()
    at = 0
    for event, group, entry in entries.each(hooks):
        if entries.is_ours(entry) or entry.get("type", "command") != "command":
            continue
        command = " ".join([str(entry.get("command") or ""), *map(str, entry.get("args") or ())])
        at = _line_of(lines, str(entry.get("command") or ""), at)
        script = script_of(command, project)
        reads, writes = _seen(script, project, learned)
        name = str(entry.get("name") or config.short_name(entry))
        matcher = str(group.get("matcher") or "")
        yield Found(name, event, matcher, command, f"{file}:{at}", is_adopted, script, reads, writes)


def script_of(command: str, project: str) -> str:
    try:
        words = shlex.split(command)
    except ValueError:
        words = command.split()
    for word in words:
        path = word.replace("${CLAUDE_PROJECT_DIR}", project).replace("$CLAUDE_PROJECT_DIR", project)
        path = path.replace("${HOME}", "~").replace("$HOME", "~")
        path = os.path.join(project, os.path.expanduser(path))
        if path.endswith(ENDINGS) and os.path.isfile(path):
            return path
    return ""


def _seen(script: str, project: str, learned: Memory) -> tuple[frozenset[str], frozenset[str]]:
    """Return what a script was seen to read and to write; nothing when it could hide what it touches."""
    record = learned.of(script) if script else None
    if record is None or not record.is_learned or record.opaque:
        return frozenset(), frozenset()
    return _below(record.reads, project), _below(record.writes, project)


def _below(paths: frozenset[str], project: str) -> frozenset[str]:
    """Name paths as a source does: relative to the project."""
    start = project.rstrip("/") + "/"
    return frozenset(path.removeprefix(start) for path in paths)


def _line_of(lines: list[str], command: str, after: int) -> int:
    """Return the first line past `after` that holds a command as JSON writes it, else the first that does."""
    written = command.replace("\\", "\\\\").replace('"', '\\"')
    holding = [number for number, line in enumerate(lines, 1) if written and written in line]
    return next((number for number in holding if number > after), holding[0] if holding else 1)


# --- Hooks that race: natively all hooks of an event run at once. -----------------------------------------
# Two hooks of one event race when their matchers can both match, and one writes a file that the other reads
# or writes: what is read is half, or what was written is lost. Two that only append look the same from
# outside, and are reported too. Adopted hooks don't race among themselves: fanout keeps them apart.


def races(hooks: Iterable[Found]) -> list[Observation]:
    meeting: dict[tuple[str, str], list[Found]] = {}
    for one, other in combinations(hooks, 2):
        if one.event == other.event and not _is_kept_apart(one, other):
            shared = one.writes & (other.reads | other.writes) | other.writes & one.reads
            for file in sorted(shared):
                known = meeting.setdefault((one.event, file), [])
                known += [hook for hook in (one, other) if hook not in known]
    return [_race(event, file, group) for (event, file), group in meeting.items()]


def _is_kept_apart(one: Found, other: Found) -> bool:
    same = (one.command, one.script) == (other.command, other.script)  # the client runs equal hooks once
    return same or (one.is_adopted and other.is_adopted) or not can_meet(one.matcher, other.matcher)


def can_meet(one: str, other: str) -> bool:
    """Say whether two matchers can match one event; patterns are assumed to."""
    mine, theirs = (
        {matchers.ALIASES.get(word, word) for word in matchers.words_of(matcher) or ()}
        for matcher in (one, other)
    )
    return not mine or not theirs or not mine.isdisjoint(theirs)


def _race(event: str, file: str, group: list[Found]) -> Observation:
    writers = ", ".join(dict.fromkeys(hook.shown for hook in group if file in hook.writes))
    all_of_them = ", ".join(dict.fromkeys(hook.shown for hook in group))
    what = f"{event}: {all_of_them} touch {file} at once ({writers} writes it)"
    return observed("racing hooks", group[0].place, what)


# --- Hooks that are slow: by the hook log (all runs), and by transcripts (native runs with output only) -----
SLOW_MS = 100.0
"""A hook on every tool call that takes longer is felt."""
MIN_RUNS = 3
SLOW_ADVICE = {
    "native": "Adopt it (fanout-hooks adopt: no interpreter start), split it, or make it async.",
    "adopted": "Split it, do the slow part in the background, or narrow its matcher.",
}


def of_log(tally: Tally, log: str, hooks: Iterable[Found]) -> Iterator[Observation]:
    """Look at what the hook log measured; the place is the hook's entry where it still has one."""
    places = {(hook.event, hook.name): hook.place for hook in hooks if hook.is_adopted}
    runs: dict[tuple[str, str], Digest] = {}
    for day in tally.days.values():
        for event, seen in day.items():
            for name, own in seen.hooks.items():
                runs.setdefault((event, name), Digest()).merge(own.ms)
    for (event, name), digest in runs.items():
        place = places.get((event, name), f"{log}:1")
        yield from _slow(event, name, digest, place, "adopted", "the hook log, all runs")


def of_transcripts(transcripts: Iterable[Transcript], hooks: Iterable[Found]) -> Iterator[Observation]:
    """Look at native hooks that left a line; the place is the entry, else the line."""
    places = {(hook.event, hook.command.strip()): hook.place for hook in hooks if not hook.is_adopted}
    runs: dict[tuple[str, str], tuple[Digest, str]] = {}
    for transcript in transcripts:
        for run in transcript.hooks:
            if not daily.is_ours(run.command):
                key = (run.name.partition(":")[0], run.command)
                runs.setdefault(key, (Digest(), f"{transcript.path}:{run.line}"))[0].add(run.ms)
    for (event, command), (digest, line) in runs.items():
        place = places.get((event, command.strip()), line)
        yield from _slow(
            event, command, digest, place, "native", "durationMs in the transcript, with output only"
        )


def _slow(event: str, name: str, digest: Digest, place: str, way: str, basis: str) -> Iterator[Observation]:
    median = digest.quantile(0.5)
    if digest.count >= MIN_RUNS and median >= SLOW_MS:
        yield Observation(
            "slow hook",
            place,
            f"{event}: {shorten(name, 50)} takes {median:.0f} ms (median of {digest.count} runs)",
            digest.total / 1000,
            measured=True,
            basis=basis,
            advice=SLOW_ADVICE[way],
        )
