"""200 processes killed in mid-write lose nothing that was acknowledged, and leave nothing half-written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow
KILLS = 200

KILLED = """
import json, os, random, signal, sys, time
from pathlib import Path

def killed(work, chance, longest_s):
    '''Fork, let the child acknowledge numbers, kill it after a while; return what it acknowledged.'''
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        work(lambda number: os.write(writer, b"%d\\n" % number))
        os._exit(0)
    os.close(writer)
    os.set_blocking(reader, True)
    first = os.read(reader, 64)  # its first write is done: it is at work
    time.sleep(chance.uniform(0, longest_s))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    rest = b""
    while chunk := os.read(reader, 65536):
        rest += chunk
    os.close(reader)
    return [int(number) for number in (first + rest).split()]
"""

CACHE = (
    KILLED
    + """
from fanout_mcp.state.cache import open_cache
from fanout_mcp.types import Answer

folder, kills = Path(sys.argv[1]), int(sys.argv[2])
chance = random.Random(11)
acknowledged = {}
lost = problems = 0
for kill in range(kills):
    size = chance.choice((10, 3000, 200000))
    def write(acknowledge, kill=kill, size=size):
        cache = open_cache(folder / "cache", folder / "user")
        for number in range(10**6):
            cache.keep(cache.key([kill, number]), Answer(str(number) + os.urandom(size).hex(), "m"))
            assert not cache.problem, cache.problem
            acknowledge(number)
    acknowledged[kill] = killed(write, chance, 0.05)
    cache = open_cache(folder / "cache", folder / "user")
    problems += bool(cache.problem)
    for own in {kill, chance.randrange(kill + 1)}:
        keys = {cache.key([own, number]): number for number in acknowledged[own]}
        known = cache.known(list(keys))
        lost += sum(
            key not in known or not known[key].text.startswith(str(number)) for key, number in keys.items()
        )
    cache.close()
kept = sum(map(len, acknowledged.values()))
print(json.dumps({"kills": kills, "kept": kept, "lost": lost, "problems": problems,
                  "broken": (folder / "cache" / "answers.broken").exists()}))
"""
)

RUN = (
    KILLED
    + """
import anyio
from fanout_mcp.state import cache as module
from fakes.scripted import Reply, Scripted
from fanout_mcp.engine.limits import Limits
from fanout_mcp.engine.run import Plan
from fanout_mcp.journal import Question, open_journal
from fanout_mcp.state.settings import Settings
from fanout_mcp.types import Job, Prompt, no_progress

module.LEASE_S = 0.05  # who is killed lets go at once, else 200 kills take 200 leases
folder, kills = Path(sys.argv[1]), int(sys.argv[2])
(folder / "project").mkdir()
settings = Settings(root=folder / "project", config_dir=folder / "user")
FILES, PARALLEL = 300, 4

class Counting(Scripted):
    def __init__(self, acknowledge):
        super().__init__(default=Reply("fine", 0.004))
        self.acknowledge = acknowledge
    async def ask(self, job):
        self.acknowledge(int(job.key))
        return await super().ask(job)

async def run(acknowledge):
    backend = Counting(acknowledge)
    questions = [Question(Job(str(n), Prompt("s", f"file {n}"))) for n in range(FILES)]
    async with open_journal(settings, backend, Limits(PARALLEL), no_progress, FILES) as one:
        outcomes = await one.ask(questions, Plan(deadline_s=60))
        assert not one.problem, one.problem
    return [outcome.status for outcome in outcomes]

chance = random.Random(12)
asked, done = [], 0
while done < kills and len(set(asked)) < FILES - 10:
    asked += killed(lambda acknowledge: anyio.run(run, acknowledge), chance, 0.004)
    done += 1
statuses = anyio.run(run, asked.append)
print(json.dumps({"kills": done, "calls": len(asked), "files": FILES, "in_flight": PARALLEL,
                  "answered": sum(status in ("answered", "cached") for status in statuses)}))
"""
)


def counted(script: str, folder: Path, kills: int) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-P", "-c", textwrap.dedent(script), str(folder), str(kills)],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},  # for the fakes
    )
    data: dict[str, Any] = json.loads(done.stdout)
    return data


def test_a_cache_that_is_killed_in_mid_write_loses_no_answer(tmp_path: Path) -> None:
    found = counted(CACHE, tmp_path, KILLS)
    assert (found["kills"], found["lost"], found["problems"], found["broken"]) == (KILLS, 0, 0, False)
    assert found["kept"] > KILLS


def test_a_journalled_run_that_is_killed_repeats_at_most_what_was_in_flight(tmp_path: Path) -> None:
    found = counted(RUN, tmp_path, KILLS)
    assert found["answered"] == found["files"] == 300
    assert found["calls"] <= found["files"] + found["kills"] * found["in_flight"]
    assert found["kills"] >= KILLS / 2
