"""What settings files forbid hooks: addresses and variables of http hooks, and hooks as a whole.

    found = read(project, claude)     # every settings file of the session that says something of it
    bounded(hook, found)              # an http hook as that lets it run
    sentences(found)                  # for `fanout-hooks check`

The client heeds these by itself for what stays in the settings. fanout needs them for http hooks that stand
in a hooks.json: those `adopt` took before it left them to the client, or that someone wrote there. What it
can't read as the client does it refuses: a wrong refusal costs a report, a wrong permission sends what must
not leave.
"""

from __future__ import annotations

import json
import os
import shlex
from typing import Any, NamedTuple

from fanout_hooks.client.config import Hook
from fanout_hooks.client.places import json_of, settings_file

MANAGED = "/etc/claude-code"
URLS, VARIABLES = "allowedHttpHookUrls", "httpHookAllowedEnvVars"
SWITCHES = {
    "allowManagedHooksOnly": "only hooks of managed settings run; fanout's entries elsewhere don't",
    "disableAllHooks": "no hook runs at all",
    "strictPluginOnlyCustomization": "hooks may have to come from a plugin",
}
MANAGED_ONLY = ("allowManagedHooksOnly", "strictPluginOnlyCustomization")
OWN_SECRETS = ("ANTHROPIC_", "CLAUDE_")
"""The client's own credentials: it puts none of them into a header."""


class Policy(NamedTuple):
    """What holds, with the file that says so."""

    urls: tuple[str, ...] | None = None
    """None: any address may be called."""
    variables: tuple[str, ...] | None = None
    said: tuple[tuple[str, str, Any], ...] = ()
    """(file, key, value) of everything that was found."""


def files(project: str, claude: str, managed: str = MANAGED) -> list[str]:
    """Return the settings files of a project's sessions, the managed ones last."""
    own = [settings_file(scope, project, claude) for scope in ("user", "shared", "local")]
    more = os.path.join(managed, "managed-settings.d")
    names = sorted(os.listdir(more)) if os.path.isdir(more) else []
    return [
        *own,
        os.path.join(managed, "managed-settings.json"),
        *(os.path.join(more, name) for name in names if name.endswith(".json") and not name.startswith(".")),
    ]


def read(project: str, claude: str, managed: str = MANAGED) -> Policy:
    """Read what the settings files of a project's sessions say; lists of several files add up."""
    lists: dict[str, tuple[str, ...] | None] = {URLS: None, VARIABLES: None}
    said: list[tuple[str, str, Any]] = []
    for path in files(project, claude, managed):
        data = json_of(path)
        for key in (URLS, VARIABLES):
            if key in data:
                value = data[key] if isinstance(data[key], list) else []
                lists[key] = (*(lists[key] or ()), *(one for one in value if isinstance(one, str)))
                said.append((path, key, data[key]))
        said += [
            (path, key, data[key])
            for key in SWITCHES
            if data.get(key) and (key not in MANAGED_ONLY or path.startswith(managed))
        ]
    return Policy(lists[URLS], lists[VARIABLES], tuple(said))


def bounded(hook: Hook, policy: Policy) -> Hook:
    """Return an http hook as a policy lets it run: with fewer variables, or as a failure that says why."""
    if policy.urls is not None and not any(_covers(pattern, hook.url) for pattern in policy.urls):
        why = f"HTTP hook blocked: {hook.url} does not match any pattern in {URLS}"
        return hook._replace(type="command", command=f"echo {shlex.quote(why)} >&2; exit 1", args=None)
    return hook._replace(
        allowed_env=tuple(
            name
            for name in hook.allowed_env
            if (policy.variables is None or name in policy.variables) and not name.startswith(OWN_SECRETS)
        )
    )


def sentences(policy: Policy) -> list[tuple[str, str]]:
    """Return (file, sentence) of each thing in force."""
    found = []
    for path, key, value in policy.said:
        what = SWITCHES.get(key) or json.dumps(value, ensure_ascii=True)[:300]
        found.append((path, f"{key} is in force{'' if key in SWITCHES else ' for http hooks'}: {what}"))
    return found


def _covers(pattern: str, url: str) -> bool:
    """Say whether a pattern surely covers an address: the same one, or all below a folder of one host."""
    if pattern in (url, "*"):
        return True
    prefix, star, rest = pattern.partition("*")
    return (
        bool(star) and not rest and prefix.endswith("/") and prefix.count("/") > 2 and url.startswith(prefix)
    )
