"""A project with hooks, to be run through fanout and as Claude Code itself would run them.

sandbox = Sandbox(tmp_path)
sandbox.hooks("PreToolUse", sandbox.python("guard", "print('hi')"), "exit 2")
with sandbox.running() as run:
    answer = run.event(pre_tool_use())
native = sandbox.native("python3 edge/guard.py", event)
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from fanout_hooks.client.hook_input import to_stdin
from fanout_hooks.gate.watch import opinion
from fanout_hooks.log.append import after_event
from fanout_hooks.run import decide, dispatch
from fanout_hooks.run.dispatch import Handled, Request
from fanout_hooks.run.state import RuntimeState
from fanout_hooks.warm.loop import Loop, memory_file

PYTHON = os.path.realpath(sys.executable)
"""Without the virtual environment: starts faster, and is what a hook's `python3` usually is."""
DEADLINE_S = 60.0

Event = dict[str, Any]
Entry = str | dict[str, Any]


def pre_tool_use(command: str = "echo hi", **more: Any) -> Event:
    fields = {"tool_name": "Bash", "tool_input": {"command": command}, "tool_use_id": "toolu_1"}
    return _event("PreToolUse", **(fields | more))


def prompt(text: str = "Please do it.", **more: Any) -> Event:
    return _event("UserPromptSubmit", prompt=text, **more)


def _event(name: str, **fields: Any) -> Event:
    common = {
        "session_id": "42a87453-0000-4000-8000-000000000001",
        "transcript_path": "/nowhere/t.jsonl",
        "cwd": "",
        "prompt_id": "ca2a492d-6a75-47d3-a841-688feee8923a",
        "permission_mode": "default",
        "hook_event_name": name,
    }
    return common | fields


class Native(NamedTuple):
    """What one process left, started as the client starts it."""

    exit: int
    stdout: str
    stderr: str


@dataclass
class Running:
    """A running process of fanout: events may follow one another, or come at once."""

    sandbox: Sandbox
    loop: Loop
    runtime: RuntimeState

    def event(self, event: Event, **request: Any) -> decide.Decision:
        return self.events([event], **request)[0]

    def events(self, events: Sequence[Event], **request: Any) -> list[decide.Decision]:
        """Run events at once; the log and what was learned are written when all answers are out."""

        async def one(event: Event) -> Handled:
            handled = await dispatch.handle(self.runtime, self.sandbox.request(event, **request))
            handled.afterwards()
            return handled

        async def all_of_them() -> list[decide.Decision]:
            started = [self.loop.spawn(one(event)) for event in events]
            return [(await each).answer for each in started]

        async def in_time() -> list[decide.Decision]:
            ended = await self.loop.first(self.loop.spawn(all_of_them()), DEADLINE_S)
            assert ended is not None, f"the events did not end in {DEADLINE_S} s"
            return ended

        return self.loop.run(in_time())

    def settle(self) -> None:
        """Do what follows an answer, and wait until all that is kept ready is ready."""

        async def quiet() -> None:
            while self.runtime.is_settling:
                await self.loop.sleep(0.01)

        self.runtime.settle()
        self.loop.run(self.loop.sleep(0))
        ended = self.loop.spawn(quiet())
        self.loop.run(self.loop.first(ended, DEADLINE_S))
        assert ended.done, f"what is started ahead was not ready in {DEADLINE_S} s"

    @contextmanager
    def seeing(self) -> Iterator[list[Native]]:
        """Note what each hook left, in configuration order, on its way to the decision."""
        seen: list[Native] = []
        understand = decide.understand

        def noted(left: decide.HookResult, event: str) -> decide.Opinion:
            seen.append(Native(left.exit, left.stdout, left.stderr))
            return understand(left, event)

        vars(decide)["understand"] = noted
        try:
            yield seen
        finally:
            vars(decide)["understand"] = understand


@dataclass
class Sandbox:
    """A folder with a project, a home and a state folder."""

    folder: Path
    env: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.project = self.folder / "project"
        self.scripts = self.folder / "scripts"
        self.home = self.folder / "home"
        self.state = self.folder / "state"
        for one in (self.project, self.scripts, self.home):
            one.mkdir(parents=True, exist_ok=True)
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "CLAUDE_PROJECT_DIR": str(self.project),
            "PWD": str(self.project),
            "PYTHONDONTWRITEBYTECODE": "1",
            **self.env,
        }

    # --- what is registered ------------------------------------------------------------------------------

    def script(self, name: str, source: str) -> Path:
        path = self.scripts / f"{name}.py"
        path.write_text(source)
        return path

    def python(self, name: str, source: str, /, **more: Any) -> dict[str, Any]:
        """Return the entry of a Python hook of this source."""
        return {"type": "command", "command": f"{PYTHON} {self.script(name, source)}", "timeout": 30, **more}

    def hooks(self, event: str, *entries: Entry, matcher: str = "") -> None:
        """Register hooks in the local scope, beside those of other events."""
        path = self.project / ".claude" / "fanout" / "hooks.local.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        data: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"version": 1, "hooks": {}}
        full = [
            {"type": "command", "command": one, "timeout": 30} if isinstance(one, str) else one
            for one in entries
        ]
        data["hooks"].setdefault(event, []).append({"matcher": matcher, "hooks": full})
        path.write_text(json.dumps(data))

    def unhook(self) -> None:
        """Take back what is registered."""
        (self.project / ".claude" / "fanout" / "hooks.local.json").unlink(missing_ok=True)

    # --- running it --------------------------------------------------------------------------------------

    def here(self, event: Event) -> Event:
        return event | {"cwd": event["cwd"] or str(self.project)}

    def request(self, event: Event, **more: Any) -> Request:
        return Request(self.here(event), ("local",), self.env, **more)

    @contextmanager
    def running(self) -> Iterator[Running]:
        loop = Loop()
        runtime = RuntimeState(loop, str(self.state), opinion, after_event)
        runtime.stay()
        try:
            yield Running(self, loop, runtime)
        finally:
            runtime.close()

    def native(
        self, command: str, event: Event, *, args: Sequence[str] | None = None, timeout: float = 60
    ) -> Native:
        """Run a command as the client does: a shell, the event on stdin, waiting for the process alone."""
        line = ["/bin/sh", "-c", command] if args is None else [command, *args]
        stdin, out, err = (memory_file(name) for name in ("in", "out", "err"))
        os.write(stdin, to_stdin(self.here(event)))
        os.lseek(stdin, 0, os.SEEK_SET)
        try:
            done = subprocess.run(
                line,
                stdin=stdin,
                stdout=out,
                stderr=err,
                env=self.env,
                cwd=self.here(event)["cwd"],
                start_new_session=True,
                check=False,
                timeout=timeout,
            )
            return Native(done.returncode, _content(out), _content(err))
        finally:
            for fd in (stdin, out, err):
                os.close(fd)

    def forget(self) -> None:
        """Remove every file that hooks left in the project."""
        for path in self.project.iterdir():
            if path.is_dir() and path.name != ".claude":
                shutil.rmtree(path)
            elif path.name != ".claude":
                path.unlink()

    # --- what it left ------------------------------------------------------------------------------------

    def log(self) -> list[dict[str, Any]]:
        path = self.project / ".claude" / "memory" / "hook_performance.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def files(self, below: str = "") -> Mapping[str, bytes]:
        """Return every file that hooks left in the project: path below it -> content."""
        top = self.project / below
        return {
            str(path.relative_to(top)): path.read_bytes()
            for path in sorted(top.rglob("*"))
            if path.is_file() and ".claude" not in path.parts
        }


def _content(fd: int) -> str:
    return os.pread(fd, os.fstat(fd).st_size, 0).decode("utf-8", "replace")
