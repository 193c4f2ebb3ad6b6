"""The audit log: a line a call, a chain that shows each change, a second place for what it can't show."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.company import Company, company
from fakes.upstream import serving
from fanout_mcp.cli import main
from fanout_mcp.errors import SettingsError
from fanout_mcp.registration import policy as command
from fanout_mcp.state import audit, policy
from fanout_mcp.state.policy import Audit

__all__ = ["company"]


def write(folder: Path, count: int, second: Path | None = None, first: int = 0) -> Audit:
    folder.mkdir(exist_ok=True)
    if second is not None:
        second.touch()
    place = Audit(str(folder), str(second or ""))
    for n in range(first, first + count):
        audit.append(place, {"tool": "oracle_batch", "state": "done", "call": n})
    return place


def faults(folder: Path, second: Path | None = None) -> list[str]:
    return audit.verify(folder, second.read_text().splitlines() if second else None)[0]


def log_of(folder: Path) -> Path:
    return folder / f"{os.getuid()}.jsonl"


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines(keepends=True)


def edited(change: Callable[[list[str]], list[str]]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        path = log_of(folder)
        path.write_text("".join(change(lines(path))))

    return edit


def rewritten(rows: list[str]) -> list[str]:
    """Write a whole chain again, each hash right, with one tool's name changed."""
    made: list[str] = []
    before = audit.FIRST
    for row in rows:
        data = {**json.loads(row), "prev": before, "tool": "another"}
        text = json.dumps(data, separators=(",", ":"))
        before = hashlib.sha256(text.encode()).hexdigest()
        made.append(text + "\n")
    return made


def begun_again(folder: Path) -> None:
    log_of(folder).unlink()
    audit.append(Audit(str(folder)), {"tool": "oracle_batch", "state": "done"})


BY_THE_CHAIN: dict[str, Callable[[Path], None]] = {
    "first line cut": edited(lambda rows: rows[1:]),
    "middle line cut": edited(lambda rows: rows[:4] + rows[5:]),
    "several lines cut": edited(lambda rows: rows[:2] + rows[8:]),
    "a word changed": edited(lambda rows: [*rows[:3], rows[3].replace("oracle", "orakel"), *rows[4:]]),
    "a figure changed": edited(lambda rows: [*rows[:3], rows[3].replace('"call":3', '"call":4'), *rows[4:]]),
    "a blank added": edited(lambda rows: [*rows[:3], rows[3].replace(":", ": "), *rows[4:]]),
    "two lines swapped": edited(lambda rows: [*rows[:4], rows[5], rows[4], *rows[6:]]),
    "turned round": edited(lambda rows: rows[::-1]),
    "a line twice": edited(lambda rows: [*rows[:4], rows[3], *rows[4:]]),
    "a line forged in the middle": edited(lambda rows: [*rows[:4], '{"n":5,"prev":"0"}\n', *rows[4:]]),
    "a line of no JSON": edited(lambda rows: [*rows[:4], "nothing\n", *rows[4:]]),
    "an empty line": edited(lambda rows: [*rows[:4], "\n", *rows[4:]]),
    "numbers as texts": edited(lambda rows: [*rows[:4], rows[4].replace('"n":5', '"n":"5"'), *rows[5:]]),
    "the last line torn": edited(lambda rows: [*rows[:-1], rows[-1][:20]]),
}
BY_THE_SECOND_PLACE: dict[str, Callable[[Path], None]] = {
    "last line cut": edited(lambda rows: rows[:-1]),
    "last lines cut": edited(lambda rows: rows[:3]),
    "last line changed": edited(lambda rows: [*rows[:-1], rows[-1].replace("oracle", "orakel")]),
    "emptied": edited(lambda _: []),
    "removed": lambda folder: log_of(folder).unlink(),
    "all written again": edited(rewritten),
    "begun again": begun_again,
    "a line added by hand": edited(
        lambda rows: [*rows, rewritten([rows[-1].replace('"n":10', '"n":11')])[0]]
    ),
}


@pytest.mark.parametrize("change", [*BY_THE_CHAIN, *BY_THE_SECOND_PLACE])
def test_with_a_second_place_every_change_is_found(tmp_path: Path, change: str) -> None:
    second = tmp_path / "second"
    write(tmp_path / "log", 10, second)
    assert faults(tmp_path / "log", second) == []
    (BY_THE_CHAIN | BY_THE_SECOND_PLACE)[change](tmp_path / "log")
    assert faults(tmp_path / "log", second)


@pytest.mark.parametrize("change", BY_THE_CHAIN)
def test_without_one_the_chain_shows_changes_in_its_middle(tmp_path: Path, change: str) -> None:
    write(tmp_path / "log", 10)
    assert faults(tmp_path / "log") == []
    BY_THE_CHAIN[change](tmp_path / "log")
    assert faults(tmp_path / "log")


def test_without_one_it_is_said_what_can_t_be_told(tmp_path: Path) -> None:
    write(tmp_path / "log", 3)
    log_of(tmp_path / "log").write_text("".join(lines(log_of(tmp_path / "log"))[:2]))
    wrong, unknown = audit.verify(tmp_path / "log", None)
    assert wrong == []
    assert ["the newest lines were cut off" in one for one in unknown] == [True]


@given(at=st.integers(0, 9), byte=st.integers(0, 255), place=st.floats(0, 1, exclude_max=True))
def test_every_byte_that_is_changed_is_found(
    tmp_path_factory: pytest.TempPathFactory, at: int, byte: int, place: float
) -> None:
    folder = tmp_path_factory.mktemp("log")
    second = folder / "second"
    write(folder, 10, second)
    rows = log_of(folder).read_bytes().splitlines(keepends=True)
    where = int(place * (len(rows[at]) - 1))
    if rows[at][where] == byte:
        return
    rows[at] = rows[at][:where] + bytes([byte]) + rows[at][where + 1 :]
    log_of(folder).write_bytes(b"".join(rows))
    assert faults(folder, second)


def test_a_chain_goes_on_through_rotation_and_a_lost_part_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "MAX_BYTES", 1000)
    second = tmp_path / "second"
    write(tmp_path / "log", 40, second)
    parts = sorted((tmp_path / "log").glob("*.*.jsonl"))
    assert len(parts) > 2
    assert faults(tmp_path / "log", second) == []
    parts[1].unlink()
    assert faults(tmp_path / "log", second)


def test_a_part_that_was_renamed_to_another_place_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "MAX_BYTES", 1000)
    write(tmp_path / "log", 40)
    first, *_, last = sorted((tmp_path / "log").glob("*.*.jsonl"))
    first.rename(last.with_name(last.name.replace(".0", ".9")))
    assert faults(tmp_path / "log")


def _writer(folder: str, second: str, count: int) -> None:
    audit.MAX_BYTES = 20_000  # type: ignore[misc]
    for n in range(count):
        audit.append(Audit(folder, second), {"tool": "t", "state": "done", "call": n, "pid": os.getpid()})


@pytest.mark.slow
def test_two_writers_make_one_whole_chain_also_while_it_is_rotated(tmp_path: Path) -> None:
    second = tmp_path / "second"
    write(tmp_path / "log", 0, second)
    spawn = multiprocessing.get_context("spawn")
    given = (str(tmp_path / "log"), str(second), 300)
    writers = [spawn.Process(target=_writer, args=given) for _ in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(120)
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert faults(tmp_path / "log", second) == []
    assert len(second.read_text().splitlines()) == 600
    assert len(list((tmp_path / "log").glob("*.jsonl"))) > 2


def test_a_torn_line_does_not_swallow_the_next_one(tmp_path: Path) -> None:
    write(tmp_path / "log", 3)
    with log_of(tmp_path / "log").open("a") as file:
        file.write('{"n":4,"pre')
    write(tmp_path / "log", 2, first=4)
    found = faults(tmp_path / "log")
    assert [one.partition(": ")[2] for one in found] == ["row 4 is not a line of the log"]


def test_syslog_gets_number_and_hash_of_each_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at = f"/tmp/fanout-syslog-{os.getpid()}"
    monkeypatch.setattr(audit, "SYSLOG", at)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as syslog:
        syslog.bind(at)
        try:
            (tmp_path / "log").mkdir()
            for n in range(3):
                audit.append(Audit(str(tmp_path / "log"), "syslog"), {"state": "done", "call": n})
            got = [syslog.recv(1000).decode() for _ in range(3)]
        finally:
            Path(at).unlink()
    assert got[0].startswith("<86>fanout-audit[")
    assert audit.verify(tmp_path / "log", got)[0] == []
    log_of(tmp_path / "log").write_text("".join(lines(log_of(tmp_path / "log"))[:2]))
    assert audit.verify(tmp_path / "log", got)[0]


# --- calls --------------------------------------------------------------------------------------------------


@pytest.fixture
def asked(company: Company, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Any]]:
    """Run a command against a provider; return the log's lines."""
    (tmp_path / "app.py").write_text("def secret_function() -> int:\n    return 1\n")
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> list[Any]:
        with serving() as upstream:
            monkeypatch.setenv("FANOUT_BASE_URL", upstream.url)
            monkeypatch.setenv("FANOUT_API_KEY", "sk-very-secret")
            main(list(words))
        return (
            [json.loads(line) for line in lines(company.log)]
            if company.log.is_file() and not company.log.is_symlink()
            else []
        )

    return run


def test_a_call_leaves_who_what_and_how_much_and_no_contents(
    company: Company, asked: Callable[..., list[Any]], tmp_path: Path
) -> None:
    company.says(company.logged())
    asking, done = asked("oracle", "Is SECRETQUESTION wise?", "--file", "app.py")
    assert (asking["state"], done["state"]) == ("asking", "done")
    assert asking["trace"] == done["trace"]
    assert (done["user"], done["tool"], done["verdict"]) == (str(os.getuid()), "oracle_batch", "PROCEED")
    assert done["sha256"] == [hashlib.sha256((tmp_path / "app.py").read_bytes()).hexdigest()]
    assert sum(done["models"].values()) == 3
    assert done["tokens_in"] > 0
    assert 0 < done["cost_usd"] < 0.1
    text = company.log.read_text()
    for word in ("SECRETQUESTION", "secret_function", "sk-very-secret", "app.py"):
        assert word not in text


@pytest.mark.parametrize(
    "words",
    [("summarize", "app.py"), ("review", "app.py"), ("explore", ".")],
    ids=lambda words: words[0],
)
def test_the_hash_of_each_file_that_left_is_logged(
    company: Company, asked: Callable[..., list[Any]], tmp_path: Path, words: tuple[str, ...]
) -> None:
    company.says(company.logged())
    done = asked(*words, "--engine", "model")[-1]
    assert done["sha256"] == [hashlib.sha256((tmp_path / "app.py").read_bytes()).hexdigest()]


def test_a_call_that_asks_no_model_has_one_line_and_no_files(
    company: Company, asked: Callable[..., list[Any]]
) -> None:
    company.says(company.logged())
    (line,) = asked("summarize", "app.py", "--engine", "static")
    assert (line["state"], line["files"], line["models"], line["cost_usd"]) == ("done", 0, {}, 0)


UNWRITABLE: dict[str, Callable[[Company], object]] = {
    "a folder in its place": lambda company: company.log.mkdir(),
    "a link in its place": lambda company: company.log.symlink_to("/dev/null"),
    "a FIFO in its place": lambda company: os.mkfifo(company.log),
    "no folder": lambda company: company.logs.rmdir(),
    "a second place that is missing": lambda company: None,
}


@pytest.mark.parametrize("way", UNWRITABLE)
@pytest.mark.parametrize("is_required", [True, False])
def test_a_log_that_can_t_be_written_stops_calls_only_where_the_policy_says_so(
    company: Company,
    asked: Callable[..., list[Any]],
    capsys: pytest.CaptureFixture[str],
    way: str,
    *,
    is_required: bool,
) -> None:
    second = 'second = "/nonexistent/second"\n' if way == "a second place that is missing" else ""
    company.says(company.logged(f"{second}required = {str(is_required).lower()}"))
    UNWRITABLE[way](company)
    asked("oracle", "Is it wise?")
    out, err = capsys.readouterr()
    assert ("can't be written" in out + err) == is_required or not is_required
    assert ("PROCEED" in out) is not is_required


def test_a_call_that_fails_leaves_its_line(company: Company) -> None:
    company.says(company.logged())
    with pytest.raises(SettingsError), audit.call("oracle_batch"):
        raise SettingsError("nothing")
    assert json.loads(lines(company.log)[0])["verdict"] == "refused"


def test_a_line_costs_at_most_a_third_of_a_millisecond_of_cpu(company: Company) -> None:
    """The bound is of CPU, the least of several rounds: other load doubles a round, not all of them."""
    company.says(company.logged())
    found = policy.current()
    call = audit.Call("oracle_batch")
    call.files = {hashlib.sha256(bytes([n])).hexdigest(): None for n in range(20)}
    rounds = []
    for _ in range(10):
        before = time.process_time()
        for _ in range(50):
            audit._write(found, call, "done")
        rounds.append((time.process_time() - before) / 50)
    assert min(rounds) <= 0.0003


# --- the commands -------------------------------------------------------------------------------------------


def test_verify_log_says_what_it_found_and_what_it_can_t_tell(
    company: Company, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    second = tmp_path / "second"
    second.touch()
    company.says(company.logged(f'second = "{second}"'))
    for _ in range(3):
        with audit.call("oracle_batch"):
            pass
    capsys.readouterr()
    assert main(["policy", "verify-log"]) == 0
    assert "3 lines, 0 faults" in capsys.readouterr().out
    company.log.write_text("".join(lines(company.log)[:2]))
    assert main(["policy", "verify-log"]) == 1
    assert "1 lines from line 3 on are gone; the second place has them" in capsys.readouterr().out


def test_show_and_doctor_name_all_that_is_forbidden(
    company: Company, capsys: pytest.CaptureFixture[str]
) -> None:
    company.says(
        'providers = ["groq"]\nmodels = ["llama*"]\nsources_may_leave = false\nnever_leave = ["*.key"]\n'
        'max_usd_per_call = 0.5\ngate = "strict"\n[governor]\nagents_at_once = 4\n'
    )
    capsys.readouterr()
    assert main(["policy", "show"]) == 0
    shown = capsys.readouterr().out
    main(["doctor", "--json"])
    (told,) = [one["detail"] for one in json.loads(capsys.readouterr().out) if one["what"] == "policy"]
    for thing in (
        "only the providers groq",
        "only the models llama*",
        "no command-line clients",
        "no model is sent sources",
        "never read: *.key",
        "at most $0.5 a call",
        "the gate is strict",
        "agents_at_once at most 4",
    ):
        assert thing in shown
        assert thing in told
    assert main(["policy", "check"]) == 0


def test_check_names_a_copy_that_is_older_than_its_policy(
    company: Company, capsys: pytest.CaptureFixture[str]
) -> None:
    company.says('gate = "warn"\n')
    company.place.write_text('gate = "strict"\n')
    assert main(["policy", "check"]) == 1
    assert "sudo fanout policy write-json" in capsys.readouterr().out
    main(["policy", "write-json"])
    assert main(["policy", "check"]) == 0


def test_without_a_policy_the_commands_say_so(company: Company, capsys: pytest.CaptureFixture[str]) -> None:
    for what in ("check", "show", "write-json"):
        assert main(["policy", what]) == 0
    assert capsys.readouterr().out.count("there is no policy on this machine") == 3


# --- what root makes of a user's log ------------------------------------------------------------------------


@pytest.fixture
def prepared(company: Company, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], int]]:
    """Return `fanout policy prepare`; its files are let go at the end, so that they can be removed."""
    if os.getuid() or not _only_grows_here(company.folder):
        pytest.skip("needs root, and a file system with files that only grow")
    company.says(company.logged())
    monkeypatch.setattr(audit, "MAX_BYTES", 1000)
    yield lambda: main(["policy", "prepare", "root"])
    for path in company.logs.glob("*.jsonl"):
        command._set_append_only(path, on=False)


def _only_grows_here(folder: Path) -> bool:
    probe = folder / "probe"
    probe.touch()
    try:
        command._set_append_only(probe, on=True)
        command._set_append_only(probe, on=False)
    except OSError:
        return False
    return True


def test_a_prepared_log_is_prepared_again_and_rotated_and_no_part_of_it_can_be_cut(
    company: Company, prepared: Callable[[], int]
) -> None:
    assert [prepared(), prepared()] == [0, 0]
    for n in range(20):
        audit.append(Audit(str(company.logs)), {"tool": "t", "state": "done", "call": n})
    assert prepared() == 0
    (part,) = (path for path in company.logs.glob("*.jsonl") if path != company.log)
    assert part.stat().st_size > 1000
    assert part.stat().st_mode & 0o777 == 0o640
    for path in (part, company.log):
        with pytest.raises(PermissionError):
            path.open("w")
    assert faults(company.logs) == []


@pytest.mark.parametrize(
    ("newest", "there", "name"),
    [
        ('{"n":7}', [], "0000000007"),
        ('{"n":-6}', [], "0000000000"),
        ("no line of ours", [5], "0000000006"),
        ('{"n":5}', [5], "0000000006"),
    ],
)
def test_a_part_neither_hides_nor_replaces_another_whatever_a_user_wrote(
    tmp_path: Path, newest: str, there: list[int], name: str
) -> None:
    log = tmp_path / "7.jsonl"
    log.write_text(f"{newest}\n")
    for number in there:
        (tmp_path / f"7.{number:010d}.jsonl").touch()
    (tmp_path / "7.x.jsonl").touch()
    assert audit.part_of(log).name == f"7.{name}.jsonl"


def test_parts_of_earlier_months_are_not_read_for_this_one(tmp_path: Path) -> None:
    log = tmp_path / "7.jsonl"
    log.touch()
    for number, age_s in (("0000000001", 0), ("0000000002", 40 * 86_400)):
        part = tmp_path / f"7.{number}.jsonl"
        part.write_text(
            json.dumps({"user": "7", "at": "2026-11-30", "state": "done", "trace": "a", "cost_usd": 1}) + "\n"
        )
        os.utime(part, (time.time() - age_s,) * 2)
    chain = audit._Log(log)
    chain.read()
    assert chain.usd("7", "2026-11") == 1.0


def added_up(rows: list[dict[str, Any]], user: str, span: str) -> float:
    """Return what `rows` say, all of them at once."""
    spent, aside = 0.0, dict[str, tuple[str, str, float]]()
    for row in rows:
        if row["state"] == "asking":
            aside[row["trace"]] = (row["user"], row["at"], row["reserved_usd"])
            continue
        aside.pop(row["trace"], None)
        if user in {"", row["user"]} and row["at"].startswith(span):
            spent += row["cost_usd"]
        if (one := aside.get(row["call"])) is not None:
            aside[row["call"]] = (*one[:2], max(0.0, one[2] - row["cost_usd"]))
    left = [usd for one, at, usd in aside.values() if user in {"", one} and at.startswith(span)]
    return spent + sum(left)


ROW = st.fixed_dictionaries(
    {
        "user": st.sampled_from(["7", "alice"]),
        "at": st.sampled_from(["2026-11-29", "2026-11-30", "2026-12-01"]),
        "state": st.sampled_from(["asking", "done"]),
        "trace": st.sampled_from("abc"),
        "call": st.sampled_from("abcd"),
        "reserved_usd": st.integers(0, 9).map(lambda cents: cents / 100),
        "cost_usd": st.integers(0, 9).map(lambda cents: cents / 100),
    }
)


@given(rows=st.lists(ROW, max_size=12), cuts=st.lists(st.floats(0, 1), max_size=4))
def test_sums_that_grow_with_the_log_are_those_of_all_its_lines(
    rows: list[dict[str, Any]], cuts: list[float]
) -> None:
    """Wherever a look cuts it: a line of which half is there counts once, when it is whole."""
    data = "".join(f"{json.dumps(row)}\n" for row in rows).encode()
    with tempfile.TemporaryDirectory() as folder:
        chain = audit._Log(Path(folder) / "7.jsonl")
        for cut in [*sorted(cuts), 1.0]:
            chain.path.write_bytes(data[: round(cut * len(data))])
            chain.read()
        for user in ("7", "alice", ""):
            for span in ("2026-11-29", "2026-11-30", "2026-11", "2026-12"):
                assert chain.usd(user, span) == pytest.approx(added_up(rows, user, span))


async def test_only_a_long_log_is_read_in_a_thread(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    company.says("max_usd_per_day = 1.0\n" + company.logged())
    monkeypatch.setattr(audit, "is_append_only", lambda _: True)
    readers: list[bool] = []

    class Watched(audit._Log):
        def read(self) -> None:
            readers.append(threading.current_thread() is threading.main_thread())
            super().read()

    monkeypatch.setattr(audit, "_Log", Watched)
    row = {"user": "7", "at": "2026-11-30", "state": "done", "trace": "a", "cost_usd": 0}
    company.log.write_text(f"{json.dumps(row)}\n" * (2 * audit.FAR // 80))
    for _ in range(2):
        with audit.call("oracle_batch", 0.1) as now:
            await audit._begin(policy.current(), now)
    assert readers == [False, True, True]


def test_a_second_place_that_is_missing_is_named_by_check(
    company: Company, capsys: pytest.CaptureFixture[str]
) -> None:
    company.says(company.logged(f'second = "{company.folder}/nothere"'))
    assert main(["policy", "check"]) == 1
    assert f"{company.folder}/nothere can't be looked at: No such file" in capsys.readouterr().out
