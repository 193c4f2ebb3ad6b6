"""`check` finds the command that the shell will break at the project's path."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.user import User, command, group
from fanout_hooks.adoption.check import split_variable

SPACED = {"CLAUDE_PROJECT_DIR": "/home/me/my project", "HOME": "/home/me"}
DIR = "$CLAUDE_PROJECT_DIR"

BROKEN = [
    f"python3 {DIR}/ok.py",
    "python3 ${CLAUDE_PROJECT_DIR}/ok.py",
    f"{DIR}/ok.sh",
    f"cd {DIR} && make",
    f'test -f x; python3 "a"{DIR}/ok.py',
    f"python3 '{DIR}' {DIR}",
    f"python3 {DIR}/ok.py 2>/dev/null | tee log",
    f"if cd {DIR}; then A={DIR} make; fi",
    f"PYTHONPATH=. python3 {DIR}/ok.py",
    f"true || python3 {DIR}/ok.py >{DIR}/log 2>&1",
]
SOUND = [
    f'python3 "{DIR}"/ok.py',
    f'python3 "{DIR}/ok.py"',
    f"python3 '{DIR}/ok.py'",
    f"python3 \\{DIR}/ok.py",
    "python3 ok.py",
    f"PYTHONPATH={DIR} python3 ok.py",
    f"make >{DIR}/log",
    f"echo {DIR}",
    f'bash -c "cd {DIR}"',
    "python3 $HOME/ok.py",
    f"if true; then A={DIR} make; fi",
    f"cat <<end\npython3 {DIR}/ok.py\nend",
    f"case {DIR} in *) true;; esac",
    f"python3 ok.py # not {DIR}",
]


@pytest.mark.parametrize("line", BROKEN)
def test_a_path_with_a_space_breaks_the_command_that_does_not_quote_it(line: str) -> None:
    assert split_variable(line, SPACED) == "CLAUDE_PROJECT_DIR"
    assert not split_variable(line, SPACED | {"CLAUDE_PROJECT_DIR": "/home/me/schön"})


@pytest.mark.parametrize("line", SOUND)
def test_a_command_that_quotes_it_or_needs_no_quotes_is_sound(line: str) -> None:
    assert not split_variable(line, SPACED)


@given(
    st.lists(
        st.sampled_from([DIR, "a", "/b.py", " ", '"', "'", "\\", "$", "{", "}", "${CLAUDE_PROJECT_DIR}"]),
        max_size=8,
    ).map("".join)
)
def test_every_command_that_is_named_gets_more_words_from_the_shell_than_it_was_meant_to(line: str) -> None:
    if split_variable(f"x {line}", SPACED):
        meant = SPACED | {"CLAUDE_PROJECT_DIR": "/home/me/my_project"}
        assert _words(line, SPACED) > _words(line, meant)


def _words(line: str, env: dict[str, str]) -> int:
    done = subprocess.run(
        ["/bin/sh", "-c", f"set -f; set -- {line}\necho $#"],
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


@pytest.fixture
def spaced(user: User) -> User:
    user.register_server()
    user.script("ok.py")
    return user


def adopt(user: User, *lines: str) -> None:
    user.write("local", {"hooks": {"Stop": [group(*(command(line) for line in lines))]}})
    assert user.run("adopt", "--all", "--yes").status == 0


def test_check_fails_on_an_unquoted_project_folder_and_shows_the_quotes(spaced: User) -> None:
    adopt(spaced, f"{shlex.quote(sys.executable)} {DIR}/ok.py")
    ran = subprocess.run(
        ["/bin/sh", "-c", f"{sys.executable} {DIR}/ok.py"],
        env=os.environ | {"CLAUDE_PROJECT_DIR": str(spaced.project)},
        capture_output=True,
        check=False,
    )
    assert ran.returncode == 2  # which blocks
    done = spaced.run("check")
    assert done.status == 1
    named = (
        'Stop: ok: the shell splits $CLAUDE_PROJECT_DIR at its space; put it in quotes: "$CLAUDE_PROJECT_DIR"'
    )
    assert named in done.out


def test_check_says_how_many_of_the_hooks_are_wrong_instead_of_calling_all_good(spaced: User) -> None:
    adopt(
        spaced,
        f'{sys.executable} "{DIR}"/ok.py',
        f"{sys.executable} gone/a.py",
        f"{sys.executable} {DIR}/ok.py",
    )
    found = json.loads(spaced.run("check", "--json").out)
    local = [one for one in found if Path(one["where"]).name == "hooks.local.json"]
    assert [one["level"] for one in local] == ["wrong", "wrong", "note"]
    assert local[-1]["text"] == "3 hooks run through fanout, 2 of them can't do their work"


def test_one_sound_hook_is_one_hook(spaced: User) -> None:
    adopt(spaced, f'{sys.executable} "{DIR}"/ok.py')
    assert "good   1 hook runs through fanout" in spaced.run("check").out
