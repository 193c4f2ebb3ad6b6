"""Command-line clients as models: one process a call, without tools, bounded, killed with its group.

CLIENTS is the table of what differs between `claude`, `codex` and `gemini`: arguments, files, environment,
and how the answer is read. What is the same for all of them:

1. The child sees none of the project, runs none of the user's hooks and MCP servers, and gets no key but its
   own: ANTHROPIC_API_KEY would beat the login of `claude` and bill someone else.
2. FANOUT_CHILD in its environment keeps a fanout below it from starting a client again.
3. A variable that moves the client to another host is passed on only where that host is this machine: a
   repository can set variables, and the login would go along. (ANTHROPIC_BASE_URL stays: Claude Code itself,
   which runs us, has already trusted it.)
4. Prompt in, answer and errors out go through files without names: no pipe can fill up, and nothing has to be
   read while the child runs, so a call is one task that only waits for one process. A child that may be asked
   again (`claude`, below: "warm processes") has pipes instead.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from subprocess import PIPE
from typing import IO, Final, NamedTuple
from urllib.parse import urlsplit

import anyio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from fanout_hooks.client import files
from fanout_mcp import errors
from fanout_mcp.backends.completion import dollars, estimate, parse, tokens
from fanout_mcp.backends.providers import Row, barred_client, barred_host
from fanout_mcp.backends.providers import read as read_rows
from fanout_mcp.backends.refusals import error_in, redact, refusal
from fanout_mcp.backends.request import QUIRKS
from fanout_mcp.errors import why
from fanout_mcp.jsonish import MAX_LENGTH
from fanout_mcp.state import policy
from fanout_mcp.state.folder import find_program, safe_path
from fanout_mcp.state.settings import LOOPBACK_HOSTS, Settings
from fanout_mcp.text import clean_text, printable
from fanout_mcp.types import Answer, Backend, Job, Json
from fanout_mcp.usage import UNREPORTED, Usage

MAX_BYTES: Final = 16_000_000
MAX_STDERR: Final = 64_000
MAX_ARGUMENT: Final = 100_000
"""Bytes; Linux allows 128 kB for one argument. Longer system prompts go through a file."""
MAX_PROMPT: Final = 9_500_000
"""`claude -p` refuses more than 10 MB on stdin, without JSON."""
CALL_S: Final = 600.0
TURNS: Final = "12"
MAX_PROCESSES: Final = 16
PROCESS_MB: Final = 350
"""Of one client, as measured: `claude` 250, `gemini` 330, `codex` 60."""


class Call(NamedTuple):
    """One call as a client's row sees it."""

    job: Job
    model: str
    system_file: str
    """Already holds the system prompt."""
    schema_file: str
    """Already holds the job's schema, if it has one."""
    base_url: str
    """Where the client is sent, "" for its own host."""
    is_alone: bool = True
    """The process gets this one call."""


@dataclass(frozen=True, slots=True)
class Client:
    """What is particular to one program."""

    name: str
    version: str
    """The one that its flags were checked with."""
    log_in: str
    arguments: Callable[[Call], Sequence[str]]
    stdin: Callable[[Job], str]
    read: Callable[[Job, int, bytes, str], Answer]
    """(job, exit status, stdout, stderr) -> the answer. Raises BackendError."""
    base_url: str = ""
    """The variable that names another host; passed on for this machine alone."""
    keys: frozenset[str] = frozenset()
    """Variables of keys that it may have."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Set for every call; `{system}` stands for the system prompt's file."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Put into its working folder, which is then always the same one: it keeps a list of all it has seen."""
    takes_workspace: bool = False
    takes_several: bool = False
    """One process takes several messages on stdin, as lines of JSON, and forgets on `/clear`."""


# --- claude ------------------------------------------------------------------------------------------------


def claude_arguments(call: Call) -> list[str]:
    system = clean_text(call.job.prompt.system)
    is_long = len(system.encode()) > MAX_ARGUMENT
    instructed = ["--system-prompt-file", call.system_file] if is_long else ["--system-prompt", system]
    tools = ["--tools", ""]
    if call.job.workspace is not None:
        # No --allowedTools: `Read` in it would open the whole disk, dontAsk opens what is below the cwd.
        tools = ["--tools", "Read,Grep,Glob", "--permission-mode", "dontAsk", "--max-turns", TURNS]
    wanted = [] if call.job.schema is None else ["--json-schema", json.dumps(dict(call.job.schema))]
    # --safe-mode keeps the login and leaves out hooks, MCP servers, memory files and skills.
    isolated = ["--safe-mode", "--strict-mcp-config", "--no-session-persistence"]
    chosen = ["--model", call.model] if call.model else []
    formats = ["--output-format", "json"] if call.is_alone else CLAUDE_STREAM
    return ["-p", *formats, *isolated, *tools, *instructed, *chosen, *wanted]


CLAUDE_STREAM: Final = ("--input-format", "stream-json", "--output-format", "stream-json", "--verbose")


def read_claude(job: Job, code: int, stdout: bytes, stderr: str) -> Answer:
    """Judged by exit status 0 and not is_error: `subtype` says "success" also for API errors."""
    client, body = CLIENTS["claude"], _object(stdout)
    if body is None:
        raise _without_answer(client, code, stderr)
    usage, data, result = _claude_usage(body), body.get("structured_output"), body.get("result")
    if code != 0 or body.get("is_error") is not False:
        message = result or body.get("errors") or body.get("subtype") or f"exit status {code}"
        reason = message if isinstance(message, str) else json.dumps(message)
        is_final = str(body.get("subtype", "")).startswith("error_max") or "too long" in reason.lower()
        failed = _failure(client, reason, body.get("api_error_status"), is_final=is_final)
        raise failed.billed(usage or Usage())
    text = result if isinstance(result, str) and result.strip() else json.dumps(data) if data else ""
    lacks = "answered without the structured output that it was asked for"
    is_lacking = job.schema is not None and data is None and _parsed(text) is None
    if not text or is_lacking:
        bad = errors.BadAnswer(f"`claude` {lacks if text else 'ended without an answer'}.")
        raise bad.billed(usage or Usage())
    used = body.get("modelUsage")
    names = [str(name) for name in used] if isinstance(used, dict) else []
    return _answer(job, text, names[0] if names else job.model or "claude", usage, data)


def _claude_usage(body: Mapping[str, Json]) -> Usage | None:
    names = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens")
    counts = _counts(body.get("usage"), names)
    return Usage(sum(counts[:3]), counts[3], dollars(body.get("total_cost_usd"))) if counts else None


# --- codex -------------------------------------------------------------------------------------------------

CODEX_TOOLS: Final = (
    *("shell_tool", "unified_exec", "view_image", "image_generation", "code_mode", "goals", "apps"),
    *("plugins", "multi_agent", "hooks"),
)
"""Features that bring tools. Switched off by -c and not by --disable, which ends the client when a version
does not know the name; what is left (apply_patch) the read-only sandbox refuses."""

CODEX_PROVIDER: Final = (
    'name="OpenAI"',
    "requires_openai_auth=true",
    'wire_api="responses"',
    "request_max_retries=0",
    "stream_max_retries=0",
)
"""OpenAI once more, by the login that codex has, without codex' own retries: of the built-in row they can't
be changed, and it makes thirty requests in 25 s of one failing server. The engine retries, and knows the
deadline."""


def codex_arguments(call: Call) -> list[str]:
    off = [f"features.{name}=false" for name in CODEX_TOOLS]
    moved = [f"base_url={json.dumps(call.base_url)}"] if call.base_url else []
    provider = [f"model_providers.fanout.{one}" for one in (*CODEX_PROVIDER, *moved)]
    settings = ('web_search="disabled"', *off, 'model_provider="fanout"', *provider)
    configured = [word for one in settings for word in ("-c", one)]
    isolated = ["--skip-git-repo-check", "--ephemeral", "--ignore-user-config", "--ignore-rules"]
    wanted = [] if call.job.schema is None else ["--output-schema", call.schema_file]
    chosen = ["-m", call.model] if call.model else []
    return ["exec", *isolated, "-s", "read-only", "--json", *configured, *wanted, *chosen, "-"]


def read_codex(job: Job, code: int, stdout: bytes, stderr: str) -> Answer:
    """One event a line; the last message of the agent is the answer, `turn.completed` ends it."""
    client, text, reason, usage, is_complete = CLIENTS["codex"], "", "", None, False
    for event in (_object(line) or {} for line in stdout.splitlines()):
        item = event.get("item")
        match event.get("type"):
            case "item.completed" if isinstance(item, dict) and item.get("type") == "agent_message":
                text = str(item.get("text") or "")
            case "turn.completed":
                is_complete = True
                # cached_input_tokens and reasoning_output_tokens are parts of these two
                counts = _counts(event.get("usage"), ("input_tokens", "output_tokens"))
                usage = Usage(counts[0], counts[1]) if counts else None
            case "turn.failed" | "error":
                error = event.get("error")
                reason = str((error if isinstance(error, dict) else event).get("message") or reason)
    if not is_complete or code != 0:
        failed = _failure(client, reason) if reason else _without_answer(client, code, stderr)
        raise failed.billed(usage or Usage())
    if not text.strip():
        raise errors.BadAnswer("`codex` ended without an answer.").billed(usage or Usage())
    return _answer(job, text, job.model or "codex", usage)


# --- gemini ------------------------------------------------------------------------------------------------

GEMINI_SETTINGS: Final = {
    "tools": {"core": ["none"]},  # an empty list means all of them
    "mcp": {"allowed": ["none"]},
    "hooksConfig": {"enabled": False},
    "skills": {"enabled": False},
    "telemetry": {"enabled": False},
    "privacy": {"usageStatisticsEnabled": False},
    # The engine retries, and knows the deadline; its own back-off takes minutes.
    "general": {"maxAttempts": 1, "enableAutoUpdate": False, "enableAutoUpdateNotification": False},
}
"""Of the working folder, which beat the user's; the login (security.auth) stays the user's."""


def gemini_arguments(call: Call) -> list[str]:
    chosen = ["-m", call.model] if call.model else []
    return ["--approval-mode", "plan", "-e", "none", "-o", "json", *chosen, "-p", " "]


def read_gemini(job: Job, code: int, stdout: bytes, stderr: str) -> Answer:
    client, body = CLIENTS["gemini"], _object(stdout)
    if body is None:  # the error goes to stderr then, as an object after all the rest, or inside a trace
        written = stderr.encode()
        body = _object(written[written.rfind(b"\n{\n") + 1 :])
    if body is None:
        found = _API_ERROR.search(stderr)
        raise _failure(client, found[1]) if found else _without_answer(client, code, stderr)
    error = body.get("error")
    if isinstance(error, dict) or code != 0:
        error = error if isinstance(error, dict) else {}
        if code == GEMINI_NO_LOGIN:
            raise errors.AuthRejected(client.log_in)
        status = error.get("code")  # the client's own codes are below 100
        is_status = isinstance(status, int) and status >= 400
        message = str(error.get("message") or f"exit status {code}")
        raise _failure(client, message, status if is_status else None)
    name, usage = _gemini_usage(body.get("stats"))
    text = body.get("response")
    if not isinstance(text, str) or not text.strip():
        raise errors.BadAnswer("`gemini` ended without an answer.").billed(usage or Usage())
    return _answer(job, text, name or job.model or "gemini", usage)


GEMINI_NO_LOGIN: Final = 41
GEMINI_COUNTS: Final = ("prompt", "candidates", "thoughts")
_API_ERROR: Final = re.compile(r"(?m)^(?>.*?ApiError: (?=\{))(.*\})")


def _gemini_usage(stats: Json) -> tuple[str, Usage | None]:
    """Return the model that wrote most (another may have chosen it), and what all of them used."""
    models = stats.get("models") if isinstance(stats, dict) else None
    found = [
        (str(name), counts)
        for name, one in (models.items() if isinstance(models, dict) else ())
        if isinstance(one, dict) and (counts := _counts(one.get("tokens"), GEMINI_COUNTS))
    ]
    if not found:
        return "", None
    used = Usage(sum(counts[0] for _, counts in found), sum(counts[1] + counts[2] for _, counts in found))
    return max(found, key=lambda one: one[1][1])[0], used


# --- the table ---------------------------------------------------------------------------------------------

CLIENTS: Final[Mapping[str, Client]] = {
    one.name: one
    for one in (
        Client(
            "claude",
            "2.1.332",
            "`claude` is not logged in, or its login is no longer valid: run `claude`, then /login.",
            claude_arguments,
            lambda job: job.prompt.user,
            read_claude,
            # Its own back-off goes on for over a minute.
            environment={"CLAUDE_CODE_MAX_RETRIES": "1", "DISABLE_AUTOUPDATER": "1"},
            takes_workspace=True,
            takes_several=True,
        ),
        Client(
            "codex",
            "0.171.0",
            "`codex` is not logged in, or its login is no longer valid: run `codex login`.",
            codex_arguments,
            lambda job: f"{job.prompt.system}\n\n{job.prompt.user}",
            read_codex,
            base_url="OPENAI_BASE_URL",
            keys=frozenset({"CODEX_API_KEY"}),
        ),
        Client(
            "gemini",
            "0.61.0",
            "`gemini` is not logged in, or its login is no longer valid: run `gemini`, then /auth.",
            gemini_arguments,
            lambda job: job.prompt.user,
            read_gemini,
            base_url="GOOGLE_GEMINI_BASE_URL",
            keys=frozenset({"GEMINI_API_KEY", "GOOGLE_API_KEY"}),
            environment={
                "GEMINI_SYSTEM_MD": "{system}",
                "GEMINI_CLI_TRUST_WORKSPACE": "true",  # --skip-trust comes too late for the settings
                "GEMINI_CLI_NO_RELAUNCH": "true",  # one process, half the start
            },
            files={".gemini/settings.json": json.dumps(GEMINI_SETTINGS)},
        ),
    )
}


# --- one call ----------------------------------------------------------------------------------------------

BUSY: Final = 4.0
"""Runnable processes a core, from which on fewer clients are started: each would only start later."""


def processes_at_once() -> int:
    free_mb, load = float("inf"), 0.0
    with suppress(OSError):  # elsewhere than on Linux
        meminfo = Path("/proc/meminfo").read_text(encoding="ascii")
        found = re.search(r"^MemAvailable:\s+(\d+) kB", meminfo, re.MULTILINE)
        free_mb = int(found[1]) / 1024 if found else free_mb
    with suppress(OSError):
        load = os.getloadavg()[0] / (os.cpu_count() or 1)
    return allowed_processes(free_mb, load)


def allowed_processes(free_mb: float, load: float) -> int:
    """`load`: runnable processes a core. Two at least: members that run one by one are not a panel."""
    by_memory = min(MAX_PROCESSES, free_mb / PROCESS_MB)
    return max(2, int(min(by_memory, MAX_PROCESSES * BUSY / max(load, BUSY))))


@dataclass(slots=True)
class ClientBackend(Backend):
    """One program of the table. What a call costs a subscription is published by none."""

    settings: Settings
    client: Client
    program: str
    folder: Path
    """Where calls without a workspace run: there is nothing in it to read."""
    environment: Mapping[str, str] = field(repr=False)
    row: Row
    base_url: str = ""
    waiting: list[WarmProcess] = field(default_factory=list, repr=False)
    """Processes that have answered and been cleared, the newest last."""

    @property
    def name(self) -> str:
        return self.client.name

    @property
    def provider(self) -> str:
        return self.client.name

    def default_model(self, purpose: str) -> str | None:
        """Return None where the client's own default is asked."""
        return self.settings.model or next(iter(self.row.models_for(purpose)), None)

    async def ask(self, job: Job) -> Answer:
        model = job.model or next(iter(self.row.models_for("default")), "")
        barred = barred_client(self.name, self.program) or policy.current().refusal("models", model)
        if barred:
            raise errors.NotAllowed(f"{barred}.")
        if model.startswith("-"):
            raise errors.Rejected(f"{printable(model)[:60]!r} is not a model's name.")
        if job.workspace is not None and not self.client.takes_workspace:
            raise errors.Rejected(f"`{self.name}` reads no project here; ask claude:MODEL for that.")
        prompt = clean_text(self.client.stdin(job)).encode()
        if not job.prompt.user.strip() or len(prompt) > MAX_PROMPT:
            raise errors.Rejected(f"The prompt is empty, or longer than the 10 MB that `{self.name}` takes.")
        try:
            with anyio.fail_after(CALL_S):
                return await self._ask_as_it_can(job, model, prompt)
        except TimeoutError:
            late = errors.DeadlineExceeded(f"`{self.name}` was not done after {CALL_S:g} s.")
            raise late.billed(UNREPORTED) from None

    async def _ask_as_it_can(self, job: Job, model: str, prompt: bytes) -> Answer:
        """Ask; once more without the schema where that is refused."""
        try:
            return await self._run(job, model, prompt)
        except errors.Rejected as error:
            if job.schema is None or not QUIRKS["schema"].words.search(error.words):
                raise
            answer = await self._run(replace(job, schema=None), model, prompt, error.usage)
            return replace(answer, usage=error.usage + answer.usage)

    async def _run(self, job: Job, model: str, prompt: bytes, spent: Usage = Usage()) -> Answer:  # noqa: B008 - frozen
        if job.on_request is not None:
            job.on_request(spent)
        is_short = len(job.prompt.system) <= MAX_ARGUMENT // 4
        if self.client.takes_several and job.workspace is None and is_short:
            return await self._ask_warm(Call(job, model, "", "", self.base_url, is_alone=False), prompt)
        with (
            tempfile.TemporaryFile() as stdin,
            tempfile.TemporaryFile() as stdout,
            tempfile.TemporaryFile() as stderr,
            tempfile.NamedTemporaryFile(suffix=".txt") as system,
            tempfile.NamedTemporaryFile(suffix=".json") as schema,
        ):
            stdin.write(prompt)
            stdin.seek(0)
            system.write(clean_text(job.prompt.system).encode())
            schema.write(json.dumps(dict(job.schema or {})).encode())
            system.flush()
            schema.flush()
            call = Call(job, model, system.name, schema.name, self.base_url)
            code = await self._wait(call, (stdin, stdout, stderr))
            written = _head(stdout, MAX_BYTES + 1)
            if len(written) > MAX_BYTES:
                raise _too_large(self.name)
            return self.client.read(job, code, written, _head(stderr, MAX_STDERR).decode("utf-8", "replace"))

    async def _ask_warm(self, call: Call, prompt: bytes) -> Answer:
        """Ask a process that waits for the like of it; a new one where there is none, or it has ended."""
        arguments = self.client.arguments(call)
        process = await self._take(arguments)
        body, code, stderr = await self._said(process, prompt) if process is not None else (b"", 0, "")
        if process is None or not body:
            process = await self._new(arguments)
            body, code, stderr = await self._said(process, prompt)
        try:
            answer = self.client.read(call.job, code, body, stderr)
        except errors.BackendError:
            await process.end()
            raise
        await process.clear()
        self.waiting.append(process)
        while len(self.waiting) > MAX_WAITING:
            await self.waiting.pop(0).end()
        return answer

    async def _said(self, process: WarmProcess, prompt: bytes) -> tuple[bytes, int, str]:
        """Return the line of its result, its exit status and stderr; without a result it is ended."""
        body = b""
        try:
            body, code = await process.ask(prompt.decode())
            return body, code, process.errors()
        finally:
            if not body:
                await process.end()

    async def _take(self, arguments: Sequence[str]) -> WarmProcess | None:
        """Return a process that waits for a call with these arguments and has forgotten the last one."""
        found = next((one for one in reversed(self.waiting) if one.arguments == arguments), None)
        if found is None:
            return None
        self.waiting.remove(found)
        is_ready = False
        try:
            is_ready = await found.is_ready()
        finally:
            if not is_ready:
                await found.end()
        return found if is_ready else None

    async def _new(self, arguments: Sequence[str]) -> WarmProcess:
        stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        try:
            started = await self._start(arguments, (PIPE, PIPE, stderr), self.folder, self.environment_of(""))
        except BaseException:
            stderr.close()
            raise
        return WarmProcess(started, arguments, stderr)

    def environment_of(self, system_file: str) -> dict[str, str]:
        own = {name: text.format(system=system_file) for name, text in self.client.environment.items()}
        return {**self.environment, **own}

    async def _wait(self, call: Call, streams: Streams) -> int:
        """Run the program to its end and return its exit status; cancelled, kill all that it started."""
        environment = self.environment_of(call.system_file)
        folder = call.job.workspace or self.folder
        process = await self._start(self.client.arguments(call), streams, folder, environment)
        try:
            return await process.wait()
        finally:
            await _end(process)

    async def _start(
        self, arguments: Sequence[str], streams: Streams, folder: Path, environment: Mapping[str, str]
    ) -> Process:
        stdin, stdout, stderr = streams
        try:
            process = await anyio.open_process(
                [self.program, *arguments],
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                cwd=folder,
                env=environment,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            raise errors.Unreachable(f"`{self.name}` could not be started: {why(error)}.") from None
        _bound_output(process.pid)
        return process


Streams = tuple[IO[bytes] | int, IO[bytes] | int, IO[bytes]]


# --- warm processes ----------------------------------------------------------------------------------------
# `claude` takes half a second to start. One that has answered waits for the next call with the same arguments
# (model, system prompt, schema): the next round of a council, a repair, the next question to the same panel.
# Rules:
# 1. It is sent `/clear` at once, and is used again only after it has confirmed it (`conversation_reset`): the
#    next request then holds one user message and nothing of the last one (tests/e2e/test_clients.py).
# 2. At most MAX_WAITING wait, the newest; each is ended after KEEP_S.
# 3. Whatever goes otherwise than expected ends the process, and the next call starts a new one.

MAX_WAITING: Final = 4
KEEP_S: Final = 60.0
ENDING_S: Final = 5.0
"""For a process to confirm that it has forgotten, or to end: some hundredths of a second, mostly."""


class WarmProcess:
    """One process of a client that takes several messages; `errors` is what it wrote to stderr."""

    def __init__(self, process: Process, arguments: Sequence[str], stderr: IO[bytes]) -> None:
        assert process.stdin is not None  # noqa: S101 - opened with pipes; tells mypy so
        assert process.stdout is not None  # noqa: S101 - as above
        self.arguments = arguments
        self._process, self._stdin, self._stderr = process, process.stdin, stderr
        self._stdout = BufferedByteReceiveStream(process.stdout)
        self._timer: threading.Timer | None = None

    async def ask(self, prompt: str) -> tuple[bytes, int]:
        """Return the line of its result and 0; b"" and the exit status where it ended before one."""
        await self._say(prompt)
        size = 0
        while line := await self._line():
            size += len(line)
            if size > MAX_BYTES:
                raise _too_large("claude")
            if (_object(line) or {}).get("type") == "result":
                return line, 0
        with anyio.move_on_after(ENDING_S):
            return b"", await self._process.wait()
        return b"", -signal.SIGKILL

    async def clear(self) -> None:
        """Have it forget what it was asked, and let it wait for KEEP_S."""
        await self._say("/clear")
        self._timer = threading.Timer(KEEP_S, self._kill)  # a thread: no task outlives its call
        self._timer.daemon = True
        self._timer.start()

    async def is_ready(self) -> bool:
        if self._timer is not None:
            self._timer.cancel()
        is_cleared = False
        with anyio.move_on_after(ENDING_S):
            while line := await self._line():
                event = _object(line) or {}
                is_cleared |= event.get("type") == "conversation_reset"
                if event.get("type") == "result":
                    return is_cleared and event.get("is_error") is False
        return False

    def errors(self) -> str:
        return _head(self._stderr, MAX_STDERR).decode("utf-8", "replace")

    async def end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        await _end(self._process)
        self._stderr.close()

    async def _say(self, text: str) -> None:
        line = json.dumps({"type": "user", "message": {"role": "user", "content": text}})
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):  # reading tells that it ended
            await self._stdin.send(line.encode() + b"\n")

    async def _line(self) -> bytes:
        """Return the next line of its output with its end, b"" after the last one."""
        try:
            return await self._stdout.receive_until(b"\n", MAX_BYTES) + b"\n"
        except anyio.DelimiterNotFound:
            raise _too_large("claude") from None
        except (anyio.IncompleteRead, anyio.BrokenResourceError, anyio.ClosedResourceError):
            return b""

    def _kill(self) -> None:
        if self._process.returncode is None:
            _kill(self._process)


def _too_large(name: str) -> errors.TooLarge:
    return errors.TooLarge(f"`{name}` wrote more than {MAX_BYTES // 1_000_000} MB; the answer was dropped.")


async def _end(process: Process) -> None:
    """Kill the group: also after a normal end, for what the child may have left behind."""
    _kill(process)
    with anyio.CancelScope(shield=True):
        await process.wait()
        await process.aclose()


def _kill(process: Process) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _bound_output(pid: int) -> None:
    """Let no file that the child writes pass the cap, where the system can do that from outside."""
    if sys.platform == "linux":
        import resource

        with suppress(OSError, ValueError):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (4 * MAX_BYTES, 4 * MAX_BYTES))


def _head(file: IO[bytes], most: int) -> bytes:
    file.seek(0)
    return file.read(most)


# --- reading what a child left -----------------------------------------------------------------------------

LOGIN: Final = re.compile(
    r"not logged in|/login|invalid api key|authentication_error|oauth token|api key not valid|"
    r"invalid auth method|must specify the gemini_api_key|(?:log|sign) ?in again|refresh token",
    re.IGNORECASE,
)
QUOTA: Final = re.compile(
    r"usage limit|hit your (?:\w+ )?limit|quota exceeded|exhausted your|out of (?:\w+ )?usage|"
    r"exceeded your .{0,20}quota",
    re.IGNORECASE,
)
"""A plan's limits, which are over in hours: no use in waiting for them."""
_STATUS: Final = re.compile(r"\bstatus (?:code )?(\d{3})\b")
_USAGE_ERROR: Final = re.compile(
    r"unexpected argument|unknown (?:argument|option|feature)|invalid value", re.IGNORECASE
)


def _failure(
    client: Client, message: str, status: Json = None, *, is_final: bool = False
) -> errors.BackendError:
    """Return what a client's own message means; it may quote its provider's error as JSON or by status."""
    begin = message.find("{")
    quoted = _parsed(message[begin:]) if begin >= 0 else None
    found = error_in(quoted, is_refusal=True) if isinstance(quoted, dict) else None
    shown = " ".join(printable(redact(found.words if found else message, None)).split())
    shown = re.sub(r", url: \S+$", "", shown)
    if not isinstance(status, int):
        match = _STATUS.search(message)
        # A provider's own error without a number is a refusal: other failures are the client's words.
        status = int(match[1]) if match else (found.status or 400) if found else None
    error: errors.BackendError
    if LOGIN.search(shown) or status in {401, 403}:
        error = errors.AuthRejected(client.log_in)
    elif QUOTA.search(shown):
        error = errors.QuotaSpent(f"`{client.name}`: the quota of its plan is used up: {shown[:300]}")
    elif isinstance(status, int) and 400 <= status < 600:
        error = refusal(status, found or shown, f"`{client.name}`", None)
    else:
        error = (errors.Rejected if is_final else errors.ServerFault)(
            f"`{client.name}` failed: {shown[:300]}"
        )
    error.words = shown
    return error


def _without_answer(client: Client, code: int, stderr: str) -> errors.BackendError:
    shown = " ".join(printable(redact(stderr, None)).split())[:300]
    if LOGIN.search(shown):
        return errors.AuthRejected(client.log_in)
    if code in {0, -signal.SIGTERM, -signal.SIGKILL, 128 + signal.SIGTERM}:
        return errors.Unreachable(f"`{client.name}` was stopped before it answered.")
    # It refuses what it was given (options, schema, prompt) in words on stderr: no second try changes that.
    known = f" fanout knows version {client.version}." if _USAGE_ERROR.search(shown) else ""
    error = errors.Rejected(
        f"`{client.name}` ended with status {code}: {shown or 'without a message.'}{known}"
    )
    error.words = shown
    return error


def _answer(job: Job, text: str, model: str, usage: Usage | None, data: Json = None) -> Answer:
    is_cut = data is None and len(text) > MAX_LENGTH
    text = clean_text(text[:MAX_LENGTH])  # what is behind it, no one reads
    return Answer(text, printable(model), usage or estimate(job, text), data, truncated=is_cut)


def _parsed(text: str | bytes) -> Json:
    try:
        return parse(text)
    except errors.BadAnswer:
        return None


def _object(stdout: bytes) -> Mapping[str, Json] | None:
    body = _parsed(stdout) if stdout.strip() else None
    return body if isinstance(body, dict) else None


def _counts(usage: Json, names: Sequence[str]) -> list[int] | None:
    if not isinstance(usage, dict):
        return None
    found = [tokens(usage.get(name) or 0) for name in names]
    known = [count for count in found if count is not None]
    return known if len(known) == len(found) else None


# --- opening -----------------------------------------------------------------------------------------------

NOT_OURS: Final = frozenset(
    {"FANOUT_API_KEY", "CLAUDECODE", "CLAUDE_CODE_ENTRYPOINT", "ANTHROPIC_AUTH_TOKEN"}
)
"""Left out beside all providers' keys; with the middle two a child believes that it runs inside another."""
ELSEWHERE: Final = frozenset(
    {"OPENAI_BASE_URL", "GOOGLE_GEMINI_BASE_URL", "GOOGLE_VERTEX_BASE_URL", "CODE_ASSIST_ENDPOINT"}
)


def child_environment(
    client: Client, settings: Settings, own: Mapping[str, str], keys: Sequence[str]
) -> dict[str, str]:
    """Return what a child gets of our environment. `keys`: the variables of all providers' keys."""
    kept = client.keys
    if client.name == "claude" and settings.claude_api_key:
        kept = frozenset({"ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"})
    left_out = NOT_OURS.union(keys, *(one.keys for one in CLIENTS.values())) - kept
    left_out |= {name for name in ELSEWHERE if urlsplit(own.get(name, "")).hostname not in LOOPBACK_HOSTS}
    left_out |= {name for name, value in own.items() if _is_barred(name, value)}
    return {**{name: value for name, value in own.items() if name not in left_out}, "FANOUT_CHILD": "1"}


_HOSTS: Final = re.compile(r"_(?:BASE_URL|ENDPOINT|PROXY)$|_USE_(?:BEDROCK|VERTEX|FOUNDRY)$", re.IGNORECASE)
_MODELS: Final = re.compile(r"^(?:ANTHROPIC|CLAUDE|GEMINI|OPENAI|CODEX)_\w*MODEL(?:_|$)")


def _is_barred(name: str, value: str) -> bool:
    """Tell a variable that would lead a client to a host or a model that the policy does not allow."""
    company = policy.current()
    if _MODELS.search(name):
        return company.models is not None
    if not _HOSTS.search(name) or not company.has_places:
        return False
    return not urlsplit(value).hostname or bool(barred_host(value))


@asynccontextmanager
async def open_client(
    name: str, settings: Settings, environment: Mapping[str, str] | None = None
) -> AsyncIterator[ClientBackend]:
    """Yield the backend of one client. Raises SettingsError when it is not on PATH, or we run below one."""
    client = CLIENTS[name]
    own = os.environ if environment is None else environment
    path = own.get("PATH", "")
    program = find_program(name, settings.project, path)
    if program is None or settings.is_child:
        raise errors.SettingsError(
            f"`{name}` can't be used here: it is not on PATH (what lies in the project "
            "or can be replaced by any user is not run), or this runs below one already."
        )
    rows = read_rows(settings.config_dir)
    env = child_environment(client, settings, own, [row.key for row in rows.values() if row.key])
    env["PATH"] = safe_path(
        path, settings.project
    )  # a client may itself be a script that `node` is looked up for
    with tempfile.TemporaryDirectory(prefix=f"fanout-{name}-") as empty:
        folder = _prepared(client, settings) if client.files else Path(empty)
        base_url = env.get(client.base_url, "") if client.base_url else ""
        backend = ClientBackend(settings, client, program, folder, env, rows[name], base_url)
        try:
            yield backend
        finally:
            for process in backend.waiting:
                await process.end()


def _prepared(client: Client, settings: Settings) -> Path:
    """Return the client's own working folder, with the files that its row puts there."""
    folder = (settings.cache_home or settings.config_dir / "cache") / "clients" / client.name
    for name, text in client.files.items():
        path = folder / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            files.replace(str(path), text.encode())
    return folder
