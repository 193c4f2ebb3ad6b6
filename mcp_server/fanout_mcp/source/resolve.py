"""Which file an import names: by package for Python, by path and suffix elsewhere; the rest is external.

Each language is a few lines and none runs a build system, so an import through an alias or a search path that
only a build file knows stays external. Edges say what is, never what might be.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Sequence
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


def index(paths: Iterable[str]) -> Index:
    ordered = sorted(paths)
    found = Index(frozenset(ordered))
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


def targets(outline: Outline, known: Index) -> list[str]:
    """Return the repository's files that this one imports, in order, each once."""
    found: dict[str, None] = {}
    for name in outline.imports:
        target = _target(outline, name, known)
        if target and target != outline.path:
            found[target] = None
    return list(found)


def _target(outline: Outline, name: str, known: Index) -> str | None:
    folder = posixpath.dirname(outline.path)
    match outline.language:
        case "Python":
            return _python(outline.path, name, known)
        case "JavaScript" | "TypeScript" | "TSX":
            return _joined(folder, name, known, _SCRIPT_ENDINGS) if name.startswith(".") else None
        case "Go":
            parts = name.split("/")
            tails = ("/".join(parts[start:]) for start in range(1, len(parts)))
            return next((known.folders[tail] for tail in tails if tail in known.folders), None)
        case "Rust":
            return _rust(outline.path, name, known)
        case "Java":
            return _suffix(name.replace(".", "/") + ".java", folder, known)
        case "PHP":
            tail = name.replace("\\", "/")
            return _suffix(
                tail if tail.endswith(".php") else posixpath.basename(tail) + ".php", folder, known
            )
        case "C" | "C++" | "Bash":
            return _joined(folder, name, known, ("",)) or _suffix(name, folder, known)
        case "Ruby":
            return _joined(folder, name, known, ("", ".rb")) or _suffix(f"{name}.rb", folder, known)
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
    own = folder if file in {"mod.rs", "lib.rs", "main.rs"} else f"{folder}/{file.removesuffix('.rs')}"
    if parts[0] == "crate":
        head, source, _ = path.rpartition("src/")
        base, parts = (head + source).rstrip("/"), parts[1:]
    elif parts[0] in {"self", "super"}:
        base = own
        while parts and parts[0] in {"self", "super"}:
            base = posixpath.dirname(base) if parts[0] == "super" else base
            parts = parts[1:]
    else:
        base = own
    for end in range(len(parts), 0, -1):
        stem = posixpath.join(base, *parts[:end])
        for target in (f"{stem}.rs", f"{stem}/mod.rs"):
            if target in known.paths:
                return target
    return None
