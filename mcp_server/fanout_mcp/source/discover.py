"""Which files a request means: names, folders and globs in, relative paths out, never outside the root.

Rules:
1. git's own list (tracked and untracked, not ignored) where there is a repository, else a walk that reads
   .gitignore files. Both name paths below the root only; symlinks are named as skipped, never followed.
2. What nobody means by "all files" (vendored, minified, lock files, media) is left out of folders and globs
   with its reason, and read when it is named itself.
3. A name that matches nothing is an error with the nearest one that exists.
4. A linked worktree below the root is another state of the same files: no part of the project until it, or
   something in it, is named.
5. All of a home, or of a machine, is nobody's project and not walked; single files in it can be named.
"""

from __future__ import annotations

import os
import posixpath
import re
import stat
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from fanout_hooks.client import files
from fanout_mcp.errors import InvalidInput
from fanout_mcp.source.git import BARE, NO_REPOSITORY, Reply, git, names, worktrees
from fanout_mcp.source.secrets import is_secret_path
from fanout_mcp.state import policy

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec


# --- Patterns that name files: `*` within a folder, `**` across folders, `?`, `[abc]`, `{a,b}`. -------------
# A pattern becomes one regular expression that never goes back on a star. The shortest text up to what
# follows a star is as good as any: the next star takes what is left over, in a name as among folders. Only
# the last star of a name and the last `**` may have to take more, and have one place to end. So a hostile
# name costs no more than its length times the pattern's (`re` holds the interpreter's lock, and its thread
# can't be left).

MAX_LENGTH: Final = 400
MAX_STARS: Final = 12
MAX_MEANINGS: Final = 64
"""Patterns without braces that one with braces stands for."""

_SPECIAL: Final = re.compile(r"[*?\[{]")
_CLASS: Final = r"\[[!^]?\]?[^\]/]{0,200}\]"
_TOKEN: Final = re.compile(rf"{_CLASS}|.", re.DOTALL)
_BRACES: Final = re.compile(rf"{_CLASS}|\{{((?:{_CLASS}|[^{{}}])*+)\}}")
"""The first braces that enclose no others; what is in a class is no brace."""
_IN_CLASS: Final = re.compile(r"([\\\[&~|])")


def is_glob(pattern: str) -> bool:
    return bool(_SPECIAL.search(pattern))


@cache
def compiled(pattern: str) -> re.Pattern[str]:
    """Return the pattern as a regular expression for whole relative paths. Raises InvalidInput."""
    if len(pattern) > MAX_LENGTH or pattern.count("*") > MAX_STARS:
        raise InvalidInput(f"The pattern {pattern[:60]!r} is too long or has more than {MAX_STARS} stars.")
    try:
        meanings = {_path(one) for one in _meanings(pattern)}
        return re.compile(rf"(?:{'|'.join(sorted(meanings))})\Z", re.DOTALL)
    except re.error as error:
        raise InvalidInput(f"The pattern {pattern[:60]!r} can't be read: {error}.") from error


def _meanings(pattern: str) -> list[str]:
    """Spell braces out, and a `**` beside other characters as what it means."""
    done: list[str] = []
    left = [re.sub(r"\*{3,}", "**", pattern)]
    while left:
        one = left.pop()
        more = _spelled(one)
        left += more
        done += [] if more else [one]
        if len(left) + len(done) > MAX_MEANINGS:
            raise InvalidInput(f"The pattern {pattern[:60]!r} means more than {MAX_MEANINGS} patterns.")
    return done


def _spelled(pattern: str) -> list[str]:
    braces = next((found for found in _BRACES.finditer(pattern) if found[1] is not None), None)
    if braces:
        before, after = pattern[: braces.start()], pattern[braces.end() :]
        commas = [found.start() for found in _TOKEN.finditer(braces[1]) if found[0] == ","]
        cuts = pairwise([-1, *commas, len(braces[1])])
        return [f"{before}{braces[1][one + 1 : other]}{after}" for one, other in cuts]
    if "{" in _TOKEN.findall(pattern):
        raise re.error("a brace is not closed")
    names = pattern.split("/")
    for place, name in enumerate(names):
        if "**" in name and name != "**":
            before, _, after = name.partition("**")
            meant = ([f"{before}*{after}"], [f"{before}*", "**", f"*{after}"])
            return ["/".join([*names[:place], *one, *names[place + 1 :]]) for one in meant]
    return []


def _path(pattern: str) -> str:
    """Translate a pattern in which `**` is a folder's whole name, or the last one."""
    if pattern == "**" or pattern.endswith("/**"):
        pattern += "/*"
    first, *others = [part.strip("/") for part in re.split(r"(?:(?:^|(?<=/))\*\*(?:/|\Z))+", pattern)]
    head = f"{_names(first)}/" if first else ""
    if not others:
        return _names(first)
    *middle, last = others
    across = "".join(f"(?>(?:[^/]+/)*?{_names(part)}/)" for part in middle)
    return f"{head}{across}(?:[^/]+/)*{_names(last)}"


def _names(pattern: str) -> str:
    return "/".join("".join(_name(name)) for name in pattern.split("/"))


def _name(pattern: str) -> Iterator[str]:
    """Translate what stands between two slashes."""
    first, *others = _runs(pattern)
    yield first
    for place, run in enumerate(others, 1):
        yield f"[^/]*{run}" if place == len(others) else f"(?>[^/]*?{run})"


def _runs(pattern: str) -> list[str]:
    """Return what stands between stars; each of it takes a fixed number of characters."""
    runs = [""]
    for piece in _TOKEN.findall(pattern):
        if piece == "*":
            runs.append("")
        elif piece == "?":
            runs[-1] += "[^/]"
        elif len(piece) > 1:
            inside = _IN_CLASS.sub(r"\\\1", piece[1:-1])
            runs[-1] += f"(?!/)[{'^' + inside[1:] if inside[0] in '!^' else inside}]"
        else:
            runs[-1] += re.escape(piece)
    return runs


# --- discover ------------------------------------------------------------------------------------------

DEEPEST: Final = 40
MAX_FILES: Final = 500_000
QUICK_S: Final = 1.5
"""Within it git lists 100,000 files; when it takes longer we look whether something holds it up."""
OWN_STATE: Final = ".claude/fanout/"

VENDORED: Final = "vendored or built"
"""Why a folder's files are left out until it is named."""

_VENDORED: Final = frozenset(
    """node_modules bower_components vendor third_party site-packages __pycache__ .git .hg .svn .tox .venv
    venv .mypy_cache .ruff_cache .pytest_cache dist build target .next .gradle .idea coverage""".split()  # noqa: SIM905 - reads better
)
_LOCKS: Final = frozenset(
    """package-lock.json yarn.lock pnpm-lock.yaml poetry.lock uv.lock Cargo.lock go.sum composer.lock
    Gemfile.lock Pipfile.lock""".split()  # noqa: SIM905 - read as a sentence, both
)
_MEDIA: Final = re.compile(
    r"(?i)\.(?:png|jpe?g|gif|webp|ico|icns|bmp|tiff?|svg|pdf|zip|t?gz|bz2|xz|zst|7z|rar|jar|war|whl|egg|so|dylib|dll"
    r"|exe|bin|o|a|lib|class|pyc|pyo|wasm|woff2?|ttf|otf|eot|mp[34]|m4[av]|wav|ogg|flac|webm|avi|mov|sqlite3?|db"
    r"|parquet|npy|npz|pkl|pickle|h5|onnx|pt|safetensors|mo|po|map|lock|snap|min\.js|min\.css)$"
)


@dataclass(frozen=True, slots=True)
class Found:
    """`paths` relative to the root, with slashes, in the order asked; `skipped`: path to reason."""

    paths: tuple[str, ...]
    skipped: dict[str, str] = field(default_factory=dict)


class Listing(NamedTuple):
    """Every file that git or the ignore files let through."""

    paths: list[str]
    by: str
    """Which of them: `git` or `walk`."""
    problems: dict[str, str]
    """`.git` of each repository that could not be read fully, and why."""


def listing(root: Path) -> Listing:
    """List a project; by a walk where there is no repository, or one that is not read."""
    problems: dict[str, str] = {}
    found = _by_git(root, "", 0, problems)
    if found:  # an ignored folder of a larger repository has an empty list there: it is walked
        return Listing([path for path in dict.fromkeys(found) if not _is_own_state(path)], "git", problems)
    _must_be_a_project(root)
    return Listing(sorted(path for path in _walk(root) if not _is_own_state(path)), "walk", problems)


def _must_be_a_project(root: Path) -> None:
    home = Path(os.path.realpath(Path("~").expanduser()))
    if root in {home, *home.parents}:
        what = "your home" if root == home else "all of this machine" if root == root.parent else "every home"
        raise InvalidInput(
            f"{root} is no project but {what}. Begin in the project's folder, or set CLAUDE_PROJECT_DIR to "
            "it; single files can be named here, too."
        )


def _is_own_state(path: str) -> bool:
    return path.startswith(OWN_STATE) or f"/{OWN_STATE}" in path


def discover(root: Path, patterns: Sequence[str] | None = None) -> Found:
    """Find what the patterns mean; None: everything. Raises InvalidInput for what matches nothing."""
    is_each_named = patterns is not None and all(
        _kind(root, relative(root, one)) == "file" for one in patterns
    )
    listed = Listing([], "", {}) if is_each_named else listing(root)
    every = listed.paths
    wanted: dict[str, bool] = {}
    if patterns is None:
        wanted = dict.fromkeys(every, False)
    else:
        for pattern in patterns:
            for path, is_named in _matching(root, pattern, every):
                wanted[path] = wanted.get(path, False) or is_named
    skipped = dict(listed.problems)
    paths = []
    real = os.path.realpath(root)
    for path, is_named in wanted.items():
        reason = _reason(real, path, is_named=is_named)
        if reason:
            skipped[path] = reason
        else:
            paths.append(path)
    return Found(tuple(paths), skipped)


def reasons(skipped: Iterable[str]) -> dict[str, int]:
    """Count reasons, most frequent first."""
    return dict(Counter(skipped).most_common())


def relative(root: Path, text: str) -> str:
    """Return a user's path below the root, "" for the root itself. Raises InvalidInput for one outside."""
    if "\0" in text or not text.strip():
        raise InvalidInput("A path is empty or holds a NUL.")
    joined = os.path.normpath(os.path.join(root, text))  # noqa: PTH118 - by text alone: links stay unresolved
    top = str(root)
    if joined == top:
        return ""
    if not joined.startswith(top.rstrip("/") + "/"):
        raise InvalidInput(f"{text[:120]!r} is outside {root}; only files below it are read.")
    return joined[len(top.rstrip("/")) + 1 :]


def _matching(root: Path, pattern: str, every: list[str]) -> Iterator[tuple[str, bool]]:
    """Yield paths, and whether the pattern names the file itself."""
    path = relative(root, pattern)
    if not path:
        yield from ((name, False) for name in every)
        return
    # A file's own name may hold brackets or stars; what exists is meant literally.
    kind = _kind(root, path)
    if kind == "folder":
        below = path + "/"
        inside = [name for name in every if name.startswith(below)] or _within_linked(root, below)
        yield from ((name, False) for name in inside or sorted(below + name for name in _walk(root / path)))
        return
    if kind is not None:
        yield path, True
        return
    if is_glob(path):
        match = compiled(path).match
        found = [name for name in every if match(name)]
        if found:
            yield from ((name, False) for name in found)
            return
        raise InvalidInput(f"Nothing matches {pattern[:120]!r} below {root}.{_hint(path, every)}")
    raise InvalidInput(f"There is no {pattern[:120]!r} below {root}.{_hint(path, every)}")


def _hint(path: str, every: list[str]) -> str:
    near = nearest(path, every)
    return f" Nearest: {', '.join(near)}." if near else ""


def nearest(path: str, every: Iterable[str]) -> list[str]:
    """Return up to three existing names: the same file elsewhere, else the most similar."""
    by_name: dict[str, list[str]] = {}
    for other in list(every)[:20_000]:
        by_name.setdefault(other.rpartition("/")[2], []).append(other)
    name = path.rpartition("/")[2]
    similar = [name] if name in by_name else get_close_matches(name, by_name, 3, 0.7)
    return [other for close in similar for other in by_name[close]][:3]


def _kind(root: Path, path: str) -> str | None:
    """`folder`, `file` or `other` as lstat says; None when there is nothing, or a symlink is on the way."""
    current = str(root)
    mode = 0
    parts = path.split("/")
    for position, part in enumerate(parts):
        current += "/" + part
        try:
            mode = os.lstat(current).st_mode
        except (OSError, ValueError):
            return None
        if stat.S_ISLNK(mode) and position < len(parts) - 1:
            return None
    if stat.S_ISDIR(mode):
        return "folder"
    return "file" if stat.S_ISREG(mode) else "other"


def _reason(root: str, path: str, *, is_named: bool) -> str:
    """Say why a file below the root (a path without links) is not read, "" where it is."""
    if is_secret_path(path):
        return "secret file"
    if not is_named:
        if _is_own_state(path):
            return "fanout's own state"
        parts = path.split("/")
        if not _VENDORED.isdisjoint(parts[:-1]):
            return VENDORED
        if parts[-1] in _LOCKS or _MEDIA.search(parts[-1]):
            return "generated, locked or media"
    try:
        status = os.lstat(f"{root}/{path}")
        mode, links = status.st_mode, status.st_nlink
    except (OSError, ValueError):
        return "not there"
    if stat.S_ISLNK(mode):
        return "symlink"
    if not stat.S_ISREG(mode):
        return "not a regular file"
    return policy.kept_in(f"{root}/{path}", links)


def _by_git(root: Path, below: str, depth: int, problems: dict[str, str]) -> list[str] | None:
    listed = _listed(root)
    if listed.problem:
        if listed.problem not in {NO_REPOSITORY, BARE}:
            problems[f"{below}.git"] = f"files found without git: {listed.problem}"
        return None
    paths: list[str] = []
    for name in names(listed.output)[:MAX_FILES]:
        if not {"", ".", ".."}.isdisjoint(name.rstrip("/").split("/")):
            continue  # an index can be crafted; git itself never writes such a name
        if name.endswith("/") or (not posixpath.splitext(name)[1] and _kind(root, name) == "folder"):
            # A submodule, or a repository inside this one: it has its own list.
            inner = name.rstrip("/") + "/"
            if is_linked(root / inner):
                continue
            nested = _by_git(root / inner, below + inner, depth + 1, problems) if depth < 5 else None
            found = nested if nested is not None else [below + inner + path for path in _walk(root / inner)]
            paths += found
        else:
            paths.append(below + name)
    return paths


def _listed(root: Path) -> Reply:
    """Ask git for its list; not for long where a FIFO in place of a .gitignore would hold it up for ever."""
    list_files = ("ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate")
    began = time.monotonic()
    reply = git(root, *list_files, timeout_s=QUICK_S)
    if reply.problem and time.monotonic() - began >= QUICK_S and not _has_odd_ignore(root):
        return git(root, *list_files)
    return reply


def _has_odd_ignore(root: Path) -> bool:
    """Whether some .gitignore is no file: git opens it all the same, and waits."""
    stack, count = [str(root)], 0
    while stack and count < MAX_FILES:
        try:
            with os.scandir(stack.pop()) as entries:
                for entry in entries:
                    count += 1
                    if entry.is_dir(follow_symlinks=False):
                        stack.append(entry.path)
                    elif entry.name == ".gitignore" and not entry.is_file(follow_symlinks=False):
                        return True
        except OSError:
            continue
    return False


def is_linked(folder: Path) -> bool:
    """Tell a linked worktree: its .git is a file that leads into the `worktrees` of another repository."""
    try:
        head = files.read(folder / ".git", 4096)
    except OSError:
        return False
    return re.match(rb"gitdir: .*[/\\]worktrees[/\\][^/\\]+\s*$", head) is not None


def _within_linked(root: Path, below: str) -> list[str]:
    """Return what git lists below a folder in a linked worktree inside the root; else nothing."""
    parts = below.rstrip("/").split("/")
    for end in range(1, len(parts) + 1):
        inner = "/".join(parts[:end]) + "/"
        if is_linked(root / inner):
            return [path for path in _by_git(root / inner, inner, 1, {}) or () if path.startswith(below)]
    return []


def tree_of(root: Path, named: Sequence[str] | None) -> tuple[Path, list[str] | None]:
    """Return the tree that a call reads and its names in there: another worktree, if that is named.

    Names that lead out of the root are taken when all of them are in one worktree of the same repository,
    as git lists them; otherwise they stay as they are, and are refused where they are read.
    """
    if not named or not any(name.startswith(("/", "..")) for name in named):
        return root, list(named) if named is not None else None
    places = [os.path.normpath(os.path.join(root, name)) for name in named]  # noqa: PTH118 - by text alone
    for tree in worktrees(root):
        if tree != root and all(place == str(tree) or place.startswith(f"{tree}/") for place in places):
            return tree, [os.path.relpath(place, tree) for place in places]
    return root, list(named)


def tree_name(root: Path) -> str:
    """Name the tree that was read where a repository has several: its folder and its branch; else ""."""
    trees = worktrees(root)
    if len(trees) < 2:
        return ""
    branch = git(root, "rev-parse", "--abbrev-ref", "HEAD").output.decode("utf-8", "replace").strip()
    return f"{root} (branch {branch})" if branch and branch != "HEAD" else str(root)


def _walk(root: Path) -> Iterator[str]:
    """Walk without git: .gitignore files are obeyed, folder by folder, and no symlink is followed."""
    stack: list[tuple[str, tuple[tuple[str, GitIgnoreSpec], ...]]] = [("", ())]
    count = 0
    while stack and count < MAX_FILES:
        folder, specs = stack.pop()
        try:
            with os.scandir(root / folder) as entries:
                inside = sorted(entries, key=lambda entry: entry.name)
        except OSError:
            continue
        if any(entry.name == ".gitignore" and entry.is_file(follow_symlinks=False) for entry in inside):
            specs = (*specs, (folder, _ignore(root, folder + ".gitignore")))
        for entry in inside:
            path = folder + entry.name
            is_folder = entry.is_dir(follow_symlinks=False)
            if entry.name == ".git" or _is_ignored(path + "/" * is_folder, specs):
                continue
            if is_folder:
                if path.count("/") < DEEPEST and not _is_own_state(path + "/"):
                    stack.append((path + "/", specs))
            else:
                count += 1
                yield path


def _ignore(root: Path, path: str) -> GitIgnoreSpec:
    from pathspec import GitIgnoreSpec

    from fanout_mcp.source.read import Skipped, read_bytes

    data = read_bytes(root, path, at_most=100_000)
    lines = [] if isinstance(data, Skipped) else data.decode("utf-8", "replace").splitlines()
    try:
        return GitIgnoreSpec.from_lines(lines)
    except ValueError:  # one bad pattern: git ignores that line, we ignore the file
        return GitIgnoreSpec.from_lines([])


def _is_ignored(path: str, specs: tuple[tuple[str, GitIgnoreSpec], ...]) -> bool:
    """The innermost .gitignore that has an opinion decides."""
    for folder, spec in reversed(specs):
        include = spec.check_file(path[len(folder) :]).include
        if include is not None:
            return include
    return False
