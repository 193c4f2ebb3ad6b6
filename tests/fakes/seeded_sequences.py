"""Conversations in varied forms: those with a needless sequence, and others that only look like it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from fakes.transcript import Writer
from fanout_hooks import audit
from fanout_hooks.audit import Observation
from fanout_hooks.client import transcripts

Call = tuple[str, dict[str, Any], str]


class Talk(NamedTuple):
    """One conversation after its first prompt, and the kinds of what was seeded in it."""

    id: str
    prompt: str
    write: Callable[[Writer], object]
    kinds: tuple[str, ...] = ()


AGENTS, CALLS = ("sequential agents",), ("sequential calls",)


def read(path: str, text: str = "x = 1", **more: Any) -> Call:
    return "Read", {"file_path": path, **more}, text


def grep(pattern: str, text: str, **more: Any) -> Call:
    return "Grep", {"pattern": pattern, **more}, text


def fetch(url: str, text: str = "A page.") -> Call:
    return "WebFetch", {"url": url, "prompt": "Summarise"}, text


def bash(command: str, text: str = "ok") -> Call:
    return "Bash", {"command": command}, text


def _alone(*calls: Call) -> Callable[[Writer], object]:
    def write(talk: Writer) -> None:
        for call in calls:
            talk.tools(call)

    return write


def _agents(*tasks: tuple[str, str]) -> Callable[[Writer], object]:
    def write(talk: Writer) -> None:
        for task in tasks:
            talk.agents(task)

    return write


def _with(
    first: Callable[[Writer], object], second: Callable[[Writer], object]
) -> Callable[[Writer], object]:
    def write(talk: Writer) -> None:
        first(talk)
        second(talk)

    return write


def _background(talk: Writer) -> None:
    talk.background_agent("Review the parser for bugs").notification("Fine.", after=9)
    talk.background_agent("Review the printer for bugs").notification("Fine.", after=9)


def _edit(talk: Writer) -> None:
    talk.tools(("Edit", {"file_path": "/p/z.py"}, "ok"))


def _prompt(talk: Writer) -> None:
    talk.prompt("Thanks, go on with the rest.")


SEEDED = (
    Talk(
        "three topics of the web",
        "Compare Kafka, NATS and Pulsar.",
        _agents(("Research Kafka on the web", "Log."), ("Research NATS on the web", "Subjects.")),
        AGENTS,
    ),
    Talk(
        "two modules that the person named",
        "Explain login and delivery.",
        _agents(("Investigate the login", "By bcrypt."), ("Investigate the delivery", "By parcel.")),
        AGENTS,
    ),
    Talk("background agents one by one", "Review the parser and the printer.", _background, AGENTS),
    Talk(
        "three agents in a row",
        "Explain auth, billing and mail.",
        _agents(("Explore auth", "A."), ("Explore billing", "B."), ("Explore mail", "C.")),
        AGENTS + AGENTS,
    ),
    Talk(
        "files to translate",
        "Translate a.md and b.md to French.",
        _agents(("Translate docs/a.md to French", "Done."), ("Translate docs/b.md to French", "Done.")),
        AGENTS,
    ),
    Talk("three files", "Read a, b and c.", _alone(read("/p/a.py"), read("/p/b.py"), read("/p/c.py")), CALLS),
    Talk(
        "three patterns",
        "Where are Foo, Bar and Baz used?",
        _alone(grep("Foo", "q.py:1"), grep("Bar", "r.py:2"), grep("Baz", "s.py:3")),
        CALLS,
    ),
    Talk(
        "three pages",
        "Summarise these pages.",
        _alone(fetch("https://a.test/1"), fetch("https://b.test/2"), fetch("https://c.test/3")),
        CALLS,
    ),
    Talk(
        "tools mixed",
        "Look around.",
        _alone(("Glob", {"pattern": "**/*.toml"}, "x.toml"), grep("TODO", "m.py:1"), read("/p/README.md")),
        CALLS,
    ),
    Talk(
        "commands that only read",
        "What is the state?",
        _alone(bash("git status"), bash("git log -5"), bash("ls src"), bash("cat Makefile")),
        CALLS,
    ),
    Talk(
        "after a listing, its files",
        "Explain src.",
        _alone(
            ("Glob", {"pattern": "src/*.py"}, "src/one.py\nsrc/two.py\nsrc/three.py"),
            read("src/one.py"),
            read("src/two.py"),
            read("src/three.py"),
        ),
        CALLS,
    ),
    Talk(
        "two runs with an edit between",
        "Read much.",
        _with(
            _with(_alone(read("/p/a"), read("/p/b"), read("/p/c")), _edit),
            _alone(read("/p/d"), read("/p/e"), read("/p/f")),
        ),
        CALLS + CALLS,
    ),
    Talk(
        "searches of the web",
        "Find prices.",
        _alone(
            *(("WebSearch", {"query": f"price of {what}"}, "10 EUR") for what in ("tea", "milk", "bread"))
        ),
        CALLS,
    ),
    Talk(
        "one pattern in three folders",
        "Where is it?",
        _alone(*(grep("timeout", "1:x", path=f"/p/{folder}") for folder in ("api", "web", "cli"))),
        CALLS,
    ),
)
DECOYS = (
    Talk("agents of one message", "Do both.", lambda t: t.agents(("Explore a", "A."), ("Explore b", "B."))),
    Talk(
        "the second names the first's answer",
        "What is slow?",
        _agents(("Find the slowest query", "orders_by_day takes 4 s."), ("Explain orders_by_day", "A join.")),
    ),
    Talk(
        "plan, then do",
        "Add a cache.",
        _agents(("Plan how to add a cache", "In two steps."), ("Implement the cache", "Done.")),
    ),
    Talk(
        "do, then check",
        "Fix the parser and test it.",
        _agents(("Fix the parser", "Fixed."), ("Test the parser with odd input", "Fine.")),
    ),
    Talk(
        "a person between",
        "Explore a.",
        _with(_with(_agents(("Explore a", "A.")), _prompt), _agents(("Explore b", "B."))),
    ),
    Talk(
        "an edit between",
        "Both.",
        _with(_with(_agents(("Explore a", "A.")), _edit), _agents(("Explore b", "B."))),
    ),
    Talk("in an order", "One after another: a, then b.", _agents(("Explore a", "A."), ("Explore b", "B."))),
    Talk(
        "background agents at once",
        "Both.",
        lambda t: t.background_agent("Explore a").background_agent("Explore b"),
    ),
    Talk("one agent", "Explore a.", _agents(("Explore a", "A."))),
    Talk("reads of one message", "Read.", lambda t: t.tools(read("/p/a"), read("/p/b"), read("/p/c"))),
    Talk("two lone reads", "Read.", _alone(read("/p/a"), read("/p/b"))),
    Talk(
        "each names the next",
        "Follow the imports.",
        _alone(read("/p/a", "import beta"), read("/p/beta", "import gamma"), read("/p/gamma", "end")),
    ),
    Talk(
        "a search refined",
        "Find it.",
        _alone(grep("fooBar", "No matches found"), grep("foo_bar", "No files found"), grep("foobar", "x:1")),
    ),
    Talk(
        "guesses at a path",
        "Read the config.",
        _alone(
            read("/p/a.toml", "File does not exist."),
            read("/p/b.toml", "File does not exist."),
            read("/p/c.toml"),
        ),
    ),
    Talk(
        "on and on in one file",
        "Read it all.",
        _alone(*(read("/p/long.py", "x", offset=at, limit=2000) for at in (0, 2000, 4000))),
    ),
    Talk(
        "from a search to a word it showed",
        "Who calls it?",
        _alone(
            grep("connect", "db.py:3: def open_session()"),
            grep("open_session", "api.py:9: class Gateway"),
            grep("class Gateway", "gateway.py:1"),
        ),
    ),
    Talk(
        "links followed",
        "Look it up.",
        _alone(
            fetch("https://a.test", "see https://a.test/two"),
            fetch("https://a.test/two", "see https://a.test/three"),
            fetch("https://a.test/three"),
        ),
    ),
    Talk("commands that change", "Build.", _alone(bash("make"), bash("npm test"), bash("git commit -m x"))),
    Talk(
        "commands with a redirection",
        "List.",
        _alone(bash("ls > a"), bash("cat a | sort > b"), bash("grep x b > c")),
    ),
    Talk(
        "edits between reads",
        "Fix.",
        _with(_with(_alone(read("/p/a")), _edit), _with(_alone(read("/p/b")), _edit)),
    ),
    Talk(
        "questions between reads",
        "Read a.",
        _with(
            _with(_alone(read("/p/a")), lambda t: t.prompt("And b?")),
            _with(_alone(read("/p/b")), lambda t: t.prompt("And c?")),
        ),
    ),
    Talk("nothing but words", "Hello", lambda t: t.say("Hello. What shall I do?")),
)


def sequences_of(talk: Talk, folder: Path) -> list[Observation]:
    writer = Writer(folder / "talk.jsonl").prompt(talk.prompt)
    talk.write(writer)
    read = transcripts.read(writer.write())
    return [*audit.sequential_agents(read), *audit.sequential_calls(read)]


def kinds_of(found: list[Observation]) -> tuple[str, ...]:
    return tuple(one.kind for one in found)
