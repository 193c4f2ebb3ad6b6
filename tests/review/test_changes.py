"""What changed since a ref is found without letting the repository run anything."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanout_mcp.errors import InvalidInput
from fanout_mcp.review.gather import Old, Tree, blob_id, compare, old_texts, resolve, tree_at

ENVIRONMENT = {
    **os.environ,
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@b",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@b",
}


def git(root: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=root, env=ENVIRONMENT, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q", "-b", "trunk")
    (tmp_path / "a.py").write_text("one\ntwo\nthree\n")
    git(tmp_path, "add", "a.py")
    git(tmp_path, "commit", "-q", "-m", "first")
    return tmp_path


def listed(root: Path, ref: str) -> Tree:
    found = tree_at(root, resolve(root, ref))
    assert isinstance(found, Tree)
    return found


def test_a_ref_is_a_commit_whose_files_are_known_by_their_content(repository: Path) -> None:
    (path, old), *rest = listed(repository, "trunk").files.items()
    assert (path, rest) == ("a.py", [])
    assert old.blob == blob_id(b"one\ntwo\nthree\n", old.blob)
    assert old_texts([old]) == ["one\ntwo\nthree\n"]


def test_what_the_base_s_branch_gained_since_is_no_change_of_ours(repository: Path) -> None:
    git(repository, "checkout", "-q", "-b", "feature")
    git(repository, "checkout", "-q", "trunk")
    (repository / "a.py").write_text("one\n2\nthree\n")
    git(repository, "commit", "-q", "-a", "-m", "on trunk")
    git(repository, "checkout", "-q", "feature")
    (old,) = listed(repository, "trunk").files.values()
    assert old_texts([old]) == ["one\ntwo\nthree\n"]


def test_a_submodule_s_files_are_compared_with_the_commit_that_the_base_names(
    repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    library = tmp_path_factory.mktemp("library")
    git(library, "init", "-q", "-b", "trunk")
    (library / "b.py").write_text("b = 1\n")
    git(library, "add", ".")
    git(library, "commit", "-q", "-m", "first")
    git(repository, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(library), "lib")
    git(repository, "commit", "-q", "-m", "with library")
    found = listed(repository, "HEAD")
    assert set(found.files) == {"a.py", ".gitmodules", "lib/b.py"}
    assert old_texts(list(found.files.values()))[-1] == "b = 1\n"
    git(repository, "submodule", "--quiet", "deinit", "--force", "lib")
    assert listed(repository, "HEAD").unknown == ("lib/",)


def test_a_bare_clone_has_no_files_to_compare(
    repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    bare = tmp_path_factory.mktemp("bare")
    git(bare, "clone", "-q", "--bare", str(repository), ".")
    with pytest.raises(InvalidInput, match="bare repository"):
        resolve(bare, "trunk")


def test_a_shallow_clone_compares_what_it_has_and_says_what_it_lacks(
    repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    git(repository, "commit", "-q", "--allow-empty", "-m", "second")
    shallow = tmp_path_factory.mktemp("shallow")
    git(shallow, "clone", "-q", "--depth", "1", repository.as_uri(), ".")
    assert set(listed(shallow, "HEAD").files) == {"a.py"}
    with pytest.raises(InvalidInput, match="shallow"):
        resolve(shallow, "HEAD~1")


def test_all_old_texts_are_had_by_two_processes(
    repository: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    texts = [f"number = {number}\n\n" * number for number in range(40)]
    for number, text in enumerate(texts):
        (repository / f"m{number:02}.py").write_text(text)
    (repository / "z.bin").write_bytes(b"x" * 1_000_001)
    git(repository, "add", ".")
    git(repository, "commit", "-q", "-m", "more")
    found = listed(repository, "trunk").files
    folder = tmp_path_factory.mktemp("bin")
    fake, log = folder / "git", folder / "log"
    fake.write_text(f'#!/bin/sh\necho "$@" >> {log}\nPATH={os.environ["PATH"]} exec git "$@"\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
    unknown = Old("0" * 40, repository)
    asked = [*(found[f"m{number:02}.py"] for number in range(40)), unknown, found["z.bin"], found["a.py"]]
    assert old_texts(asked) == [*texts, None, "", "one\ntwo\nthree\n"]
    assert len(log.read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("ref", "sentence"),
    [
        ("--output=x", "not begin with -"),
        ("", "must be a branch"),
        ("a b", "must be a branch"),
        ("trnk", "Nearest: trunk"),
        ("0" * 40, "no commit"),
    ],
)
def test_a_bad_ref_is_refused_with_the_way_out(repository: Path, ref: str, sentence: str) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        resolve(repository, ref)


def test_a_folder_without_git_says_so(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="needs a git repository"):
        resolve(tmp_path, "main")


def test_a_hostile_configuration_runs_nothing(repository: Path) -> None:
    trap = repository / "trap"
    for name in ("core.fsmonitor", "diff.external", "filter.x.clean", "diff.x.textconv"):
        git(repository, "config", name, f"touch {trap}; cat")
    (repository / ".gitattributes").write_text("* filter=x diff=x\n")
    old_texts([listed(repository, "trunk").files["a.py"]])
    assert not trap.exists()


@pytest.mark.parametrize(
    ("old", "new", "lines"),
    [
        ("a\nb\nc", "a\nB\nc", [2]),
        ("a\nb", "a\nb\nc", [3]),
        ("a\nb\nc", "a\nc", []),
        ("a\r\nb", "a\nb", []),
        ("", "a\nb", [1, 2]),
        ("a\n  b\nc", "a\n\tb\nc", []),
    ],
)
def test_lines_that_the_old_text_has_not_are_changed(old: str, new: str, lines: list[int]) -> None:
    assert compare({"old": old, "new": new})["added"] == lines


@given(st.lists(st.sampled_from("abc"), max_size=20), st.lists(st.sampled_from("abc"), max_size=20))
def test_every_line_that_is_not_changed_stands_in_the_old_text_in_order(
    old: list[str], new: list[str]
) -> None:
    changed = set(compare({"old": "\n".join(old), "new": "\n".join(new)})["added"])
    rest = iter("\n".join(old).split("\n"))
    assert all(line in rest for n, line in enumerate("\n".join(new).split("\n"), 1) if n not in changed)
