"""Whatever a repository, its settings, its log, a model or a shell's glob holds: no terminal obeys it."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.records import line, record, row
from fakes.upstream import Rule, serving
from fanout_hooks.printable import flat, json_printable, printable

pytestmark = pytest.mark.slow

HOSTILE = {
    "ESC": "\x1b[31m",
    "clear": "\x1b[2J",
    "title": "\x1b]0;owned\x07",
    "OSC 8": "\x1b]8;;http://evil.test\x1b\\",
    "OSC 52": "\x1b]52;c;ZXZpbA==\x07",
    "C1": "\x9b31m",
    "return": "a\rb",
    "backspace": "x\b\b",
    "bidi": "\u202egnp.exe",
    "isolate": "\u2066x\u2069",
    "mark": "\u200f\u061c",
    "zero-width": "a\u200bb\u200dc\u2060d\ufeffe",
    "tag": "\U000e0041",
}
MARK = "".join(HOSTILE.values())
IN_NAMES = MARK.replace("/", "")
"""A file's name may hold everything but a slash."""
FORBIDDEN = frozenset(
    "\x00\x07\x08\x1b\x9b\r\u061c\u200b\u200d\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2069\ufeff\U000e0041"
)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a home and a project that have the characters in every field that we show."""
    base = tmp_path_factory.mktemp("stage")
    project, home = base / "project", base / "home"
    source = project / f"src{IN_NAMES}"
    source.mkdir(parents=True)
    name = f"mod{IN_NAMES}"
    text = f'"""Say {MARK} hello."""\nimport os\nKEY = "{MARK}"\ndef run(x=[]):\n    """{MARK}"""\n'
    text += f"    # TODO {MARK}\n    os.system(input('{MARK}'))\n    eval('{MARK}')\n"
    (source / f"{name}.py").write_bytes(text.replace("\r", "\\r").encode())
    (project / f"{IN_NAMES}.md").write_bytes(f"# {MARK}\n\n{MARK}\n".encode())
    (project / "package.json").write_text(json.dumps({"name": MARK, "description": MARK, MARK: 1}))
    (project / "say.py").write_text("print(1)")
    good = {"type": "command", "command": f"python3 say.py '{MARK}'", "timeout": 3}
    gone = {"type": "command", "command": f"python3 '{MARK}/x.py'"}
    asked = {"type": "prompt", "prompt": MARK}
    hooks: dict[str, Any] = {
        "Stop": [{"hooks": [good, {**gone, "if": MARK}]}],
        "PreToolUse": [{"matcher": "Bash", "hooks": [good, gone, asked]}, {"matcher": MARK, "hooks": [good]}],
        "PostToolUse": [{"matcher": "Bash", "hooks": [good, gone]}],
    }
    for path in (project / ".claude" / "settings.json", project / ".claude" / "settings.local.json"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            json.dumps({"hooks": {**hooks, f"No{MARK}": []}, MARK: MARK}, ensure_ascii=False, indent=1)
        )
    (home / ".claude").mkdir(parents=True)
    (home / ".claude" / "settings.json").write_text(json.dumps({"hooks": hooks}, indent=1))
    (home / ".claude.json").write_text(json.dumps({"mcpServers": {MARK: {"command": MARK}}}))
    memory = project / ".claude" / "memory"
    memory.mkdir()
    rows = [row(MARK, 900.5, exit=1), row(f"{MARK}\n# forged", 5.0)]
    records = [record(*rows, phase=phase, at=time.time()) | {"notes": [MARK]} for phase in hooks]
    (memory / "hook_performance.jsonl").write_bytes(b"".join(line(one) + b"\n" for one in records) * 30)
    who = ("-c", "user.name=a", "-c", "user.email=a@b")
    for arguments in (("init", "-q"), ("add", "-A"), (*who, "commit", "-qm", "x")):
        subprocess.run(["git", *arguments], cwd=project, check=True, capture_output=True)
    return base


def env(stage: Path, **more: str) -> dict[str, str]:
    clean = {"PATH": os.environ["PATH"], "HOME": str(stage / "home"), "TERM": "xterm", "LANG": "C.UTF-8"}
    return {**clean, "FANOUT_BACKEND": "plan", "COLUMNS": "200", **more}


def project(stage: Path) -> Path:
    return next(stage.glob("project*"))


FANOUT = (
    ("summarize", "."),
    ("summarize", ".", "--json"),
    ("summarize", ".", "--engine", "plan"),
    ("summarize", MARK),
    ("explore",),
    ("explore", "--json"),
    ("explore", MARK),
    ("explore", "--question", MARK),
    ("review", "."),
    ("review", ".", "--json"),
    ("review", ".", "--focus", "bugs"),
    ("review", ".", "--focus", "architecture"),
    ("review", ".", "--base", f"HEAD{MARK}"),
    ("review", MARK),
    ("report",),
    ("report", "--json"),
    ("report", "--save", "-"),
    ("report", "--html", f"/nowhere/{MARK}"),
    ("report", "--compare", f"/nowhere/{MARK}"),
    ("report", "--fail-above", "Stop=1", "--fail-above", "PreToolUse=1"),
    ("report", "--event", MARK),
    ("audit",),
    ("audit", "--json"),
    ("audit", "--transcripts", MARK),
    ("doctor",),
    ("doctor", "--json"),
    ("oracle", MARK),
    ("oracle", "x", "--personas", MARK),
    ("oracle", "x", "--file", MARK),
    ("council", MARK),
    ("swarm", MARK, "--count", "3"),
    ("swarm", "x", "--lens", MARK),
    ("install",),
    ("install", "--yes", "--scope", "project"),
    ("uninstall", "--scope", "project"),
    (MARK,),
    ("review", f"--{MARK}"),
    ("review", "x", "--focus", MARK),
)
HOOKS = (
    ("check",),
    ("check", "--json"),
    ("check", "--project", MARK),
    ("adopt", "--all"),
    ("adopt", "--all", "--shared"),
    ("adopt", "--all", "--shared", "--diff", "full"),
    ("adopt", "--all", "--yes", "--shared"),
    ("check",),
    ("graph",),
    ("graph", "--json"),
    ("graph", "--event", MARK),
    ("learn",),
    ("bench",),
    ("bench", "--event", MARK),
    ("dispatch",),
    ("restore",),
    ("restore", "--yes"),
    ("check",),
    (MARK,),
    ("check", f"--{MARK}"),
)


def piped(command: list[str], stage: Path, **more: str) -> str:
    done = subprocess.run(
        command,
        cwd=project(stage),
        env=env(stage, **more),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=120,
        check=False,
    )
    return (done.stdout + done.stderr).decode("utf-8", "surrogateescape")


def on_terminal(command: list[str], stage: Path) -> str:
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        command, cwd=project(stage), env=env(stage), stdin=terminal, stdout=terminal, stderr=terminal
    )
    os.close(terminal)
    return _read(controller, process).decode("utf-8", "surrogateescape")


def _read(controller: int, process: subprocess.Popen[bytes]) -> bytes:
    shown = b""
    with os.fdopen(controller, "r+b", buffering=0) as screen:
        try:
            while part := screen.read(65_536):
                shown += part
                if shown.endswith((b"[y/N] ", b"[Y/n] ")):
                    screen.write(b"n\n")
        except OSError:  # Linux says so when the other side is closed
            pass
    process.wait(60)
    return shown


def fanout(words: tuple[str, ...]) -> list[str]:
    return [sys.executable, "-P", "-m", "fanout_mcp", *words]


def hooks(words: tuple[str, ...]) -> list[str]:
    return [
        sys.executable,
        "-P",
        "-c",
        "import sys; from fanout_hooks.cli import main; sys.exit(main())",
        *words,
    ]


def is_shown_safely(shown: str) -> None:
    assert shown.strip()
    assert "Traceback" not in shown
    assert not FORBIDDEN & set(shown), sorted(map(ascii, FORBIDDEN & set(shown)))


@pytest.mark.parametrize("words", FANOUT, ids=lambda words: ascii(" ".join(words))[1:40])
def test_no_command_lets_through_what_a_terminal_would_obey(stage: Path, words: tuple[str, ...]) -> None:
    is_shown_safely(piped(fanout(words), stage))


def test_no_command_for_hooks_does(stage: Path) -> None:
    """In this order: what `adopt` writes is what the next ones show."""
    for words in HOOKS:
        is_shown_safely(piped(hooks(words), stage) or "silent")


@pytest.mark.parametrize(
    "command",
    [
        fanout(("report",)),
        fanout(("review", ".")),
        fanout(("explore",)),
        fanout(("audit",)),
        fanout(("doctor",)),
        fanout(("install", "--scope", "project")),
        fanout(("swarm", MARK, "--count", "3")),
        hooks(("check",)),
        hooks(("adopt", "--all", "--shared")),
    ],
    ids=lambda command: " ".join(ascii(word) for word in command[3:])[:40],
)
def test_on_a_terminal_only_our_own_colours_and_cursor_moves_are_left(
    stage: Path, command: list[str]
) -> None:
    shown = on_terminal(command, stage)
    ours = re.sub(r"\x1b\[[0-9;?]*[mKAhlGJ]|\r(?=\n|\x1b|\Z)|\x1b\[\?25[hl]", "", shown)
    ours = ours.replace("\r", "")  # the bar goes to the line's start before it draws itself again
    is_shown_safely(ours)
    assert "\x1b[31m\x1b[2J" not in shown


@pytest.mark.parametrize(
    "words",
    [("oracle", "Is it wise?"), ("swarm", "x", "--count", "3"), ("summarize", "package.json")],
    ids=str,
)
def test_nor_does_what_a_model_or_its_provider_answers(stage: Path, words: tuple[str, ...]) -> None:
    answer = json.dumps(
        {
            "verdict": "STOP",
            "confidence": 80,
            "summary": MARK,
            "blocker": MARK,
            "purpose": MARK,
            "notes": [MARK],
            "answers": [{"title": MARK, "detail": MARK}],
        }
    )
    for rule in (Rule(text=answer), Rule(kind="status", status=400, body=json.dumps({"error": MARK}))):
        with serving(rule) as upstream:
            shown = piped(
                fanout(words), stage, FANOUT_BACKEND="http", FANOUT_BASE_URL=upstream.url, FANOUT_MODEL=MARK
            )
        is_shown_safely(shown)


# --- the function itself -----------------------------------------------------------------------------------


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_each_kind_is_replaced_where_it_stands(text: str) -> None:
    assert not FORBIDDEN & set(printable(f"before{text}after"))
    assert printable(f"before{text}after").startswith("before")
    assert "\ufffd" in printable(text)


@pytest.mark.parametrize(
    "text",
    [
        "plain",
        "tab\tand\nline",
        "naïve café",
        "日本語",
        "👨\u200d👩",
        "\u0645\u06cc\u200c\u062e\u0648",
        "क\u094dष",
    ],
)
def test_what_people_write_stays_as_it_is(text: str) -> None:
    assert printable(text) == text


@given(st.text())
def test_every_text_is_made_printable_once_and_for_all(text: str) -> None:
    shown = printable(text)
    assert not FORBIDDEN & set(shown) - {"\u200d"}
    assert printable(shown) == shown
    assert "\n" not in flat(text)


@given(
    st.recursive(st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))
)
def test_every_json_text_means_the_same_after_it_was_made_printable(value: object) -> None:
    text = json_printable(json.dumps(value, ensure_ascii=False))
    assert json.loads(text) == value
    assert not FORBIDDEN & set(text) - {"\u200d"}
