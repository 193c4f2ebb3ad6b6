"""Run adopted hooks where fanout is not installed: all that match, at once, as Claude Code itself would.

`fanout-hooks adopt` puts this file beside hooks.json, and `restore` takes both away. It needs nothing but
Python 3.7: client/events.py and client/matchers.py are written into it, in place of their imports.

    python3 originals.py hooks.json          the hooks of the event that comes on stdin, but for the guards
    python3 originals.py hooks.json NAME     the one guard of that name
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import threading
from contextlib import suppress
from tempfile import TemporaryFile
from typing import IO, Any

from fanout_hooks.client.events import of
from fanout_hooks.client.matchers import meets, seen_as

STRENGTH = ("deny", "defer", "ask", "allow")


def main(words: list[str]) -> int:
    raw = sys.stdin.buffer.read()
    event = json.loads(raw.decode("utf-8", "replace"))
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), words[0])
    # A FIFO in its place would hold the event up for ever.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise ValueError(path + " is not a regular file")
    with open(descriptor, encoding="utf-8") as file:
        config = json.load(file)
    only = words[1] if len(words) > 1 else ""
    if only and not is_there(config, event, only):
        raise ValueError(path + " has no guard " + only)
    hooks = chosen(config, event, only)
    name = event["hook_event_name"]
    results = [failed(hook, name, "did not end") for hook, _ in hooks]

    def run(at: int) -> None:
        hook, shown = hooks[at]
        results[at] = run_one(hook, name, raw if shown is event else json.dumps(shown).encode())

    threads = [threading.Thread(target=run, args=(at,)) for at in range(len(hooks))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    said = [result for result in results if any(result)]
    code, out, err = said[0] if len(said) == 1 else joined(said, name)
    sys.stdout.write(out)
    sys.stderr.write(err)
    return code


def is_there(config: dict[str, Any], event: dict[str, Any], name: str) -> bool:
    groups = config["hooks"].get(event["hook_event_name"], [])
    return any(hook.get("name") == name for group in groups for hook in group["hooks"])


def chosen(
    config: dict[str, Any], event: dict[str, Any], only: str
) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return the hooks of an event, each with the event as it is shown it; identical hooks once."""
    name = event["hook_event_name"]
    row = of(name)
    value = event.get(row.matches) if row.matches else None
    found: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
    for group in config["hooks"].get(name, []):
        met = meets(
            group.get("matcher") or "",
            name,
            value,
            lists_names=row.lists_names,
            given=event.get("tool_input"),
        )
        for hook in group["hooks"] if met else []:
            key = json.dumps([hook.get(part) for part in ("command", "args")])
            wanted = hook.get("name") == only if only else not hook.get("guard")
            shown = seen_as(event, met)
            if wanted and (key not in found or shown is event):
                found[key] = (hook, shown)
    return list(found.values())


def run_one(hook: dict[str, Any], event: str, raw: bytes) -> tuple[int, str, str]:
    """Return exit code, stdout and stderr of one hook."""
    timeout = hook.get("timeout") or of(event).timeout_s
    if "command" not in hook:
        return failed(hook, event, "only command hooks are run here")
    line = ["/bin/sh", "-c", hook["command"]]
    if hook.get("args") is not None:
        project = os.environ.get("CLAUDE_PROJECT_DIR", "")
        line = [word.replace("${CLAUDE_PROJECT_DIR}", project) for word in [hook["command"]] + hook["args"]]
    try:
        # Files, and the process alone is waited for: a child that keeps a pipe open would hold the event.
        with TemporaryFile() as given, TemporaryFile() as out, TemporaryFile() as err:
            given.write(raw)
            given.seek(0)
            process = subprocess.Popen(line, stdin=given, stdout=out, stderr=err, start_new_session=True)
            late = threading.Event()
            # `wait(timeout)` looks only every 50 ms whether the process has ended.
            timer = threading.Timer(timeout, cut, [process, late])
            timer.start()
            code = process.wait()
            timer.cancel()
            if late.is_set():
                return failed(hook, event, "timed out")
            said, text = content(out), content(err)
    except OSError as error:
        return failed(hook, event, str(error))
    if code not in (0, 2) and blocks(hook, event):
        return failed(hook, event, text)
    return code, said, text


def cut(process: subprocess.Popen[bytes], late: threading.Event) -> None:
    late.set()
    with suppress(OSError):
        os.killpg(process.pid, 9)


def content(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "replace")


def failed(hook: dict[str, Any], event: str, why: str) -> tuple[int, str, str]:
    return (2 if blocks(hook, event) else 1), "", why


def blocks(hook: dict[str, Any], event: str) -> bool:
    return of(event).heeds_on_failure and (bool(hook.get("guard")) or hook.get("onFailure") == "block")


def joined(said: list[tuple[int, str, str]], event: str) -> tuple[int, str, str]:
    """Join what several hooks said: the strongest decision with all its reasons, the context, the rest."""
    answer: dict[str, Any] = {}
    own: dict[str, Any] = {}
    decisions: list[tuple[str, str]] = []
    context: list[str] = []
    for code, out, err in said:
        data = parsed(out)
        specific = data.pop("hookSpecificOutput", None) or {}
        decision = specific.pop("permissionDecision", None)
        reason = specific.pop("permissionDecisionReason", "") or data.get("reason", "")
        if code == 2 or data.get("decision") == "block":
            decisions.append(("deny", reason or err.strip()))
        elif decision in STRENGTH:
            decisions.append((decision, reason))
        context.append(specific.pop("additionalContext", ""))
        if not data and code == 0 and of(event).stdout == "context" and not out.lstrip().startswith("{"):
            context.append(out.strip())
        answer.update(data)
        own.update(specific)
    strongest = [name for name in STRENGTH if name in dict(decisions)][:1]
    reasons = "\n".join(reason for name, reason in decisions if [name] == strongest and reason)
    if strongest and of(event).objects == "permission":
        answer.pop("decision", None)
        own.update(permissionDecision=strongest[0], permissionDecisionReason=reasons)
    elif strongest == ["deny"]:
        return 2, "", reasons
    if any(context):
        own["additionalContext"] = "\n".join(filter(None, context))
    own.pop("hookEventName", None)
    if own:
        answer["hookSpecificOutput"] = dict(own, hookEventName=event)
    return 0, json.dumps(answer) if answer else "", ""


def parsed(out: str) -> dict[str, Any]:
    try:
        data = json.loads(out)
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (OSError, ValueError, KeyError) as problem:
        sys.stderr.write(f"fanout's originals.py: {problem}\n")
        sys.exit(2 if len(sys.argv) > 2 else 1)
