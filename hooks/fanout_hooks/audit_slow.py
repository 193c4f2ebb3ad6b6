"""Hooks that are slow: by the hook log (all runs), and by transcripts (native runs with output only)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fanout_hooks import natives
from fanout_hooks.audit import Observation, shorten
from fanout_hooks.audit_hooks import Found
from fanout_hooks.digest import Digest
from fanout_hooks.tally import Tally
from fanout_hooks.transcript import HookRun, Transcript

SLOW_MS = 100.0
"""A hook on every tool call that takes longer is felt."""
LEAST_RUNS = 3
ADVICE = {
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
            if not natives.is_ours(run.command):
                key = (run.name.partition(":")[0], run.command)
                runs.setdefault(key, (Digest(), _line(transcript, run)))[0].add(run.ms)
    for (event, command), (digest, line) in runs.items():
        place = places.get((event, command.strip()), line)
        yield from _slow(
            event, command, digest, place, "native", "durationMs in the transcript, with output only"
        )


def _slow(event: str, name: str, digest: Digest, place: str, way: str, basis: str) -> Iterator[Observation]:
    median = digest.quantile(0.5)
    if digest.count >= LEAST_RUNS and median >= SLOW_MS:
        yield Observation(
            "slow hook",
            place,
            f"{event}: {shorten(name, 50)} takes {median:.0f} ms (median of {digest.count} runs)",
            digest.total / 1000,
            measured=True,
            basis=basis,
            advice=ADVICE[way],
        )


def _line(transcript: Transcript, run: HookRun) -> str:
    return f"{transcript.path}:{run.line}"
