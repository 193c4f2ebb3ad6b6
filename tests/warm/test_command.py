"""Which commands are a Python program and nothing else, and that their words are those of the shell."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as rules
from hypothesis import strategies as st

from fakes.sandbox import PYTHON, Sandbox, pre_tool_use
from fanout_hooks.warm import command

ENV = {"HOME": "/home/of me", "A": "one", "AB": "two", "SPACED": "x y", "EMPTY": ""}
PIECES = st.sampled_from(
    [*"abA ~/.-'\"\\$#\n\t", "\\\n", "$A", "${AB}", '"$SPACED"', "$EMPTY", "~/", "'it'", '\\"', "\\$", "B"]
)


def _words_of_the_shell(text: str) -> list[str] | None:
    """Return the arguments that `sh` makes of a text, or None when it refuses it."""
    line = f"for word in {text}\ndo printf '%s\\000' \"$word\"; done"
    done = subprocess.run(["/bin/sh", "-c", line], env=ENV, capture_output=True, text=True, check=False)
    return done.stdout.split("\0")[:-1] if done.returncode == 0 and not done.stderr else None


@rules(deadline=None, max_examples=300)
@given(st.lists(PIECES, max_size=12).map("".join))
def test_every_command_that_is_split_is_split_as_the_shell_does(text: str) -> None:
    found = command.split(text, ENV)
    if found:
        assert found == _words_of_the_shell(text.strip(" \t\n"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("python3 \\\n  x.py", ["python3", "x.py"]),
        ("python3 x\\\n.py", ["python3", "x.py"]),
        ('python3 "x\\\n.py"', ["python3", "x.py"]),
        ("python3 'x\\\n.py'", ["python3", "x\\\n.py"]),
        ("python3 x.py \\\n", None),
        ("python3 $A\\\nB", None),
        ('python3 "$A\\\nB"', None),
        ("python3 $\\\nA", None),
        ("python3 x.py\r", ["python3", "x.py\r"]),
        ("python3 $Aü.py", ["python3", "oneü.py"]),
    ],
)
def test_a_backslash_at_a_lines_end_joins_it_with_the_next(text: str, words: list[str] | None) -> None:
    assert command.split(text, ENV) == words


def test_a_hook_written_over_two_lines_runs_as_it_does_natively(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path)
    script = sandbox.script("ok", "import sys; print('{\"systemMessage\": \"' + sys.argv[1] + '\"}')")
    line = f"{PYTHON} \\\n  {script} \\\n  heard"
    sandbox.hooks("PreToolUse", line)
    with sandbox.running() as run:
        for _ in range(3):
            assert run.event(pre_tool_use()).stdout == '{"systemMessage":"heard"}'
    assert json.loads(sandbox.native(line, pre_tool_use()).stdout) == {"systemMessage": "heard"}
