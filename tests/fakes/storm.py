"""A storm of messages on servers over stdio: valid, random, mutated, cut and cancelled, from a seed.

    result = storm(folder, messages=2_000, servers=2, seed=1)

Each server is the real one on a small project without a model. What a storm finds is in its result: requests
that were valid, not cancelled, and not answered; servers that ended; memory and descriptors before and after.
"""

from __future__ import annotations

import json
import os
import random
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from fakes.processes import at_rest
from fakes.wire_client import META, Wire

MAX_OPEN: Final = 300
"""Valid requests of a server that wait for an answer; the storm goes on when one has come."""
WARM_UP: Final = 300
SETTLE_S: Final = 60.0
"""For what was in flight when the last message was sent."""

CALLS: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    ("summarize_files", {"paths": ["src/a.py"], "engine": "static"}),
    ("summarize_files", {"paths": ["src"], "engine": "plan"}),
    ("explore_modules", {"modules": ["src"], "engine": "static"}),
    ("batch_review", {"patterns": ["src/a.py"], "engine": "static"}),
    ("oracle_batch", {"question": "Is it wise?", "dry_run": True}),
    ("council", {"question": "Is it wise?"}),
    ("agent_swarm", {"task": "Find the fault.", "count": 3}),
    ("hook_report", {}),
    ("hook_report", {"days": "many"}),
    ("summarize_files", {"paths": ["nowhere"], "surplus": 1}),
    ("no_such_tool", {"x": [None, 1.5, "\ud83d"]}),
)
METHODS: Final = ("tools/list", "server/discover", "tools/cull", "prompts/list")


@dataclass
class Found:
    """What one server did in the storm."""

    sent: int = 0
    valid: int = 0
    unanswered: list[str] = field(default_factory=list)
    ended: int | None = None
    """Its exit status, if it ended before it was asked to."""
    strays: int = 0
    memory_kb: tuple[int, ...] = (0, 0)
    """Before the storm, and after each of its parts."""
    descriptors: tuple[int, ...] = (0, 0)


def storm(folder: Path, *, messages: int, servers: int, seed: int, parts: int = 1) -> list[Found]:
    """Let `messages` rain on `servers` at once, shared equally; return what became of each server.

    `parts`: so many equal storms, one after another, each with a rest at its end.
    """
    project = _project(folder)
    found: list[Found] = [Found() for _ in range(servers)]

    def one(number: int) -> None:
        found[number] = _Storm(project, seed * 1_000 + number).run(messages // servers, parts)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(servers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def _project(folder: Path) -> Path:
    project = folder / "project"
    (project / "src").mkdir(parents=True)
    for name in ("a", "b", "c"):
        (project / "src" / f"{name}.py").write_text(f'"""Say {name}."""\nimport os\ndef {name}(x=[]): ...\n')
    return project


class _Storm:
    """One server in the storm: this thread writes, another reads."""

    def __init__(self, project: Path, seed: int) -> None:
        self.chance = random.Random(seed)
        env = {"PATH": os.environ["PATH"], "HOME": str(project.parent), "FANOUT_BACKEND": "plan"}
        env["CLAUDE_PROJECT_DIR"] = str(project)
        command = [sys.executable, "-P", "-m", "fanout_mcp", "serve"]
        self.wire = Wire(command, env, timeout=SETTLE_S, clean=True)
        self.found = Found()
        self.open: dict[str, None] = {}
        self.cancelled: set[str] = set()
        self.moved = threading.Condition()
        self.reader = threading.Thread(target=self._read, daemon=True)

    def run(self, messages: int, parts: int) -> Found:
        with self.wire:
            errors = threading.Thread(target=self._drain_stderr, daemon=True)
            errors.start()
            self.reader.start()
            try:
                self._rain(WARM_UP)
                self._settle()
                measured = [at_rest(self.wire.process.pid)]
                for _ in range(parts):
                    self._rain(messages // parts)
                    self._settle()
                    measured.append(at_rest(self.wire.process.pid))
                memory, descriptors = zip(*measured, strict=True)
                self.found.memory_kb, self.found.descriptors = tuple(memory), tuple(descriptors)
            except BrokenPipeError:
                self.found.ended = self.wire.process.wait(30)
            self.found.ended = self.wire.process.poll()
            self.found.unanswered = [key for key in self.open if key not in self.cancelled]
            return self.found

    def _rain(self, messages: int) -> None:
        for _ in range(messages):
            self.wire.write(next(self._kinds()))
            self.found.sent += 1
            with self.moved:
                self.moved.wait_for(lambda: len(self.open) < MAX_OPEN, SETTLE_S)

    def _kinds(self) -> Iterator[bytes]:
        kind = self.chance.random()
        if kind < 0.35:
            yield self._valid()
        elif kind < 0.40 and self.open:
            yield self._cancel()
        elif kind < 0.65:
            yield self._mutated()
        elif kind < 0.80:
            line = self._request(f"cut-{self.found.sent}")
            yield line[: self.chance.randrange(len(line))] + b"\n"
        elif kind < 0.95:
            yield self.chance.randbytes(self.chance.randrange(400)).replace(b"\n", b" ") + b"\n"
        else:
            yield self._odd()

    def _request(self, number: str) -> bytes:
        if self.chance.random() < 0.1:
            method, params = self.chance.choice(METHODS), {}
        else:
            name, arguments = self.chance.choice(CALLS)
            method, params = "tools/call", {"name": name, "arguments": arguments}
        if self.chance.random() < 0.2:
            params["_meta"] = {**META, "progressToken": number}
        message = {"jsonrpc": "2.0", "id": number, "method": method, "params": {"_meta": META, **params}}
        return json.dumps(message).encode() + b"\n"

    def _valid(self) -> bytes:
        number = f"valid-{self.found.sent}"
        self.found.valid += 1
        with self.moved:
            self.open[number] = None
        return self._request(number)

    def _cancel(self) -> bytes:
        with self.moved:
            number = self.chance.choice(list(self.open) or ["valid-none"])
            self.cancelled.add(number)
            self.open.pop(number, None)
        params = {"requestId": number, "reason": "no longer wanted"}
        message = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}
        return json.dumps(message).encode() + b"\n"

    def _mutated(self) -> bytes:
        line = bytearray(self._request(f"mutated-{self.found.sent}")[:-1])
        for _ in range(self.chance.randrange(1, 12)):
            line[self.chance.randrange(len(line))] = self.chance.randrange(256)
        return bytes(line).replace(b"\n", b" ") + b"\n"

    def _odd(self) -> bytes:
        depth = self.chance.randrange(1, 20_000)
        odd: tuple[bytes, ...] = (
            b"[" * depth,
            b'{"a":' * depth,
            json.dumps([{"jsonrpc": "2.0", "id": 1, "method": "ping"}] * 5).encode(),
            b'{"jsonrpc":"2.0","id":' + b"9" * 4_000 + b',"method":"tools/list"}',
            json.dumps({"jsonrpc": "2.0", "id": None, "method": "tools/call", "params": []}).encode(),
            json.dumps({"jsonrpc": "2.0", "id": "valid-0", "result": {}}).encode(),
            b"x" * self.chance.randrange(300_000),
        )
        return self.chance.choice(odd) + b"\n"

    def _read(self) -> None:
        try:
            while True:
                line = self.wire.read_line()
                try:
                    message = json.loads(line)
                except ValueError:
                    self.found.strays += 1
                    continue
                with self.moved:
                    self.open.pop(str(message.get("id")), None)
                    self.moved.notify_all()
        except (AssertionError, ValueError, OSError):
            return  # nothing came for SETTLE_S, or the server's output was closed

    def _drain_stderr(self) -> None:
        assert self.wire.process.stderr is not None
        try:
            while self.wire.process.stderr.read(65_536):
                continue
        except (ValueError, OSError):
            return

    def _settle(self) -> None:
        with self.moved:
            self.moved.wait_for(lambda: not self.open, SETTLE_S)
