"""Find hooks that race and hooks that are slow, in settings files and in the hooks.json that they lead to.

A race is taken from what hooks were seen to read and write while fanout ran them, never from their source
text: a hook that was not watched yet, or whose script changed since, is in no race.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Iterator
from itertools import combinations
from typing import Any, NamedTuple

from fanout_hooks.adoption import adopt, check, entries
from fanout_hooks.audit.agents import Observation, shorten
from fanout_hooks.client import config, files, matchers, places
from fanout_hooks.client.settings import Refused, read
from fanout_hooks.client.transcripts import HookRun, Transcript
from fanout_hooks.learn import memory
from fanout_hooks.learn.memory import Memory
from fanout_hooks.log import daily
from fanout_hooks.log.tally import Digest, Tally

ENDINGS = (".py", ".sh", ".bash", ".zsh", ".js", ".mjs", ".cjs", ".ts")


class Found(NamedTuple):
    """One command hook."""

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
    learned = Memory(memory.path_of(places.state_folder(env), project))
    hooks: list[Found] = []
    problems: list[str] = []
    for own, native, problem in adopt.registered(project, env):
        problems += filter(None, [problem])
        hooks += _placed(own.settings, native, project, learned, is_adopted=False)
    for own in check.adopted_scopes(project, env):
        try:
            adopted = adopt.hooks_of(read(own.hooks))
        except Refused as refused:
            problems.append(str(refused))
            continue
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
    """Return the script that a command names, "" when there is none to read."""
    for word in _split(command):
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


def _split(command: str) -> list[str]:
    try:
        return shlex.split(command) or [""]
    except ValueError:
        return command.split() or [""]


def _line_of(lines: list[str], command: str, after: int) -> int:
    """Return the first line past `after` that holds a command as JSON writes it, else the first that does."""
    written = command.replace("\\", "\\\\").replace('"', '\\"')
    holding = [number for number, line in enumerate(lines, 1) if written and written in line]
    return next((number for number in holding if number > after), holding[0] if holding else 1)


# --- Hooks that race: natively all hooks of an event run at once. -----------------------------------------
# Two hooks of one event race when their matchers can both match, and one writes a file that the other reads
# or writes: what is read is half, or what was written is lost. Two that only append look the same from
# outside, and are reported too. Adopted hooks don't race among themselves: fanout keeps them apart.

RACE_ADVICE = (
    "Adopt them (fanout-hooks adopt): hooks that touch one file then wait for one another. Or lock the file."
)


def races(hooks: Iterable[Found]) -> list[Observation]:
    """Return every race of a project's hooks, each file of each event once."""
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
    return Observation(
        "racing hooks",
        group[0].place,
        f"{event}: {all_of_them} touch {file} at once ({writers} writes it)",
        0.0,
        measured=False,
        basis="seen while they ran",
        advice=RACE_ADVICE,
    )


# --- Hooks that are slow: by the hook log (all runs), and by transcripts (native runs with output only).

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
                runs.setdefault(key, (Digest(), _line(transcript, run)))[0].add(run.ms)
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


def _line(transcript: Transcript, run: HookRun) -> str:
    return f"{transcript.path}:{run.line}"
