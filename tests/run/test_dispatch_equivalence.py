"""What a hook does through fanout is what it does alone: exit code, text, files; several run in order."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fakes.sandbox import PYTHON, Event, Native, Running, Sandbox, pre_tool_use, prompt
from fanout_hooks.run import decide

CORPUS = Path(__file__).parents[2] / "benchmarks" / "corpus"
PROGRAMS = 500
AT_ONCE = 25

EVENTS = [
    pre_tool_use("rm -rf /"),
    pre_tool_use("git commit -m 'fix: it'"),
    pre_tool_use('echo "ümlaut $(id) \\" \n -rf"'),
    prompt("Please look at http://example.com and 10.0.0.1 TODO"),
    prompt("nothing special"),
]

# Each piece is a statement that hooks in the wild have; a program is a few of them in a row.
PIECES = (
    "event = json.load(sys.stdin)",
    "event = json.loads(sys.stdin.read() or '{}')",
    "print(json.dumps({'systemMessage': 'm' + NAME}))",
    "print('plain text ' + NAME)",
    "print('to stderr', file=sys.stderr)",
    "sys.stdout.write('no newline')",
    "os.write(1, b'raw bytes\\n')",
    "sys.exit(N)",
    "sys.exit('a text')",
    "raise ValueError(NAME)",
    "raise SystemExit",
    "1 / 0",
    "open(OWN, 'a').write('line\\n')",
    "open(OWN, 'w').write(str(N))",
    "open('shared.txt', 'a').write(NAME)",
    "try:\n    n = len(open('shared.txt').read())\nexcept OSError:\n    n = 0\nprint(n)",
    "os.makedirs('made/' + NAME, exist_ok=True)",
    "os.environ['X'] = NAME; print(os.environ.get('X'), os.environ.get('Y'))",
    "print(os.getcwd() == os.environ['CLAUDE_PROJECT_DIR'])",
    "print(sys.argv[1:], __file__ == sys.argv[0], __name__)",
    "import re; print(re.sub('[aeiou]', '*', NAME))",
    "import datetime; print(datetime.date(2020, 1, N + 1))",
    # Not here: a bare look whether a shared file exists. Python tells nobody of a stat (docs/hooks.md).
    "from pathlib import Path; print(Path(__file__).exists())",
    "import tempfile; print(len(tempfile.gettempdir()) > 0)",
    "import subprocess; print(subprocess.run(['echo', NAME], capture_output=True, text=True).stdout)",
    "import atexit; atexit.register(print, 'at exit')",
    "import warnings; warnings.warn('careful')",
    "import logging; logging.warning('logged')",
    "import threading; t = threading.Thread(target=print, args=('thread',)); t.start(); t.join()",
    "class A:\n    def __del__(self): print('deleted')\na = A()",
    "import collections; print(collections.Counter(NAME).most_common(1))",
    "import hashlib; print(hashlib.sha256(NAME.encode()).hexdigest()[:8])",
    "import unicodedata; print(unicodedata.name('ü'), 'ü €')",
    "own = {'hookEventName': 'PreToolUse', 'additionalContext': NAME}\nsay(own)",
    "own = {'permissionDecision': 'deny', 'hookEventName': 'PreToolUse'}\nsay(own)",
    "print(json.dumps({'decision': 'block', 'reason': NAME}))",
    "print('{not json')",
    "print(globals().get('event') is None)",
    "del sys.stdin",
    "def f(n): return n if n < 2 else f(n - 1) + f(n - 2)\nprint(f(N + 5))",
    "assert N > 2, NAME",
    "import helper; print(helper.VALUE); helper.VALUE += 1",
    "from json import load as again; print(again.__module__)",
    "try:\n    import no_such_module\nexcept ImportError as error:\n    print(error)",
    "print(sorted(name for name in dir() if not name.startswith('_')))",
    "sys.stdout.reconfigure(encoding='utf-8'); print(sys.stdout.encoding, sys.stderr.errors)",
    "print(sys.flags.isolated, sys.path[0] == os.path.dirname(os.path.abspath(__file__)))",
    "x: int = N; print(__annotations__)",
    "import dataclasses\n@dataclasses.dataclass\nclass P:\n    n: int = N\nprint(P())",
)


SAY = "def say(own): print(json.dumps({'hookSpecificOutput': own}))\n"


def programs(seed: int, count: int) -> Iterator[str]:
    """Generate hook programs, the same for the same seed."""
    chance = random.Random(seed)
    for number in range(count):
        names = f"NAME = 'hook{number}'\nN = {chance.randrange(6)}\nOWN = 'own_{number}.txt'\n"
        head = f"import json, os, sys\n{names}{SAY}"
        pieces = chance.sample(PIECES, chance.randint(1, 6))
        yield head + "\n".join(pieces) + "\n"


def _settled(run: Running, sandbox: Sandbox, event: Event) -> None:
    """Run an event until its hooks are known, so that they are warm, then forget what they did."""
    for _ in range(3):
        run.event(event)
        forget(sandbox)


def forget(sandbox: Sandbox) -> None:
    for path in sandbox.project.iterdir():
        if path.name == ".claude":
            for own in ("state", "logs"):
                shutil.rmtree(path / own, ignore_errors=True)
        elif path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def natives(sandbox: Sandbox, commands: list[str], event: Event) -> tuple[list[Native], dict[str, bytes]]:
    forget(sandbox)
    left = [sandbox.native(command, event) for command in commands]
    files = dict(sandbox.files())
    forget(sandbox)
    return left, files


@pytest.mark.slow
def test_generated_programs_do_in_one_event_what_they_do_alone_and_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, Native] = {}
    _spy(monkeypatch, seen)
    differing: list[str] = []
    for batch in range(PROGRAMS // AT_ONCE):
        sandbox = Sandbox(tmp_path / f"batch {batch}")
        (sandbox.scripts / "helper.py").write_text("VALUE = 1\n")
        sources = list(programs(batch, AT_ONCE))
        entries = [
            sandbox.python(f"hook_{number}", source) | {"name": f"hook {number}"}
            for number, source in enumerate(sources)
        ]
        sandbox.hooks("PreToolUse", *[entry | {"command": _quoted(entry)} for entry in entries])
        event = pre_tool_use(f"echo {batch}")
        alone, files = natives(sandbox, [_quoted(entry) for entry in entries], event)
        with sandbox.running() as run:
            for way in ("trial", "learned", "warm"):
                seen.clear()
                run.event(event)
                got = [seen[f"hook {number}"] for number in range(AT_ONCE)]
                differing += [
                    f"batch {batch}, {way}, hook {number}: {ours} instead of {theirs}"
                    for number, (ours, theirs) in enumerate(zip(got, alone, strict=True))
                    if ours != theirs and not (way == "trial" and "shared" in sources[number])
                ]
                # On trial hooks run side by side, as natively: what they share has no order then.
                if way != "trial" and dict(sandbox.files()) != files:
                    differing.append(f"batch {batch}, {way}: other files")
                forget(sandbox)
    assert "\n".join(differing) == ""


def _quoted(entry: dict[str, Any]) -> str:
    python, _, script = entry["command"].partition(" ")
    return f"{python} '{script}' one 'two words'"


def _spy(monkeypatch: pytest.MonkeyPatch, seen: dict[str, Native]) -> None:
    """Note what each hook left, on its way to the decision."""
    understand = decide.understand

    def noted(left: decide.HookResult, event: str) -> decide.Opinion:
        seen[left.name] = Native(left.exit, left.stdout, left.stderr)
        return understand(left, event)

    monkeypatch.setattr(decide, "understand", noted)


@pytest.mark.slow
@pytest.mark.parametrize("corpus", ["python", "mixed"])
def test_the_benchmarks_hooks_say_the_same_and_leave_the_same_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, corpus: str
) -> None:
    sandbox = Sandbox(tmp_path / "a path with ümlauts 'and' quotes")
    seen: dict[str, Native] = {}
    _spy(monkeypatch, seen)
    scripts = sorted((CORPUS / corpus).iterdir())
    commands = {
        path.stem: f"{'sh' if path.suffix == '.sh' else PYTHON} {path}"
        for path in scripts
        if path.suffix in (".py", ".sh")
    }
    for name in ("PreToolUse", "UserPromptSubmit"):
        sandbox.hooks(name, *[{"type": "command", "command": command} for command in commands.values()])
    with sandbox.running() as run:
        for event in EVENTS:
            alone, files = natives(sandbox, list(commands.values()), event)
            _settled(run, sandbox, event)
            seen.clear()
            run.event(event)
            assert [seen[name] for name in commands] == alone
            assert dict(sandbox.files()) == files
            forget(sandbox)
