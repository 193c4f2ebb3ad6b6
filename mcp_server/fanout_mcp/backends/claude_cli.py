"""The user's own Claude Code as a model: one `claude -p` a call, isolated, bounded, killed with its group.

Rules:
1. The child sees none of the user's hooks, MCP servers, memory files or skills (--safe-mode keeps the login),
   and no key: ANTHROPIC_API_KEY or ANTHROPIC_AUTH_TOKEN would beat the login and bill somebody else.
2. FANOUT_CHILD in its environment keeps a fanout below it from starting `claude` again.
3. An answer is judged by exit status 0 and not is_error; `subtype` says "success" also for API errors.
4. Prompt in, answer and errors out go through files without names: no pipe can fill up, and nothing has to be
   read while the child runs, so a call is one task that only waits for one process.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

import anyio
from anyio.abc import Process

from fanout_mcp.backends.base import Route
from fanout_mcp.backends.completion import dollars, estimate, parse, tokens
from fanout_mcp.backends.providers import read as read_rows
from fanout_mcp.backends.refusals import redact, refusal
from fanout_mcp.errors import (
    AuthRejected,
    BackendError,
    BadAnswer,
    DeadlineExceeded,
    Rejected,
    ServerFault,
    SettingsError,
    TooLarge,
    Unreachable,
    why,
)
from fanout_mcp.jsonish import MAX_LENGTH
from fanout_mcp.state.settings import Settings
from fanout_mcp.text import clean_text, printable
from fanout_mcp.types import Answer, Job, Json, ModelPrice
from fanout_mcp.usage import UNTOLD, Usage

MAX_BYTES: Final = 16_000_000
MAX_STDERR: Final = 4_000
MAX_ARGUMENT: Final = 100_000
"""Bytes; Linux allows 128 kB for one argument. Longer system prompts go through a file."""
MAX_PROMPT: Final = 9_500_000
"""`claude -p` refuses more than 10 MB on stdin, without JSON."""
CALL_S: Final = 600.0
TURNS: Final = "12"
NOT_OURS: Final = frozenset({"FANOUT_API_KEY", "OPENROUTER_API_KEY", "CLAUDECODE", "CLAUDE_CODE_ENTRYPOINT"})
"""Keys of other providers, and what tells the child that it runs inside another one."""
BEAT_THE_LOGIN: Final = frozenset({"ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"})
LOGIN_WORDS: Final = ("not logged in", "/login", "invalid api key", "authentication_error", "oauth token")
LOG_IN: Final = "`claude` is not logged in, or its login is no longer valid: run `claude`, then /login."


def processes_at_once() -> int:
    """Return how many clients may run at once on this machine."""
    return 2 * (os.cpu_count() or 1)


@dataclass(slots=True)
class ClaudeBackend:
    settings: Settings
    program: str
    folder: Path
    """Where calls without a workspace run: empty, so that there is nothing to read."""
    environment: Mapping[str, str] = field(repr=False)
    models: Callable[[str], Sequence[str]] = field(repr=False)
    """The models for a purpose, the first choice first."""
    name: str = "claude"
    has_model: bool = True
    provider: str = "claude"
    max_parallel: int | None = field(default_factory=processes_at_once)
    """Kept by the engine's limits, which every run of several calls goes through."""

    def default_model(self, purpose: str) -> str | None:
        return self.settings.model or self.models(purpose)[0]

    def seating(self) -> Callable[[str], str | None]:
        return self.default_model

    def route(self, model: str | None) -> Route:  # noqa: ARG002 - the seam's signature
        return Route(self.provider)

    async def price(self, model: str | None) -> ModelPrice | None:  # noqa: ARG002 - the seam's signature
        """Unknown: what a subscription costs a call, nobody says."""
        return None

    async def ask(self, job: Job) -> Answer:
        model = job.model or self.default_model("default") or ""
        if model.startswith("-"):
            raise Rejected(f"{printable(model)[:60]!r} is no model.")
        prompt = clean_text(job.prompt.user).encode()
        if not prompt.strip() or len(prompt) > MAX_PROMPT:
            raise Rejected("The prompt is empty, or longer than the 10 MB that `claude` takes.")
        try:
            with anyio.fail_after(CALL_S):
                return await self._run(job, model, prompt)
        except TimeoutError:
            late = DeadlineExceeded(f"`claude` was not done after {CALL_S:g} s.")
            raise late.billed(UNTOLD) from None

    async def _run(self, job: Job, model: str, prompt: bytes) -> Answer:
        with (
            tempfile.TemporaryFile() as stdin,
            tempfile.TemporaryFile() as stdout,
            tempfile.TemporaryFile() as stderr,
            tempfile.NamedTemporaryFile(suffix=".txt") as system,
        ):
            stdin.write(prompt)
            stdin.seek(0)
            system.write(clean_text(job.prompt.system).encode())
            system.flush()
            command = [self.program, *arguments(job, model, system.name)]
            code = await self._wait(command, job.workspace or self.folder, stdin, stdout, stderr)
            return read_answer(job, code, _head(stdout, MAX_BYTES + 1), _head(stderr, MAX_STDERR))

    async def _wait(
        self, command: list[str], folder: Path, stdin: IO[bytes], stdout: IO[bytes], stderr: IO[bytes]
    ) -> int:
        try:
            process = await anyio.open_process(
                command,
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                cwd=folder,
                env=self.environment,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            raise Unreachable(f"`claude` could not be started: {why(error)}.") from None
        _bound_output(process.pid)
        try:
            return await process.wait()
        finally:
            await _end(process)


async def _end(process: Process) -> None:
    """Kill the group: also after a normal end, for what the child may have left behind."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with anyio.CancelScope(shield=True):
        await process.wait()
        await process.aclose()


def _bound_output(pid: int) -> None:
    """Let no file that the child writes pass the cap, where the system can do that from outside."""
    if sys.platform == "linux":
        import resource

        with suppress(OSError, ValueError):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (4 * MAX_BYTES, 4 * MAX_BYTES))


def _head(file: IO[bytes], most: int) -> bytes:
    file.seek(0)
    return file.read(most)


def arguments(job: Job, model: str, system_file: str) -> list[str]:
    """Return the arguments of one call; `system_file` already holds the system prompt."""
    system = clean_text(job.prompt.system)
    is_long = len(system.encode()) > MAX_ARGUMENT
    told = ["--system-prompt-file", system_file] if is_long else ["--system-prompt", system]
    tools = ["--tools", ""]
    if job.workspace is not None:
        # No --allowedTools: `Read` in it would open the whole disk, dontAsk opens what is below the cwd.
        tools = ["--tools", "Read,Grep,Glob", "--permission-mode", "dontAsk", "--max-turns", TURNS]
    wanted = [] if job.schema is None else ["--json-schema", json.dumps(dict(job.schema))]
    isolated = ["--safe-mode", "--strict-mcp-config", "--no-session-persistence"]
    chosen = ["--model", model] if model else []
    return ["-p", "--output-format", "json", *isolated, *tools, *told, *chosen, *wanted]


def child_environment(settings: Settings, own: Mapping[str, str]) -> dict[str, str]:
    taken_out = NOT_OURS if settings.claude_api_key else NOT_OURS | BEAT_THE_LOGIN
    kept = {name: value for name, value in own.items() if name not in taken_out}
    # The engine retries as well, and knows the deadline; the child's own back-off goes on for over a minute.
    return {**kept, "FANOUT_CHILD": "1", "CLAUDE_CODE_MAX_RETRIES": "1", "DISABLE_AUTOUPDATER": "1"}


def read_answer(job: Job, code: int, stdout: bytes, stderr: bytes) -> Answer:
    """Judge what a finished child left. Raises BackendError."""
    if len(stdout) > MAX_BYTES:
        raise TooLarge(f"`claude` wrote more than {MAX_BYTES // 1_000_000} MB; the answer was dropped.")
    try:
        body = parse(stdout) if stdout.strip() else None
    except BadAnswer:
        body = None
    if not isinstance(body, dict):
        raise _without_json(code, stderr)
    try:
        return _answer(job, body, code)
    except BackendError as error:
        error.billed(_usage(body) or Usage())
        raise


def _answer(job: Job, body: Mapping[str, Json], code: int) -> Answer:
    if code != 0 or body.get("is_error") is not False:
        raise _failure(body, code)
    data = body.get("structured_output")
    text = body.get("result")
    if data is not None:
        text = text if isinstance(text, str) and text.strip() else json.dumps(data)
    if not isinstance(text, str) or not text.strip():
        raise BadAnswer("`claude` ended without an answer.")
    if job.schema is not None and data is None and not _is_json(text):
        raise BadAnswer("`claude` answered without the structured output that it was asked for.")
    usage = _usage(body) or estimate(job, text)
    is_cut = data is None and len(text) > MAX_LENGTH
    return Answer(clean_text(text[:MAX_LENGTH]), _model(body, job), usage, data, truncated=is_cut)


def _is_json(text: str) -> bool:
    try:
        parse(text)
    except BadAnswer:
        return False
    return True


def _without_json(code: int, stderr: bytes) -> BackendError:
    said = " ".join(printable(redact(stderr.decode("utf-8", "replace"), None)).split())[:300]
    if any(word in said.lower() for word in LOGIN_WORDS):
        return AuthRejected(LOG_IN)
    if code in {0, -signal.SIGTERM, -signal.SIGKILL, 128 + signal.SIGTERM}:
        return Unreachable("`claude` was stopped before it answered.")
    # It refuses what it was given (options, schema, prompt) in words on stderr: no second try changes that.
    return Rejected(f"`claude` ended with status {code}: {said or 'it said nothing.'}")


def _failure(body: Mapping[str, Json], code: int) -> BackendError:
    status = body.get("api_error_status")
    message = body.get("result") or body.get("errors") or body.get("subtype") or f"exit status {code}"
    text = message if isinstance(message, str) else json.dumps(message)
    if any(word in text.lower() for word in LOGIN_WORDS) or status in {401, 403}:
        return AuthRejected(LOG_IN)
    if isinstance(status, int) and 400 <= status < 600:
        return refusal(status, text, "`claude`", None)
    said = f"`claude` failed: {printable(redact(text, None))[:300]}"
    is_final = str(body.get("subtype", "")).startswith("error_max") or "too long" in text.lower()
    return Rejected(said) if is_final else ServerFault(said)


def _usage(body: Mapping[str, Json]) -> Usage | None:
    usage = body.get("usage")
    if not isinstance(usage, dict):
        return None
    names = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens")
    counts = [tokens(usage.get(name) or 0) for name in names]
    known = [count for count in counts if count is not None]
    if len(known) < len(counts):
        return None
    return Usage(sum(known[:3]), known[3], dollars(body.get("total_cost_usd")))


def _model(body: Mapping[str, Json], job: Job) -> str:
    used = body.get("modelUsage")
    names = [str(name) for name in used] if isinstance(used, dict) else []
    return printable(names[0] if names else job.model or "claude")


@asynccontextmanager
async def open_claude(
    settings: Settings, environment: Mapping[str, str] | None = None
) -> AsyncIterator[ClaudeBackend]:
    """Yield the backend. Raises SettingsError when `claude` is not on PATH, or we run below it."""
    own = os.environ if environment is None else environment
    program = shutil.which("claude", path=own.get("PATH", ""))
    if program is None or settings.is_child:
        raise SettingsError("`claude` can't be used here: it is not on PATH, or this runs below it already.")
    with tempfile.TemporaryDirectory(prefix="fanout-claude-") as folder:
        row = read_rows(settings.config_dir)["claude"]
        yield ClaudeBackend(settings, program, Path(folder), child_environment(settings, own), row.models_for)
