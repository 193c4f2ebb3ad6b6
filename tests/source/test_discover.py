"""Files are found below the root only, and a hostile repository runs nothing while they are."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from pathlib import Path

import pytest

from fakes.load import stretched
from fanout_mcp.errors import InvalidInput
from fanout_mcp.source.discover import QUICK_S, Found, discover, listing
from fanout_mcp.source.git import history
from fanout_mcp.source.read import Source, read

CODE = "x = 1\n"


def write(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(CODE)


def git(root: Path, *arguments: str) -> None:
    who = ["-c", "user.name=t", "-c", "user.email=t@e", "-c", "protocol.file.allow=always"]
    subprocess.run(["git", *who, *arguments], cwd=root, check=True, capture_output=True)


@pytest.fixture(params=["git", "walk"])
def root(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Make a project, with git and without."""
    root = tmp_path / "root"
    root.mkdir()
    if request.param == "git":
        git(root, "init", "-q")
    return root


def test_ignore_files_count_the_innermost_last(root: Path) -> None:
    write(root, "a.py", "b.log", "keep/c.log", "sub/d.tmp", "sub/e.py", "out/f.py", "sub/deep/g.tmp")
    (root / ".gitignore").write_text("*.log\nout/\n!keep/c.log\n")
    (root / "sub" / ".gitignore").write_text("*.tmp\n!deep/*.tmp\n")
    found = set(discover(root).paths)
    assert found == {".gitignore", "a.py", "keep/c.log", "sub/.gitignore", "sub/e.py", "sub/deep/g.tmp"}


def test_an_ignored_file_or_folder_is_read_when_it_is_named(root: Path) -> None:
    write(root, "out/f.py", "a.py")
    (root / ".gitignore").write_text("out/\n")
    assert discover(root, ["out"]).paths == ("out/f.py",)
    assert discover(root, ["out/f.py", "a.py"]).paths == ("out/f.py", "a.py")


def test_what_nobody_means_is_left_out_with_its_reason_and_read_when_named(root: Path) -> None:
    write(root, "node_modules/x/a.js", "package-lock.json", "lib.min.js", "a.py")
    found = discover(root)
    assert found.paths == ("a.py",)
    assert found.skipped == {
        "node_modules/x/a.js": "vendored or built",
        "package-lock.json": "generated, locked or media",
        "lib.min.js": "generated, locked or media",
    }
    assert discover(root, ["lib.min.js"]).paths == ("lib.min.js",)


def test_links_and_what_is_no_file_are_named_and_never_followed(root: Path) -> None:
    write(root, "a.py")
    (root.parent / "outside").mkdir()
    write(root.parent / "outside", "secret.py")
    (root / "link.py").symlink_to(root.parent / "outside" / "secret.py")
    (root / "folder").symlink_to(root.parent / "outside")
    (root / "loop").symlink_to("loop")
    found = discover(root)
    assert found.paths == ("a.py",)
    assert set(found.skipped.values()) <= {"symlink", "not a regular file"}
    assert {"link.py", "folder", "loop"} <= set(found.skipped)
    with pytest.raises(InvalidInput, match="There is no"):
        discover(root, ["folder/secret.py"])


@pytest.mark.parametrize(
    "pattern",
    ["../outside", "/etc/passwd", "a/../../x", "", " ", "a\0b", "~/x", "C:\\x", "file:///etc/passwd"],
)
def test_nothing_outside_the_root_can_be_named(root: Path, pattern: str) -> None:
    write(root, "a.py")
    with pytest.raises(InvalidInput):
        discover(root, [pattern])


def test_a_sibling_that_begins_with_the_roots_name_is_outside(root: Path) -> None:
    write(root, "a.py")
    evil = root.with_name("root-evil")
    evil.mkdir()
    write(evil, "b.py")
    with pytest.raises(InvalidInput, match="outside"):
        discover(root, [str(evil / "b.py")])


def test_duplicates_are_one_and_the_order_is_the_callers(root: Path) -> None:
    write(root, "b.py", "a.py", "c/d.py")
    assert discover(root, ["c", "b.py", "*.py", "."]).paths == ("c/d.py", "b.py", "a.py")


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.py", {"a.py", "b.py"}),
        ("**/*.py", {"a.py", "b.py", "c/d.py", "c/e/f.py"}),
        ("c/**", {"c/d.py", "c/e/f.py"}),
        ("{a,c/d}.py", {"a.py", "c/d.py"}),
        ("[!a].py", {"b.py"}),
        ("?.py", {"a.py", "b.py"}),
    ],
)
def test_globs_name_files(root: Path, pattern: str, expected: set[str]) -> None:
    write(root, "a.py", "b.py", "c/d.py", "c/e/f.py", "g.txt")
    assert set(discover(root, [pattern]).paths) == expected


def test_the_nearest_name_is_told(root: Path) -> None:
    write(root, "src/account.py")
    with pytest.raises(InvalidInput, match=r"Nearest: src/account\.py"):
        discover(root, ["lib/account.py"])


# --- repositories that attack ------------------------------------------------------------------------------


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    root.mkdir()
    git(root, "init", "-q")
    write(root, "a.py")
    git(root, "add", ".")
    git(root, "commit", "-qm", "x")
    return root


@pytest.mark.parametrize(
    "setting",
    [
        'core.fsmonitor "{trap}"',
        'core.pager "{trap}"',
        'core.sshCommand "{trap}"',
        'diff.external "{trap}"',
        'diff.x.textconv "{trap}"',
        'filter.x.clean "{trap}"',
        'filter.x.smudge "{trap}"',
        'filter.x.process "{trap}"',
        'gpg.program "{trap}"',
        "log.showSignature true",
        'core.hooksPath "{folder}"',
        'core.alternateRefsCommand "{trap}"',
        'uploadpack.packObjectsHook "{trap}"',
    ],
)
def test_a_repositorys_own_settings_run_nothing(repository: Path, setting: str) -> None:
    sprung = repository.parent / "sprung"
    hooks = repository.parent / "hooks"
    hooks.mkdir()
    trap = repository.parent / "trap.sh"
    for path in (
        trap,
        hooks / "post-index-change",
        hooks / "reference-transaction",
        hooks / "fsmonitor-watchman",
    ):
        path.write_text(f"#!/bin/sh\necho sprung > {sprung}\ncat\n")
        path.chmod(0o755)
    (repository / ".gitattributes").write_text("* diff=x filter=x\n")
    name, value = setting.format(trap=trap, folder=hooks).split(" ", 1)
    git(repository, "config", name, value.strip('"'))
    (repository / "a.py").write_text("changed\n")
    write(repository, "new.py")
    assert set(discover(repository).paths) == {".gitattributes", "a.py", "new.py"}
    found = history(repository)
    assert (found.commits, found.problem) == ({"a.py": 1}, "")
    assert not sprung.exists()


def test_the_environment_cannot_point_git_elsewhere(
    repository: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", "/bin/false")
    assert listing(repository)[1] == "git"


def test_a_submodule_and_a_repository_inside_list_their_own_files(repository: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "-q")
    write(other, "inner/b.py")
    git(other, "add", ".")
    git(other, "commit", "-qm", "x")
    git(repository, "submodule", "add", "-q", str(other), "sub")
    nested = repository / "nested"
    nested.mkdir()
    git(nested, "init", "-q")
    write(nested, "c.py")
    assert set(discover(repository).paths) == {".gitmodules", "a.py", "nested/c.py", "sub/inner/b.py"}


def test_a_shallow_clone_works_and_a_bare_one_has_no_files(repository: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{repository}", "shallow")
    assert discover(tmp_path / "shallow").paths == ("a.py",)
    git(tmp_path, "clone", "-q", "--bare", str(repository), "bare")
    found = discover(tmp_path / "bare")
    assert isinstance(found, Found)
    assert "a.py" not in found.paths


def test_without_git_on_the_path_files_are_found(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert listing(repository)[1] == "walk"
    assert discover(repository).paths == ("a.py",)


def test_a_file_swapped_for_a_link_while_it_is_read_never_leaks(tmp_path: Path) -> None:
    secret = tmp_path / "secret.py"
    secret.write_text("outside\n")
    root = tmp_path / "root"
    write(root, "a/b.py")
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            (root / "link").symlink_to(secret)
            (root / "link").replace(root / "a" / "b.py")
            (root / "plain").write_text(CODE)
            (root / "plain").replace(root / "a" / "b.py")

    attacker = threading.Thread(target=swap)
    attacker.start()
    try:
        results = [read(root, "a/b.py") for _ in range(3000)]
    finally:
        stop.set()
        attacker.join()
    texts = {result.text for result in results if isinstance(result, Source)}
    reasons = {result.reason for result in results if not isinstance(result, Source)}
    assert texts <= {CODE}
    assert reasons <= {"symlink"}


@pytest.mark.parametrize("by", ["git", "walk"])
def test_what_fanout_keeps_is_neither_a_source_nor_a_skipped_file(tmp_path: Path, by: str) -> None:
    kept = tmp_path / ".claude" / "fanout"
    kept.mkdir(parents=True)
    (kept / ".gitignore").write_text("reports/\n")
    (tmp_path / "x.py").write_text("x = 1\n")
    if by == "git":
        subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    found = discover(tmp_path, ["**/*"])
    assert (found.paths, found.skipped) == (("x.py",), {})
    assert listing(tmp_path)[1] == by


@pytest.mark.parametrize("where", [".gitignore", "src/deep/.gitignore", "vendor/.gitignore"])
@pytest.mark.parametrize("has_git", [True, False], ids=["in a repository", "without git"])
def test_a_fifo_in_place_of_an_ignore_file_holds_no_one_up(
    tmp_path: Path, where: str, *, has_git: bool
) -> None:
    if has_git:
        subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / where).parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(tmp_path / where)
    (tmp_path / "src").mkdir(exist_ok=True)
    (tmp_path / "src" / "a.py").write_text("")
    began = time.monotonic()
    assert "src/a.py" in discover(tmp_path).paths
    assert time.monotonic() - began < stretched(2 * QUICK_S)
