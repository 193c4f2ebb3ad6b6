"""Scenarios of the gate in the real client: a model that follows them, and one session that plays many."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from e2e.client import Client, write_json
from fakes.model import Call, Model, Request, Text, Turn
from fanout_hooks.adoption.entries import log_and_gate_entries
from fanout_hooks.log import append as log_append
from gate.scenarios import Scenario, Sent, Step
from gate.test_scenarios import play as played

SAID = ("fanout gate:", "fanout governor:")
LASTING_S = 30.0
"""An agent that is to run on ends when the next one was sent, or after this long."""


class Talk:
    """A model that plays scenarios: it sends each step, and what is sent back it sends again."""

    def __init__(self, scenarios: Sequence[Scenario], project: Path, *, slow: bool = False) -> None:
        self.scenarios = scenarios
        self.sent_back: dict[str, list[list[str]]] = {}
        """Scenario -> for each step the names of the agents that were sent back."""
        self.ended: set[str] = set()
        self.moved: set[str] = set()
        """Scenarios of which the client itself has put an agent into the background, as the terminal may."""
        self.advice = 0
        self._project = project
        self._slow = slow
        self._answers = {sent.task: sent for own in scenarios for step in own.steps for sent in step.agents}
        self._going_on = threading.Event()
        self._out: list[Sent] = []

    def __call__(self, request: Request) -> Turn:
        for task, sent in self._answers.items():
            if task in request.opening:
                if sent.lasting:
                    self._going_on.wait(LASTING_S)
                return [Text(sent.answer)]
        return self._main(request)

    def _main(self, request: Request) -> Turn:
        scenario = self._current(request)
        if not any(sent.lasting for sent in self._out):
            self._going_on.set()
        steps = self.sent_back.setdefault(scenario.id, [])
        if "Async agent launched" in request.news and not any(sent.background for sent in self._out):
            self.moved.add(scenario.id)
        self.advice += "that message launched one agent alone" in request.news
        if steps:
            back = [sent for sent in self._out if any(f'{who} "{sent.name}"' in request.news for who in SAID)]
            steps[-1] += [sent.name for sent in back]
            if back:
                return self._calls(back)
            last = scenario.steps[len(steps) - 1]
            if self._is_awaited(last) and "<task-notification>" not in request.news:
                return [Text("waiting for it")]
        if len(steps) == len(scenario.steps):
            self.ended.add(scenario.id)
            return [Text(f"{scenario.id} is done")]
        steps.append([])
        return self._step(scenario.steps[len(steps) - 1])

    def _current(self, request: Request) -> Scenario:
        texts = [json.dumps(message["content"], ensure_ascii=False) for message in request.messages]
        for text in reversed(texts):
            for scenario in self.scenarios:
                if json.dumps(scenario.prompt, ensure_ascii=False)[1:-1] in text:
                    return scenario
        raise AssertionError(f"no scenario asks for {texts[-1][:200]}")

    def _is_awaited(self, step: Step) -> bool:
        return any(sent.background and not sent.lasting for sent in step.agents)

    def _step(self, step: Step) -> Turn:
        if not step.tool:
            return self._calls(step.agents)
        filled = json.loads(json.dumps(step.input).replace("{project}", str(self._project)))
        return [Call(step.tool, filled)]

    def _calls(self, agents: Sequence[Sent]) -> Turn:
        self._out = list(agents)
        if any(sent.lasting for sent in agents):
            self._going_on.clear()
        calls = [Call("Agent", sent.input) for sent in agents]
        return [Text("I think about it."), *calls] if self._slow else calls


def expected(scenario: Scenario, *, slow: bool = False) -> list[list[str]]:
    """Return for each step the agents that must be sent back, once: those that the pure core sends back."""
    denied = zip(scenario.steps, played(scenario), strict=True)
    return [[step.agents[0].name] if is_denied or (slow and step.slow) else [] for step, is_denied in denied]


def with_gate(client: Client, tmp_path: Path, mode: str = "") -> Client:
    """Register server, gate and log as an install does, for this client's user."""
    server = {"command": sys.executable, "args": ["-P", "-m", "fanout_mcp", "serve"]}
    write_json(tmp_path / "mcp.json", {"mcpServers": {"fanout": server}})
    client.settings({"hooks": log_and_gate_entries()}, scope="user")
    client.env |= {"FANOUT_STATE_DIR": str(tmp_path / "state")} | ({"FANOUT_GATE": mode} if mode else {})
    return client


def server_option(tmp_path: Path) -> tuple[str, str]:
    return "--mcp-config", str(tmp_path / "mcp.json")


class Session:
    """One `-p` session that takes prompts one after another."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._stdin: IO[str] = process.stdin
        self._stdout: IO[str] = process.stdout

    def play(self, talk: Talk, scenario: Scenario) -> None:
        """Say the scenario's prompt and read until its end."""
        self.say(scenario.prompt, lambda: scenario.id in talk.ended)

    def say(self, prompt: str, is_over: Callable[[], bool] = lambda: True) -> None:
        """Say a prompt and read until a result, with which all is over."""
        message = {"role": "user", "content": prompt}
        self._stdin.write(json.dumps({"type": "user", "message": message}) + "\n")
        self._stdin.flush()
        for line in self._stdout:
            event = json.loads(line) if line.startswith("{") else {}
            if event.get("type") == "result" and is_over():
                return
        raise AssertionError(f"the client ended in {prompt[:80]!r}")


@contextmanager
def session(client: Client, model: Model, *arguments: str, timeout: float = 300) -> Iterator[Session]:
    """Start a session; it is ended after the block, or when it takes too long."""
    process = subprocess.Popen(
        [
            client.program,
            *("-p", "--verbose", "--input-format", "stream-json", "--output-format", "stream-json"),
            *("--permission-mode", "bypassPermissions", *arguments),
        ],
        cwd=client.project,
        env=client.environment(model),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    timer = threading.Timer(timeout, process.kill)
    timer.start()
    try:
        yield Session(process)
        assert process.stdin is not None
        process.stdin.close()
        process.wait(20)
    finally:
        timer.cancel()
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def gate_log(project: Path) -> list[dict[str, Any]]:
    """Return what the log says of the gate."""
    path = Path(log_append.path_of(str(project)))
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [record["gate"] for record in records if "gate" in record]
