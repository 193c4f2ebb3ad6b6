"""A command that is killed anywhere leaves every file old or new, loses no hook, and ends well when repeated.

Three of four kills come before one of its changes to a file, spread over all of them, the fourth at any time.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fakes.few import few

COMMANDS = ("install", "adopt", "restore", "uninstall")
FEW, MANY = 6, 200
SEED = 7

SCRIPT = r"""
import contextlib, json, os, random, shutil, signal, sys, time
from pathlib import Path

import fanout_hooks.cli, fanout_mcp.cli
import fanout_hooks.adoption.adopt, fanout_hooks.adoption.restore
import fanout_mcp.registration.install

counted = os.open(os.path.join(sys.argv[1], "changes.txt"), os.O_RDWR | os.O_CREAT)
top, command, kills, seed = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
home, project = top / "home", top / "home" / "project"
GUARDS = [f"echo guard-{number} >&2; exit 2" for number in range(30)]
MINE = {
    "model": "opus",
    "hooks": {
        "PreToolUse": [{"matcher": "Bash", "hooks": [{"type": "command", "command": one}]} for one in GUARDS]
    },
}
WORDS = {
    "install": (fanout_mcp.cli.main, ["install", "--yes"]),
    "uninstall": (fanout_mcp.cli.main, ["uninstall", "--yes"]),
    "adopt": (fanout_hooks.cli.main, ["adopt", "--all", "--yes", "--cold"]),
    "restore": (fanout_hooks.cli.main, ["restore", "--yes"]),
}
BEFORE = {"install": [], "uninstall": ["install"], "adopt": ["install"], "restore": ["install", "adopt"]}


def call(command):
    main, words = WORDS[command]
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        return main(list(words))


CHANGES = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "os.link", "os.truncate"}


def count_changes(at):
    '''Count what is done to files below `home`, into a file; die before number `at`.'''
    seen = 0

    def hook(event, args):
        nonlocal seen
        path = os.fsdecode(args[0]) if event in CHANGES and isinstance(args[0], (str, bytes)) else ""
        if path.startswith(str(home)):
            if seen == at:
                os.kill(os.getpid(), signal.SIGKILL)
            seen += 1
            os.pwrite(counted, b"%08d" % seen, 0)

    sys.addaudithook(hook)


def fork(command, at=None):
    child = os.fork()
    if child:
        return child
    code = 3
    try:
        count_changes(at)
        os.dup2(os.open(top / "stderr.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
        code = call(command)
    finally:
        os._exit(code or 0)


def done(command):
    _, status = os.waitpid(fork(command), 0)
    assert status == 0, f"{command} ended with {status}: {(top / 'stderr.txt').read_text()[-2000:]}"


def fresh(kept):
    shutil.rmtree(home, ignore_errors=True)
    shutil.copytree(kept, home)


def files():
    return {
        str(path.relative_to(home)): path.read_bytes()
        for path in home.rglob("*")
        if path.is_file() and path.name.endswith((".json", ".md", ".toml"))
        and "state" not in path.parts and "backups" not in path.parts
    }


def hooks_of(found):
    texts = [found.get(name, b"").decode() for name in (".claude/settings.json", ".claude/fanout/hooks.json")]
    return [one for one in GUARDS if not any(json.dumps(one)[1:-1] in text for text in texts)]


(home / ".claude").mkdir(parents=True)
project.mkdir()
(home / ".claude" / "settings.json").write_text(json.dumps(MINE, indent=2))
os.chdir(project)
for earlier in BEFORE[command]:
    done(earlier)
os.chdir(top)
shutil.copytree(home, top / "kept")
os.chdir(project)
before = files()
began = time.monotonic()
done(command)
took = time.monotonic() - began
changes = int(os.pread(counted, 8, 0))
after = files()
assert before != after
chance = random.Random(seed)
torn, lost, unlike, interrupted = [], [], [], 0
for kill in range(kills):
    os.chdir(top)
    fresh(top / "kept")
    os.chdir(project)
    if kill % 4:
        child = fork(command, kill * changes // kills)
    else:
        child = fork(command)
        time.sleep(chance.uniform(0, took))
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    found = files()
    interrupted += found not in (before, after)
    torn += [name for name, data in found.items() if data not in (before.get(name), after.get(name))]
    lost += hooks_of(found)
    done(command)
    again = files()
    unlike += [name for name in {*again, *after} if again.get(name) != after.get(name)]
print(json.dumps({"kills": kills, "torn": sorted(set(torn)), "lost": len(lost), "unlike": sorted(set(unlike)),
                  "interrupted": interrupted, "changes": changes, "took": round(took, 3)}))
"""


def killed(folder: Path, command: str, kills: int) -> dict[str, Any]:
    home = folder / "home"
    env = {
        **{name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ},
        "HOME": str(home),
        "CLAUDE_CONFIG_DIR": str(home / ".claude"),
    }
    done = subprocess.run(
        [sys.executable, "-P", "-c", SCRIPT, str(folder), command, str(kills), str(SEED)],
        capture_output=True,
        text=True,
        env=env,
        timeout=540,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def check(found: dict[str, Any], kills: int) -> None:
    assert (found["kills"], found["torn"], found["lost"], found["unlike"]) == (kills, [], 0, [])


@pytest.mark.parametrize("command", few(COMMANDS, "adopt"))
def test_a_few_kills_lose_nothing_and_leave_nothing_half_written(command: str, tmp_path: Path) -> None:
    check(killed(tmp_path, command, FEW), FEW)


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_200_kills_lose_nothing_and_leave_nothing_half_written(command: str, tmp_path: Path) -> None:
    check(killed(tmp_path, command, MANY), MANY)
