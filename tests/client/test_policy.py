"""What settings files forbid http hooks, and that `check` names it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fakes.user import User, command, group
from fanout_hooks.client import policy
from fanout_hooks.client.config import Hook

URL = "https://ok.example/hook/x"


def hook(url: str = URL) -> Hook:
    return Hook("h", "PreToolUse", "local", type="http", url=url, allowed_env=("MY_TOK", "ANTHROPIC_API_KEY"))


@pytest.mark.parametrize(
    ("urls", "runs"),
    [
        (None, True),
        (["https://ok.example/*"], True),
        ([URL], True),
        (["*"], True),
        (["https://other.example/*", "https://ok.example/hook/*"], True),
        ([], False),
        (["https://ok.example"], False),
        (["https://ok*"], False),
        (["*ok.example*"], False),
        (["http://ok.example/*"], False),
        (["https://ok.example.evil/*"], False),
    ],
)
def test_an_address_is_called_only_when_a_list_surely_covers_it(urls: list[str] | None, runs: object) -> None:
    own = policy.bounded(hook(), policy.Policy(urls=None if urls is None else tuple(urls)))
    assert (own.type == "http") is runs
    assert runs or "does not match any pattern in allowedHttpHookUrls" in own.command


def test_a_variable_that_no_list_names_and_the_clients_own_credentials_fill_no_header() -> None:
    assert policy.bounded(hook(), policy.Policy()).allowed_env == ("MY_TOK",)
    assert policy.bounded(hook(), policy.Policy(variables=("OTHER",))).allowed_env == ()


def test_lists_of_all_files_add_up_and_a_list_that_is_none_permits_nothing(tmp_path: Path) -> None:
    files: dict[str, dict[str, Any]] = {
        "claude/settings.json": {"allowedHttpHookUrls": ["https://a/*"]},
        "project/.claude/settings.local.json": {
            "allowedHttpHookUrls": ["https://b/*"],
            "allowManagedHooksOnly": True,
        },
        "managed/managed-settings.d/10.json": {"httpHookAllowedEnvVars": "all", "disableAllHooks": True},
        "managed/managed-settings.json": {"allowManagedHooksOnly": True},
    }
    for name, data in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(data))
    found = policy.read(*(str(tmp_path / name) for name in ("project", "claude", "managed")))
    assert found.urls == ("https://a/*", "https://b/*")
    assert found.variables == ()
    keys = [(Path(path).name, key) for path, key, _ in found.said]
    assert ("managed-settings.json", "allowManagedHooksOnly") in keys
    assert ("settings.local.json", "allowManagedHooksOnly") not in keys
    assert ("10.json", "disableAllHooks") in keys
    assert len(policy.sentences(found)) == len(keys)


def test_check_names_the_policy_in_force(user: User) -> None:
    user.write(
        "user", {"allowedHttpHookUrls": ["https://ok.example/*"], "hooks": {"Stop": [group(command("x"))]}}
    )
    assert 'allowedHttpHookUrls is in force for http hooks: ["https://ok.example/*"]' in " ".join(
        user.run("check").out.split()
    )


def test_check_names_what_the_client_leaves_out(user: User) -> None:
    user.write("local", {"hooks": {"_comment": "mine", "Stop": [group(command("x", timeout=0))]}})
    done = " ".join(user.run("check").out.split())
    assert "Claude Code ignores a part of it: _comment is not an event" in done
    assert "Stop[0].hooks[0]: timeout must be a number of seconds above 0" in done
