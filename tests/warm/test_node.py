"""Node hooks: processes that were started ahead do what they do natively, and are never in the way."""

from __future__ import annotations

import json
import os
import random
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.few import few
from fakes.processes import ends
from fakes.sandbox import Event, Native, Running, Sandbox, pre_tool_use
from fanout_hooks.warm import node
from fanout_hooks.warm.command import which, words_of
from fanout_hooks.warm.loop import CONTROL

HEAD = "const fs = require('fs'), path = require('path');\n"
READ = HEAD + "const event = JSON.parse(fs.readFileSync(0, 'utf8'));\n"

EACH = "for (let fd = 3; fd < 256; fd++) try {{ require('fs').{} }} catch {{}}".format

# name -> file's suffix and source. Each is run natively and in a spare, and must leave the same.
PROGRAMS: dict[str, tuple[str, str]] = {
    "stdin, the whole": (".js", READ + "console.log(event.tool_input.command)"),
    "stdin, by its name": (".js", HEAD + "console.log(fs.readFileSync('/dev/stdin', 'utf8').length)"),
    "stdin, events": (
        ".js",
        """
        let all = '';
        process.stdin.setEncoding('utf8');
        process.stdin.on('data', (one) => (all += one));
        process.stdin.on('end', () => console.log(JSON.parse(all).tool_name));
        """,
    ),
    "stdin, awaited": (
        ".mjs",
        "let all = ''; for await (const one of process.stdin) all += one; console.log(all.length)",
    ),
    "stdin, by lines": (
        ".mjs",
        """
        import readline from 'node:readline';
        const lines = readline.createInterface({input: process.stdin});
        for await (const line of lines) console.log(line.length);
        """,
    ),
    "stdin, left alone": (".js", "console.log('did not look')"),
    "stdin, let go": (".js", "process.stdin.resume(); process.stdin.pause(); console.log(1)"),
    "arguments": (
        ".js",
        "console.log(process.argv, process.argv0, process.execArgv, require.main === module, __filename)",
    ),
    "environment": (".js", "console.log(process.env)"),
    "folder": (".js", "console.log(process.cwd(), require('path').resolve('x'))"),
    "ES module": (".mjs", "import fs from 'fs'; console.log(import.meta.url, fs.readFileSync(0).length)"),
    "import() from CommonJS": (".cjs", "import('node:os').then((os) => console.log(typeof os.cpus))"),
    "own modules": (".js", "console.log(require('./helper').count++, Object.keys(require.cache).length)"),
    "exit code": (".js", "console.error('no'); process.exit(2)"),
    "exit code, set": (".js", "process.exitCode = 7; console.log('on')"),
    "exit listener": (".js", "process.on('exit', (code) => console.log('ended', code))"),
    "syntax error": (".js", "const = 1"),
    "thrown": (".js", "\nthrow new Error('what went wrong')"),
    "thrown in an ES module": (".mjs", "\nthrow new TypeError('what went wrong')"),
    "rejection": (".js", "Promise.reject(new Error('nobody looks'))"),
    "missing module": (".js", "require('./nowhere')"),
    "open handle": (".js", "setTimeout(() => console.log('late'), 50); console.log('early')"),
    "child": (
        ".js",
        """
        const {execFileSync} = require('child_process');
        console.log(execFileSync('node', ['-p', 'process.execArgv.length'], {input: ''}).toString());
        """,
    ),
    "forked child": (
        ".js",
        """
        if (process.send) process.send(process.execArgv);
        else require('child_process').fork(__filename).on('message', (own) => console.log(own));
        """,
    ),
    "worker thread": (
        ".js",
        """
        const {Worker, isMainThread, parentPort} = require('worker_threads');
        if (isMainThread) new Worker(__filename).on('message', (own) => console.log(own));
        else parentPort.postMessage([process.execArgv, process.env.HOME !== undefined]);
        """,
    ),
    "killed by itself": (".js", "process.kill(process.pid, 'SIGTERM'); setTimeout(() => {}, 5000)"),
    "aborted": (".js", "process.kill(process.pid, 'SIGABRT'); setTimeout(() => {}, 5000)"),
    "much output": (".js", "process.stdout.write('x'.repeat(300000) + '\\n'); console.error('end')"),
    "file written": (".js", HEAD + "fs.appendFileSync('left.txt', 'line\\n')"),
    "warning": (".js", "process.emitWarning('careful', {code: 'OWN'}); new Buffer(1)"),
    "stack": (".js", "console.log(new Error('here').stack.split('\\n').length, Error.stackTraceLimit)"),
    "globals": (".js", "console.log(Object.keys(globalThis), typeof require, this === module.exports)"),
    "preloads": (".js", "console.log(module.parent, process.listenerCount('exit'), process.preloading)"),
    "zone": (".js", "console.log(new Date(0).toString(), Intl.DateTimeFormat().resolvedOptions().locale)"),
}


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    made = Sandbox(tmp_path / "a path with ümlauts 'and' quotes")
    (made.scripts / "helper.js").write_text("exports.count = 1")
    return made


def program(sandbox: Sandbox, name: str, source: str, suffix: str = ".js") -> str:
    """Write a program and return the command that runs it."""
    path = sandbox.scripts / f"{name}{suffix}"
    path.write_text(source)
    return f"node {shlex.quote(str(path))}"


def ways(sandbox: Sandbox) -> list[str]:
    return [row["lane"] for row in sandbox.log()[-1]["hooks"]]


def known(run: Running) -> None:
    """Have spares for the hooks of an event."""
    run.event(pre_tool_use("first"))
    run.settle()
    run.sandbox.forget()


def normal(native: Native) -> Native:
    """Leave out what differs from process to process."""
    texts = (re.sub(r"\(node:\d+\)", "(node)", text) for text in native[1:])
    return Native(native.exit, *texts)


@pytest.mark.parametrize(
    "name", few(PROGRAMS, "stdin, the whole", "ES module", "forked child", "thrown", "open handle")
)
def test_a_program_does_in_a_spare_what_it_does_natively(sandbox: Sandbox, name: str) -> None:
    suffix, source = PROGRAMS[name]
    command = program(sandbox, "hook", source, suffix) + " one 'two words'"
    sandbox.hooks("PreToolUse", command)
    event = pre_tool_use("rm -rf /")
    native, files = normal(sandbox.native(command, event)), dict(sandbox.files())
    sandbox.forget()
    with sandbox.running() as run:
        known(run)
        with run.seeing() as seen:
            run.event(event)
    assert list(map(normal, seen)) == [native]
    assert dict(sandbox.files()) == files
    assert ways(sandbox) == ["spare"]


COMMANDS = {
    "the program itself": ("{path}", "#!/usr/bin/env node\n"),
    "a full path": ("{node} {path}", ""),
    "options": ("node --no-warnings --max-old-space-size=64 {path} -x", ""),
    "exec": ("exec node {path}", ""),
    "variables": ('node "$CLAUDE_PROJECT_DIR"/../scripts/hook.js', ""),
}


@pytest.mark.parametrize("name", few(COMMANDS, "the program itself", "exec"))
def test_every_way_to_name_a_program_has_spares(tmp_path: Path, name: str) -> None:
    sandbox = Sandbox(tmp_path)
    path = sandbox.scripts / "hook.js"
    command, first = COMMANDS[name]
    path.write_text(f"{first}console.log(process.argv, process.execArgv, process.argv0)")
    path.chmod(0o755)
    found = which("node", sandbox.env, "/")
    line = command.format(path=path, node=found)
    sandbox.hooks("PreToolUse", line)
    native = sandbox.native(line, pre_tool_use())
    with sandbox.running() as run:
        known(run)
        with run.seeing() as seen:
            run.event(pre_tool_use())
    assert (seen, ways(sandbox)) == ([native], ["spare"])


LEFT = {
    "code in the command": "node -e 'console.log(1)'",
    "another preload": "node -r ./x.js {path}",
    "a loader": "node --import ./x.mjs {path}",
    "a debugger": "node --inspect-brk=0 {path}",
    "a shell's work": "node {path} | cat",
    "no script": "node --version",
}


@pytest.mark.parametrize("name", LEFT)
def test_what_is_more_than_a_script_runs_as_written(tmp_path: Path, name: str) -> None:
    sandbox = Sandbox(tmp_path)
    path = sandbox.scripts / "hook.js"
    path.write_text("console.log(1)")
    words = words_of(LEFT[name].format(path=path), None, sandbox.env, str(tmp_path))
    assert not words or node.node_of(words, sandbox.env, str(tmp_path)) is None


def test_a_preload_of_the_users_own_runs_natively(sandbox: Sandbox) -> None:
    words = ["node", str(sandbox.scripts / "helper.js")]
    given = {"--max-old-space-size=512": True, "--require ./x.js": False, "": True}
    assert {
        options: node.node_of(words, sandbox.env | {"NODE_OPTIONS": options}, "/") is not None
        for options in given
    } == given


def test_an_edited_script_and_its_modules_are_read_at_the_event(sandbox: Sandbox) -> None:
    command = program(sandbox, "hook", "console.log('old', require('./helper').count)")
    sandbox.hooks("PreToolUse", command)
    with sandbox.running() as run:
        known(run)
        program(sandbox, "hook", "console.log('new', require('./helper').count)")
        (sandbox.scripts / "helper.js").write_text("exports.count = 2")
        with run.seeing() as seen:
            run.event(pre_tool_use())
    assert (seen, ways(sandbox)) == ([Native(0, "new 2\n", "")], ["spare"])


def test_a_script_that_is_for_another_program_now_is_not_given_to_node(sandbox: Sandbox) -> None:
    path = sandbox.scripts / "own"
    path.write_text("#!/usr/bin/env node\nconsole.log('node')\n")
    path.chmod(0o755)
    sandbox.hooks("PreToolUse", shlex.quote(str(path)))
    with sandbox.running() as run, run.seeing() as seen:
        known(run)
        path.write_text("#!/bin/sh\necho shell\n")
        run.event(pre_tool_use())
    assert [own.stdout for own in seen] == ["node\n", "shell\n"]


def test_variables_of_the_event_come_with_it_and_any_others_need_a_fresh_node(sandbox: Sandbox) -> None:
    sandbox.hooks(
        "PreToolUse", program(sandbox, "hook", "console.log(process.env.CLAUDE_EFFORT, process.env.TZ)")
    )
    with sandbox.running() as run, run.seeing() as seen:
        known(run)
        for own in ({"CLAUDE_EFFORT": "high"}, {"TZ": "Asia/Tokyo"}, {}):
            sandbox.env = sandbox.env | own
            run.event(pre_tool_use())
            run.settle()
    assert [own.stdout for own in seen[1:]] == ["high undefined\n", "high Asia/Tokyo\n", "high Asia/Tokyo\n"]
    assert [row["hooks"][0]["lane"] for row in sandbox.log()[1:]] == ["spare", "lane", "spare"]


@pytest.mark.parametrize("size", [1 << 10, 1 << 17, 900_000, 3 << 20])
def test_an_event_of_any_size_arrives_whole(sandbox: Sandbox, size: int) -> None:
    sandbox.hooks(
        "PreToolUse", program(sandbox, "hook", READ + "console.log(event.tool_input.command.length)")
    )
    with sandbox.running() as run:
        known(run)
        with run.seeing() as seen:
            run.event(pre_tool_use("x" * size))
    assert seen == [Native(0, f"{size}\n", "")]


def test_events_that_come_faster_than_spares_run_all_the_same(sandbox: Sandbox) -> None:
    commands = [
        program(sandbox, f"h{at}", READ + f"console.log({at}, event.tool_input.command)") for at in range(3)
    ]
    sandbox.hooks("PreToolUse", *commands)
    with sandbox.running() as run, run.seeing() as seen:
        for number in range(5):
            run.event(pre_tool_use(str(number)))
            run.runtime.settle()
        run.settle()
    assert [own.stdout for own in seen] == [f"{at} {number}\n" for number in range(5) for at in range(3)]


def test_what_no_event_has_used_for_long_is_given_back(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox.hooks("PreToolUse", program(sandbox, "hook", "console.log(1)"))
    with sandbox.running() as run:
        known(run)
        assert len(spares(os.getpid())) == 1
        monkeypatch.setattr(node, "IDLE_S", -1.0)
        run.settle()
        ended = run.loop.spawn(gone(run))
        run.loop.run(run.loop.first(ended, 30.0))
        assert ended.done


def test_of_many_hooks_those_that_are_used_most_have_spares(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node, "MAX_SPARES", 2)
    for at in range(4):
        sandbox.hooks(
            "PreToolUse", program(sandbox, f"h{at}", "console.log(1)"), matcher="Bash" if at > 1 else "Read"
        )
    with sandbox.running() as run:
        run.event(pre_tool_use() | {"tool_name": "Read"})
        for _ in range(2):
            run.event(pre_tool_use())
        run.settle()
        assert len(spares(os.getpid())) == 2
        run.event(pre_tool_use())
        assert ways(sandbox) == ["spare", "spare"]


def test_hooks_of_the_event_that_comes_next_have_spares_first(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node, "MAX_SPARES", 2)
    tools = ("Bash", "Read")
    for at, tool in enumerate(tools * 2):
        sandbox.hooks("PreToolUse", program(sandbox, f"h{at}", "console.log(1)"), matcher=tool)
    with sandbox.running() as run:
        for tool in (*tools, *tools, "Read", "Read", *tools):
            run.event(pre_tool_use() | {"tool_name": tool})
            run.settle()
    ready = [sum(row["lane"] == "spare" for row in record["hooks"]) for record in sandbox.log()]
    assert ready == [0, 0, 2, 2, 0, 2, 0, 2]  # by turns, and one tool again and again


def test_a_hook_that_is_used_again_before_its_spare_is_there_gets_two(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node, "MAX_SPARES", 3)
    for at in range(2):
        sandbox.hooks("PreToolUse", program(sandbox, f"h{at}", "console.log(1)"))
    with sandbox.running() as run:
        for _ in range(2):
            run.event(pre_tool_use())
            run.event(pre_tool_use())
            run.settle()
        assert len(run.runtime.spares) == 3
    ready = [sum(row["lane"] == "spare" for row in record["hooks"]) for record in sandbox.log()]
    assert ready == [0, 0, 2, 1]


def test_a_node_that_cannot_be_kept_ready_is_left_alone(sandbox: Sandbox, tmp_path: Path) -> None:
    tool = tmp_path / "bin" / "node"
    tool.parent.mkdir()
    tool.write_bytes(Path("/bin/true").read_bytes())
    tool.chmod(0o755)
    sandbox.env["PATH"] = f"{tool.parent}:{sandbox.env['PATH']}"
    sandbox.hooks("PreToolUse", program(sandbox, "hook", ""))
    with sandbox.running() as run:
        for _ in range(3):
            run.event(pre_tool_use())
            run.settle()
        assert spares(os.getpid()) == []
    assert [row["exit"] for record in sandbox.log() for row in record["hooks"]] == [0, 0, 0]


def test_a_spare_that_was_killed_costs_no_event(sandbox: Sandbox) -> None:
    sandbox.hooks("PreToolUse", program(sandbox, "hook", "console.log(1)"))
    with sandbox.running() as run, run.seeing() as seen:
        known(run)
        for pid in spares(os.getpid()):
            os.kill(pid, signal.SIGKILL)
        run.loop.run(run.loop.first(run.loop.spawn(gone(run)), 10.0))
        run.event(pre_tool_use())
    assert seen[-1] == Native(0, "1\n", "")


def test_a_spare_that_is_killed_at_hand_over_does_not_cost_the_hook_its_answer(sandbox: Sandbox) -> None:
    sandbox.hooks("PreToolUse", program(sandbox, "hook", "console.log(1)"))
    with sandbox.running() as run, run.seeing() as seen:
        known(run)
        for pid in spares(os.getpid()):
            os.kill(pid, signal.SIGSTOP)  # it will not get to its event
        ended = run.loop.spawn(killed_when_given(run))
        run.event(pre_tool_use())
        assert ended.done
    assert seen[-1] == Native(0, "1\n", "")
    assert ways(sandbox) == ["lane"]


async def killed_when_given(run: Running) -> None:
    while len(run.runtime.spares):
        await run.loop.sleep(0.001)
    for pid in spares(os.getpid()):
        os.kill(pid, signal.SIGKILL)


ENDS: dict[str, tuple[str, bool]] = {
    "by itself": ("console.log(1)", True),
    "by process.exit": ("console.log(1); process.exit()", True),
    "with a denial": ("process.exit(2)", False),
    "with an error": ("throw new Error('x')", False),
    "with a rejection": ("Promise.reject(new Error('x'))", False),
    "with a listener": ("process.on('exit', () => console.log('late'))", False),
    "with another exit": (
        "const exit = process.reallyExit; process.reallyExit = (code) => exit(code)",
        False,
    ),
    "with another emit": (
        "const emit = process.emit; process.emit = (...all) => emit.apply(process, all)",
        False,
    ),
    "with a code of its own": ("process.exitCode = 3", False),
    "with nothing of Node's own open": (EACH("closeSync(fd)"), False),
}


@pytest.mark.parametrize("name", few(ENDS, "with a code of its own", *list(ENDS)[:2]))
def test_a_program_reports_its_end_only_where_nothing_of_it_is_left_to_run_and_then_waits(
    tmp_path: Path, name: str
) -> None:
    source, reports = ENDS[name]
    path = tmp_path / "hook.js"
    path.write_text(source)
    ours, theirs = socket.socketpair()
    (read, write), (held, holding) = os.pipe(), os.pipe()
    named = {"end": _named(write), "hold": _named(held)}
    body = json.dumps({"cwd": str(tmp_path), "set": {}, "unset": [], **named}).encode()
    line = ["node", "-r", node.PRELOAD, str(path)]
    with ours, theirs:
        ours.send(len(body).to_bytes(4, "big") + body)
        # Moved in the child: among this process's own descriptors the number may be taken.
        moved = f"import os; os.dup2({theirs.fileno()}, {CONTROL}); os.execvp('node', {line})"
        null = subprocess.DEVNULL
        process = subprocess.Popen(
            [sys.executable, "-c", moved], pass_fds=[theirs.fileno()], stdin=null, stdout=null, stderr=null
        )
        if reports:
            assert os.read(read, 1) == b"."
            assert process.poll() is None
            os.close(holding)
        assert process.wait(60) is not None
    for fd in (write, held, *([] if reports else [holding])):
        os.close(fd)
    with os.fdopen(read, "rb") as reported:
        assert reported.read() == b""


def _named(fd: int) -> list[str]:
    path = f"/proc/{os.getpid()}/fd/{fd}"
    return [path, str(Path(path).readlink())]


async def gone(run: Running) -> None:
    while len(run.runtime.spares) or spares(os.getpid()):
        await run.loop.sleep(0.01)


def spares(above: int) -> list[int]:
    """Return the Node processes below a process that wait for their event."""
    return [pid for pid in _below(above) if _line(pid).startswith("node ") and "node_spare" in _line(pid)]


def _below(pid: int) -> Iterator[int]:
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, task.read_text().split()):
            yield child
            yield from _below(child)


def _line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


# --- hooks that attack, and a set that no one chose ---------------------------------------------------------

HOSTILE = {
    "kills its parent": "process.kill(process.ppid, 'SIGKILL'); setTimeout(() => {}, 300)",
    "stops its parent": "process.kill(process.ppid, 'SIGSTOP'); console.log(1)",
    "stops itself": "process.kill(process.pid, 'SIGSTOP')",
    "closes every descriptor": EACH("closeSync(fd)"),
    "writes into every descriptor": EACH("writeSync(fd, 'x')"),
    "never ends": "for (;;);",
    "waits for ever": "setInterval(() => {}, 1000)",
    "crashes": "process.abort()",
    "runs out of stack": "const f = () => f() + 1; f()",
    "leaves a child that keeps stdout": """
        const how = {stdio: 'inherit', detached: true};
        require('child_process').spawn('sleep', ['5'], how).unref();
    """,
    "patches what others use": "JSON.parse = () => 'patched'; require('fs').readFileSync = () => 'patched'",
    "kills its group": "process.kill(0, 'SIGKILL')",
    "changes folder and mask": "process.chdir('/'); process.umask(0)",
}
PROBE = READ + "console.log(event.tool_name, process.cwd(), process.umask(), JSON.stringify({a: 1}))"


@pytest.mark.parametrize("name", few(HOSTILE, "stops its parent", "closes every descriptor", "never ends"))
def test_whatever_a_hook_does_it_costs_its_own_answer_at_most(sandbox: Sandbox, name: str) -> None:
    hostile = {"type": "command", "command": program(sandbox, "hostile", HOSTILE[name]), "timeout": 2}
    probes = [program(sandbox, f"probe{at}", PROBE) for at in range(2)]
    sandbox.hooks("PreToolUse", probes[0], hostile, probes[1])
    alone = sandbox.native(probes[0], pre_tool_use())
    with sandbox.running() as run, run.seeing() as seen:
        for _ in range(2):
            run.event(pre_tool_use())
            run.settle()
        assert [seen[0], seen[2], seen[3], seen[5]] == [alone] * 4
        assert seen[1].stdout == seen[4].stdout
        # A program that has ended is not waited for any longer, whatever became of the shell that started it.
        assert seen[4].exit == (0 if name == "stops its parent" else seen[1].exit)


def test_a_shell_that_an_ended_program_stopped_ends_with_us(sandbox: Sandbox) -> None:
    command = program(sandbox, "hostile", HOSTILE["stops its parent"])
    sandbox.hooks("PreToolUse", {"command": command, "timeout": 3})
    with sandbox.running() as run:
        known(run)  # without a spare it is cut at its time limit, as natively
        run.event(pre_tool_use())
        stopped = [pid for pid in _below(os.getpid()) if "hostile.js" in _line(pid)]
    assert stopped
    assert all(ends(pid) for pid in stopped)


PIECES = (
    "const event = JSON.parse(fs.readFileSync(0, 'utf8')); console.log(event.tool_input.command)",
    "console.log(JSON.stringify({systemMessage: NAME}))",
    "console.log(JSON.stringify({decision: 'block', reason: NAME}))",
    "console.error('to stderr ' + NAME)",
    "process.stdout.write('no newline')",
    "fs.writeSync(1, 'raw\\n')",
    "process.exitCode = N",
    "process.exit(N)",
    "throw new RangeError(NAME)",
    "Promise.reject(new Error(NAME))",
    "Promise.resolve().then(() => console.log('later'))",
    "process.nextTick(() => console.log('next'))",
    "fs.appendFileSync('own_' + NAME, 'line\\n')",
    "fs.mkdirSync(path.join('made', NAME), {recursive: true})",
    "console.log(process.env.X, process.env.HOME); process.env.X = NAME",
    "console.log(process.argv.slice(2), process.argv[1] === __filename, process.cwd())",
    "console.log(require('child_process').execSync('echo ' + NAME).toString())",
    "console.log(require('crypto').createHash('sha256').update(NAME).digest('hex').slice(0, 8))",
    "process.on('exit', (code) => console.log('exit', code))",
    "process.on('uncaughtException', (error) => { console.log(error.message); process.exitCode = 3 })",
    "process.on('unhandledRejection', (error) => console.log('seen', error.message))",
    "console.log(require('./helper').count); require('./helper').count++",
    "process.emitWarning(NAME)",
    "console.log(new Intl.NumberFormat('en').format(1234567), new Date(0).toISOString())",
    "console.log(Object.keys(require.cache).length, module.children.length, require.main === module)",
    "queueMicrotask(() => { throw new Error('micro ' + NAME) })",
    "console.log(util.inspect(new Map([[NAME, {n: N}]])))",
)
WAITING = (
    "process.stdin.on('data', (one) => console.log(one.length))",
    "setTimeout(() => process.exit(N), N * 5)",
    "import('node:os').then((own) => console.log(typeof own.tmpdir()))",
    "new (require('worker_threads').Worker)('console.log(1 + 1)', {eval: true})",
    "(async () => { for await (const one of process.stdin) console.log(String(one).slice(0, 9)) })()",
    "fs.readFile(__filename, 'utf8', (error, text) => console.log(text.length > 9))",
    "const timer = setInterval(() => { console.log('tick'); clearInterval(timer) }, 5)",
)
"""A program has one of these at most: natively, too, which of two is first is a matter of chance."""


@pytest.mark.parametrize(
    ("count", "at_once"), [(12, 6), pytest.param(300, 12, marks=pytest.mark.slow)], ids=["short", "long"]
)
def test_generated_programs_do_in_spares_what_they_do_alone(
    sandbox: Sandbox, count: int, at_once: int
) -> None:
    chance = random.Random(count)
    differing: list[str] = []
    for batch in range(count // at_once):
        commands = []
        for number in range(at_once):
            head = f"{HEAD}const util = require('util'), NAME = 'hook{number}', N = {chance.randrange(6)};\n"
            pieces = [
                *chance.sample(PIECES, chance.randint(1, 5)),
                *chance.sample(WAITING, chance.randint(0, 1)),
            ]
            chance.shuffle(pieces)
            body = ";\n".join(f"{{ {one} }}" for one in pieces)
            commands.append(program(sandbox, f"hook_{batch}_{number}", f"{head}{body}\n") + " 'two words'")
        event = pre_tool_use(f"echo {batch}")
        alone = [normal(sandbox.native(command, event)) for command in commands]
        files = dict(sandbox.files())
        sandbox.forget()
        differing += _differing(sandbox, commands, event, alone, files)
    assert "\n".join(differing) == ""


def _differing(
    sandbox: Sandbox, commands: list[str], event: Event, alone: list[Native], files: dict[str, bytes]
) -> Iterator[str]:
    sandbox.unhook()
    sandbox.hooks("PreToolUse", *commands)
    with sandbox.running() as run:
        known(run)
        with run.seeing() as seen:
            run.event(event)
    assert set(ways(sandbox)) == {"spare"}
    if dict(sandbox.files()) != files:
        yield "other files"
    sandbox.forget()
    for command, ours, theirs in zip(commands, map(normal, seen), alone, strict=True):
        if ours != theirs:
            yield f"{command}: {ours} instead of {theirs}"
