"""Which mode the gate is in for one event: the environment, the project, the user, the entry, in this order.

    FANOUT_GATE                              for this session
    <project>/.claude/fanout/config.json     {"gate": "strict"}; a project may say this and nothing else
    ~/.config/fanout/config.toml             gate = "warn"
    the settings entry                       what the install wrote, else smart

What can't be read or isn't a mode is passed over, and said once a session (gate_watch.py): a typo must
neither block nor switch off.
"""

from __future__ import annotations

import json
import os
import re
from typing import Any, NamedTuple

from fanout_hooks import regular
from fanout_hooks.gate import MODES, Mode

DEFAULT: Mode = "smart"
MAX_BYTES = 64 << 10
TABLE = re.compile(r"^[ \t]{0,99}\[", re.MULTILINE)


class Chosen(NamedTuple):
    mode: Mode
    remind: bool = False
    """The user wants the reminder (gate_reminder.py)."""
    problem: str = ""


def choose(event: dict[str, Any], env: dict[str, str], entry: str) -> Chosen:
    """Return the mode for an event, and what was wrong on the way to it."""
    project = env.get("CLAUDE_PROJECT_DIR") or str(event.get("cwd") or "")
    problems: list[str] = []
    user = _user_file(env)
    own = _read(user, problems, follow=True)
    said = (
        ("FANOUT_GATE", env.get("FANOUT_GATE")),
        (os.path.join(project, ".claude", "fanout", "config.json"), _of_project(project, problems)),
        (user, toml_value(own, "gate")),
        ("the settings entry", entry),
    )
    remind = toml_value(own, "gate_reminder") == "true"
    for where, word in said:
        if not word or word == "on":
            continue
        if mode := next((one for one in MODES if one == word), None):
            return Chosen(mode, remind, "; ".join(problems))
        problems.append(f'reads "{word}" in {where}, which is no mode: there are {", ".join(MODES)}')
    return Chosen(DEFAULT, remind, "; ".join(problems))


def toml_value(text: str, name: str) -> str:
    """Return a top-level key's text or bare word. tomllib would cost 8 ms for it, at every cold event."""
    top = TABLE.split(text, maxsplit=1)[0]
    match = re.search(rf"""^\s*{name}\s*=\s*(?:"([^"\n]*)"|'([^'\n]*)'|(\w+))""", top, re.MULTILINE)
    return next((group for group in match.groups() if group), "") if match else ""


def _of_project(project: str, problems: list[str]) -> str:
    path = os.path.join(project, ".claude", "fanout", "config.json")
    text = _read(path, problems)
    if not text:
        return ""
    try:
        data = json.loads(text)
        return str(data.get("gate") or "")
    except (ValueError, AttributeError, RecursionError):
        problems.append(f"can't read {path}: it must hold one JSON object")
        return ""


def _user_file(env: dict[str, str]) -> str:
    base = env.get("XDG_CONFIG_HOME") or os.path.join(env.get("HOME") or os.path.expanduser("~"), ".config")
    return os.path.join(base, "fanout", "config.toml")


def _read(path: str, problems: list[str], *, follow: bool = False) -> str:
    """Return a small file's text, "" where there is none or it can't be read."""
    try:
        return regular.read(path, MAX_BYTES, follow=follow).decode("utf-8", "replace")
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError as error:
        problems.append(f"can't read {path}: {error.strerror}")
        return ""
