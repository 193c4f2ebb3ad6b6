"""Which file an import names: by package for Python, by path and suffix elsewhere; the rest is external.

Each language is a few lines and none runs a build system, so an import through an alias or a search path that
only a build file knows stays external. Edges say what is, never what might be.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Final

from fanout_mcp.source.outline import Outline

_SCRIPT_ENDINGS: Final = (
    "",
    ".ts",
    ".tsx",
    ".js",
    ".jsx",
    ".mjs",
    ".cjs",
    ".d.ts",
    "/index.ts",
    "/index.tsx",
    "/index.js",
)


_RUBY_ROOTS: Final = ("lib", "test", "spec")
_RUST_ROOTS: Final = ("lib.rs", "main.rs")
_RUST_APART: Final = frozenset({"tests", "benches", "examples", "bin"})
"""Folders whose files are crates of their own."""


@dataclass(slots=True)
class Index:
    """What the files of a repository are called by those who import them."""

    paths: frozenset[str]
    python: dict[str, str] = field(default_factory=dict)
    dotted: dict[str, str] = field(default_factory=dict)
    """A Python file's own dotted name."""
    folders: dict[str, str] = field(default_factory=dict)
    """A folder's first source file: what an import of a Go package leads to."""
    by_name: dict[str, list[str]] = field(default_factory=dict)
    packages: dict[str, dict[str, str]] = field(default_factory=dict)
    """Manifest's name to what such manifests call their package, to its folder."""


def index(paths: Iterable[str], named: Mapping[str, str] | None = None) -> Index:
    """`named`: a manifest's path to the name of its package."""
    ordered = sorted(paths)
    found = Index(frozenset(ordered))
    for path, name in (named or {}).items():
        folder, manifest = posixpath.split(path)
        found.packages.setdefault(manifest, {}).setdefault(
            name.replace("-", "_") if manifest == "Cargo.toml" else name, folder
        )
    packages = {posixpath.dirname(path) for path in ordered if path.endswith("/__init__.py")}
    namespaces: list[str] = []
    for path in ordered:
        folder, name = posixpath.split(path)
        found.by_name.setdefault(name, []).append(path)
        if name.endswith((".py", ".pyi")):
            dotted = _dotted(folder, name, packages)
            found.dotted[path] = dotted
            found.python.setdefault(dotted, path)
            if folder not in packages:
                namespaces.append(path)
        elif name.endswith(".go") and not name.endswith("_test.go"):
            found.folders.setdefault(folder, path)
    for path in namespaces:  # a folder needs no __init__.py to be imported from; one that has it goes first
        found.python.setdefault(path.removeprefix("src/").rsplit(".", 1)[0].replace("/", "."), path)
    return found


def _dotted(folder: str, name: str, packages: set[str]) -> str:
    parts = [] if name.startswith("__init__.") else [name.rsplit(".", 1)[0]]
    while folder in packages:
        folder, last = posixpath.split(folder)
        parts.insert(0, last)
    return ".".join(parts)


def targets(outline: Outline, known: Index) -> tuple[list[str], list[str]]:
    """Return the repository's files that this one imports, and the names that lead to none, in order."""
    found: dict[str, None] = {}
    other: dict[str, None] = {}
    for name in outline.imports:
        target = _target(outline, name, known)
        if target is None:
            other[name] = None
        elif target != outline.path:
            found[target] = None
    return list(found), list(other)


def _target(outline: Outline, name: str, known: Index) -> str | None:
    folder = posixpath.dirname(outline.path)
    match outline.language:
        case "Python":
            return _python(outline.path, name, known)
        case "JavaScript" | "TypeScript" | "TSX":
            if name.startswith("."):
                return _joined(folder, name, known, _SCRIPT_ENDINGS)
            return _script_package(name, known)
        case "Go":
            return _go(name, known)
        case "Rust":
            return _rust(outline.path, name, known)
        case "Java":
            path = name.replace(".", "/")  # of a class, or of what an import of static ones names in it
            return _suffix(f"{path}.java", folder, known) or _suffix(
                f"{posixpath.dirname(path)}.java", folder, known
            )
        case "PHP":
            return _php(name.replace("\\", "/"), folder, known)
        case "C" | "C++" | "Bash":
            return _joined(folder, name, known, ("",)) or _suffix(name, folder, known)
        case "Ruby":
            if name.startswith("."):
                return _joined(folder, name, known, ("", ".rb"))
            return _loaded(f"{name.removesuffix('.rb')}.rb", folder, known)
    return None


def _python(path: str, name: str, known: Index) -> str | None:
    if name.startswith("."):
        level = len(name) - len(name.lstrip("."))
        own = known.dotted.get(path, "").split(".")
        is_package = PurePosixPath(path).name.startswith("__init__.")
        base = own[: len(own) - level + is_package] if level <= len(own) + is_package else None
        if base is None:
            return None
        name = ".".join([*base, *filter(None, name.lstrip(".").split("."))])
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        target = known.python.get(".".join(parts[:end]))
        if target:
            return target
    return None


def _joined(folder: str, name: str, known: Index, endings: Sequence[str]) -> str | None:
    base = posixpath.normpath(posixpath.join(folder, name))
    stem = base.removesuffix(".js")  # TypeScript imports name the output
    candidates = (candidate + ending for candidate in dict.fromkeys((base, stem)) for ending in endings)
    return next((path for path in candidates if path in known.paths), None)


def _script_package(name: str, known: Index) -> str | None:
    """A package of the same repository: its sources, or what it has under that path."""
    parts = name.split("/")
    for end in (2, 1):
        folder = known.packages.get("package.json", {}).get("/".join(parts[:end]))
        if folder is not None:
            inside = "/".join(parts[end:])
            return _joined(f"{folder}/src", inside, known, _SCRIPT_ENDINGS) or _joined(
                folder, inside, known, _SCRIPT_ENDINGS
            )
    return None


def _php(tail: str, folder: str, known: Index) -> str | None:
    """A class by the end of its namespace: for which folder its first parts stand is in composer.json."""
    if tail.endswith(".php"):
        return _joined(folder, tail, known, ("",)) or _suffix(tail, folder, known)
    parts = tail.split("/")
    for start in range(max(len(parts) - 1, 0)):
        found = _suffix("/".join(parts[start:]) + ".php", folder, known)
        if found:
            return found
    found = _suffix(f"{parts[-1]}.php", folder, known) if len(parts) == 2 else None
    return found if found and posixpath.basename(posixpath.dirname(found)) in {"", "src", "lib"} else None


def _loaded(tail: str, folder: str, known: Index) -> str | None:
    """Ruby looks in the folders that it is told of: by custom lib, and those of tests."""
    found = [
        path
        for path in known.by_name.get(posixpath.basename(tail), ())
        if path == tail or f"/{path}".endswith(tuple(f"/{root}/{tail}" for root in _RUBY_ROOTS))
    ]
    return max(found, key=lambda path: len(posixpath.commonprefix([path, folder])), default=None)


def _go(name: str, known: Index) -> str | None:
    modules = known.packages.get("go.mod", {})
    for module in sorted(modules, key=len, reverse=True):
        if name == module or name.startswith(module + "/"):
            folder = posixpath.join(modules[module], name[len(module) + 1 :]).rstrip("/")
            return known.folders.get(folder)
    if modules or "." not in name.partition("/")[0]:  # the standard library's names begin with no domain
        return None
    parts = name.split("/")
    tails = ("/".join(parts[start:]) for start in range(1, len(parts)))
    return next((known.folders[tail] for tail in tails if tail in known.folders), None)


def _suffix(tail: str, folder: str, known: Index) -> str | None:
    """Return the file that ends so, the nearest when several do."""
    tail = tail.lstrip("./")
    found = [
        p for p in known.by_name.get(posixpath.basename(tail), ()) if p == tail or p.endswith("/" + tail)
    ]
    return max(found, key=lambda path: len(posixpath.commonprefix([path, folder])), default=None)


def _rust(path: str, name: str, known: Index) -> str | None:
    parts = name.split("::")
    folder, file = posixpath.split(path)
    is_root = file in _RUST_ROOTS
    own = folder if is_root or file == "mod.rs" else f"{folder}/{file.removesuffix('.rs')}"
    base, first = own, parts[0]
    if first == "crate":
        crate = _crate(folder, known)
        if crate is None:
            return None
        base, parts = crate, parts[1:]
    elif first in {"self", "super"}:
        while parts and parts[0] in {"self", "super"}:
            base = posixpath.dirname(base) if parts[0] == "super" else base
            parts = parts[1:]
    elif first in known.packages.get("Cargo.toml", {}):
        folder, parts = known.packages["Cargo.toml"][first], parts[1:]
        inside = _rust_module(posixpath.join(folder, "src"), parts, known)
        return inside or _rust_module(folder, parts, known)
    else:  # a module of this one, or another crate
        names = (f"{own}/{first}.rs", f"{own}/{first}/mod.rs")
        if not any(posixpath.normpath(target) in known.paths for target in names):
            return None
    return _rust_module(base, parts, known)


def _crate(folder: str, known: Index) -> str | None:
    """Return the folder of the crate's first file: the nearest that has one, or that holds tests."""
    while True:
        if posixpath.basename(folder) in _RUST_APART or any(
            posixpath.join(folder, file) in known.paths for file in _RUST_ROOTS
        ):
            return folder
        if not folder:
            return None
        folder = posixpath.dirname(folder)


def _rust_module(base: str, parts: Sequence[str], known: Index) -> str | None:
    """Return the deepest module that the path names; what is no module is something in the file of `base`."""
    for end in range(len(parts), 0, -1):
        stem = posixpath.join(base, *parts[:end])
        for target in (f"{stem}.rs", f"{stem}/mod.rs"):
            if target in known.paths:
                return target
    files = (*(posixpath.join(base, file) for file in _RUST_ROOTS), f"{base}.rs", f"{base}/mod.rs")
    return next((target for target in files if target in known.paths), None)
