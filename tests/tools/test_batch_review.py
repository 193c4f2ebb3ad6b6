"""batch_review as its caller sees it: findings with true quotes, bounded results, honest receipts."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Awaitable
from pathlib import Path

import anyio
import pytest

from fakes.scripted import Reply, Scripted
from fanout_mcp.backends.plan import PlanBackend
from fanout_mcp.engine.limits import Limits
from fanout_mcp.errors import BudgetExceeded, InvalidInput, Overloaded
from fanout_mcp.review import gather
from fanout_mcp.source.workers import Workers
from fanout_mcp.state.settings import Settings
from fanout_mcp.tools.batch_review import TOOL, Args
from fanout_mcp.tools.services import Services
from fanout_mcp.types import Json, ModelPrice, no_progress

pytestmark = pytest.mark.anyio

SOURCE = """import os

def remove(name):
    os.remove(name)
    return True

def run(command):
    os.system("nice " + command)
"""
KEY = "sk-ant-api03-" + "Ab1" * 20


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.py").write_text(SOURCE)
    return tmp_path


async def review(root: Path, workers: Workers, backend: PlanBackend | Scripted, **arguments: Json) -> Json:
    settings = Settings(root=root, config_dir=root / ".config")
    services = Services(settings, backend, Limits(8), workers)
    result = await TOOL.call(services, Args(**{"patterns": ["src"], **arguments}), no_progress)
    assert len(json.dumps(result.data)) < 50_000
    return result.data


def finding(
    line: int, quote: str, path: str = "src/a.py", title: str = "Shell text is built"
) -> dict[str, Json]:
    return {
        "path": path,
        "line": line,
        "quote": quote,
        "severity": "high",
        "rule": "shell",
        "cwe": 78,
        "title": title,
        "why": "w",
        "fix": "f",
        "confidence": 90,
    }


def answer(*findings: dict[str, Json]) -> Reply:
    return Reply(json.dumps({"findings": list(findings)}))


def commit(root: Path) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "first"]):
        subprocess.run(["git", *who, *arguments], cwd=root, check=True, capture_output=True)


def load(path: str) -> Json:
    return json.loads(Path(path).read_text(encoding="utf-8"))


async def test_without_a_model_the_analysers_answer_and_say_what_they_can_not_find(
    root: Path, workers: Workers
) -> None:
    data = await review(root, workers, PlanBackend())
    (first,) = [item for item in data["findings"] if item["rule"] == "command-injection"]
    assert (first["path"], first["line"], first["cwe"]) == ("src/a.py", 8, "CWE-78")
    assert first["quote"] == 'os.system("nice " + command)'
    assert "logic bugs" in data["note"]
    assert data["receipt"]["read"] == 1
    assert data["receipt"]["calls"] == 0


async def test_false_citations_are_dropped_and_counted_and_moved_ones_corrected(
    root: Path, workers: Workers
) -> None:
    (root / "src" / "b.py").write_text("".join(f"value_{n} = {n}\n" for n in range(40)))
    backend = Scripted(
        default=answer(
            finding(8, 'os.system("nice " + command)'),
            finding(30, "value_3 = 3\nvalue_4", "src/b.py", "Moved"),
            finding(4, "os.unlink(name, force)", title="Paraphrased"),
            finding(4, "os.remove(name)", "src/c.py", "Another file"),
            finding(4, "remove(", title="Short"),
        )
    )
    data = await review(root, workers, backend, engine="model")
    assert [(f["path"], f["line"], f["verified"]) for f in data["findings"]] == [
        ("src/a.py", 8, "exact"),
        ("src/b.py", 4, "moved"),
    ]
    assert data["dropped"] == {"file was not supplied": 1, "quote not in the file": 1, "quote too short": 1}


async def test_reviewers_are_united_and_named(root: Path, workers: Workers) -> None:
    same = finding(8, 'os.system("nice " + command)')
    backend = Scripted(
        {"security:": answer(same), "critic:": answer(same, finding(4, "    os.remove(name)"))}
    )
    data = await review(root, workers, backend, engine="model", reviewers=2)
    assert [(f["line"], f["reviewers"]) for f in data["findings"]] == [
        (8, ["critic", "security"]),
        (4, ["critic"]),
    ]
    assert data["findings"][0]["probability"] > 0.5 > data["findings"][1]["probability"]
    assert "code-review-benchmark" in data["measured_on"]
    assert data["receipt"]["calls"] == 2


async def test_a_lost_review_is_told_and_its_files_are_not_called_clean(root: Path, workers: Workers) -> None:
    backend = Scripted({"security:": answer(), "critic:": Reply("I like it.")})
    data = await review(root, workers, backend, engine="model", reviewers=2)
    assert data["failed_reviews"]["count"] == 1
    (root / "src" / "a.py").write_text("value = 1\n")
    data = await review(root, workers, Scripted(default=Reply("I like it.")), engine="model")
    assert data["not_analysed"]["first"] == {"src/a.py": "no reviewer answered"}


async def test_with_no_answer_at_all_the_result_is_an_error(root: Path, workers: Workers) -> None:
    backend = Scripted(default=Reply(error=Overloaded("busy", 3600.0)))
    services = Services(Settings(root=root, config_dir=root), backend, Limits(8), workers)
    result = await TOOL.call(services, Args(patterns=["src"], engine="model"), no_progress)
    assert result.is_error
    assert result.data["not_analysed"]["count"] == 1


@pytest.mark.parametrize(
    ("name", "reply", "note"),
    [
        ("src", Reply(error=Overloaded("busy", 3600.0)), "no one answered"),
        ("src", Reply("I like it."), "no one answered"),
        (".env", answer(), "nothing that the patterns match could be read"),
    ],
    ids=["down", "unreadable", "skipped"],
)
async def test_where_nobody_looked_the_result_is_an_error_and_says_so(
    root: Path, workers: Workers, name: str, reply: Reply, note: str
) -> None:
    (root / ".env").write_text("A=1\n")
    services = Services(Settings(root, root), Scripted(default=reply), Limits(8), workers)
    result = await TOOL.call(services, Args(patterns=[name], engine="model"), no_progress)
    assert result.is_error
    assert note in result.data["note"]


async def test_progress_counts_an_answer_that_can_not_be_read_as_failed(root: Path, workers: Workers) -> None:
    told: list[str] = []
    backend = Scripted(default=Reply("I like it."))
    services = Services(Settings(root, root), backend, Limits(8), workers)
    arguments = Args(patterns=["src"], engine="model")
    await TOOL.call(services, arguments, lambda _done, _total, line: told.append(line))
    assert told == ["1 of 1 done, 0 cached, 1 failed, $0.001"]


async def test_a_planted_key_leaves_neither_in_a_request_nor_in_the_result(
    root: Path, workers: Workers
) -> None:
    (root / "src" / "keys.py").write_text(f'API_KEY = "{KEY}"\nprint(API_KEY)\n')
    (root / ".env").write_text(f"TOKEN={KEY}\n")
    backend = Scripted(default=answer(finding(2, "print(API_KEY)", "src/keys.py")))
    data = await review(root, workers, backend, patterns=["src", ".env"])
    sent = "".join(job.prompt.system + job.prompt.user for job in backend.asked)
    assert backend.asked
    assert KEY not in sent
    assert KEY not in json.dumps(data)
    assert data["receipt"]["skipped"] == {"secret file": {"count": 1, "paths": [".env"]}}
    assert "hardcoded-secret" in {item["rule"] for item in data["findings"]}


async def test_files_stand_behind_a_fence_that_is_new_each_time(root: Path, workers: Workers) -> None:
    backend = Scripted(default=answer())
    for number in range(2):
        (root / "src" / "a.py").write_text(f"value = {number}\n")
        await review(root, workers, backend, engine="model")
    fences = [job.prompt.user.split("FENCE-")[1].split(" ")[0] for job in backend.asked]
    assert len(set(fences)) == 2


async def test_only_changed_lines_count_with_a_base(root: Path, workers: Workers) -> None:
    commit(root)
    data = await review(root, workers, PlanBackend(), base="HEAD")
    assert (data["findings"], data["receipt"]["read"]) == ([], 0)
    (root / "src" / "a.py").write_text(SOURCE + '\ndef again(command):\n    os.system("ls " + command)\n')
    data = await review(root, workers, PlanBackend(), base="HEAD")
    assert {item["line"] for item in data["findings"]} == {11}


async def test_a_long_result_becomes_one_line_each_with_a_cursor_and_a_report(
    root: Path, workers: Workers
) -> None:
    many = "".join(f'def f{n}(x):\n    eval("{n}" + x * {"1" * 40})\n' for n in range(900))
    (root / "src" / "many.py").write_text("API = 1\n" + many.replace("eval", "os.system"))
    first = await review(root, workers, PlanBackend())
    seen, data = list(first["findings"]), first
    while data.get("next_cursor"):
        data = await review(root, workers, PlanBackend(), cursor=data["next_cursor"])
        seen += data["findings"]
    assert first["more_of_a_rule"]
    assert len(seen) == sum(first["counts"].values()) == len(load(first["report"])["findings"]) > 900


async def test_sarif_is_written_below_the_project_s_state(root: Path, workers: Workers) -> None:
    data = await review(root, workers, PlanBackend(), sarif=True)
    path = Path(data["sarif"])
    assert path.parent == root / ".claude" / "fanout" / "reports"
    assert len(load(data["sarif"])["runs"][0]["results"]) == len(data["findings"])


async def test_a_plan_is_ready_agent_calls_of_a_few_files_each(root: Path, workers: Workers) -> None:
    for n in range(20):
        (root / "src" / f"m{n}.py").write_text(f"x = {n}\n")
    data = await review(root, workers, PlanBackend(), engine="plan")
    (calls,) = data["plan"]["messages"]
    assert 3 <= len(calls) <= 6
    assert all(call["prompt"].count(".py") in {4, 5} for call in calls)
    assert all(set(call) == {"subagent_type", "description", "prompt"} for call in calls)
    assert "50 to 200 words" in calls[0]["prompt"]


async def test_a_plan_for_very_many_files_comes_in_pages(root: Path, workers: Workers) -> None:
    for n in range(800):
        (root / "src" / f"module_with_a_longer_name_{n}.py").write_text(f"x = {n}\n")
    data = await review(root, workers, PlanBackend(), engine="plan")
    files = sum(call["prompt"].count(".py") for wave in data["plan"]["messages"] for call in wave)
    while "next_cursor" in data:
        data = await review(root, workers, PlanBackend(), engine="plan", cursor=data["next_cursor"])
        files += sum(call["prompt"].count(".py") for wave in data["plan"]["messages"] for call in wave)
    assert files == 801


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"patterns": ["srcs"]}, "There is no 'srcs'"),
        ({"patterns": ["*.rb"]}, "Nothing matches"),
        ({"patterns": ["../x"]}, "outside"),
        ({"engine": "model"}, "There is no model"),
        ({"patterns": []}, "^`patterns` is empty; name a path, a folder or a glob.$"),
        ({"models": ["one"]}, "`models` names whom to ask, but there is no model"),
        ({"models": []}, "`models` is empty"),
        ({"cursor": 99}, "`cursor` is 99, beyond the findings: 2 in all"),
        ({"reviewers": 99}, "^`reviewers` is 99; at most 8"),
        ({"base": "-x"}, "not begin with -"),
        ({"max_files": 1, "patterns": ["."]}, "match 2 files"),
    ],
)
async def test_bad_input_is_refused_with_what_to_do(
    root: Path, workers: Workers, arguments: dict[str, Json], sentence: str
) -> None:
    (root / "b.py").write_text("x = 1\n")
    with pytest.raises(InvalidInput, match=sentence):
        await review(root, workers, PlanBackend(), **arguments)


@pytest.mark.parametrize("base", [None, "HEAD"])
async def test_more_bytes_than_are_held_at_once_are_refused_with_their_size(
    root: Path, workers: Workers, monkeypatch: pytest.MonkeyPatch, base: str | None
) -> None:
    commit(root)
    for name in ("b.py", "c.py"):
        (root / "src" / name).write_text("value = 1\n" * 100)
    monkeypatch.setattr(gather, "MAX_REVIEW_BYTES", 1_500)
    with pytest.raises(InvalidInput, match=r"2\.\d kB, about .* more than the 1\.5 kB of one review"):
        await review(root, workers, PlanBackend(), base=base)


async def test_an_unchanged_file_costs_no_call_and_a_changed_one_alone_is_read_again(
    root: Path, workers: Workers
) -> None:
    (root / "src" / "b.py").write_text("limit = 10_000_000\n")
    first = Scripted(
        default=answer(
            finding(8, 'os.system("nice " + command)'),
            finding(1, "limit = 10_000_000", "src/b.py", "Limit"),
            finding(1, "nowhere to be found", "src/b.py", "Absent"),
        )
    )
    told = await review(root, workers, first, engine="model")
    assert told["receipt"]["calls"] == 1
    idle = Scripted(default=answer())
    again = await review(root, workers, idle, engine="model")
    assert not idle.asked
    assert (again["receipt"]["calls"], again["receipt"]["cached"]) == (0, 2)
    assert (again["findings"], again["dropped"]) == (told["findings"], told["dropped"])
    (root / "src" / "b.py").write_text("limit = 2\n")
    changed = await review(root, workers, idle, engine="model")
    (job,) = idle.asked
    assert "src/b.py" in job.prompt.user
    assert "src/a.py" not in job.prompt.user
    assert [item["path"] for item in changed["findings"]] == ["src/a.py"]


async def test_what_one_endpoint_said_is_not_taken_for_another_s_answer(root: Path, workers: Workers) -> None:
    await review(root, workers, Scripted(default=answer()), engine="model")
    other = Scripted(default=answer(), provider="localhost:11434")
    data = await review(root, workers, other, engine="model")
    assert (len(other.asked), data["receipt"]["cached"]) == (1, 0)


async def test_an_answer_that_can_not_be_read_is_asked_for_again(root: Path, workers: Workers) -> None:
    await review(root, workers, Scripted(default=Reply("I like it.")), engine="model")
    backend = Scripted(default=answer(finding(8, 'os.system("nice " + command)')))
    data = await review(root, workers, backend, engine="model")
    assert len(data["findings"]) == len(backend.asked) == 1


async def test_every_model_that_is_named_is_asked_and_told_who_agreed(root: Path, workers: Workers) -> None:
    same = finding(8, 'os.system("nice " + command)')
    backend = Scripted({"security@one": answer(same), "security@two": answer(same)})
    data = await review(root, workers, backend, engine="model", models=["one", "two"])
    assert {job.model for job in backend.asked} == {"one", "two"}
    assert data["findings"][0]["reviewers"] == ["security@one", "security@two"]


async def test_a_file_that_no_parser_understands_is_not_called_clean(root: Path, workers: Workers) -> None:
    (root / "src" / "old.py").write_text('print "two"\n')
    (root / "src" / "no.js").write_text("@@@ this is & no = = script { ( [ \n" * 9)
    for focus in ("security", "bugs", "performance", "style", "architecture"):
        data = await review(root, workers, PlanBackend(), focus=focus)
        assert {"src/old.py", "src/no.js"} <= set(data["not_analysed"]["first"]), focus


async def most_at_a_time(work: Awaitable[None]) -> float:
    """Return the most CPU seconds that passed on the loop's thread between two of its turns."""
    longest, is_over = 0.0, anyio.Event()

    async def look() -> None:
        nonlocal longest
        while not is_over.is_set():
            before = time.thread_time()
            await anyio.sleep(0.001)
            longest = max(longest, time.thread_time() - before)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(look)
        await work
        is_over.set()
    return longest


async def test_hook_events_pass_while_megabytes_are_reviewed(root: Path, workers: Workers) -> None:
    line = "total = total + price[index] * (1 + rate)  # as agreed\n"
    for number in range(400):
        (root / "src" / f"m{number}.py").write_text(f"number = {number}\n" + line * 150)
    backend = Scripted(default=answer(finding(3, line.strip(), "src/m7.py")))
    arguments = {"engine": "model", "reviewers": 2, "max_cost_usd": 100}

    async def work() -> None:
        data = await review(root, workers, backend, **arguments)
        assert len(data["findings"]) == 1

    # Planning, pricing and checking 3 MB on the loop takes four times as long as this.
    assert await most_at_a_time(work()) < 0.05


async def test_a_review_beyond_its_budget_starts_no_call(root: Path, workers: Workers) -> None:
    backend = Scripted(prices={"model-of-review": ModelPrice(1000.0, 1000.0)})
    with pytest.raises(BudgetExceeded):
        await review(root, workers, backend, max_cost_usd=0.01)
    assert backend.asked == []


async def test_what_agents_found_is_verified_and_merged_with_the_rest(root: Path, workers: Workers) -> None:
    handed = [
        {
            "reviewer": "agent-1",
            "path": "src/a.py",
            "line": 8,
            "text": "The command is built from text and run by a shell",
        },
        {
            "file": "src/a.py",
            "line": 4,
            "summary": "A missing file raises",
            "failure_scenario": "no such name",
        },
        {"reviewer": "agent-2", "path": "src/a.py", "text": "Invented", "quote": "os.unlink(name, force)"},
        {"reviewer": "agent-2"},
    ]
    backend = Scripted(default=answer(finding(8, 'os.system("nice " + command)')))
    data = await review(root, workers, backend, engine="model", with_findings=handed)
    assert [(item["line"], item["reviewers"]) for item in data["findings"]] == [
        (8, ["agent-1", "security"]),
        (4, ["claude-code"]),
    ]
    assert data["dropped"] == {"not a finding: it has no text": 1, "quote not in the file": 1}
    assert data["findings"][0]["probability"] > data["findings"][1]["probability"]


async def test_findings_that_are_no_list_are_refused(root: Path, workers: Workers) -> None:
    with pytest.raises(InvalidInput, match="`with_findings` must be a list"):
        await review(root, workers, PlanBackend(), with_findings="none")
