"""Hooks that `uv run` starts: kept warm in the interpreter that uv would take, as long as that holds."""

from __future__ import annotations

import base64
import hashlib
import random
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from fakes.few import few
from fakes.sandbox import Native, Running, Sandbox, pre_tool_use
from fanout_hooks.learn import memory
from fanout_hooks.warm import uv
from fanout_hooks.warm.loop import Ended, Loop

UV = shutil.which("uv", path=f"{Path(sys.executable).parent}") or shutil.which("uv") or ""
HEAD = """# /// script
# requires-python = ">=3.11"
# dependencies = [{0}]
# ///
import json, os, sys
event = json.load(sys.stdin)
"""
SEE = """
own = {name: value for name, value in os.environ.items() if name != "LC_CTYPE"}
print(json.dumps([sorted(own.items()), sys.argv, sys.path, sys.executable, sys.prefix, event["tool_input"]]))
"""


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    """Return a sandbox whose `uv` reaches no network: packages come from a folder."""
    assert UV, "uv is a development dependency: install it"
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    wheel(wheels, "greeting", "0.9", "TEXT = 'hello'\n")
    wheel(wheels, "greeting", "1.0", "TEXT = 'good day'\n")
    wheel(
        wheels, "starting", "1.0", "ENV = None\n", **{"starting.pth": "import starting, os; starting.ENV = 1"}
    )
    wheel(wheels, "patching", "1.0", "import colorsys\ndef _run(*_): return 1\ncolorsys.rgb_to_hsv = _run\n")
    wheel(wheels, "compiled", "1.0", "", **{"compiled_part.so": ""})
    made = Sandbox(tmp_path / "sandbox")
    made.env |= {
        "PATH": f"{Path(UV).parent}:{made.env['PATH']}",
        "UV_CACHE_DIR": str(tmp_path / "cache"),
        "UV_PYTHON": sys.executable,
        "UV_PYTHON_DOWNLOADS": "never",
    }
    _written(made.home / ".config/uv/uv.toml", f'no-index = true\nfind-links = ["{wheels}"]\n')
    return made


def wheel(folder: Path, name: str, version: str, source: str, **more: str) -> None:
    """Make a package of one module, and more files by name."""
    info = f"{name}-{version}.dist-info"
    files = more | {
        f"{name}.py": source,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    rows = []
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as file:
        for path, text in files.items():
            file.writestr(path, text)
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
            rows.append(f"{path},sha256={digest},{len(text.encode())}\n")
        file.writestr(f"{info}/RECORD", "".join(rows) + f"{info}/RECORD,,\n")


def script(sandbox: Sandbox, name: str, source: str, needs: str = "") -> Path:
    return sandbox.script(name, HEAD.format(needs) + source)


def settled(run: Running, count: int = 4) -> list[str]:
    """Run events, each with what follows its answer; return each one's way."""
    for number in range(count):
        run.event(pre_tool_use(f"event {number}"))
        run.settle()
    return [row["lane"] for record in run.sandbox.log()[-count:] for row in record["hooks"]]


def until_warm(run: Running) -> None:
    """Run events until a hook is warm: a file that uv touches meanwhile makes it be asked once more."""
    assert any(settled(run, 1) == ["warm"] for _ in range(10))


WAYS = {
    "inline dependencies": ("uv run --script {script}", '"greeting"'),
    "inline, none": ("uv run {script} one 'two three'", ""),
    "quiet, short": ("uv run -q -s {script}", '"greeting"'),
    "no project": ("uv run --no-project {script}", '"greeting"'),
}


@pytest.mark.parametrize("way", few(WAYS, "inline dependencies"))
def test_a_script_is_kept_warm_and_sees_all_that_uv_gives_it(
    sandbox: Sandbox, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "SLOW_MS", 60_000.0)  # however busy the machine is
    command, needs = WAYS[way]
    uses = "import greeting\nprint(greeting.TEXT)\n" if needs else ""
    line = command.format(script=script(sandbox, "hook", SEE + uses, needs))
    sandbox.hooks("PreToolUse", f"{line} >out")  # as natively: a shell is needed, so no one keeps it warm
    with sandbox.running() as run:
        run.event(pre_tool_use("rm -rf /"))
    native = (sandbox.project / "out").read_text()
    sandbox.unhook()
    sandbox.hooks("PreToolUse", line)
    with sandbox.running() as run:
        assert settled(run) == ["lane", "trial", "trial", "warm"]
        with run.seeing() as seen:
            run.event(pre_tool_use("rm -rf /"))
    assert [own.stdout for own in seen] == [native]


START = """
import importlib.metadata, site
print(sys.prefix, sys.exec_prefix, sys.executable, sys.path, site.PREFIXES, site.getsitepackages())
print([type(one).__name__ for one in sys.meta_path], sorted(vars(site)), os.environ["VIRTUAL_ENV"])
print(sorted(one.name + one.version for one in importlib.metadata.distributions()))
for name in ("greeting", "starting", "_virtualenv"):
    try:
        found = __import__(name)
    except ImportError as error:
        print(error)
    else:
        print(found.__file__, {name: value for name, value in vars(found).items() if name.isupper()})
"""
ALIKE = ("", '"greeting==0.9"', '"greeting==1.0"')


def test_environments_that_differ_in_plain_packages_share_a_worker_and_each_sees_its_own(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "SLOW_MS", 60_000.0)  # however busy the machine is
    lines = _alike(sandbox, START)
    native = _natives(sandbox, lines)
    sandbox.hooks("PreToolUse", *lines)
    with sandbox.running() as run, run.seeing() as seen:
        assert settled(run, 6)[-3:] == ["warm"] * 3
        assert len(run.runtime._interpreters) == 1
    assert seen[-3:] == seen[-6:-3] == native
    assert len({own.stdout for own in native}) == 3


def test_a_folder_of_pythonpath_that_is_named_like_an_installations_is_seen_in_every_environment(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "SLOW_MS", 60_000.0)  # however busy the machine is
    _written(sandbox.folder / "ros/dist-packages/robot.py", "NAME = 'r2'\n")
    sandbox.env["PYTHONPATH"] = str(sandbox.folder / "ros/dist-packages")
    source = "import robot; print(robot.NAME, sys.path)"
    lines = _alike(sandbox, source)
    native = _natives(sandbox, lines)
    sandbox.hooks("PreToolUse", *lines)
    with sandbox.running() as run, run.seeing() as seen:
        assert settled(run, 6)[-3:] == ["warm"] * 3
        assert len(run.runtime._interpreters) == 1
    assert seen[-3:] == native


def _alike(sandbox: Sandbox, source: str) -> list[str]:
    return [
        f"uv run --script {script(sandbox, f'hook_{number}', source, needs)}"
        for number, needs in enumerate(ALIKE)
    ]


def _natives(sandbox: Sandbox, lines: list[str]) -> list[Native]:
    for line in lines:
        sandbox.native(line, pre_tool_use())  # uv writes on stderr when it makes an environment
    sandbox.forget()
    return [sandbox.native(line, pre_tool_use()) for line in lines]


APART = {
    "code that a start runs": ('"starting"', START),
    "a compiled module": ('"compiled"', START),
    "a standard module that keeps the prefix": ("", "import sysconfig; print(sysconfig.get_paths())"),
    "one that keeps such a module": ("", "import pydoc; print(pydoc.sysconfig.get_paths())"),
    "one that keeps the interpreter": (
        "",
        "from multiprocessing import spawn; print(spawn.get_executable())",
    ),
}


@pytest.mark.parametrize("what", few(APART, "code that a start runs", "one that keeps such a module"))
def test_what_could_tell_that_a_worker_is_shared_is_run_apart(
    sandbox: Sandbox, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "SLOW_MS", 60_000.0)
    needs, source = APART[what]
    lines = [f"uv run --script {script(sandbox, 'first', START)}"]
    lines += [f"uv run --script {script(sandbox, name, source, needs)}" for name in ("one", "other")]
    native = _natives(sandbox, lines)
    sandbox.hooks("PreToolUse", *lines)
    with sandbox.running() as run, run.seeing() as seen:
        ways = settled(run, 6)[-3:]
        count = len(run.runtime._interpreters)
    assert seen[-3:] == native
    assert (ways[1:], count) == ((["warm"] * 2, 3) if needs else (["alone"] * 2, 1))


def test_what_a_package_changes_in_a_standard_module_reaches_no_other_environment(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "SLOW_MS", 60_000.0)  # however busy the machine is
    late = "if event['tool_input']['command'] == 'late': "
    first = script(sandbox, "first", f"{late}import patching", '"patching"')
    source = f"{late}import colorsys; print(colorsys.rgb_to_hsv(0, 0, 0))"
    lines = [f"uv run --script {path}" for path in (first, script(sandbox, "other", source))]
    sandbox.hooks("PreToolUse", *lines)
    with sandbox.running() as run, run.seeing() as seen:
        assert settled(run, 6)[-2:] == ["warm"] * 2
        run.event(pre_tool_use("late"))
    assert [own.stdout for own in seen[-2:]] == ["", "(0.0, 0.0, 0)\n"]


def test_a_later_session_need_not_ask_and_no_variable_is_kept(sandbox: Sandbox) -> None:
    sandbox.env["UV_INDEX_OWN_PASSWORD"] = "hidden-one"
    sandbox.hooks("PreToolUse", f"uv run --script {script(sandbox, 'hook', SEE)}")
    with sandbox.running() as run:
        settled(run)
    with sandbox.running() as run:
        assert settled(run, 2) == ["lane", "warm"]  # it needs to start the interpreter alone
    (kept,) = sandbox.state.rglob("*.uv.json")
    assert "hidden-one" not in kept.read_text()
    kept.write_text('{"x": 1}')
    with sandbox.running() as run:
        assert settled(run, 2) == ["lane", "warm"]


def test_a_script_that_is_its_own_command_is_kept_warm(sandbox: Sandbox) -> None:
    path = sandbox.script("own", f"#!/usr/bin/env -S uv run --script\n{HEAD.format('')}{SEE}")
    path.chmod(0o755)
    sandbox.hooks("PreToolUse", str(path))
    with sandbox.running() as run:
        assert settled(run)[-1] == "warm"


@pytest.mark.parametrize(
    "command", few(["uv run", "uv run --project . --frozen", "uv run -q --project=$PWD"], "uv run")
)
def test_a_projects_script_runs_in_the_projects_environment(sandbox: Sandbox, command: str) -> None:
    (sandbox.project / "pyproject.toml").write_text(
        '[project]\nname = "p"\nversion = "1"\nrequires-python = ">=3.11"\ndependencies = ["greeting"]\n'
    )
    _written(sandbox.project / ".claude/hook.py", "import greeting, sys\nprint(greeting.TEXT, sys.prefix)\n")
    line = f"{command} .claude/hook.py"
    sandbox.hooks("PreToolUse", line)
    sandbox.native("uv sync", pre_tool_use())
    native = sandbox.native(line, pre_tool_use())
    with sandbox.running() as run:
        assert settled(run, 5)[-1] == "warm"
        with run.seeing() as seen:
            run.event(pre_tool_use())
    assert [own.stdout for own in seen] == [native.stdout] == [f"good day {sandbox.project}/.venv\n"]


@pytest.mark.parametrize("also", ["greeting", "compiled"], ids=["shared", "own"])
def test_a_package_that_was_exchanged_in_place_is_the_new_one_for_a_hook_that_is_kept_warm(
    sandbox: Sandbox, also: str
) -> None:
    project = '[project]\nname = "p"\nversion = "1"\nrequires-python = ">=3.11"\ndependencies = [{0}]\n'
    file = sandbox.project / "pyproject.toml"
    _written(sandbox.project / ".claude/hook.py", "import greeting\nprint(greeting.TEXT)\n")
    sandbox.hooks("PreToolUse", "uv run .claude/hook.py")
    said = []
    with sandbox.running() as run:
        for version in ("0.9", "1.0"):
            file.write_text(project.format(f'"greeting=={version}", "{also}"'))
            sandbox.native("uv sync", pre_tool_use())
            until_warm(run)
            with run.seeing() as seen:
                assert settled(run, 1) == ["warm"]
            said += [own.stdout for own in seen]
    assert said == ["hello\n", "good day\n"]


CHANGES: dict[str, Callable[[Sandbox, Path], object]] = {
    "the script": lambda sandbox, path: path.write_text(path.read_text() + "print('edited')\n"),
    "its lock": lambda _, path: Path(f"{path}.lock").write_text("version = 1\n"),
    "uv's cache": lambda sandbox, _: shutil.rmtree(sandbox.env["UV_CACHE_DIR"]),
    "the user's settings": lambda sandbox, _: _append(
        sandbox.home / ".config/uv/uv.toml", "offline = true\n"
    ),
    "a version file": lambda _, path: _written(path.parent / ".python-version", "3\n"),
}


def _append(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


def _written(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize("what", few(CHANGES, "the script"))
def test_when_something_changes_that_uv_looks_at_uv_is_asked_again(sandbox: Sandbox, what: str) -> None:
    path = script(sandbox, "hook", "import greeting\nprint(greeting.TEXT)\n", '"greeting"')
    sandbox.hooks("PreToolUse", f"uv run --script {path}")
    with sandbox.running() as run:
        until_warm(run)
        CHANGES[what](sandbox, path)
        with run.seeing() as seen:
            assert settled(run, 1) == ["lane"]
    native = sandbox.native(f"uv run --script {path}", pre_tool_use())
    assert [(own.exit, own.stdout) for own in seen] == [(native.exit, native.stdout)]


def test_a_question_without_an_answer_is_asked_again_only_when_none_is_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uv, "AGAIN_S", 0.0)  # at once
    script = tmp_path / "hook.py"
    script.write_text(HEAD.format(""))
    asked: list[list[str]] = []

    async def refuse(line: list[str], _: dict[str, str], __: str) -> Ended:
        asked.append(line)
        assert not answers.has_questions  # other events look meanwhile
        return Ended(1, 0.0, b"", b"")

    env = {"PATH": str(Path(UV).parent)}
    answers = uv.Answers(refuse, lambda: None, lambda *_: None, str(tmp_path))
    found = uv.uv_of(["uv", "run", "--script", str(script)], env, str(tmp_path))
    other = uv.uv_of(["uv", "run", "-q", "--script", str(script), "x"], env, str(tmp_path / "other"))
    assert found is not None
    assert other is not None
    for one, cwd in ((found, tmp_path), (other, tmp_path / "other")):
        assert answers.find(one, env, str(cwd)) is None
    Loop().run(answers.ask())
    assert len(asked) == 2
    assert not answers.find(found, env, str(tmp_path))


LEFT = {
    "a package that can't be had": ("uv run --script {script}", '"no-such-package"'),
    "a dependency on a path": ("uv run --script {script}", '"greeting @ file:///nowhere"'),
    "an option that does more": ("uv run --with greeting --script {script}", ""),
    "another interpreter": ("uv run --python 3 {script}", ""),
    "a module": ("uv run -m {script}", ""),
    "another command": ("uv tool run {script}", ""),
}


@pytest.mark.parametrize("what", few(LEFT, "a module"))
def test_what_uv_alone_can_say_runs_natively_and_fails_as_natively(sandbox: Sandbox, what: str) -> None:
    command, needs = LEFT[what]
    line = command.format(script=script(sandbox, "hook", "print('ran')\n", needs))
    sandbox.hooks("PreToolUse", line)
    native = sandbox.native(line, pre_tool_use())
    with sandbox.running() as run, run.seeing() as seen:
        assert settled(run, 3) == ["lane"] * 3
    assert [(own.exit, own.stdout) for own in seen] == [(native.exit, native.stdout)] * 3


PIECES = (
    "print(json.dumps({'systemMessage': NAME}))",
    "sys.exit(N)",
    "raise ValueError(NAME)",
    "print(event['tool_name'], file=sys.stderr)",
    "import greeting; print(greeting.TEXT); greeting.TEXT = 'changed'",
    "open(NAME, 'a').write(str(N))",
    "print(sys.argv, __file__ == sys.argv[0], os.environ['VIRTUAL_ENV'] == sys.prefix)",
    "import subprocess; print(subprocess.run(['python', '-c', 'import greeting'], check=False).returncode)",
    "os.environ['PATH'] = ''; print(os.environ.get('UV'))",
    "import atexit; atexit.register(print, 'at exit')",
    "import importlib.metadata as m; print(m.version('greeting'))",
    "import site; print(site.PREFIXES, site.getsitepackages(), sys.prefix, sys.path[1:])",
    "import sysconfig; print(sysconfig.get_path('purelib'))",
    "sys.prefix = NAME; sys.path.insert(1, NAME)",
    "print(sorted(name for name in sys.modules if name in ('site', '_virtualenv')))",
    "print(json.dumps({'decision': 'block', 'reason': NAME}))",
)


@pytest.mark.parametrize(
    ("count", "at_once"), [(3, 3), pytest.param(100, 10, marks=pytest.mark.slow)], ids=["short", "long"]
)
def test_generated_scripts_do_warm_what_they_do_alone(sandbox: Sandbox, count: int, at_once: int) -> None:
    chance = random.Random(count)
    for batch in range(count // at_once):
        lines = []
        for number in range(at_once):
            head = f"NAME = 'hook{number}'\nN = {chance.randrange(4)}\n"
            body = "\n".join(chance.sample(PIECES, chance.randint(1, 4)))
            needs = chance.choice(ALIKE[1:])
            path = script(sandbox, f"hook_{batch}_{number}", f"{head}{body}\n", needs)
            lines.append(f"uv run --script {path} argument")
        sandbox.unhook()
        sandbox.hooks("PreToolUse", *lines)
        alone = _natives(sandbox, lines)
        files = dict(sandbox.files())
        with sandbox.running() as run:
            settled(run, 4)
            sandbox.forget()
            with run.seeing() as seen:
                run.event(pre_tool_use())
        assert [Native(own.exit, own.stdout, own.stderr) for own in seen] == alone
        assert dict(sandbox.files()) == files
        ways = [row["lane"] for row in sandbox.log()[-1]["hooks"]]
        assert set(ways) <= {"warm", "alone"}
        sandbox.forget()
