"""Repositories that try to run a program or to open a connection when somebody looks at them.

A vector is a repository (a whole clone or a partial one), what is planted in it, and the plain git command
that springs it here: a trap that no command springs proves nothing. A trap is a program that leaves a file,
and a port that notices who connects.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

IDENTITY = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "protocol.file.allow=always")
NATIVE_S = 3.0
"""A command that waits for a server which never answers has done what it is there for."""


class Trap:
    """A program and a port; `sprung` says whether either was used since the last look."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.program = folder / "bin" / "trap"
        self.sign = folder / "sprung"
        self.program.parent.mkdir(parents=True)
        self.program.write_text(f'#!/bin/sh\necho "$0 $*" >> "{self.sign}"\nexit 1\n')
        self.program.chmod(0o755)
        for name in ("git-remote-trap", "ssh", "gpg", "less", "vi", "trap-helper"):
            (self.program.parent / name).symlink_to(self.program)
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._socket.setblocking(False)
        self.port = self._socket.getsockname()[1]

    def sprung(self) -> list[str]:
        found = self.sign.read_text().splitlines() if self.sign.exists() else []
        self.sign.unlink(missing_ok=True)
        with suppress(BlockingIOError):
            while True:
                self._socket.accept()[0].close()
                found.append("a connection")
        return found

    def close(self) -> None:
        self._socket.close()


def git(folder: Path, *arguments: str, stdin: str = "") -> str:
    """Run the tester's own git, as nobody in particular."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    done = subprocess.run(
        ["git", *IDENTITY, *arguments],
        cwd=folder,
        env={**kept, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"},
        input=stdin,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def whole(folder: Path) -> Path:
    """A repository of three commits and two branches."""
    folder.mkdir(parents=True)
    git(folder, "init", "-q", "-b", "trunk")
    for number in range(3):
        (folder / "a.py").write_text(f"def a():\n    return {number}\n")
        (folder / "lib").mkdir(exist_ok=True)
        (folder / "lib" / "b.py").write_text(f"def b():\n    return {number}\n")
        git(folder, "add", ".")
        git(folder, "commit", "-q", "-m", f"commit {number}")
    git(folder, "branch", "other", "HEAD~1")
    git(folder, "config", "uploadpack.allowFilter", "true")
    return folder


def partial(source: Path, folder: Path, what: str = "tree:0") -> Path:
    """A clone that lacks what the last commit does not need."""
    git(source.parent, "clone", "-q", f"--filter={what}", source.as_uri(), str(folder))
    return folder


Plant = Callable[[Path, Trap], None]


class Vector(NamedTuple):
    """`native`: the arguments of the git command that springs it, None where this git has none."""

    name: str
    native: Sequence[str] | None
    config: Mapping[str, str] = {}
    files: Mapping[str, str] = {}
    plant: Plant | None = None
    is_partial: bool = False

    def make(self, folder: Path, templates: Mapping[bool, Path], trap: Trap) -> Path:
        """Copy a template and plant the vector in it; return the folder that a user would open."""
        shutil.copytree(templates[self.is_partial], folder, symlinks=True)
        for name, text in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(_filled(text, folder, trap))
            if text.startswith("#!"):
                path.chmod(0o755)
        for key, value in self.config.items():
            git(folder, "config", key, _filled(value, folder, trap))
        if self.plant is not None:
            self.plant(folder, trap)
        return folder / "open" if (folder / "open").is_dir() else folder


def _filled(text: str, folder: Path, trap: Trap) -> str:
    return (
        text.replace("TRAP", str(trap.program)).replace("PORT", str(trap.port)).replace("ROOT", str(folder))
    )


EXT = "ext::TRAP %S x"
EXT_CONFIG = f'[protocol]\n\tallow = always\n[url "{EXT} "]\n\tinsteadOf = file:\n'
LOG = ("log", "--name-only")


def lazy(name: str, url: str, **config: str) -> Vector:
    """A partial clone whose missing objects come from `url`."""
    chosen = {key.replace("_", "."): value for key, value in config.items()}
    return Vector(
        name, LOG, {"protocol.allow": "always", "remote.origin.url": url, **chosen}, is_partial=True
    )


def _append(path: str, text: str) -> Plant:
    def plant(folder: Path, trap: Trap) -> None:
        with (folder / path).open("a") as file:
            file.write(_filled(text, folder, trap))

    return plant


def _change(folder: Path, trap: Trap) -> None:
    (folder / "a.py").write_text("def a():\n    return 99\n")


def _signed(form: str) -> Plant:
    """Put a signature on the last commit that has to be checked by a program."""

    def plant(folder: Path, trap: Trap) -> None:
        head, _, message = git(folder, "cat-file", "commit", "HEAD").partition("\n\n")
        begin, end = f"-----BEGIN {form}-----", f"-----END {form}-----"
        text = f"{head}\ngpgsig {begin}\n \n AAAA\n {end}\n\n{message}"
        made = git(folder, "hash-object", "-t", "commit", "-w", "--stdin", stdin=text).strip()
        git(folder, "update-ref", "refs/heads/trunk", made)

    return plant


def _worktree_config(folder: Path, trap: Trap) -> None:
    (folder / ".git" / "config.worktree").write_text(_filled(EXT_CONFIG, folder, trap))


def _gitfile(folder: Path, trap: Trap) -> None:
    (folder / ".git").rename(folder / "planted")
    (folder / ".git").write_text("gitdir: planted\n")


def _gitlink(folder: Path, trap: Trap) -> None:
    (folder / ".git").rename(folder / "planted")
    (folder / ".git").symlink_to("planted")


def _planted_worktree(folder: Path, trap: Trap) -> None:
    """A worktree of a repository that is itself only files of the project."""
    git(folder, "worktree", "add", "-q", "--detach", "open", "HEAD")
    (folder / ".git").rename(folder / "planted")
    (folder / "open" / ".git").write_text("gitdir: ../planted/worktrees/open\n")


def _bare_inside(folder: Path, trap: Trap) -> None:
    """A bare repository committed into another, whose configuration has a worktree and a monitor."""
    inner = folder / "open"
    git(folder, "clone", "-q", "--bare", ".", "open")
    for key, value in {
        "core.bare": "false",
        "core.worktree": ".",
        "core.fsmonitor": str(trap.program),
    }.items():
        git(folder, "config", "--file", str(inner / "config"), key, value)
    (inner / "a.py").write_text("a = 1\n")


def _nested(**config: str) -> Plant:
    """A repository inside the repository, with its own configuration."""

    def plant(folder: Path, trap: Trap) -> None:
        git(folder, "clone", "-q", ".", "sub")
        commit = git(folder, "rev-parse", "HEAD~1").strip()
        for key, value in config.items():
            git(folder / "sub", "config", key.replace("_", "."), _filled(value, folder, trap))
        git(
            folder,
            "update-index",
            "--add",
            "--cacheinfo",
            f"160000,{commit},sub",
        )

    return plant


def _alternate(folder: Path, trap: Trap) -> None:
    other = folder / "other"
    git(folder, "clone", "-q", "--bare", ".", "other")
    (other / "config").write_text(_filled(EXT_CONFIG, folder, trap))
    (folder / ".git" / "objects" / "info" / "alternates").write_text(f"{other}/objects\n")


def _replaced(folder: Path, trap: Trap) -> None:
    git(folder, "replace", "HEAD", "HEAD~2")


def _merging(folder: Path, trap: Trap) -> None:
    git(folder, "checkout", "-q", "other")
    (folder / "a.py").write_text("def a():\n    return 7\n")
    git(folder, "commit", "-qam", "other way")


HOOKS = ("post-checkout", "post-index-change", "pre-auto-gc", "reference-transaction", "fsmonitor-watchman")
ATTRIBUTES = "* diff=x filter=x merge=x\n"
BROKEN_ATTRIBUTES = "[attr]evil diff=x filter=x merge=x\n* evil\n"

VECTORS = (
    # What is missing is fetched: by every way that git knows to a remote.
    lazy("lazy fetch, ext", EXT),
    lazy("lazy fetch, ext allowed by name", EXT, protocol_ext_allow="always"),
    lazy("lazy fetch, core.sshCommand", "ssh://127.0.0.1/x", core_sshCommand="TRAP"),
    lazy(
        "lazy fetch, core.sshCommand with scp's form", "host:x", core_sshCommand="TRAP", ssh_variant="simple"
    ),
    lazy("lazy fetch, ssh on PATH", "ssh://127.0.0.1:PORT/x"),
    lazy("lazy fetch, git+ssh", "git+ssh://127.0.0.1:PORT/x"),
    lazy("lazy fetch, uploadpack", "file://ROOT/.git", remote_origin_uploadpack="TRAP"),
    lazy("lazy fetch, uploadpack by path", "ROOT/.git", remote_origin_uploadpack="TRAP"),
    lazy("lazy fetch, vcs helper", "x", remote_origin_vcs="trap"),
    lazy("lazy fetch, helper by address", "trap::x"),
    lazy("lazy fetch, helper by scheme", "trap://x"),
    lazy("lazy fetch, core.gitProxy", "git://127.0.0.1/x", core_gitProxy="TRAP"),
    lazy("lazy fetch, git", "git://127.0.0.1:PORT/x"),
    lazy("lazy fetch, http", "http://127.0.0.1:PORT/x"),
    lazy("lazy fetch, https", "https://127.0.0.1:PORT/x"),
    lazy("lazy fetch, ftp", "ftp://127.0.0.1:PORT/x"),
    lazy("lazy fetch, http.proxy", "http://example.invalid/x", http_proxy="http://127.0.0.1:PORT"),
    lazy("lazy fetch, remote proxy", "http://example.invalid/x", remote_origin_proxy="http://127.0.0.1:PORT"),
    Vector(
        "lazy fetch, url.insteadOf",
        LOG,
        {"remote.origin.url": "safe:x", "protocol.allow": "always"},
        plant=_append(".git/config", f'[url "{EXT} "]\n\tinsteadOf = safe:\n'),
        is_partial=True,
    ),
    Vector("include.path", LOG, {"include.path": "../evil"}, {"evil": EXT_CONFIG}, is_partial=True),
    Vector(
        "includeIf gitdir",
        LOG,
        {"includeIf.gitdir:**.path": "../evil"},
        {"evil": EXT_CONFIG},
        is_partial=True,
    ),
    Vector(
        "includeIf onbranch",
        LOG,
        {"includeIf.onbranch:trunk.path": "../evil"},
        {"evil": EXT_CONFIG},
        is_partial=True,
    ),
    Vector(
        "includeIf hasconfig",
        LOG,
        {"includeIf.hasconfig:remote.*.url:**.path": "../evil"},
        {
            "evil": "[protocol]\n\tallow = always\n[core]\n\tsshCommand = TRAP\n"
            '[url "ssh://h/"]\n\tinsteadOf = file:\n'
        },
        is_partial=True,
    ),
    Vector(
        "worktree config", LOG, {"extensions.worktreeConfig": "true"}, plant=_worktree_config, is_partial=True
    ),
    Vector(
        "second promisor",
        LOG,
        {
            "remote.origin.url": "/nonexistent",
            "remote.second.url": EXT,
            "remote.second.promisor": "true",
            "protocol.allow": "always",
        },
        is_partial=True,
    ),
    Vector("bundle URI", None, {"fetch.bundleURI": "http://127.0.0.1:PORT/x"}, is_partial=True),
    Vector(
        "git file, planted directory",
        LOG,
        {"remote.origin.url": EXT, "protocol.allow": "always"},
        plant=_gitfile,
        is_partial=True,
    ),
    # Programs that git runs over what it reads.
    Vector("core.fsmonitor", ("status",), {"core.fsmonitor": "TRAP"}),
    Vector(
        "core.fsmonitor, ls-files",
        ("ls-files", "-o"),
        {"core.fsmonitor": "TRAP", "core.fsmonitorHookVersion": "2"},
    ),
    Vector(
        "core.hooksPath",
        ("checkout", "-q", "other"),
        {"core.hooksPath": "evil"},
        {f"evil/{name}": "#!/bin/sh\nTRAP\n" for name in HOOKS},
    ),
    Vector(
        "hooks of the repository",
        ("checkout", "-q", "other"),
        files={f".git/hooks/{name}": "#!/bin/sh\nTRAP\n" for name in HOOKS},
    ),
    Vector("textconv", ("log", "-p"), {"diff.x.textconv": "TRAP"}, {".gitattributes": ATTRIBUTES}),
    Vector(
        "textconv, cached",
        ("log", "-p"),
        {"diff.x.textconv": "TRAP", "diff.x.cachetextconv": "true"},
        {".gitattributes": ATTRIBUTES},
    ),
    Vector("diff.external", ("diff", "HEAD~1"), {"diff.external": "TRAP"}),
    Vector("diff driver", ("diff", "HEAD~1"), {"diff.x.command": "TRAP"}, {".gitattributes": ATTRIBUTES}),
    Vector("clean filter", ("diff",), {"filter.x.clean": "TRAP"}, {".gitattributes": ATTRIBUTES}, _change),
    Vector(
        "smudge filter",
        ("checkout", "-q", "-f", "other"),
        {"filter.x.smudge": "TRAP"},
        {".gitattributes": ATTRIBUTES},
    ),
    Vector(
        "process filter", ("diff",), {"filter.x.process": "TRAP"}, {".gitattributes": ATTRIBUTES}, _change
    ),
    Vector(
        "attribute macro",
        ("diff",),
        {"filter.x.clean": "TRAP"},
        {".gitattributes": BROKEN_ATTRIBUTES},
        _change,
    ),
    Vector(
        "info/attributes",
        ("diff",),
        {"filter.x.clean": "TRAP"},
        {".git/info/attributes": ATTRIBUTES},
        _change,
    ),
    Vector(
        "core.attributesFile",
        ("diff",),
        {"filter.x.clean": "TRAP", "core.attributesFile": "ROOT/evil"},
        {"evil": ATTRIBUTES},
        _change,
    ),
    Vector(
        "merge driver",
        ("merge", "trunk"),
        {"merge.x.driver": "TRAP"},
        {".git/info/attributes": "* merge=x\n"},
        _merging,
    ),
    Vector("core.pager", None, {"core.pager": "TRAP", "pager.log": "true"}),
    Vector("core.editor", ("commit", "--amend"), {"core.editor": "TRAP"}),
    Vector("sequence.editor", ("rebase", "-i", "HEAD~1"), {"sequence.editor": "TRAP"}),
    Vector(
        "gpg.program",
        ("log", "--show-signature"),
        {"gpg.program": "TRAP", "log.showSignature": "true"},
        plant=_signed("PGP SIGNATURE"),
    ),
    Vector(
        "gpg.ssh.program",
        ("log", "--show-signature"),
        {"gpg.ssh.program": "TRAP", "gpg.ssh.allowedSignersFile": "ROOT/a.py", "log.showSignature": "true"},
        plant=_signed("SSH SIGNATURE"),
    ),
    Vector(
        "gpg.x509.program",
        ("log", "--show-signature"),
        {"gpg.x509.program": "TRAP", "log.showSignature": "true"},
        plant=_signed("SIGNED MESSAGE"),
    ),
    Vector("credential.helper", ("credential", "fill"), {"credential.helper": "!TRAP"}),
    Vector("core.askPass", ("credential", "fill"), {"core.askPass": "TRAP"}),
    Vector(
        "alias", ("harmless",), {"alias.harmless": "!TRAP", "alias.ls-files": "!TRAP", "alias.log": "!TRAP"}
    ),
    Vector("archive", ("archive", "--format=x", "HEAD"), {"tar.x.command": "TRAP"}),
    Vector("core.alternateRefsCommand", None, {"core.alternateRefsCommand": "TRAP"}, plant=_alternate),
    Vector("uploadpack.packObjectsHook", None, {"uploadpack.packObjectsHook": "TRAP"}),
    Vector("interactive.diffFilter", None, {"interactive.diffFilter": "TRAP"}),
    Vector("trailer", None, {"trailer.x.command": "TRAP", "trailer.x.cmd": "TRAP"}),
    Vector(
        "init.templateDir",
        None,
        {"init.templateDir": "ROOT/evil"},
        {"evil/hooks/post-checkout": "#!/bin/sh\nTRAP\n"},
    ),
    Vector("trace2", None, {"trace2.eventTarget": "ROOT/evil", "trace2.normalTarget": "af_unix:ROOT/socket"}),
    # Where the repository is.
    Vector("core.worktree", ("status",), {"core.worktree": "/", "core.fsmonitor": "TRAP"}),
    Vector("safe.directory", ("status",), {"safe.directory": "*", "core.fsmonitor": "TRAP"}),
    Vector("git file", ("status",), {"core.fsmonitor": "TRAP"}, plant=_gitfile),
    Vector("git link", ("status",), {"core.fsmonitor": "TRAP"}, plant=_gitlink),
    Vector("worktree of planted files", ("status",), {"core.fsmonitor": "TRAP"}, plant=_planted_worktree),
    Vector("bare repository inside", ("status",), plant=_bare_inside),
    Vector("alternates", None, plant=_alternate),
    Vector("replace refs", None, {"core.fsmonitor": "TRAP"}, plant=_replaced),
    # Repositories in repositories.
    Vector("submodule's fsmonitor", ("status",), plant=_nested(core_fsmonitor="TRAP")),
    Vector(
        "submodule's filter",
        ("status",),
        plant=_nested(filter_x_clean="TRAP", core_attributesFile="ROOT/evil"),
        files={"evil": ATTRIBUTES},
    ),
    Vector(
        "submodule update",
        ("submodule", "update"),
        {"submodule.sub.update": "!TRAP", "submodule.sub.url": "./", "submodule.recurse": "true"},
        {".gitmodules": '[submodule "sub"]\n\tpath = sub\n\turl = ./\n'},
        _nested(),
    ),
)
