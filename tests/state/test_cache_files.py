"""A file that fanout did not write is set aside before it is read; no file grows beyond its size."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import zlib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from fanout_mcp.cli import main
from fanout_mcp.state import cache as state_cache
from fanout_mcp.state import settings
from fanout_mcp.state.cache import (
    APPLICATION,
    FORM,
    MAX_VALUE,
    Form,
    open_cache,
    opened,
    set_aside,
    trim,
    unpacked,
)
from fanout_mcp.structure import survey
from fanout_mcp.types import Answer

SMALL = Form(1, ("CREATE TABLE item (key TEXT PRIMARY KEY, value BLOB NOT NULL)",), 1 << 20)
NEVER = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT"
GROW = "INSERT INTO answer SELECT hex(randomblob(9)), zeroblob(30000000) FROM"


def ours(path: Path, *statements: str, tables: tuple[str, ...] = tuple(FORM.tables)) -> None:
    """Write a file that has all the marks of ours, and more."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as file, file:
        for statement in (
            *tables,
            f"PRAGMA application_id = {APPLICATION}",
            f"PRAGMA user_version = {FORM.version}",
            *statements,
        ):
            file.execute(statement)


def _sql(*statements: str, **more: tuple[str, ...]) -> Callable[[Path], None]:
    return lambda path: ours(path, *statements, **more)


def _damaged_page(path: Path) -> None:
    ours(path, *[f"INSERT INTO answer VALUES ('{n}', zeroblob(900))" for n in range(50)])
    data = bytearray(path.read_bytes())
    data[4096 * 3 : 4096 * 3 + 64] = b"\xff" * 64
    path.write_bytes(data)


def _sparse(path: Path) -> None:
    ours(path)
    os.truncate(path, 3 << 30)


def _schema_by_hand(path: Path) -> None:
    ours(path)
    with closing(sqlite3.connect(path)) as file, file:
        file.execute("PRAGMA writable_schema = ON")
        file.execute(
            "UPDATE sqlite_master SET sql = 'CREATE TABLE answer (key, value AS (1/0))' WHERE name = 'answer'"
        )


def _journal(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(b"")
    path.with_name(path.name + "-journal").write_bytes(b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7" + b"\xff" * 4000)


FOREIGN: dict[str, Callable[[Path], None]] = {
    "trigger that hangs": _sql(f"CREATE TRIGGER t AFTER INSERT ON lease BEGIN {NEVER} count(*) FROM n; END"),
    "trigger that grows": _sql(
        f"CREATE TRIGGER t BEFORE INSERT ON lease BEGIN {GROW} (VALUES (1), (2), (3)); END"
    ),
    "trigger that forges": _sql(
        "CREATE TRIGGER t AFTER INSERT ON answer BEGIN UPDATE answer SET value = x'00'; END"
    ),
    "view for a table": _sql(f"CREATE VIEW answer AS {NEVER} x AS key, x AS value FROM n", tables=()),
    "view beside": _sql(f"CREATE VIEW more AS {NEVER} x FROM n"),
    "generated column": _sql(
        tables=(
            "CREATE TABLE answer (key TEXT PRIMARY KEY, value BLOB NOT NULL, more AS (zeroblob(900000000)))",
            FORM.tables[1],
        )
    ),
    "default that grows": _sql(
        tables=(
            "CREATE TABLE answer (key TEXT PRIMARY KEY, value BLOB NOT NULL DEFAULT (zeroblob(900000000)))",
            FORM.tables[1],
        )
    ),
    "check that hangs": _sql(
        tables=(
            FORM.tables[0],
            FORM.tables[1].removesuffix(")") + " CHECK (until > 0))",
        )
    ),
    "index on an expression": _sql("CREATE INDEX i ON answer (length(value))"),
    "partial index": _sql("CREATE INDEX i ON answer (value) WHERE key > 'a'"),
    "virtual table": _sql("CREATE VIRTUAL TABLE v USING fts5(x)"),
    "table beside": _sql("CREATE TABLE more (x)"),
    "table missing": _sql(tables=(FORM.tables[0],)),
    "without rowid": _sql(tables=(f"{FORM.tables[0]} WITHOUT ROWID", FORM.tables[1])),
    "other spelling": _sql(tables=(FORM.tables[0].lower(), FORM.tables[1])),
    "huge statement": _sql(f"CREATE VIEW v AS SELECT '{'x' * 40_000_000}'"),
    "older version": _sql("PRAGMA user_version = 1"),
    "another program's": _sql("PRAGMA application_id = 7"),
    "empty but marked": _sql(tables=()),
    "schema written by hand": _schema_by_hand,
    "damaged page": _damaged_page,
    "too large": _sparse,
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_file_that_is_not_ours_is_set_aside(tmp_path: Path, name: str) -> None:
    path = tmp_path / "cache" / "answers.sqlite"
    FOREIGN[name](path)
    for _ in range(2):
        cache = open_cache(path.parent, tmp_path / "user")
        key = cache.key("asked")
        assert cache.claim(key) in {"mine", Answer("text", "model")}
        cache.keep(key, Answer("text", "model"))
        assert list(cache.known([key])) == [key]
        assert not cache.problem
        cache.close()
    assert path.with_suffix(".broken").exists()
    assert path.stat().st_size < 1 << 20
    assert {own.name for own in path.parent.iterdir()} == {"answers.sqlite", "answers.broken"}


def test_a_hot_journal_beside_an_empty_file_forges_nothing(tmp_path: Path) -> None:
    path = tmp_path / "cache" / "answers.sqlite"
    _journal(path)
    cache = open_cache(path.parent, tmp_path / "user")
    assert cache.claim("q") == "mine"
    cache.close()


def test_what_is_set_aside_takes_its_log_with_it(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    for end in ("", *state_cache.BESIDE):
        path.with_name(path.name + end).write_bytes(b"x")
    set_aside(path)
    assert [own.name for own in tmp_path.iterdir()] == ["x.broken"]


@pytest.mark.parametrize(
    "value",
    [
        zlib.compress(b"\0" * (MAX_VALUE + 1)),
        zlib.compress(b"text")[:-1],
        b"",
        b"\xff" * 100,
    ],
    ids=["bomb", "cut", "empty", "noise"],
)
def test_a_value_is_unpacked_within_its_bound(value: bytes) -> None:
    with pytest.raises(zlib.error):
        unpacked(value)


@given(st.binary(max_size=5000))
def test_every_value_comes_back_as_it_was(data: bytes) -> None:
    assert unpacked(zlib.compress(data, 1)) == data


@hypothesis_settings(max_examples=20, deadline=None)
@given(sizes=st.lists(st.integers(1, 60_000), min_size=1, max_size=60))
def test_every_file_stays_within_its_size_and_keeps_the_newest(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int]
) -> None:
    path = tmp_path_factory.mktemp("trim") / "x.sqlite"
    with closing(opened(path, SMALL, 1)) as file:
        for number, size in enumerate(sizes):
            file.execute("INSERT INTO item VALUES (?, zeroblob(?))", (str(number), size))
            trim(file, "item", 40, SMALL.max_bytes)
        kept = [int(key) for (key,) in file.execute("SELECT key FROM item ORDER BY rowid")]
        assert kept == list(range(len(sizes)))[-len(kept) :]
        assert len(kept) <= 40
    assert path.stat().st_size <= state_cache.SLACK * SMALL.max_bytes


def test_no_file_grows_beyond_twice_its_size(tmp_path: Path) -> None:
    rows = [(str(number),) for number in range(100)]
    with closing(opened(tmp_path / "x.sqlite", SMALL, 1)) as file, pytest.raises(sqlite3.Error, match="full"):
        file.executemany("INSERT INTO item VALUES (?, zeroblob(100000))", rows)
    assert (tmp_path / "x.sqlite").stat().st_size <= state_cache.SLACK * SMALL.max_bytes


# --- Nothing of a project is opened ------------------------------------------------------------------------

WATCHED = """
import os, sys

def watch(event, arguments):
    if event in {"open", "sqlite3.connect", "os.listdir", "os.scandir", "os.remove", "os.rename"}:
        name = os.path.realpath(os.fsdecode(arguments[0])) if isinstance(arguments[0], (str, bytes)) else ""
        for planted in sys.argv[1].split(":"):
            if name.startswith(planted):
                sys.__stderr__.write(f"OPENED {event} {name}\\n")

sys.addaudithook(watch)
from fanout_mcp.cli import main
for line in sys.stdin.read().splitlines():
    main(line.split("|"))
"""
OLD_FILES = ("receipts", "hooks_baseline", "learned")
LINES = (
    "explore|--json",
    "summarize|.|--json",
    "review|*.py|--json",
    "oracle|Is it wise?|--file|x.py|--dry-run",
    "report|--json",
    "audit",
    "doctor|--json",
    "cache|--json",
    "cache|clear|--json",
    "install|--scope|local",
)


@pytest.mark.slow
def test_no_command_opens_what_a_project_has_planted(tmp_path: Path) -> None:
    project = tmp_path / "project"
    own = project / ".claude" / "fanout"
    planted = [own / "cache", *(own / "state" / f"{name}." for name in ("answers", "outlines", *OLD_FILES))]
    for folder in (own / "cache", own / "state"):
        for name in (
            "answers.sqlite",
            "outlines.sqlite",
            "receipts.jsonl",
            "hooks_baseline.json",
            "learned.json",
        ):
            FOREIGN["trigger that hangs"](folder / name)
    (project / "x.py").write_text('"""Adds numbers."""\n')
    done = subprocess.run(
        [sys.executable, "-P", "-c", WATCHED, ":".join(map(str, planted))],
        cwd=project,
        input="\n".join(LINES),
        env={**os.environ, "FANOUT_STATE_DIR": str(project / ".claude" / "fanout")},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert "OPENED" not in done.stderr
    assert "Traceback" not in done.stderr
    assert "Adds numbers." in done.stdout


def test_static_facts_are_not_forged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A row under the right key in the old place: who unpacks the project here knows inode and times."""
    source = tmp_path / "x.py"
    source.write_text("import os\n\n\ndef backdoor(): ...\n")
    forged = [
        "x.py",
        "python",
        4,
        10,
        "",
        [["harmless_helper", "function", 4, 4, "", True, False]],
        [],
        0,
        0,
        0,
        "",
        "",
    ]
    path = tmp_path / ".claude" / "fanout" / "cache" / "outlines.sqlite"
    ours(path, tables=tuple(survey.FORM.tables))
    with closing(sqlite3.connect(path)) as file, file:
        value = zlib.compress(json.dumps(forged).encode())
        file.execute("INSERT INTO outline VALUES (?, ?)", (survey._key(tmp_path, "x.py"), value))
    monkeypatch.chdir(tmp_path)
    assert main(["summarize", "x.py", "--json"]) == 0
    out = capsys.readouterr().out
    assert "backdoor" in out
    assert "harmless" not in out


# --- The command -------------------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "x.py").write_text('"""Adds numbers."""\n')
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


def shown(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, object]:
    assert main(["cache", *words, "--json"]) == 0
    data: dict[str, object] = json.loads(capsys.readouterr().out)
    return data


def test_the_cache_is_shown_and_cleared(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = settings.read().cache
    assert (shown(capsys)["folder"], shown(capsys)["bytes"]) == (str(own), 0)
    main(["summarize", "x.py"])
    (own / "notes.txt").write_text("not ours")
    capsys.readouterr()
    assert main(["cache"]) == 0
    out = capsys.readouterr().out
    assert str(own) in out
    assert "outlines.sqlite" in out
    assert shown(capsys, "clear")["cleared"] is True
    assert [path.name for path in own.iterdir()] == ["notes.txt"]
    assert main(["summarize", "x.py"]) == 0


def test_only_all_reaches_other_projects(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    other = settings.read(root=tmp_path).cache
    ours(other / "answers.sqlite")
    main(["summarize", "x.py"])
    capsys.readouterr()
    shown(capsys, "clear")
    assert (other / "answers.sqlite").exists()
    shown(capsys, "clear", "--all")
    assert not (other / "answers.sqlite").exists()


def test_the_doctor_names_the_folders_and_what_is_to_be_deleted(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def told() -> dict[str, dict[str, str]]:
        main(["doctor", "--json"])
        return {one["what"]: one for one in json.loads(capsys.readouterr().out)}

    own = settings.read()
    found = told()
    assert str(own.cache) in found["cache"]["detail"]
    assert str(own.records) in found["receipts"]["detail"]
    assert os.environ["HOME"] in found["learned"]["detail"]
    assert not {"old state", "own folders"} & set(found)
    (project / ".claude" / "fanout" / "cache").mkdir(parents=True)
    (project / ".claude" / "fanout" / "state").mkdir()
    (project / ".claude" / "fanout" / "state" / "originals.py").write_text("in use")
    (project / ".claude" / "fanout" / "state" / "receipts.jsonl").symlink_to("/nowhere")
    monkeypatch.setenv("XDG_CACHE_HOME", str(project / "cache"))
    found = told()
    old = project / ".claude" / "fanout"
    assert found["old state"]["do"] == f"Delete it: rm -r {old}/cache {old}/state/receipts.jsonl"
    assert "XDG_CACHE_HOME" in found["own folders"]["detail"]
