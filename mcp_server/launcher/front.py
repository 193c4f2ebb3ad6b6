"""Make the environment while the client is answered (fanout_mcp/edge/first.py), and report on the way.

Tool calls wait, with progress, and are passed on to the server. A hook never waits for an install, and after
one that failed, calls are answered with the reason until the next call tries again.
"""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

from fanout_mcp.edge.first import HOOKS_TOOL, First
from launcher import build
from launcher.environment import SOURCE, Environment

if TYPE_CHECKING:
    import subprocess

NEWS = "setting up fanout's environment (first use only)"
STEPS = ("creating it", "installing its packages")
PROGRESS_S = 1.0


class SetUp:
    """The environment that the server will run from: a ready one, or one that is being made."""

    def __init__(self, data: str | None) -> None:
        self.environment = Environment(None)
        self.is_made = self.environment.is_ready()
        if not self.is_made and data is not None:
            self.environment = Environment(data)
            self.is_made = self.environment.is_ready()
        self.builder: subprocess.Popen[bytes] | None = None
        self.failure = ""
        self.reported_at = 0.0
        if not self.is_made:
            self.start_build()

    def is_ready(self, first: First) -> bool:
        """Look at the build, once; what can't wait for it is answered."""
        status = None if self.builder is None else self.builder.poll()
        if status is not None:
            self.builder, self.is_made = None, status == 0
            self.failure = self.environment.why_failed() if status else ""
        elif not self.is_made:
            self.answer_hooks(first)
            if self.failure and any(call.method == "tools/call" for call in first.waiting):
                self.start_build()
        if self.failure:
            self.answer_all(first)
        elif not self.is_made:
            self.report_progress(first)
        return self.is_made

    def run(self, module: str, words: list[str]) -> None:
        """Become a command of that environment, when it is made; does not return."""
        if self.builder is not None:
            sys.stderr.write(NEWS + "\n")
            if self.builder.wait() != 0:
                self.failure = self.environment.why_failed()
        if self.failure:
            sys.exit(self.sorry())
        os.execv(self.environment.python, [self.environment.python, "-I", "-m", module, *words])

    def start_build(self) -> None:
        self.failure = ""
        try:
            self.builder = build.start(self.environment)
        except OSError as error:
            self.failure = str(error)

    def answer_hooks(self, first: First) -> None:
        """Without an opinion: an event goes on as if there were no hooks."""
        hooks = [call for call in first.waiting if call.params.get("name") == HOOKS_TOOL]
        for call in hooks:
            first.answer_text(call.id, "", is_error=False)
            first.waiting.remove(call)

    def answer_all(self, first: First) -> None:
        self.answer_hooks(first)
        for call in [call for call in first.waiting if call.method]:
            first.waiting.remove(call)
            if call.method == "tools/call":
                first.answer_text(call.id, self.sorry(), is_error=True)
            elif call.id is not None:
                error = {"code": -32603, "message": self.sorry()}
                first.write({"jsonrpc": "2.0", "id": call.id, "error": error})

    def report_progress(self, first: First) -> None:
        now = time.monotonic()
        if now - self.reported_at < PROGRESS_S:
            return
        self.reported_at = now
        news = f"{NEWS}: {STEPS[os.path.exists(self.environment.python)]}"
        for call in first.waiting:
            meta = call.params.get("_meta")
            token = meta.get("progressToken") if isinstance(meta, dict) else None
            if token is not None:
                params = {"progressToken": token, "progress": now - call.since, "message": news}
                first.write({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})

    def sorry(self) -> str:
        by_hand = (
            f"make -C {SOURCE} .venv/.ready"
            if self.environment.is_clone
            else f"python3 -m venv {self.environment.folder} && "
            f"{self.environment.python} -m pip install {SOURCE}"
        )
        return (
            f"fanout could not set up its environment: {self.failure}. The next call tries again; "
            f"the log is {self.environment.log}. By hand: {by_hand}"
        )
