"""The same settings natively, warm and cold in the real client: what Claude, the user and the files see.

    case = Case("a denial", hooks={...}, calls=(bash("push"),))
    natively, warm = (run(program, folder / way, case, way) for way in ("native", "warm"))
    assert warm == natively

Many settings share a run where they can't meet: each hook acts on calls that carry its own mark alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from e2e.client import Client
from e2e.hooked import Hooked, Json
from fakes.model import Call, Text, serving, turns

WAYS = ("native", "warm", "cold")
HOOK = """
# act.sh NAME WHAT [MARK]: notes that it ran and what it was shown; does WHAT if the event has the mark.
name=$1 what=$2 mark=${3:-}
read -r event
tool=none
case $event in *'"tool_name":"'*) tool=${event#*'"tool_name":"'} tool=${tool%%'"'*} ;; esac
printf '%s\\n' "$name $tool" >>"$CLAUDE_PROJECT_DIR/ran.txt"
case $event in *"$mark"*) ;; *) exit 0 ;; esac
eval "$what"
"""
SAID = re.compile(r"SAY-[A-Za-z0-9-]+")
"""What hooks say carries such a word: the client's framing around it differs, as docs/hooks.md lists."""
_FRAME = re.compile(
    r"^\w+:\w+ hook error: (?:\[[^\]]*\]: )?|(?<=by hook: )\[.*?\]: | No stderr output$| Original prompt: .*"
)
"""The hook's command line, and what the client puts in where a hook gave no reason."""


class Case(NamedTuple):
    """Settings, and what the model does under them."""

    name: str
    hooks: dict[str, Any] = {}  # noqa: RUF012 - never mutated
    calls: tuple[Call, ...] = ()
    prompt: str = "please do"
    texts: tuple[str, ...] = ("done",)
    """What Claude says at the end, once for each time that the turn goes on."""
    words: tuple[str, ...] = ()
    user: Json = {}  # noqa: RUF012 - as above
    """The user's own settings."""
    mark: str = ""
    """Before the text of the settings."""
    files: dict[str, str] = {}  # noqa: RUF012 - as above


class Seen(NamedTuple):
    """What came of it."""

    answers: tuple[tuple[bool, str], ...]
    """Of each call, whether it failed and what Claude read."""
    told: tuple[str, ...]
    """What hooks said to Claude beside the answers: reasons, context, feedback."""
    notes: tuple[str, ...]
    """What hooks said to the user."""
    ran: tuple[str, ...]
    files: tuple[str, ...]
    result: str


def act(name: str, what: str, mark: str = "", **more: Any) -> Json:
    """Return the entry of a hook that does something to the calls with its mark."""
    quoted = what.replace("'", "'\\''")
    return {
        "type": "command",
        "command": f"sh \"$CLAUDE_PROJECT_DIR/act.sh\" '{name}' '{quoted}' {mark}",
        **more,
    }


def says(value: Any) -> str:
    """Return the shell's words for printing JSON."""
    return f"printf %s '{json.dumps(value)}'"


def run(program: str, folder: Path, case: Case, way: str) -> Seen:
    """Run a case one way in a home of its own."""
    client = Client.make(program, folder)
    (client.project / "act.sh").write_text(HOOK)
    for name, text in case.files.items():
        path = client.project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    if case.user:
        client.settings(case.user, "user")
    path = client.settings({"hooks": case.hooks}, "local")
    path.write_text(case.mark + path.read_text())
    hooked = Hooked(client, way)
    if way == "warm":
        hooked.register_server()
    if way != "native":
        hooked.adopt()
    before = _files(client.project)
    script = turns([*[[call] for call in case.calls], *[[Text(text)] for text in case.texts]])
    with serving(script) as model:
        said = client.say(model, case.prompt, *case.words)
        results = model.last.tool_results if model.requests else []
        told = _told(model.last.messages) if model.requests else []
    ran = client.project / "ran.txt"
    final = [event for event in said.events if event.get("type") == "result"]
    return Seen(
        tuple((one.is_error, _plain(one.text, folder)) for one in results),
        tuple(sorted(set(told))),
        tuple(sorted({word for note in said.notes for word in SAID.findall(note)})),
        tuple(sorted(ran.read_text().splitlines())) if ran.exists() else (),
        tuple(sorted(_files(client.project) - before - {"ran.txt"})),
        _plain(str(final[-1].get("result", "")), folder) if final else f"exit {said.exit}",
    )


def _files(project: Path) -> set[str]:
    return {
        str(path.relative_to(project))
        for path in project.rglob("*")
        if path.is_file() and ".git" not in path.parts and ".claude" not in path.parts
    }


def _told(messages: Sequence[Json]) -> list[str]:
    """Return what hooks said in the texts between the calls."""
    found: list[str] = []
    for message in messages:
        content = message.get("content")
        for block in content if isinstance(content, list) else [{"type": "text", "text": content}]:
            if block.get("type") == "text" and message["role"] != "assistant":
                found += SAID.findall(str(block.get("text", "")))
    return found


def _plain(text: str, folder: Path) -> str:
    text = " ".join(text.replace(str(folder), "/TOP").split())
    return re.sub(r"\btask \w+", "task ID", _FRAME.sub("", text))[:300]
