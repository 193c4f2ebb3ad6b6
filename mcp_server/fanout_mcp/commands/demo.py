"""`fanout demo`: five scenes, one screen each: the real tools at work without a key, a network or a model.

What is scripted (a change with planted bugs, a provider's answers, sample hooks) lies in demo.toml and is
labelled so on the screen. Every figure is of this very run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shlex
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from time import monotonic
from typing import Final, TypeVar

import anyio
from pydantic import BaseModel
from rich.console import Console, RenderableType
from rich.live import Live
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from fanout_hooks.adoption import bench
from fanout_hooks.client import files as client_files
from fanout_hooks.client import places
from fanout_hooks.client.places import Place
from fanout_hooks.client.settings import Refused
from fanout_mcp.commands import flags
from fanout_mcp.commands.display import Screen, sentences
from fanout_mcp.commands.panels import COLOURS
from fanout_mcp.commands.review import COLOURS as SEVERITIES
from fanout_mcp.commands.shell import run_async
from fanout_mcp.edge.catalog import parse
from fanout_mcp.edge.opening import open_services
from fanout_mcp.engine.budget import cost
from fanout_mcp.errors import InvalidInput
from fanout_mcp.panel.deliberation import Answered, Event, Opened
from fanout_mcp.state.folder import find_program
from fanout_mcp.state.settings import Settings
from fanout_mcp.state.settings import read as read_settings
from fanout_mcp.text import clean, counted, flat
from fanout_mcp.tools import batch_review, council, explore_modules
from fanout_mcp.tools.services import Services, Tool
from fanout_mcp.types import Json, no_progress

A = TypeVar("A", bound=BaseModel)

WIDEST: Final = 100
QUESTION: Final = "Where are command-line arguments parsed?"
MAX_S_OF_MAP: Final = 10.0
"""For a folder that takes longer, the demo asks about fanout's own code."""
MAX_RANKED: Final = 6
ROUNDS_OF_HOOKS: Final = 5


@cache
def shipped() -> Mapping[str, Json]:
    return tomllib.loads((files("fanout_mcp.commands") / "demo.toml").read_text(encoding="utf-8"))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "question",
        metavar="QUESTION",
        nargs="?",
        default=QUESTION,
        help="a question about this folder's code",
    )
    parser.epilog = (
        "It asks no model and spends nothing, unless LIVE=1 in the environment has it ask your own panel."
    )


def run(args: argparse.Namespace) -> int:
    is_live = os.environ.get("LIVE", "0") not in {"", "0"}
    console = Screen(highlight=False)
    console.width = min(console.width, WIDEST)
    with tempfile.TemporaryDirectory(prefix="fanout-demo-") as folder:
        stage = Stage(console, Path(folder).resolve(), args.question, is_live=is_live)
        for title, scene in SCENES.items():
            open_scene(console, title)
            scene(stage)
    return flags.OK


def open_scene(console: Console, title: str) -> None:
    number = f"[bold cyan]{[*SCENES].index(title) + 1} of {len(SCENES)}[/]"
    console.print()
    console.print(Rule(f"{number} [bold]{title}[/]", align="left", style="dim"))


@dataclass(frozen=True, slots=True)
class Stage:
    """Where the scenes are shown, and a folder of their own that is removed at the end."""

    console: Console
    folder: Path
    question: str = QUESTION
    is_live: bool = False

    def settings(self, root: Path, base_url: str | None = None) -> Settings:
        """Nothing of the user's: no key, no provider, no cache."""
        return Settings(
            root=root,
            config_dir=self.folder / "config",
            backend="http" if base_url else "plan",
            base_url=base_url,
            state_dir=self.folder / "reports",
            cache_home=self.folder / "cache",
            state_home=self.folder / "state",
        )

    def line(self, *parts: str | tuple[str, str]) -> None:
        """Print one line, cut where the screen ends."""
        self.console.print(Text.assemble(*parts), no_wrap=True, overflow="ellipsis", crop=True)

    def typed(self, command: str, note: str = "") -> None:
        self.line(("$ ", "dim"), (command, "bold"), (f"   {note}", "dim"))

    def note(self, text: str) -> None:
        self.console.print(Text(text, "dim"))

    @contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """Show that something is at work, where a person can see it."""
        if not self.console.is_terminal:
            yield
            return
        with self.console.status(f"[dim]{what}[/]"):
            yield


# --- 1: a question, ranked to files, functions and lines in the folder one is in. ---------------------------


def find(stage: Stage) -> None:
    stage.typed(f"fanout explore --question {shlex.quote(stage.question)}")
    own = Path(str(files("fanout_mcp")))
    with stage.waiting("reading this folder"):
        data = run_async(lambda: _ranked(stage, Path.cwd()))
        if not data.get("ranked"):
            stage.note("Here no code answers that in time, so fanout's own is asked.")
            data = run_async(lambda: _ranked(stage, own))
    if not data:
        stage.note(f"This machine is too busy to answer within {MAX_S_OF_MAP:g} s.")
        return
    for one in data.get("ranked", [])[:MAX_RANKED]:
        stage.line((flat(one["path"]), "bold cyan"))
        if one["symbols"]:
            stage.line(f"    {flat(', '.join(one['symbols']))}")
    spent = data["receipt"]
    saved = spent["tokens_raw"] - spent["tokens_returned"]
    of = f", {saved:,} fewer than the files that it chose from" if saved > 0 else ""
    stage.note(f"Answered in {spent['elapsed_s']:.1f} s with {spent['tokens_returned']:,} tokens{of}.")


async def _ranked(stage: Stage, root: Path) -> Json:
    given = {"question": stage.question, "engine": "static"}
    with suppress(InvalidInput), anyio.move_on_after(MAX_S_OF_MAP):  # an empty folder; a very large one
        return await _called(stage, root, explore_modules.TOOL, given)
    return {}


async def _called(stage: Stage, root: Path, tool: Tool[A], given: dict[str, Json]) -> Json:
    async with open_services(stage.settings(root)) as services:
        return clean((await tool.call(services, parse(tool.arguments, given), no_progress)).data)


# --- 2: a change with planted bugs, and a claim that is not true of it. -------------------------------------

IDENTITY: Final = ("-c", "user.name=demo", "-c", "user.email=demo@localhost", "-c", "commit.gpgsign=false")


def review(stage: Stage) -> None:
    change, claims = shipped()["change"], shipped()["claims"]
    project = stage.folder / "shop"
    has_base = _commit(project, change)
    stage.typed(
        "fanout review . --base HEAD" if has_base else "fanout review .",
        "shipped, with planted bugs; 2 scripted claims",
    )
    given = {"patterns": ["."], "engine": "static", "with_findings": claims, "detail": "full"}
    given |= {"base": "HEAD"} if has_base else {}
    with stage.waiting("reviewing"):
        data = run_async(lambda: _called(stage, project, batch_review.TOOL, given))
    for item in data["findings"]:
        place = f" {flat(item['path'])}:{item['line']}"
        who = [f"  {one}" for one in item.get("reviewers", []) if one == claims[0]["reviewer"]]
        head = (item["severity"], SEVERITIES[item["severity"]])
        stage.line(head, place, f"  {flat(item['title'])}", ("".join(who), "magenta"))
        stage.line((f"    {flat(item['quote'])}", "dim"))
        stage.line(f"    {flat(sentences(item.get('why'), item.get('fix')))}")
    for reason, count in data.get("dropped", {}).items():
        invented = claims[-1]
        stage.line(
            ("dropped", "bold magenta"), f" {counted(count, 'claim')} of the {invented['reviewer']}: {reason}"
        )
        stage.line(f"    “{invented['title']}”")
        stage.line("    ", (invented["quote"], "dim strike"))
    found, took = counted(len(data["findings"]), "finding"), data["receipt"]["elapsed_s"]
    stage.note(f"{found} in {took:.1f} s, each quote looked up in its file. No model was asked.")


def _commit(project: Path, change: Mapping[str, str]) -> bool:
    """Write the change over a commit of what was before; without git it is written alone."""
    project.mkdir()
    source = project / change["path"]
    source.write_text(change["before"].lstrip())
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    env |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    git = find_program("git", project) or ""
    try:
        for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "Refund whole orders"]):
            subprocess.run([git, *IDENTITY, *words], cwd=project, env=env, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return False
    finally:
        source.write_text(change["after"].lstrip())
    return True


# --- 3: a panel of eight on a provider that really runs, on loopback, and answers from demo.toml. -----------


def panel(stage: Stage) -> None:
    asked = shipped()["panel"]
    stage.typed(f"fanout oracle --all {shlex.quote(asked['question'])}")
    if stage.is_live:
        stage.note("LIVE=1: your own models are asked, and may cost money.")
        run_async(lambda: _live(stage, asked))
        return
    each = f"{asked['delay_s']:g} s"
    stage.note(f"A stand-in provider on 127.0.0.1 answers from a script, each member after {each}.")
    run_async(lambda: _scripted(stage, asked))


async def _live(stage: Stage, asked: Mapping[str, Json]) -> None:
    async with open_services(read_settings()) as services:
        board, data = await _ask(stage.console, services, {"question": asked["question"], "preset": "all"})
    stage.console.print(board, Text(flat(data["headline"]), "bold"))
    if "receipt" in data:
        stage.note(_bill(data["receipt"]))


async def _scripted(stage: Stage, asked: Mapping[str, Json]) -> None:
    given = {
        "question": asked["question"],
        "preset": "all",
        "models": [f"{name}=scripted/{name}" for name in asked["members"]],
    }
    delays: dict[str, float] = {}
    async with provider(asked, delays) as url, open_services(stage.settings(stage.folder, url)) as services:
        board, data = await _ask(stage.console, services, given)
        delays[asked["late"]] = asked["late_s"]
        _, late = await _ask(stage.console, services, given)
    one_by_one = sum(board.seconds.values())
    stage.console.print(board)
    colour = COLOURS[data["decision"]]
    how = flat(data["headline"]).removeprefix(data["decision"]).lstrip(": ")
    stage.console.print(Text.assemble((data["decision"], f"bold {colour}"), f"  {how}"))
    stage.console.print(
        Text.assemble(
            (f"{data['receipt']['elapsed_s']:.1f} s", "bold green"),
            f" for {len(board.seconds)} answers; one after another {one_by_one:.1f} s. ",
            (f"{_bill(data['receipt'])} (scripted).", "dim"),
        )
    )
    cut = ", ".join(late["cut"]) or "no one"
    stage.console.print(
        Text.assemble(
            f"With {asked['late']} at {asked['late_s']:g} s: {late['decision']} after ",
            (f"{late['receipt']['elapsed_s']:.1f} s", "bold green"),
            f", {cut} cut: too late to change it.",
        )
    )


def _bill(receipt: Mapping[str, Json]) -> str:
    return f"{counted(receipt['calls'], 'call')}, cost {cost(receipt)}"


async def _ask(console: Console, services: Services, given: dict[str, Json]) -> tuple[Board, Json]:
    """Ask a panel in one round and draw who has answered while it goes on."""
    board = Board()
    with Live(board, console=console, refresh_per_second=10, transient=True):
        found = await council.watched(services, parse(council.Args, {**given, "rounds": 1}), board)
    return board, clean(found.data)


@dataclass(slots=True)
class Board:
    """Members, how long each took, and what they said; drawn again while they are waited for."""

    began: float = field(default_factory=monotonic)
    members: dict[str, Text] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def __call__(self, event: Event) -> None:
        match event:
            case Opened(_, asked, _):
                self.began = monotonic()
                self.members |= dict.fromkeys(asked, Text("…", "dim"))
            case Answered(_, member, None, reason):
                self.members[member] = Text.assemble(("failed  ", "magenta"), flat(reason))
            case Answered(_, member, position, _) if position is not None:
                self.seconds[member] = monotonic() - self.began
                verdict = (f"{position.verdict:<9}", COLOURS.get(position.verdict, "dim"))
                self.members[member] = Text.assemble(verdict, flat(position.summary))

    def __rich__(self) -> RenderableType:
        table = Table.grid(padding=(0, 2, 0, 0))
        for width in (11, 6, None):
            table.add_column(no_wrap=True, overflow="ellipsis", width=width)
        for member, said in self.members.items():
            took = self.seconds.get(member, monotonic() - self.began)
            table.add_row(Text(member, "bold"), Text(f"{took:4.1f} s", "dim"), said)
        return table


@asynccontextmanager
async def provider(asked: Mapping[str, Json], delays: Mapping[str, float]) -> AsyncIterator[str]:
    """Serve the scripted answers on loopback; `delays`: by member, where they aren't those of all."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A member that is cut hangs up; at the end the loop cancels whatever still waits.
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
                size = int(head.partition("content-length:")[2].partition("\r\n")[0] or 0)
                body = await reader.readexactly(size)
                if head.startswith("get "):
                    _send(writer, "application/json", json.dumps(_priced(asked)))
                else:
                    member = json.loads(body)["model"].rpartition("/")[2]
                    await asyncio.sleep(delays.get(member, asked["delay_s"]))
                    _send(writer, "text/event-stream", _streamed(asked, member, len(body)))
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    finally:
        server.close()


def _send(writer: asyncio.StreamWriter, kind: str, text: str) -> None:
    data = text.encode()
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {len(data)}\r\n\r\n"
    writer.write(head.encode() + data)


def _priced(asked: Mapping[str, Json]) -> Json:
    usd_in, usd_out = map(str, asked["usd_per_token"])
    price = {"prompt": usd_in, "completion": usd_out}
    return {"data": [{"id": f"scripted/{name}", "pricing": price} for name in asked["members"]]}


def _streamed(asked: Mapping[str, Json], member: str, size: int) -> str:
    verdict, sure, summary = asked["members"][member]
    answer = {"verdict": verdict, "confidence": sure, "summary": summary, "reasons": [summary]}
    if verdict == "STOP":
        answer |= {"blocker": summary, "smallest_change": "Show a measurement first."}
    text = json.dumps(answer)
    tokens, (usd_in, usd_out) = (size // 4, len(text) // 4), asked["usd_per_token"]
    billed = tokens[0] * usd_in + tokens[1] * usd_out
    usage = {"prompt_tokens": tokens[0], "completion_tokens": tokens[1], "cost": billed}
    chunks = [
        {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": "stop"}]},
        {"choices": [], "usage": usage},
    ]
    return "".join(f"data: {chunk}\n\n" for chunk in [*map(json.dumps, chunks), "[DONE]"])


# --- 4: hooks, natively and warm by turns. ------------------------------------------------------------------

EVENT: Final = "PreToolUse"


def hooks(stage: Stage) -> None:
    stage.typed("fanout-hooks bench")
    project, groups, top = Path.cwd(), own_hooks(os.environ), str(stage.folder)
    if not groups or not _agrees(stage.console, sum(len(group["hooks"]) for group in groups)):
        project, groups = stage.folder, _samples(stage.folder / "hooks")
    place = Place("user", str(project), top, top, f"{top}/.claude.json", f"{top}/hook-state")
    Path(place.folder).mkdir(parents=True)
    Path(place.hooks).write_text(json.dumps({"version": 1, "hooks": {EVENT: groups}}))
    env = dict(os.environ) | {"CLAUDE_CONFIG_DIR": top, "FANOUT_STATE_DIR": top}
    try:
        with stage.waiting("running the hooks natively, cold and warm by turns"):
            measured = bench.measure(place, env, ROUNDS_OF_HOOKS, EVENT)[0]
    except Refused as error:
        stage.console.print(Text(str(error), "yellow"))
        return
    whose = "sample hooks" if project == stage.folder else "hooks of yours"
    stage.console.print(
        f"{measured.hooks} {whose} on {EVENT}, the median of {ROUNDS_OF_HOOKS} rounds by turns:\n"
    )
    longest = max(measured.native_ms, measured.warm_ms or 0)
    ways = {
        "native": (measured.native_ms, "yellow", "a process each, at once: as Claude Code runs them"),
        "warm": (measured.warm_ms or 0, "green", "one warm process, in the order of your settings"),
    }
    for name, (ms, colour, what) in ways.items():
        bar = "█" * max(1, round(30 * ms / longest))
        stage.console.print(Text.assemble(f"{name:<8}", (f"{bar:<31}", colour), (f"{ms:6.1f} ms", "bold")))
        stage.note(f"        {what}")
    if measured.warm_ms is not None:
        gain = bench.compared(measured.native_ms, measured.warm_ms)
        stage.console.print(
            Text.assemble(
                "\nWarm: ", (gain, "bold green"), ". `fanout-hooks adopt` switches, `restore` goes back."
            )
        )


def own_hooks(env: Mapping[str, str]) -> list[Json]:
    """Return the user's groups of command hooks on PreToolUse, adopted ones included."""
    project, claude = str(Path.cwd()), places.claude_folder(env)
    found: list[Json] = []
    for scope in places.FILES:
        place = places.find(scope, project, dict(env))
        for path in (places.settings_file(scope, project, claude), place.hooks):
            with suppress(OSError, ValueError, AttributeError, TypeError):
                table = json.loads(client_files.read(path, follow=True)).get("hooks", {})
                found += [own for group in table.get(EVENT, []) if (own := _plain(group))["hooks"]]
    return found


def _plain(group: Mapping[str, Json]) -> dict[str, Json]:
    """Leave out what is no command, and the entries that fanout itself wrote."""
    kept = [
        hook
        for hook in group.get("hooks", [])
        if hook.get("type") == "command" and not str(hook.get("command", "")).startswith(places.MARK)
    ]
    return {**group, "hooks": kept}


def _agrees(console: Console, count: int) -> bool:
    if not (sys.stdin.isatty() and console.is_terminal):
        return False
    times = 3 * (bench.WARM_UP + ROUNDS_OF_HOOKS)
    console.print(
        f"You have {counted(count, 'hook')} on {EVENT}. Measuring runs each {times} times, for real."
    )
    try:
        return console.input(r"Measure yours, not the samples? \[y/N] ").strip().lower() in {"y", "yes"}
    except EOFError:
        return False


def _samples(folder: Path) -> list[Json]:
    folder.mkdir()
    commands = []
    for name, text in shipped()["hooks"].items():
        (folder / name).write_text(text.lstrip())
        commands.append(shlex.join([sys.executable, str(folder / name)]))
    return [{"matcher": "Bash", "hooks": [{"type": "command", "command": one} for one in commands]}]


# --- 5: what to type next. ----------------------------------------------------------------------------------

NEXT: Final = {
    "fanout install": "register server, skill and gate with Claude Code; each change is shown first",
    "fanout doctor": "which models a panel could have here, and what is missing",
    "fanout review . --base main": "your branch as it is, without a model",
    "fanout-hooks cost": "what your hooks cost now, and what fanout would change; then `adopt` them",
}
ASKS: Final = (
    "Ask the whole panel whether this migration may go out.",
    "Which files matter for the retry logic? Explore before you read.",
    "Review what changed since main, and check every quote.",
)


def ahead(stage: Stage) -> None:
    for command, what in NEXT.items():
        stage.typed(command)
        stage.note(f"    {what}")
    stage.console.print("\nThen, in Claude Code:")
    for words in ASKS:
        stage.console.print(f"  > {words}")


SCENES: Final[Mapping[str, Callable[[Stage], None]]] = {
    "Find the place": find,
    "Review a change": review,
    "Ask a panel": panel,
    "Run hooks": hooks,
    "What to type next": ahead,
}
