"""What settings files forbid hooks is named by `check`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fakes.user import User, command, group
from fanout_hooks.adoption.check import policies


def test_what_all_files_forbid_is_named_and_managed_switches_count_in_managed_files_alone(
    tmp_path: Path,
) -> None:
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
    found = policies(*(str(tmp_path / name) for name in ("project", "claude", "managed")))
    assert [(Path(one.where).name, one.text.partition(" is in force")[0]) for one in found] == [
        ("settings.json", "allowedHttpHookUrls"),
        ("settings.local.json", "allowedHttpHookUrls"),
        ("managed-settings.json", "allowManagedHooksOnly"),
        ("10.json", "httpHookAllowedEnvVars"),
        ("10.json", "disableAllHooks"),
    ]


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
