"""Installing, adopting, restoring and taking out, in every order: a user's files come back byte for byte."""

from __future__ import annotations

import json
import os
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as rules
from hypothesis import strategies as st

from fakes.written import objects, written
from fanout_hooks.adoption import adopt, restore
from fanout_hooks.client import places as client_places
from fanout_mcp.registration import places as registration_places
from fanout_mcp.registration import plan
from fanout_mcp.registration.install import bring_back, returning
from fanout_mcp.registration.places import Scope, places
from fanout_mcp.registration.plan import Choices
from fanout_mcp.state import settings

ENTRIES = st.sampled_from(
    [
        {"type": "command", "command": "python3 a.py"},
        {"type": "command", "command": 'echo "ä"', "timeout": 5},
        {"type": "prompt", "prompt": "is this fine?"},
    ]
)
GROUPS = st.builds(
    lambda entries, matcher: matcher | {"hooks": entries},
    st.lists(ENTRIES, max_size=2),
    st.sampled_from([{}, {"matcher": "Bash"}, {"matcher": ""}]),
)
HOOKS = st.dictionaries(
    st.sampled_from(["PreToolUse", "PostToolUse", "UserPromptSubmit", "Stop", "SessionStart"]),
    st.lists(GROUPS, max_size=2),
)
KEYS = ("allow", "deny", "model")
SETTINGS = st.builds(
    lambda rest, hooks, permissions: rest | hooks | permissions,
    st.dictionaries(st.sampled_from(["model", "env", "theme"]), st.integers() | objects(KEYS), max_size=2),
    st.just({}) | st.builds(lambda hooks: {"hooks": hooks}, HOOKS),
    st.sampled_from([{}, {"permissions": {}}, {"permissions": {"allow": ["Bash(ls)"], "deny": []}}]),
).flatmap(lambda data: st.permutations(list(data.items())).map(dict))
SERVERS = st.builds(
    lambda servers, rest: servers | rest,
    st.sampled_from(
        [{}, {"mcpServers": {}}, {"mcpServers": {"other": {"type": "stdio", "command": "true"}}}]
    ),
    st.dictionaries(st.sampled_from(["numStartups", "projects"]), st.just({}), max_size=2),
)
ORDERS = st.lists(st.sampled_from(["install", "adopt", "restore", "uninstall"]), min_size=2, max_size=6)


ONE_LINE = '{"mcpServers":{"other":{"type":"stdio","command":"true"}},   "numStartups": 3}'
BY_HAND: dict[str, Any] = {
    "model": "opus",
    "hooks": {"PreToolUse": [{"hooks": [{"type": "command", "command": "true"}]}]},
}


class Machine:
    """One user's files, and the four commands without what they print."""

    def __init__(self, scope: Scope) -> None:
        self.scope: Scope = scope
        self.project = os.path.realpath(".")
        self.places = places(scope, Path(self.project))
        self.own = client_places.find(scope, self.project, dict(os.environ))
        self.shared = self.own._replace(scope="shared")
        self.config = settings.read().config_dir

    @property
    def installed(self) -> registration_places.Installed | None:
        return registration_places.read(self.config).scopes.get(self.places.name)

    @property
    def is_bare(self) -> bool:
        return self.installed is None and restore.plan_restoration(self.own) is None

    def install(self) -> None:
        wanted = Choices(allow_tools=True, skill=False)
        old = self.installed or registration_places.Installed()
        made = plan.installing(self.places, wanted, old, self.config / "config.toml")
        kept = registration_places.read(self.config)
        if made.installed is not None:
            kept.scopes[self.places.name] = made.installed
        registration_places.write(self.config, kept)
        plan.perform(made, self.config)

    def uninstall(self) -> None:
        old = self.installed
        if old is None:
            return
        bring_back(returning(old, self.places, self.project))
        plan.perform(plan.uninstalling(old, self.config / "config.toml"), self.config)
        kept = registration_places.read(self.config)
        del kept.scopes[self.places.name]
        registration_places.write(self.config, kept)

    def adopt(self) -> None:
        planned = adopt.plan_adoption(self.own, client_places.server_of(self.own), takes_all=True)
        if planned.is_change:
            adopt.perform(planned, self.own)

    def restore(self) -> None:
        planned = restore.plan_restoration(self.own)
        if planned is not None:
            restore.perform(planned, self.own)

    def share(self) -> None:
        planned = adopt.plan_adoption(self.shared, client_places.server_of(self.shared), takes_all=True)
        if planned.is_change:
            adopt.perform(planned, self.shared)

    def unshare(self) -> None:
        planned = restore.plan_restoration(self.shared)
        if planned is not None:
            restore.perform(planned, self.shared)

    def write(self, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())

    def files(self) -> dict[str, bytes]:
        seen = [self.places.servers, self.places.settings, Path(self.own.hooks)]
        return {str(path): path.read_bytes() for path in seen if path.exists()}


@pytest.fixture(autouse=True)
def in_a_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.chdir(project)


@pytest.mark.slow
@rules(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(written(SETTINGS), written(SERVERS), ORDERS, st.sampled_from(["user", "local"]))
def test_in_every_order_every_byte_comes_back(
    mine: str, servers: str, order: list[str], scope: Scope
) -> None:
    machine = Machine(scope)
    machine.write(machine.places.settings, mine)
    machine.write(machine.places.servers, servers)
    before = machine.files()
    for command in [*order, "uninstall", "restore"]:
        getattr(machine, command)()
        if machine.is_bare:
            assert machine.files() == before
    assert machine.files() == before


SHARING = st.lists(
    st.sampled_from(["install", "adopt", "restore", "uninstall", "share", "unshare"]), min_size=2, max_size=7
)


@pytest.mark.slow
@rules(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.none() | written(SETTINGS), written(SETTINGS), SHARING)
def test_beside_a_committed_file_every_byte_of_both_comes_back(
    mine: str | None, committed: str, order: list[str]
) -> None:
    machine = Machine("local")
    shared = Path(machine.shared.settings)
    machine.places.settings.unlink(missing_ok=True)
    if mine is not None:
        machine.write(machine.places.settings, mine)
    machine.write(shared, committed)
    before = machine.files(), shared.read_bytes()
    for command in [*order, "uninstall", "restore", "unshare"]:
        getattr(machine, command)()
    assert (machine.files(), shared.read_bytes()) == before


def test_an_event_without_hooks_stays_beside_committed_hooks_that_come_and_go() -> None:
    machine = Machine("local")
    machine.write(machine.places.settings, '{"hooks": {"PreToolUse": [], "Stop": []}}')
    machine.write(
        Path(machine.shared.settings), json.dumps({"hooks": {"Stop": BY_HAND["hooks"]["PreToolUse"]}})
    )
    before = machine.files()
    machine.install()
    machine.share()
    machine.uninstall()
    machine.unshare()
    assert machine.files() == before


@pytest.mark.parametrize("mine", [None, "{}\n", '{"model":"m"}'])
@pytest.mark.parametrize("order", [*permutations(["install", "share", "uninstall", "unshare"])], ids="-".join)
def test_beside_a_server_of_the_user_a_file_that_was_not_there_goes_again_and_another_stays(
    mine: str | None, order: tuple[str, ...]
) -> None:
    user, machine = Machine("user"), Machine("local")
    if mine is not None:
        machine.write(machine.places.settings, mine)
    machine.write(Path(machine.shared.settings), json.dumps(BY_HAND))
    before = machine.files()
    user.install()
    for command in [*order, "uninstall", "unshare"]:
        getattr(machine, command)()
    user.uninstall()
    assert machine.files() | {str(user.places.servers): b""} == before | {str(user.places.servers): b""}


@pytest.mark.parametrize("order", [*permutations(["install", "adopt", "uninstall", "restore"])], ids="-".join)
def test_in_each_order_of_four_commands_a_file_on_one_line_comes_back(order: tuple[str, ...]) -> None:
    machine = Machine("user")
    machine.write(machine.places.settings, json.dumps(BY_HAND, separators=(",", ":  ")))
    machine.write(machine.places.servers, ONE_LINE)
    before = machine.files()
    for command in [*order, "uninstall", "restore"]:
        getattr(machine, command)()
    assert machine.files() == before
