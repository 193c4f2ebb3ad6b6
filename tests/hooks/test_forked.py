"""An interpreter forked from a cold process is like one that was started, or it serves nobody."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import fanout_hooks
from fanout_hooks.client.hook_input import to_stdin
from fanout_hooks.run.loop import Loop
from fanout_hooks.warm.command import Program
from fanout_hooks.warm.interpreter import Interpreter, key_of
from hooks.hostile import HOSTILE, PROBE
from hooks.stage import PYTHON, Native, Stage, pre_tool_use
from hooks.test_equivalence import forget, natives, programs
from hooks.test_isolation import CUT_S, difference, dirt

PACKAGE = Path(fanout_hooks.__file__).parents[1]
BATCHES, AT_ONCE = 6, 25
START = """
import json, sys, site
names = sorted(name for name in dir(sys.flags) if not name.startswith("_"))
names = [name for name in names if name not in ("count", "index")]
flags = {name: getattr(sys.flags, name) for name in names}
seen = [repr(sys.flags), tuple(sys.flags), flags, sys.path, sys.prefix, sys.base_prefix, sys.exec_prefix]
seen += [sys.dont_write_bytecode, sys.warnoptions, [str(type(one)) for one in sys.meta_path]]
seen += [site.ENABLE_USER_SITE, site.getsitepackages(), str(exit), sys.stdout.encoding, sys.stdin.errors]
print(json.dumps([*seen, sys.argv, sys.gettrace()]))
"""

Limits = Sequence[tuple[Path, float]]


class Result(NamedTuple):
    native: Native
    timed_out: bool


def started(stage: Stage) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Return the key and the facts of an interpreter that was started as hooks are."""
    program = Program(PYTHON, "", "x.py", ())
    loop = Loop()
    interpreter = Interpreter(loop)
    interpreter.open(program, stage.env, str(stage.project))
    assert loop.run(interpreter.ready())
    interpreter.close()
    assert interpreter.start
    return key_of(program, stage.env, str(stage.project)), interpreter.start


def run_forked(
    stage: Stage, scripts: Limits, argv: Sequence[str] = (), facts: dict[str, Any] | None = None
) -> list[Result] | None:
    key, seen = started(stage)
    told = {
        "key": key,
        "facts": facts or seen,
        "modules": ["json", "re", "pathlib", "logging"],
        "env": stage.env,
        "cwd": str(stage.project),
        "stdin": to_stdin(stage.here(pre_tool_use())).decode(),
        "programs": [[PYTHON, str(script), argv, limit] for script, limit in scripts],
    }
    driver = Path(__file__).with_name("forked.py")
    done = subprocess.run(
        [PYTHON, "-I", "-S", driver, PACKAGE],
        input=json.dumps(told),
        capture_output=True,
        text=True,
        env=stage.env,
        cwd=stage.project,
        timeout=240,
        check=True,
    )
    rows = json.loads(done.stdout)
    if rows is None:
        return None
    return [Result(Native(code, out, err), cut) for _, code, out, err, cut in rows]


def test_a_fork_looks_like_an_interpreter_that_was_started(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    script = stage.script("start", START)
    ran = run_forked(stage, [(script, 30.0)])
    assert ran is not None
    assert ran[0].native == stage.native(f"{PYTHON} {script}", pre_tool_use())


def test_a_fork_that_differs_from_what_was_seen_serves_nobody(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    _, facts = started(stage)
    moved = facts | {"path": [*facts["path"], "/somewhere/new"]}
    assert run_forked(stage, [(stage.script("one", "print(1)"), 30.0)], facts=moved) is None


def test_generated_programs_do_in_a_fork_what_they_do_alone(tmp_path: Path) -> None:
    differing = []
    for batch in range(BATCHES):
        stage = Stage(tmp_path / f"batch {batch}")
        (stage.scripts / "helper.py").write_text("VALUE = 1\n")
        scripts = [
            stage.script(f"hook_{number}", source)
            for number, source in enumerate(programs(1000 + batch, AT_ONCE))
        ]
        commands = [f"{PYTHON} '{script}' one 'two words'" for script in scripts]
        alone, files = natives(stage, commands, pre_tool_use())
        ran = run_forked(stage, [(script, 30.0) for script in scripts], ("one", "two words"))
        assert ran is not None
        differing += [
            f"batch {batch}, hook {number}: {ours.native} instead of {theirs}"
            for number, (ours, theirs) in enumerate(zip(ran, alone, strict=True))
            if ours.native != theirs
        ]
        if dict(stage.files()) != files:
            differing.append(f"batch {batch}: other files")
        forget(stage)
    assert "\n".join(differing) == ""


def test_no_hostile_hook_touches_the_next_one_in_a_fork(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    (stage.scripts / "helper.py").write_text("x = None\n")
    probe = stage.script("probe", PROBE)
    scripts = [(probe, 30.0)]
    for number, hostile in enumerate(HOSTILE):
        script = stage.script(f"hostile_{number}", hostile.program)
        scripts += [(script, CUT_S if hostile.cut else 30.0), (probe, 30.0)]
    ran = run_forked(stage, scripts)
    assert ran is not None
    clean = stage.native(f"{PYTHON} {probe}", pre_tool_use())
    wrong = []
    for number, hostile in enumerate(HOSTILE):
        own, after = ran[2 * number + 1], ran[2 * number + 2]
        wrong += difference(stage, number, hostile, own.native, timed_out=own.timed_out)
        wrong += dirt(hostile.name, clean, after.native)
    assert "\n".join(wrong) == ""


def test_the_cold_processs_output_ends_with_it(tmp_path: Path) -> None:
    """The client waits for the end of stdout: nothing that was forked may hold it open."""
    stage = Stage(tmp_path)
    stage.hooks("PreToolUse", stage.python("one", "print('{}')"))
    entry = PACKAGE / "fanout_hooks" / "__main__.py"
    env = stage.env | {"FANOUT_STATE_DIR": str(stage.state)}
    for number in range(4):
        read, write = os.pipe()
        event = to_stdin(stage.here(pre_tool_use(tool_use_id=f"toolu_{number}")))
        done = subprocess.run(
            [PYTHON, "-I", "-S", entry, "cold", "--scopes", "local"],
            input=event,
            stdout=write,
            stderr=subprocess.PIPE,
            env=env,
            cwd=stage.project,
            timeout=60,
            check=True,
        )
        os.close(write)
        while os.read(read, 4096):
            pass
        os.close(read)
        assert done.stderr == b""
    assert [row["hooks"][0]["lane"] for row in stage.log()] == ["trial", "trial", "warm", "warm"]
