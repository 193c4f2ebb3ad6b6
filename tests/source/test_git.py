"""How git is asked: repositories of every legitimate form are read, and none through a trick."""

from __future__ import annotations

import ast
import os
from pathlib import Path

import pytest

from fakes.repositories import git as plain
from fakes.repositories import partial, whole
from fanout_mcp.review.gather import Tree, old_texts, resolve, tree_at
from fanout_mcp.source import git as module
from fanout_mcp.source.discover import discover, listing
from fanout_mcp.source.git import (
    BARE,
    NO_GIT,
    NO_REPOSITORY,
    PARTIAL,
    Repository,
    git,
    history,
    repository,
)

SOURCES = [
    path
    for folder in ("mcp_server", "hooks")
    for path in sorted((Path(__file__).parents[2] / folder).rglob("*.py"))
]


VERSION = tuple(map(int, plain(Path.cwd(), "version").split()[2].split(".")[:2]))
NEWER_FORMS = ["reftable"] if VERSION >= (2, 46) else []


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return whole(tmp_path / "source")


def counted(root: Path) -> tuple[dict[str, int], str]:
    found = history(root)
    return found.commits, found.problem


def is_read_by_git(root: Path, commits: int = 3) -> bool:
    found = tree_at(root, resolve(root, "HEAD"))
    assert isinstance(found, Tree)
    return (
        listing(root) == (["a.py", "lib/b.py"], "git", {})
        and counted(root) == ({"a.py": commits, "lib/b.py": commits}, "")
        and old_texts(list(found.files.values())) == [f"def {x}():\n    return 2\n" for x in "ab"]
    )


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_no_other_code_starts_git(path: Path) -> None:
    if path.name == "git.py" and path.parent.name == "source":
        return
    if path.name == "demo.py":  # makes a repository of its own, and reads no settings for it
        return
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.List | ast.Tuple) and node.elts:
            first = node.elts[0]
        elif isinstance(node, ast.Call) and node.args:
            first = node.args[0]
        else:
            continue
        command = first.value if isinstance(first, ast.Constant) else None
        assert not (isinstance(command, str) and (command == "git" or command.startswith("git "))), (
            node.lineno
        )


# --- Repositories of people who mean no harm ----------------------------------------------------------------


def test_a_plain_repository_is_read(source: Path) -> None:
    assert is_read_by_git(source)
    assert discover(source / "lib", ["b.py"]).paths == ("b.py",)
    assert history(source / "lib").commits == {"b.py": 3}


def test_a_linked_worktree_is_read(source: Path, tmp_path: Path) -> None:
    plain(source, "worktree", "add", "-q", "-b", "side", str(tmp_path / "linked"))
    assert is_read_by_git(tmp_path / "linked")


def test_a_worktree_of_a_bare_repository_is_read(source: Path, tmp_path: Path) -> None:
    plain(tmp_path, "clone", "-q", "--bare", str(source), "home/.bare")
    plain(tmp_path / "home" / ".bare", "worktree", "add", "-q", "../main", "trunk")
    (tmp_path / "home" / ".git").write_text("gitdir: ./.bare\n")
    assert is_read_by_git(tmp_path / "home" / "main")
    assert repository(tmp_path / "home") == BARE


def test_a_worktree_with_relative_paths_is_read(source: Path, tmp_path: Path) -> None:
    linked = tmp_path / "linked"
    plain(source, "worktree", "add", "-q", "--detach", str(linked))
    (linked / ".git").write_text("gitdir: ../source/.git/worktrees/linked\n")
    (source / ".git" / "worktrees" / "linked" / "gitdir").write_text("../../../../linked/.git\n")
    assert is_read_by_git(linked)


def test_a_submodule_is_read_from_above_and_on_its_own(source: Path, tmp_path: Path) -> None:
    outer = whole(tmp_path / "outer")
    plain(outer, "submodule", "--quiet", "add", str(source), "sub")
    plain(outer, "commit", "-q", "-m", "with sub")
    assert is_read_by_git(outer / "sub")
    found = tree_at(outer, resolve(outer, "HEAD"))
    assert isinstance(found, Tree)
    assert {"sub/a.py", "sub/lib/b.py"} < set(found.files)
    plain(outer, "submodule", "--quiet", "absorbgitdirs")
    assert "sub/a.py" in discover(outer).paths


def test_a_git_directory_elsewhere_is_read_when_it_names_the_folder(source: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    plain(tmp_path, "clone", "-q", f"--separate-git-dir={tmp_path / 'separate'}", str(source), str(work))
    found = repository(work)
    assert isinstance(found, str)
    assert "does not name" in found
    plain(work, "config", "core.worktree", str(work))
    assert is_read_by_git(work)


def test_objects_borrowed_from_another_clone_are_read(source: Path, tmp_path: Path) -> None:
    plain(tmp_path, "clone", "-q", "--shared", str(source), "borrower")
    assert is_read_by_git(tmp_path / "borrower")


@pytest.mark.parametrize("form", ["sha256", "split index", "packed", "shallow", *NEWER_FORMS])
def test_every_form_of_storage_is_read(source: Path, tmp_path: Path, form: str) -> None:
    root, commits = source, 3
    if form == "sha256":
        root, commits = tmp_path / "sha256", 1
        plain(tmp_path, "init", "-q", "--object-format=sha256", "sha256")
        for name, text in {
            "a.py": "def a():\n    return 2\n",
            "lib/b.py": "def b():\n    return 2\n",
        }.items():
            (root / name).parent.mkdir(exist_ok=True)
            (root / name).write_text(text)
        plain(root, "add", ".")
        plain(root, "commit", "-q", "-m", "x")
    elif form == "split index":
        plain(root, "update-index", "--split-index")
    elif form == "packed":
        plain(root, "gc", "-q")
    elif form == "shallow":
        root, commits = tmp_path / "shallow", 1
        plain(tmp_path, "clone", "-q", "--depth=1", source.as_uri(), "shallow")
    else:
        plain(root, "refs", "migrate", "--ref-format=reftable")
    assert is_read_by_git(root, commits)


@pytest.mark.parametrize(
    "ref", ["HEAD~1", "other", "@{1}", "@{upstream}", "other@{0}", "ORIG_HEAD", "v1", "origin/trunk"]
)
def test_every_way_to_name_a_commit_works(source: Path, tmp_path: Path, ref: str) -> None:
    plain(source, "tag", "-a", "-m", "one", "v1", "HEAD~1")
    plain(tmp_path, "clone", "-q", str(source), "clone")
    root = tmp_path / "clone"
    plain(root, "branch", "-q", "other", "origin/other")
    plain(root, "commit", "-q", "--allow-empty", "-m", "mine")
    plain(root, "reset", "-q", "--soft", "HEAD")
    assert resolve(root, ref) == plain(root, "merge-base", "HEAD", ref).strip()


def test_the_users_own_ignore_file_counts_and_that_of_the_repository_s_config_does_not(source: Path) -> None:
    home = Path(os.environ["HOME"])
    for name in ("notes.txt", "built.txt", "kept.txt", "own.txt"):
        (source / name).write_text("x")
    (source / ".git" / "info" / "exclude").write_text("own.txt\n")
    (home / ".config" / "git").mkdir(parents=True)
    (home / ".config" / "git" / "ignore").write_text("notes.txt\n")
    (source / "evil").write_text("*\n")
    plain(source, "config", "core.excludesFile", str(source / "evil"))
    assert set(listing(source).paths) == {"a.py", "lib/b.py", "built.txt", "kept.txt", "evil"}
    (home / ".gitignore_global").write_text("built.txt\n")
    (home / ".gitconfig").write_text("[core]\n\texcludesFile = ~/.gitignore_global\n")
    assert set(listing(source).paths) == {"a.py", "lib/b.py", "notes.txt", "kept.txt", "evil"}


# --- Repositories of people who do --------------------------------------------------------------------------


@pytest.fixture
def private(tmp_path: Path) -> Path:
    """A repository of the user's that a project has no business with."""
    root = whole(tmp_path / "private")
    plain(root, "branch", "codename-osprey")
    return root


def _by_file(project: Path, private: Path) -> None:
    (project / ".git").write_text(f"gitdir: {private / '.git'}\n")


def _by_link(project: Path, private: Path) -> None:
    (project / ".git").symlink_to(private / ".git")


def _by_common_folder(project: Path, private: Path) -> None:
    (project / ".git").mkdir()
    (project / ".git" / "HEAD").write_text("ref: refs/heads/trunk\n")
    (project / ".git" / "commondir").write_text(f"{private / '.git'}\n")
    (project / ".git" / "gitdir").write_text(f"{project / '.git'}\n")
    for name in ("objects", "refs"):
        (project / ".git" / name).mkdir()


def _by_another_worktree(project: Path, private: Path) -> None:
    plain(private, "worktree", "add", "-q", "--detach", str(project.parent / "linked"))
    (project / ".git").write_text(f"gitdir: {private / '.git' / 'worktrees' / 'linked'}\n")


@pytest.mark.parametrize("plant", [_by_file, _by_link, _by_common_folder, _by_another_worktree])
def test_a_project_cannot_pass_for_another_repository(tmp_path: Path, private: Path, plant: object) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "a.py").write_text("a = 1\n")
    assert callable(plant)
    plant(project, private)
    found = listing(project)
    assert (found.paths, found.by) == (["a.py"], "walk")
    assert "does not name" in found.problems[".git"]
    assert git(project, "for-each-ref").output == b""
    assert history(project).commits == {}


@pytest.mark.parametrize(
    "content", [b"", b"gitdir: ", b"gitdir: /\n", b"gitdir: \0\n", b"\xff" * 9000, b"gitdir: ../nowhere"]
)
def test_a_damaged_git_file_is_named_and_files_are_found_without_it(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.py").write_text("a = 1\n")
    (tmp_path / ".git").write_bytes(content)
    found = listing(tmp_path)
    assert (found.paths, found.by, list(found.problems)) == (["a.py"], "walk", [".git"])


def test_a_repository_of_another_user_counts_only_when_ones_own_configuration_says_so(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    plain(source, "config", "safe.directory", "*")
    assert "another user" in listing(source).problems[".git"]
    own = Path(os.environ["HOME"]) / ".gitconfig"
    for value in (str(source), "*", f"{source.parent}/*"):
        own.write_text(f"[safe]\n\tdirectory = {value}\n")
        assert isinstance(repository(source), Repository)
    own.write_text("[safe]\n\tdirectory = /elsewhere\n")
    assert isinstance(repository(source), str)


def test_a_git_that_the_project_ships_is_not_run(
    source: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for folder in ("node_modules/.bin", ".venv/bin", "bin"):
        (source / folder).mkdir(parents=True)
        (source / folder / "git").write_text(f"#!/bin/sh\ntouch {tmp_path / 'sprung'}\n")
        (source / folder / "git").chmod(0o755)
    (tmp_path / "way in").symlink_to(source / "bin")
    planted = [source / "node_modules" / ".bin", source / ".venv" / "bin", tmp_path / "way in"]
    monkeypatch.chdir(source / "bin")
    monkeypatch.setenv("PATH", ":".join(["", ".", *map(str, planted)]))
    assert git(source, "log").problem == NO_GIT
    monkeypatch.setenv("PATH", ":".join(["", ".", *map(str, planted), "/usr/local/bin:/usr/bin:/bin"]))
    assert "a.py" in listing(source).paths
    assert not (tmp_path / "sprung").exists()


def test_replaced_objects_are_read_as_they_are(source: Path) -> None:
    plain(source, "replace", "HEAD", "HEAD~2")
    assert history(source).commits == {"a.py": 3, "lib/b.py": 3}


@pytest.mark.parametrize(
    "key",
    [
        "core.fsmonitor",
        "remote.origin.url",
        "url.x.insteadOf",
        "include.path",
        "remote.origin.promisor",
        'branch.a"]b.merge',
    ],
)
def test_of_the_configuration_only_names_and_format_are_carried(source: Path, key: str) -> None:
    value = 'x"\n[core]\n\tfsmonitor = "evil'
    plain(source, "config", key, value)
    found = repository(source)
    assert isinstance(found, Repository)
    (source / "written").write_text(module._carried(found))
    rows = plain(source, "config", "--file", "written", "--null", "--list").split("\0")
    keys = {row.partition("\n")[0] for row in rows if row}
    assert keys <= {
        "core.repositoryformatversion", "core.bare", "core.hookspath", "core.fsmonitor",
        "core.untrackedcache",
        "core.quotepath", "core.excludesfile", "protocol.allow", "submodule.recurse", 'branch.a"]b.merge',
    }  # fmt: skip
    assert "core.fsmonitor\nfalse" in rows


def test_a_repository_that_blocks_its_reader_costs_the_deadline(source: Path) -> None:
    (source / ".git" / "refs" / "heads" / "trunk").unlink()
    os.mkfifo(source / ".git" / "refs" / "heads" / "trunk")
    assert "was not done after 0.5 s" in git(source, "log", timeout_s=0.5).problem


def test_output_has_a_bound(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_OUTPUT", 10)
    assert len(git(source, "log").output) == 10
    assert "printed more" in git(source, "log").problem


# --- What could not be read is reported ---------------------------------------------------------------------


def test_where_there_is_no_repository_nothing_is_reported(tmp_path: Path) -> None:
    assert git(tmp_path, "log").problem == NO_REPOSITORY
    assert counted(tmp_path) == ({}, "")
    plain(tmp_path, "init", "-q")
    assert counted(tmp_path) == ({}, "")


def test_a_partial_clone_says_what_it_lacks(source: Path, tmp_path: Path) -> None:
    treeless = partial(source, tmp_path / "treeless")
    assert history(treeless).problem == PARTIAL
    assert tree_at(treeless, resolve(treeless, "HEAD~1")) == PARTIAL
    blobless = partial(source, tmp_path / "blobless", "blob:none")
    assert is_read_by_git(blobless)
    found = tree_at(blobless, resolve(blobless, "HEAD~1"))
    assert isinstance(found, Tree)
    assert old_texts(list(found.files.values())) == [None, None]


def test_a_clone_with_lost_objects_says_so(source: Path) -> None:
    for name in plain(source, "rev-list", "--objects", "HEAD~1").split():
        (source / ".git" / "objects" / name[:2] / name[2:]).unlink(missing_ok=True)
    assert "could not read it" in history(source).problem


def test_subjects_of_commits_are_kept_for_each_path_but_not_those_of_mass_changes(tmp_path: Path) -> None:
    plain(tmp_path, "init", "-q")
    (tmp_path / "a.py").write_text("1")
    (tmp_path / "b.py").write_text("1")
    plain(tmp_path, "add", "-A")
    plain(tmp_path, "commit", "-qm", "Begin")
    (tmp_path / "a.py").write_text("2")
    for number in range(30):
        (tmp_path / f"mass{number}.py").write_text("1")
    plain(tmp_path, "add", "-A")
    plain(tmp_path, "commit", "-qm", "Change everything")
    (tmp_path / "b.py").write_text("2")
    plain(tmp_path, "commit", "-qam", "Fix the total")
    assert history(tmp_path).subjects == {"a.py": ["Begin"], "b.py": ["Fix the total", "Begin"]}
    assert history(tmp_path / "nowhere").subjects == {}
