"""A change is reviewed as a change: what is old stays unsaid, and what was removed is seen."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from fakes.scripted import Reply, Scripted
from fanout_mcp.backends.plan import PlanBackend
from fanout_mcp.engine.limits import Limits
from fanout_mcp.source.workers import Workers
from fanout_mcp.state.settings import Settings
from fanout_mcp.tools.batch_review import TOOL, Args
from fanout_mcp.tools.services import Services
from fanout_mcp.types import Json, no_progress

pytestmark = pytest.mark.anyio

ENVIRONMENT = {
    **os.environ,
    **{f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
    "GIT_CONFIG_GLOBAL": "/dev/null",
}
SHOP = """import os

from flask import request


def clean(name):
    os.system("rm " + request.args["name"])
    return name


def total(prices, rate):
    count = 0
    for price in prices:
        count += price * rate
    return count


def pack(name):
    os.system("tar " + request.args["pack"])
    return name
"""
FUNCTION = SHOP[SHOP.index("def clean") : SHOP.index("def total")]


def git(root: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=root, env=ENVIRONMENT, check=True, capture_output=True)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "shop.py").write_text(SHOP)
    (tmp_path / "src" / "other.py").write_text("import os\n\nfrom flask import request\n\nLIMIT = 3\n")
    git(tmp_path, "init", "-q", "-b", "main")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "first")
    return tmp_path


async def review(root: Path, workers: Workers, backend: PlanBackend | Scripted, **arguments: Json) -> Json:
    services = Services(Settings(root=root, config_dir=root / ".config"), backend, Limits(8), workers)
    result = await TOOL.call(services, Args(**{"patterns": ["."], "base": "HEAD", **arguments}), no_progress)
    return result.data


def renamed(root: Path) -> None:
    git(root, "mv", "src/shop.py", "src/store.py")


def renamed_and_edited(root: Path) -> None:
    git(root, "mv", "src/shop.py", "src/store.py")
    (root / "src" / "store.py").write_text(SHOP.replace("count = 0", "count = 1").replace("prices", "costs"))


def moved_folder(root: Path) -> None:
    (root / "lib").mkdir()
    (root / "src" / "shop.py").rename(root / "lib" / "shop.py")


def indented(root: Path) -> None:
    body = "".join(f"    {line}\n" if line else "\n" for line in SHOP.split("\n"))
    (root / "src" / "shop.py").write_text("if True:\n" + body)


def other_line_ends(root: Path) -> None:
    (root / "src" / "shop.py").write_bytes(SHOP.replace("\n", "\r\n").encode())


def moved_in_the_file(root: Path) -> None:
    (root / "src" / "shop.py").write_text(SHOP.replace(FUNCTION, "") + "\n\n" + FUNCTION)


def moved_to_another_file(root: Path) -> None:
    (root / "src" / "shop.py").write_text(SHOP.replace(FUNCTION, ""))
    with (root / "src" / "other.py").open("a") as file:
        file.write("\n\n" + FUNCTION)


def split_file(root: Path) -> None:
    (root / "src" / "shop.py").unlink()
    head, rest = SHOP[: SHOP.index("def total")], SHOP[SHOP.index("def total") :]
    (root / "src" / "clean.py").write_text(head)
    (root / "src" / "pack.py").write_text(SHOP[: SHOP.index("def clean")] + rest)


def edited_elsewhere(root: Path) -> None:
    (root / "src" / "shop.py").write_text("# The shop.\n\n" + SHOP.replace("count = 0", "count = 0.0"))


@pytest.mark.parametrize(
    "change",
    [
        renamed,
        renamed_and_edited,
        moved_folder,
        indented,
        other_line_ends,
        moved_in_the_file,
        moved_to_another_file,
        split_file,
        edited_elsewhere,
    ],
    ids=lambda change: change.__name__,
)
async def test_what_was_there_before_is_not_found_again(
    root: Path, workers: Workers, change: Callable[[Path], None]
) -> None:
    change(root)
    data = await review(root, workers, PlanBackend())
    assert data["findings"] == []


async def test_what_is_new_is_found_in_a_renamed_file(root: Path, workers: Workers) -> None:
    git(root, "mv", "src/shop.py", "src/store.py")
    new = SHOP.replace("    count = 0\n", '    count = 0\n    os.system("ls " + request.args["dir"])\n')
    (root / "src" / "store.py").write_text(new)
    data = await review(root, workers, PlanBackend())
    assert [(item["path"], item["quote"]) for item in data["findings"]] == [
        ("src/store.py", 'os.system("ls " + request.args["dir"])')
    ]


async def test_a_copy_of_a_defect_is_one_new_defect(root: Path, workers: Workers) -> None:
    with (root / "src" / "other.py").open("a") as file:
        file.write("\n\n" + FUNCTION)
    data = await review(root, workers, PlanBackend())
    assert len([item for item in data["findings"] if item["severity"] == "critical"]) == 1


async def test_a_removed_check_makes_an_old_line_a_new_finding(root: Path, workers: Workers) -> None:
    guarded = SHOP.replace(
        '    os.system("rm " + request.args["name"])',
        '    if request.args["name"] not in ("a", "b"):\n        return None\n    os.system("rm a")',
    )
    (root / "src" / "shop.py").write_text(guarded)
    git(root, "commit", "-q", "-a", "-m", "guarded")
    (root / "src" / "shop.py").write_text(SHOP)
    data = await review(root, workers, PlanBackend())
    assert "command-injection" in {item["rule"] for item in data["findings"]}


REMOVED = {
    "guard.py": (
        "if not user.may_pay:",
        "def pay(user, sum):\n    @\n        raise Denied\n    send(user, sum)\n",
    ),
    "await.py": ("await store(row)", "async def save(row):\n    @\n    return row\n"),
    "null.js": ("if (!a) return null;", "function f(a) {\n  @\n  return a.b;\n}\n"),
    "await.js": ("await lock(a);", "async function f(a) {\n  @\n  return a.b;\n}\n"),
    "owner.ts": ("assertOwner(a);", "function g(a: A) {\n  @\n  remove(a);\n}\n"),
    "error.go": (
        "if err := check(p); err != nil {",
        "func f(p string) error {\n\t@\n\t\treturn err\n\t}\n}\n",
    ),
    "null.java": ("Objects.requireNonNull(u);", "void f(User u) {\n  @\n  u.run();\n}\n"),
    "who.rb": ("authorize user", "def f(user)\n  @\n  user.destroy\nend\n"),
    "who.php": ("check_admin($u);", "<?php\nfunction f($u) {\n  @\n  drop($u);\n}\n"),
    "bound.rs": ("assert!(i < 9);", "fn f(i: usize) {\n    @\n    run(i);\n}\n"),
    "lock.cs": ("lock (gate) {", "void F() {\n  @\n    count++;\n  }\n}\n"),
    "size.c": ("if (n > sizeof buffer) return -1;", "int f(int n) {\n  @\n  return take(buffer, n);\n}\n"),
    "await.cs": ("await Save(row);", "async Task F() {\n  @\n  Done();\n}\n"),
    "csrf.py": ("@csrf_protect", "@\ndef view(request):\n    return pay(request)\n"),
    "login.py": ("@login_required", "@\ndef view(request):\n    return pay(request)\n"),
    "escape.js": ("text = escapeHtml(text);", "function f(text) {\n  @\n  return text;\n}\n"),
    "close.go": ("defer file.Close()", "func f() {\n\tfile := open()\n\t@\n\tread(file)\n}\n"),
    "try.kt": ("requireNotNull(user)", "fun f(user: User?) {\n  @\n  run(user)\n}\n"),
    "quote.sh": ('name=$(printf %q "$1")', "#!/bin/sh\n@\nrun $name\n"),
    "abort.ts": ("signal.throwIfAborted();", "function f(signal: AbortSignal) {\n  @\n  go();\n}\n"),
}
"""File -> the line that the change removes, and the file with @ in its place."""


@pytest.mark.parametrize("name", REMOVED)
async def test_a_removed_line_stands_in_the_model_s_prompt(root: Path, workers: Workers, name: str) -> None:
    line, text = REMOVED[name]
    path = root / "src" / name
    path.write_text(text.replace("@", line, 1))
    git(root, "add", ".")
    git(root, "commit", "-q", "-m", "with the check")
    path.write_text(text.replace("@", "", 1))
    backend = Scripted(default=Reply('{"findings": []}'))
    await review(root, workers, backend, engine="model")
    (job,) = backend.asked
    assert any(row.startswith("-") and line in row for row in job.prompt.user.split("\n"))
    assert "what this change breaks" in job.prompt.system


async def test_a_key_in_a_removed_line_does_not_leave(root: Path, workers: Workers) -> None:
    key = "sk-ant-api03-" + "Ab1" * 20
    path = root / "src" / "other.py"
    path.write_text(f'KEY = "{key}"\nLIMIT = 3\n')
    git(root, "commit", "-q", "-a", "-m", "key")
    path.write_text("LIMIT = 3\n")
    backend = Scripted(default=Reply('{"findings": []}'))
    await review(root, workers, backend, engine="model")
    (job,) = backend.asked
    assert "-KEY" in job.prompt.user
    assert key not in job.prompt.user


async def test_a_sibling_worktree_is_reviewed_when_it_is_named(root: Path, workers: Workers) -> None:
    side = root.with_name(f"{root.name}-side")
    git(root, "worktree", "add", "-q", "-b", "side", str(side))
    (side / "more.py").write_text("import os\nos.system(input())\n")
    data = await review(root, workers, PlanBackend(), patterns=[str(side / "more.py")], base=None)
    assert [item["path"] for item in data["findings"] if item["rule"] == "command-injection"] == ["more.py"]
    assert "branch side" in data["receipt"]["tree"]


async def test_a_result_begins_with_one_line_for_a_person(root: Path, workers: Workers) -> None:
    data = await review(root, workers, PlanBackend(), base=None)
    assert next(iter(data)) == "headline"
    assert "in 2 files; first src/shop.py:" in data["headline"]
