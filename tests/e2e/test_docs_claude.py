"""The `claude` commands that README and docs name, in the real client: install, options, and undo."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from e2e.client import ROOT, Client
from test_docs import NAMES, text_of

pytestmark = pytest.mark.e2e

COMMANDS = (
    "claude plugin marketplace add ./",
    "claude plugin install fanout@fanout",
    "claude plugin configure fanout@fanout",
    "claude plugin uninstall fanout@fanout",
    "claude plugin marketplace remove fanout",
    "claude mcp reset-project-choices",
    'claude mcp add --transport http fanout https://mcp.example.com/mcp --header "Authorization: Bearer …"',
)
"""In the order in which a user comes by them."""


def test_what_the_docs_have_a_user_type_installs_and_removes_the_plugin(
    client: Client, tmp_path: Path
) -> None:
    client.project = tmp_path / "fanout"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(client.project)], check=True)
    settings = client.home / ".claude" / "settings.json"
    for number, command in enumerate(COMMANDS):
        done = client.run(*shlex.split(command)[1:])
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        if number == 1:
            assert "fanout@fanout" in settings.read_text()
    assert "fanout" not in settings.read_text()


def test_every_plugin_command_of_the_docs_is_among_them() -> None:
    named = set()
    for name in NAMES:
        for one in re.findall(r"claude (?:plugin|mcp) [^`|&#]*", text_of(name)):
            words = re.sub(r"(?<=add )\S+/fanout", "./", " ".join(one.split()))
            if re.search(r"fanout|\./|reset", words):
                named.add(words)
    assert named - set(COMMANDS) == set()
