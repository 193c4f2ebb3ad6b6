"""summarize_files: what the model is shown of many files, with a model and without one."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import anyio
import pytest

from fakes.scripted import Reply, Scripted
from fanout_mcp.backends.plan import PlanBackend
from fanout_mcp.edge.catalog import parse
from fanout_mcp.engine.limits import Limits
from fanout_mcp.errors import AuthRejected, BudgetExceeded, InvalidInput, NoVerdict, Rejected
from fanout_mcp.source.workers import Workers
from fanout_mcp.state.settings import Settings
from fanout_mcp.tools.services import Services
from fanout_mcp.tools.summarize_files import TOOL
from fanout_mcp.types import Backend, Json, ModelPrice, no_progress

pytestmark = pytest.mark.anyio
KEY = "sk-ant-api03-" + "Zz9-" * 10

CODE = f'''"""Keeps accounts."""
import decimal
from .store import Store

API = "{KEY}"

class Account(Store):
    """One account."""

    def pay(self, amount: int) -> bool:
        """Take money off."""
        return True

    def _hidden(self): ...

def open_account(name): ...
'''


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    (root / "src").mkdir(parents=True)
    (root / "src" / "account.py").write_text(CODE)
    (root / "src" / "store.go").write_text(
        "package store\n\n// Open opens.\nfunc Open(path string) error { return nil }\n"
    )
    (root / "README.md").write_text("# Bank\n\nA bank in a box.\n\n## Use\n")
    (root / "notes.xyz").write_text("just some words\n")
    return root


def summary(purpose: str = "Keeps accounts in a store.", *notes: str) -> str:
    return json.dumps({"purpose": purpose, "notes": list(notes)})


async def summarize(root: Path, workers: Workers, backend: Backend | None = None, **arguments: Json) -> Json:
    settings = Settings(root=root, config_dir=root.parent / "user")
    services = Services(settings, backend or PlanBackend(), Limits(8), workers)
    return (await TOOL.call(services, parse(TOOL.arguments, arguments), no_progress)).data


async def test_a_file_is_told_by_its_structure(root: Path, workers: Workers) -> None:
    data = await summarize(root, workers, paths=["src/account.py"])
    [file] = data["files"]
    assert file == {
        "path": "src/account.py",
        "purpose": "Keeps accounts.",
        "symbols": [
            "5 API",
            "7 class Account(Store) - One account.",
            " 10 pay(self, amount: int) -> bool - Take money off.",
            "16 open_account(name)",
        ],
        "dependencies": ["decimal", ".store"],
        "derived": True,
    }
    receipt = data["receipt"]
    assert (receipt["read"], receipt["calls"], receipt["cost_usd"]) == (1, 0, 0.0)
    assert receipt["tokens_raw"] > 50


async def test_files_come_in_the_order_asked_each_once(root: Path, workers: Workers) -> None:
    data = await summarize(root, workers, paths=["src/store.go", "README.md", "src", "**/*.md"])
    assert [file["path"] for file in data["files"]] == ["src/store.go", "README.md", "src/account.py"]


async def test_documents_and_unknown_files_say_what_they_are(root: Path, workers: Workers) -> None:
    data = await summarize(root, workers, paths=["README.md", "notes.xyz"])
    assert [file["purpose"] for file in data["files"]] == [
        "Bank: A bank in a box.",
        "begins: just some words",
    ]


async def test_a_model_says_it_in_prose_over_the_same_structure(root: Path, workers: Workers) -> None:
    notes = ("pays without a check (line 10)", "see line 9999", "and lines 3-4 too", "account.py:700 is odd")
    backend = Scripted(default=Reply(summary("Keeps accounts in a store.", *notes)))
    data = await summarize(root, workers, backend, paths=["src/account.py"])
    [file] = data["files"]
    assert file["purpose"] == "Keeps accounts in a store."
    assert file["derived"] is False
    assert file["notes"] == ["pays without a check (line 10)", "and lines 3-4 too"]
    assert file["symbols"][1].startswith("7 class Account(Store)")
    assert data["receipt"]["dropped"] == 2  # lines that the file does not have
    assert data["receipt"]["calls"] == 1


async def test_a_number_after_another_name_is_no_line_of_the_file(root: Path, workers: Workers) -> None:
    notes = ["listens on 127.0.0.1:9999", "as in store.go:400"]
    backend = Scripted(default=Reply(summary("Keeps accounts.", *notes)))
    data = await summarize(root, workers, backend, paths=["src/account.py"])
    assert data["files"][0]["notes"] == notes


async def test_prose_stays_within_the_words_asked_for(root: Path, workers: Workers) -> None:
    backend = Scripted(default=Reply(summary("one two", *["three four five"] * 50)))
    data = await summarize(root, workers, backend, paths=["src/account.py"], max_words=20)
    [file] = data["files"]
    assert sum(len(text.split()) for text in [file["purpose"], *file["notes"]]) <= 20


async def test_no_key_is_in_any_request_or_result(root: Path, workers: Workers) -> None:
    (root / ".env").write_text(f"KEY={KEY}")
    (root / "src" / "config.toml").write_text(f'"{KEY}" = 1\n[{KEY}]\n')
    backend = Scripted(default=Reply(summary()))
    data = await summarize(root, workers, backend, paths=[".", ".env"])
    assert all(KEY not in job.prompt.user + job.prompt.system for job in backend.asked)
    assert len(backend.asked) == 5
    assert KEY not in json.dumps(data)
    assert data["receipt"]["skipped"]["secret file"]["paths"] == [".env"]


async def test_content_stands_behind_a_fence_of_its_own_call(root: Path, workers: Workers) -> None:
    fences = set()
    for words in (50, 60):
        backend = Scripted(default=Reply(summary()))
        await summarize(root, workers, backend, paths=["src/account.py"], max_words=words)
        [job] = backend.asked
        fence = job.prompt.user.split(" begins src/account.py")[0].split("\n")[-1]
        assert job.prompt.user.count(fence) == 4
        assert fence in job.prompt.system
        fences.add(fence)
    assert len(fences) == 2


async def test_an_unchanged_file_is_not_asked_about_again(root: Path, workers: Workers) -> None:
    backend = Scripted(default=Reply(summary()))
    first = await summarize(root, workers, backend, paths=["."])
    second = await summarize(root, workers, backend, paths=["."])
    assert len(backend.asked) == 4
    assert second["files"] == first["files"]
    assert (second["receipt"]["calls"], second["receipt"]["cached"], second["receipt"]["cost_usd"]) == (
        0,
        4,
        0.0,
    )
    (root / "notes.xyz").write_text("other words\n")
    await summarize(root, workers, backend, paths=["."])
    assert [job.key for job in backend.asked[4:]] == ["notes.xyz"]


async def test_what_the_model_cannot_say_the_structure_says(root: Path, workers: Workers) -> None:
    backend = Scripted(
        {"store.go": Reply(error=Rejected("no")), "README": Reply("prose, no JSON")}, Reply(summary())
    )
    data = await summarize(root, workers, backend, paths=["src", "README.md"])
    assert [(file["path"], file["derived"]) for file in data["files"]] == [
        ("src/account.py", False),
        ("src/store.go", True),
        ("README.md", True),
    ]
    assert data["receipt"]["failed"] == {
        "no": {"count": 1, "paths": ["src/store.go"]},
        "the answer held no summary.": {"count": 1, "paths": ["README.md"]},
    }


async def test_a_model_that_is_insisted_on_and_answers_nothing_is_an_error(
    root: Path, workers: Workers
) -> None:
    backend = Scripted(default=Reply(error=AuthRejected("401: the key is refused.")))
    with pytest.raises(NoVerdict, match=r"none of 2 questions: 401: the key is refused\."):
        await summarize(root, workers, backend, paths=["src"], engine="model")
    data = await summarize(root, workers, backend, paths=["src"])
    assert data["receipt"]["failed"] == {
        "401: the key is refused.": {"count": 2, "paths": ["src/account.py", "src/store.go"]}
    }


async def test_many_files_come_as_a_line_each_and_the_rest_by_cursor(root: Path, workers: Workers) -> None:
    for number in range(1500):
        (root / "src" / f"module_{number:04}.py").write_text(f"def function_{number}(a, b): ...\n" * 3)
    seen: list[str] = []
    cursor = 0
    while True:
        data = await summarize(root, workers, paths=["src/module_*.py"], cursor=cursor, detail="line")
        assert len(json.dumps(data, ensure_ascii=False)) < 50_000
        assert data["detail"] == "line"
        assert data["total"] == 1500
        seen += [line.split(":")[0] for line in data["files"]]
        if "next_cursor" not in data:
            break
        cursor = data["next_cursor"]
    assert seen == [f"src/module_{number:04}.py" for number in range(1500)]
    report = (await summarize(root, workers, paths=["src/module_*.py"]))["report"]
    lines = [json.loads(line) for line in (await anyio.Path(report).read_text()).splitlines()]
    assert len(lines) == 1500
    assert lines[7]["symbols"][0] == "1 function_7(a, b)"
    full = await summarize(root, workers, paths=["src/module_*.py"], detail="full", cursor=1490)
    assert [file["path"] for file in full["files"]] == [f"src/module_{n}.py" for n in range(1490, 1500)]


async def test_one_file_with_thousands_of_symbols_still_fits(root: Path, workers: Workers) -> None:
    rows = [f"def function_{n}_{'x' * 60}(argument_one, argument_two): ..." for n in range(3000)]
    (root / "src" / "huge.py").write_text("\n".join(rows))
    data = await summarize(root, workers, paths=["src/huge.py"])
    assert len(json.dumps(data)) < 50_000
    assert data["files"][0]["symbols"][-1] == "and 2,200 more"


async def test_more_files_than_a_model_should_be_asked_about_are_priced_first(
    root: Path, workers: Workers
) -> None:
    for number in range(600):
        (root / "src" / f"f{number}.py").write_text("x = 1\n" * 200)
    backend = Scripted(prices={"model-of-summary": ModelPrice(1.0, 2.0)}, default=Reply(summary()))
    with pytest.raises(
        InvalidInput,
        match=r"601 files with 0\.7 MB match: 601 model calls, about 180,\d+ tokens of"
        r" source, about \$0\.78.*max_files=601",
    ):
        await summarize(root, workers, backend, paths=["**/*.py"])
    assert backend.asked == []
    await summarize(root, workers, backend, paths=["**/*.py"], max_files=601, max_cost_usd=3.0)
    assert len(backend.asked) == 601


async def test_files_that_may_cost_more_than_allowed_are_not_asked_about(
    root: Path, workers: Workers
) -> None:
    for number in range(200):
        (root / "src" / f"f{number}.py").write_text("x = 1\n" * 1000)
    backend = Scripted(prices={"model-of-summary": ModelPrice(1.0, 5.0)}, default=Reply(summary()))
    with pytest.raises(BudgetExceeded, match=r"201 calls may cost up to \$1\.\d+.*raise max_cost_usd"):
        await summarize(root, workers, backend, paths=["**/*.py"])
    assert backend.asked == []


async def test_the_plan_splits_files_over_agents_of_few_files(root: Path, workers: Workers) -> None:
    for number in range(22):
        (root / "src" / f"f{number:02}.py").write_text("x = 1\n")
    data = await summarize(root, workers, engine="plan", paths=["src/f*.py"])
    [calls] = data["plan"]["messages"]
    assert len(calls) == 5
    for number in range(22):
        [prompt] = [call["prompt"] for call in calls if f'"src/f{number:02}.py"' in call["prompt"]]
        assert "50 to 200 words" in prompt
        assert prompt.count(".py") <= 5


async def test_a_long_plan_goes_on_at_its_cursor(root: Path, workers: Workers) -> None:
    for number in range(1000):
        (root / "src" / f"f{number:04}.py").write_text("x = 1\n")
    prompts: list[str] = []
    cursor: int | None = 0
    while cursor is not None:
        data = await summarize(root, workers, engine="plan", paths=["src/f*.py"], cursor=cursor)
        assert len(json.dumps(data)) < 50_000
        assert all(3 <= len(calls) <= 6 for calls in data["plan"]["messages"])
        prompts += [call["prompt"] for calls in data["plan"]["messages"] for call in calls]
        cursor = data.get("next_cursor")
    assert sum(prompt.count(".py") for prompt in prompts) == 1000


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            {"paths": ["src/acount.py"]},
            r"There is no 'src/acount.py' below /.*/project\. Nearest: src/account.py",
        ),
        ({"paths": ["*.rb"]}, "Nothing matches"),
        ({"paths": ["../outside.py"]}, "outside"),
        ({"paths": ["/etc/passwd"]}, "outside"),
        ({"paths": ["a\0b"]}, "NUL"),
        ({"paths": [" "]}, "empty"),
        ({"paths": ["***/" * 20]}, "too long or has more than 12 stars"),
        ({"paths": ["."], "engine": "model"}, "There is no model"),
    ],
)
async def test_bad_input_is_refused_with_what_to_do(
    root: Path, workers: Workers, arguments: dict[str, Json], sentence: str
) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        await summarize(root, workers, **arguments)


async def test_a_hostile_name_is_data(root: Path, workers: Workers) -> None:
    names = [
        "new\nline.py",
        'quo"te.py',
        "b\u202eidi.py",
        os.fsdecode(b"sur\xffrogate.py"),
        "-rf.py",
        "a[1]*.py",
    ]
    for name in names:
        (root / "src" / name).write_text("def f(): ...\n")
    backend = Scripted(default=Reply(summary()))
    data = await summarize(root, workers, backend, paths=["src"])
    assert {f"src/{name}" for name in names} < {file["path"] for file in data["files"]}
    literal = await summarize(root, workers, paths=["src/a[1]*.py", "src/-rf.py"])
    assert [file["path"] for file in literal["files"]] == ["src/a[1]*.py", "src/-rf.py"]
    for job in backend.asked:
        begins = [line for line in job.prompt.user.split("\n") if " begins " in line]
        assert begins[0].isprintable()
    plan = await summarize(root, workers, engine="plan", paths=["src"])
    assert all(call["prompt"].isprintable() for calls in plan["plan"]["messages"] for call in calls)


async def test_what_cannot_be_analysed_is_said(root: Path, workers: Workers) -> None:
    (root / "src" / "minified.js").write_text("x" * 50_000_000)
    (root / "src" / "long_line.js").write_text("y=1;" * 9_000)
    (root / "src" / "deep.py").write_text("(" * 5_000)
    (root / "src" / "binary.py").write_bytes(b"\0\1\2")
    (root / "src" / "latin.py").write_bytes(b"# caf\xe9\r\nx = 1\r\n")
    os.mkfifo(root / "src" / "fifo.py")
    (root / "src" / "link.py").symlink_to("/etc/passwd")
    (root / "src" / "closed.py").write_text("x = 1")
    (root / "src" / "closed.py").chmod(0)
    data = await summarize(root, workers, paths=["src"])
    skipped = {path: why for why, found in data["receipt"]["skipped"].items() for path in found["paths"]}
    assert skipped["src/minified.js"] == "larger than 1,000,000 bytes"
    assert skipped["src/long_line.js"] == "a line longer than 20,000 bytes (minified or generated)"
    assert skipped["src/deep.py"] == "brackets nested deeper than 200"
    assert skipped["src/binary.py"] == "binary"
    assert skipped["src/fifo.py"] == "not a regular file"
    assert skipped["src/link.py"] == "symlink"
    assert "src/latin.py" in [file["path"] for file in data["files"]]
    if os.geteuid():
        assert skipped["src/closed.py"] == "no permission"


async def test_folders_that_cannot_be_written_change_nothing_in_the_answer(
    root: Path, workers: Workers
) -> None:
    before = await summarize(root, workers, paths=["src"])
    shutil.rmtree(root.parent / "user" / "cache", ignore_errors=True)
    for folder in (root / ".claude", root.parent / "user" / "cache"):
        folder.parent.mkdir(exist_ok=True)
        folder.write_text("a file where a folder should be")
    backend = Scripted(default=Reply(summary()))
    data = await summarize(root, workers, paths=["src"])
    assert data["files"] == before["files"]
    asked = await summarize(root, workers, backend, paths=["src"])
    assert "went on without the cache" in asked["receipt"]["cache"]
    assert not asked["files"][0]["derived"]
