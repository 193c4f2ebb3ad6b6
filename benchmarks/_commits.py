"""Real changes to measure on: what a commit's message says, and the one source file that the commit changed.

`corpus/source/commits.txt` lists them; they were drawn at random before anything was measured on them. A task
is judged in the repository as it was before its commit, from a clone that git makes once in the user's cache.

    python -m benchmarks._commits COUNT OWNER/NAME...      draws, and prints the list
"""

from __future__ import annotations

import random
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from benchmarks._packages import CACHE
from benchmarks.table import Row
from fanout_mcp.source.kinds import kind_of
from fanout_mcp.structure.languages import language_of

LISTED = Path(__file__).parent / "corpus" / "source" / "commits.txt"
"""A block a repository: `== OWNER/NAME`, then a commit a line."""

MIN_WORDS = 6
"""Words that a message has at least: "Fix lint" asks for nothing."""

_NO_CHANGE = re.compile(
    r"(?i)^(?:merge|revert|bump|release|prepare|update (?:changelog|version|dep)|chore|style|ci\b|docs?\b)"
)
"""How messages begin that ask for no change of behaviour."""

_FILE_NAME = re.compile(r"[\w@.\-]*/[\w@./\-]+|\b[\w\-]+\.(?:[a-z]{1,5}|[A-Z][a-z]{1,4})\b(?!\()")


@dataclass(frozen=True, slots=True)
class Task:
    """`text`: the message without names of files. `line`: where the change begins in the file before it."""

    repository: str
    language: str
    commit: str
    text: str
    changed: str
    line: int


def tasks() -> Iterator[Task]:
    """Yield the tasks of every repository that is here; `missing` names the others."""
    absent = missing()
    for repository, commits in _listed().items():
        for commit in commits if repository not in absent else ():
            task = _task(repository, commit)
            if task is not None:
                yield task


@cache
def missing() -> frozenset[str]:
    """Clone what is not here, and return the repositories that can't be cloned: their tasks are not run."""
    absent = set()
    for repository in _listed():
        try:
            clone(repository)
        except subprocess.SubprocessError:
            absent.add(repository)
    return frozenset(absent)


def not_run(what: str) -> Iterator[Row]:
    """Say what a figure leaves out; nothing where everything was here."""
    if missing():
        yield Row(f"{what}: not run", ", ".join(sorted(missing())), "no clone of them could be made")


def _listed() -> dict[str, list[str]]:
    blocks = (block.split() for block in LISTED.read_text("utf-8").split("== ")[1:])
    return {repository: commits for repository, *commits in blocks}


def clone(repository: str) -> Path:
    """Return the git folder of a repository, cloned once without a work tree."""
    folder = CACHE / "git" / repository.replace("/", "+")
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        source = f"https://github.com/{repository}.git"
        subprocess.run(["git", "clone", "--quiet", "--bare", source, str(folder)], check=True, timeout=900)
    return folder


def before(task: Task, folder: Path) -> Path | None:
    """Check the commit before the change out into a worktree in `folder`; what is the same stays untouched.

    None where the clone lacks objects of it.
    """
    parent = f"{task.commit}~1"
    try:
        if folder.exists():
            git(folder, "checkout", "--quiet", "--force", "--detach", parent)
            git(folder, "clean", "-dfxq")
        else:
            git(clone(task.repository), "worktree", "prune")
            git(clone(task.repository), "worktree", "add", "--quiet", "--detach", str(folder), parent)
    except subprocess.CalledProcessError:
        return None
    return folder


def git(folder: Path, *words: str) -> str:
    command = ["git", "-C", str(folder), "-c", "core.quotePath=false", *words]
    done = subprocess.run(command, check=True, capture_output=True, timeout=300)
    return done.stdout.decode("utf-8", "replace")


def draw(repository: str, count: int, seed: int = 13) -> Iterator[Task]:
    """Draw commits that change one file of product code, whatever else they change in tests and documents."""
    commits = git(clone(repository), "log", "--no-merges", "-4000", "--format=%H").split()[:-1]
    random.Random(seed).shuffle(commits)
    for commit in commits:
        task = _task(repository, commit)
        if count and task is not None:
            yield task
            count -= 1


def _task(repository: str, commit: str) -> Task | None:
    shown = git(
        clone(repository), "show", "--format=%B%x01", "--diff-filter=M", "-U0", "--no-renames", commit
    )
    message, _, diff = shown.partition("\1")
    places = re.findall(r"(?m)^\+\+\+ b/(.+)\n@@ -(\d+)", diff)
    changed = [(path, int(line)) for path, line in places if kind_of(path) == "product" and language_of(path)]
    text = masked(message)
    if len(changed) != 1 or len(text.split()) < MIN_WORDS or _NO_CHANGE.match(message):
        return None
    [(path, line)] = changed
    language = language_of(path)
    return Task(repository, language.name, commit, text, path, max(1, line)) if language else None


def masked(message: str) -> str:
    """Take the names of files, addresses and trailers out of a message."""
    trailer = re.compile(r"[A-Z][\w-]+-by: |Change-Id:|PiperOrigin")
    text = "\n".join(line for line in message.split("\n") if not trailer.match(line))
    return " ".join(_FILE_NAME.sub("_", re.sub(r"https?://\S+", " ", text)).split())[:2_000]


def main(arguments: Sequence[str]) -> None:
    for repository in arguments[1:]:
        commits = [task.commit for task in draw(repository, int(arguments[0]))]
        sys.stdout.write("\n".join([f"== {repository}", *commits, ""]))


if __name__ == "__main__":
    main(sys.argv[1:])
