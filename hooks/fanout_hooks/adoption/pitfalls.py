"""Name what goes wrong with hooks as they are written, wherever they run: `check` and the report show it.

    a Stop hook that can block and never looks at `stop_hook_active`: it blocks until Claude Code gives up
    a matcher that can never match, matches more than it says, or is ignored
    hooks of plugins, which stay native
    hooks that failed lately, with their last error

Hints from the hooks' text and the client's rules; nothing is run.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator
from typing import Any

from fanout_hooks.adoption import entries
from fanout_hooks.adoption.native import Hooks
from fanout_hooks.client import config, events, files, matchers, places
from fanout_hooks.client.settings import Refused, read
from fanout_hooks.warm.command import words_of

TOOLS = (
    *("Agent", "AskUserQuestion", "Bash", "Edit", "EnterPlanMode", "ExitPlanMode", "Glob", "Grep"),
    *("Monitor", "NotebookEdit", "PowerShell", "Read", "SendMessage", "Skill", "TaskCreate", "TaskGet"),
    *("TaskList", "TaskOutput", "TaskStop", "TaskUpdate", "TodoWrite", "ToolSearch", "WebFetch"),
    *("WebSearch", "Workflow", "Write"),
)
"""Claude Code's own tools that users write matchers for; others may exist."""
VALUES = {
    "SessionStart": ("startup", "resume", "clear", "compact", "fork"),
    "PreCompact": ("manual", "auto"),
    "PostCompact": ("manual", "auto"),
}
"""All that the matcher of an event can meet, where that is a fixed set."""
RULE = re.compile(r"\w+\([^|]*\)\Z")
SERVER_ONLY = re.compile(r"mcp__[A-Za-z0-9-]+(?:_[A-Za-z0-9-]+)*\Z")
BLOCKS = re.compile(
    r"""["']block["']|\bexit\s+2\b|\bexit\(2\)|exitCode\s*=\s*2\b|_exit\(2\)|SystemExit\(2\)|\breturn\s+2\b"""
)
LOOKS = "stop_hook_active"
MAX_SCRIPT = 1 << 18
LATELY = 20
"""Runs of a hook that are looked at."""


def of(project: str, env: dict[str, str]) -> list[str]:
    """Return everything that is found of a project's hooks, a sentence each."""
    found: list[str] = []
    for scope in config.SCOPES:
        own = places.find(scope, project, env)
        for path in (own.settings, own.hooks):
            try:
                hooks = read(path).data.get("hooks")
            except Refused:
                continue  # `check` reports that
            if isinstance(hooks, dict):
                found += of_hooks(entries.without_ours(hooks), env | {"CLAUDE_PROJECT_DIR": project}, project)
    return list(dict.fromkeys([*found, *of_plugins(project, env)]))


def of_hooks(hooks: Hooks, env: dict[str, str], project: str) -> Iterator[str]:
    """Yield what is odd about the matchers and scripts of a `hooks` object."""
    for event, group, entry in entries.each(hooks):
        matcher = group.get("matcher") or ""
        if event not in events.BY_NAME or not isinstance(matcher, str):
            continue
        name = config.short_name(entry, group) if entry.get("command") or entry.get("url") else "a hook"
        why = odd_matcher(event, matcher)
        if why:
            yield f"{event}: {name}: {why}"
        if event in ("Stop", "SubagentStop") and _never_looks(entry, env, project):
            yield (
                f"{event}: {name} can block and never looks at `{LOOKS}`: it may block again and again, "
                "until Claude Code ends the turn without its answer"
            )


# --- Matchers -----------------------------------------------------------------------------------------------


def odd_matcher(event: str, matcher: str) -> str:
    row = events.of(event)
    if matcher in ("", "*"):
        return ""
    if not row.matches:
        return f"Claude Code ignores matchers of {event}; `{matcher}` narrows nothing"
    if RULE.match(matcher) and matchers.words_of(matcher) is None and row.matches == "tool_name":
        return f"`{matcher}` is a permission rule, as a matcher it never matches; `if` takes such a rule"
    words = matchers.words_of(matcher, lists_names=row.lists_names)
    if words is None:
        return _odd_pattern(matcher) if row.matches == "tool_name" else ""
    if not words:
        return f"`{matcher}` names nothing, so it never matches"
    known = TOOLS if row.matches == "tool_name" else VALUES.get(event, ())
    odd = [_odd_word(word, event, known) for word in words]
    return next(filter(None, odd), "")


def _odd_word(word: str, event: str, known: tuple[str, ...]) -> str:
    if not known or word in known or word in matchers.ALIASES:
        return ""
    meant = next((one for one in known if one.casefold() == word.casefold()), "")
    if meant:
        return f"`{word}` never matches, names are compared letter by letter: it is `{meant}`"
    if known is not TOOLS:
        return f"`{word}` never matches, at {event} there are {', '.join(known)}"
    if SERVER_ONLY.match(word):
        return f"`{word}` is a server's name, which no tool has; `{word}__.*` matches its tools"
    return ""


def _odd_pattern(matcher: str) -> str:
    """Say which tools a pattern meets beyond those that its words begin."""
    try:
        met = [tool for tool in TOOLS if matchers.is_match(matcher, tool)]
    except matchers.Unread:
        return ""
    words = re.findall(r"\w+", matcher)
    more = [tool for tool in met if words and not any(tool.startswith(word) for word in words)]
    if not more or len(met) == len(TOOLS) or "^" in matcher:
        return ""
    return (
        f"`{matcher}` is searched for anywhere in a name, so it matches {', '.join(more)}, too; `^` binds it"
    )


# --- Stop hooks ---------------------------------------------------------------------------------------------


def _never_looks(entry: dict[str, Any], env: dict[str, str], project: str) -> bool:
    command = entry.get("command")
    if entry.get("type", "command") != "command" or not isinstance(command, str):
        return False
    args = entry.get("args")
    exec_form = tuple(map(str, args)) if isinstance(args, list) else None
    words = words_of(command, exec_form, env, project) or re.findall(r"[^\s'\"|&;<>()]+", command)
    texts = [command, *(files.text(os.path.join(project, word), MAX_SCRIPT) for word in words)]
    return any(BLOCKS.search(text) for text in texts) and not any(LOOKS in text for text in texts)


# --- Plugins ------------------------------------------------------------------------------------------------


def of_plugins(project: str, env: dict[str, str]) -> Iterator[str]:
    """Yield a sentence for each plugin whose hooks run; they belong to it and stay native."""
    for name, held in plugin_hooks(project, env).items():
        counted = "1 hook" if len(held) == 1 else f"{len(held)} hooks"
        at = ", ".join(dict.fromkeys(event for event, _, _ in held))
        yield f"the plugin {name} has {counted} ({at}): what belongs to a plugin stays native"


def plugin_hooks(
    project: str, env: dict[str, str]
) -> dict[str, list[tuple[str, dict[str, Any], dict[str, Any]]]]:
    """Return (event, group, entry) of the hooks of other plugins that are on, their folder written out."""
    found = {}
    claude = places.claude_folder(env)
    installed = places.dict_in(
        places.json_of(os.path.join(claude, "plugins", "installed_plugins.json")), "plugins"
    )
    for name, is_on in places.enabled_plugins(places.find("local", project, env)).items():
        if not is_on or name.startswith("fanout@"):
            continue
        held = [one for root in _roots(installed.get(name)) for one in _hooks_of(root)]
        if held:
            found[name] = held
    return found


def _roots(installed: Any) -> Iterator[str]:
    for one in installed if isinstance(installed, list) else [installed]:
        if isinstance(one, dict) and isinstance(one.get("installPath"), str):
            yield one["installPath"]


def _hooks_of(root: str) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    manifest = places.json_of(os.path.join(root, ".claude-plugin", "plugin.json"))
    declared = manifest.get("hooks")
    if isinstance(declared, dict):
        found = declared
    else:
        path = declared if isinstance(declared, str) else os.path.join("hooks", "hooks.json")
        found = places.json_of(os.path.join(root, path))
    for event, group, entry in entries.each(found.get("hooks", found)):
        own = {name: _with_root(entry[name], root) for name in NAMING if name in entry}
        yield event, group, entry | own


NAMING = ("command", "args")
"""Fields of an entry that may name its plugin's folder."""


def _with_root(value: Any, root: str) -> Any:
    if isinstance(value, list):
        return [_with_root(word, root) for word in value]
    return value.replace("${CLAUDE_PLUGIN_ROOT}", root) if isinstance(value, str) else value


# --- Failures -----------------------------------------------------------------------------------------------


def failures(records: Iterable[dict[str, Any]]) -> list[str]:
    """Return a sentence for each hook that failed in its last runs, from the log's records, oldest first."""
    runs: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for record in records:
        for hook in record.get("hooks") or ():
            if isinstance(hook, dict):
                key = (str(record.get("phase")), str(hook.get("name")))
                runs.setdefault(key, []).append(hook)
    found = []
    for (event, name), all_of_them in runs.items():
        last = all_of_them[-LATELY:]
        failed = [hook for hook in last if hook.get("timed_out") or hook.get("exit") not in (0, 2)]
        if failed:
            how = "cut at its timeout" if failed[-1].get("timed_out") else f"exit {failed[-1].get('exit')}"
            error = failed[-1].get("error")
            said = f": {json.dumps(str(error), ensure_ascii=False)}" if error else ""
            found.append(
                f"{event}: {name} failed in {len(failed)} of its last {len(last)} runs, last {how}{said}"
            )
    return found
