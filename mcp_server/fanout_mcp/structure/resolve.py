"""Which files an import leads to, as its language resolves it; the rest is the standard library or a package.

No build system runs: what is known comes from the files, their own package clauses and the manifests beside
them (manifests.py). An edge says what is, never what might be:

Go             a package is all files of its folder; of those, the ones that define what is used
Python         relative imports by folder, with or without `__init__.py`; absolute ones by package
scripts        relative, `paths` of the nearest tsconfig, `imports` and `exports` of package.json, workspaces
Rust           modules of the crate, crates of the workspace
Java, Kotlin, Scala   the file that defines the name in that package
C#, Swift      a namespace or module names no file: the files whose types are used
PHP, Dart, Elixir, Haskell, Lua, Solidity, Zig, Terraform   by autoload, package, module or path
"""

from __future__ import annotations

import posixpath
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Final

from fanout_mcp.structure.languages import table
from fanout_mcp.structure.outline import Outline

_ENDINGS: Final = ".ts .tsx .js .jsx .mjs .cjs .mts .cts .d.ts .vue .svelte".split()  # noqa: SIM905 - reads better
_SCRIPT_ENDINGS: Final = ("", *_ENDINGS, *(f"/index{ending}" for ending in _ENDINGS))
SCRIPTS: Final = frozenset({"JavaScript", "TypeScript", "TSX", "Vue", "Svelte", "Astro"})
_JVM: Final = frozenset({"Java", "Kotlin", "Scala", "Groovy"})
_TYPES: Final = frozenset({"class", "struct", "enum", "interface", "protocol", "type", "record", "delegate"})
_RUBY_ROOTS: Final = ("lib", "test", "spec")
_RUST_ROOTS: Final = ("lib.rs", "main.rs")
_RUST_APART: Final = frozenset({"tests", "benches", "examples", "bin"})
"""Folders whose files are crates of their own."""

MAX_TARGETS: Final = 40
"""Files that one import of a package may lead to."""

_STANDARD: Final = {language: frozenset(names.split()) for language, names in table()["standard"].items()}
"""What begins the names of a language's own library."""


def upwards(folder: str) -> Iterator[str]:
    """Yield a folder and those that hold it; the last is "", the root."""
    yield folder
    while folder:
        folder = posixpath.dirname(folder)
        yield folder


def is_standard(name: str, language: str) -> bool:
    """Tell an import of the language's own library from one of a package that someone installs."""
    first = name.partition("/")[0]
    match language:
        case "Python" | "Notebook":
            return name.partition(".")[0] in sys.stdlib_module_names or name.startswith("__future__")
        case "Go":
            return "." not in first
        case "C" | "C++":
            own = _STANDARD["C"]
            return "." not in name or name.removesuffix(".h") in own or f"{first}/" in own
        case "Dart":
            return name.startswith("dart:")
    if language in SCRIPTS:
        return name.startswith(("node:", "bun:", "deno:")) or first in _STANDARD["JavaScript"]
    head = re.split(r"[./:\\]", name, maxsplit=1)[0]
    return head in _STANDARD.get(language, ())


@dataclass(slots=True)
class Index:
    """What the files of a repository are called by those who import them."""

    paths: frozenset[str]
    python: dict[str, list[str]] = field(default_factory=dict)
    own: set[str] = field(default_factory=set)
    """First parts of the dotted names of Python files."""
    initialised: frozenset[str] = frozenset()
    """Folders with an `__init__.py`."""
    folders: dict[str, list[str]] = field(default_factory=dict)
    """A folder's Go files without tests."""
    by_name: dict[str, list[str]] = field(default_factory=dict)
    packages: dict[str, dict[str, str]] = field(default_factory=dict)
    """Manifest's name to what such manifests call their package, to its folder."""
    defines: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    """A package, namespace or module, of Go a folder, to a name in it, to the files that define it."""
    types: dict[str, list[str]] = field(default_factory=dict)
    """The name of a Swift type to its files."""
    aliases: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    """A folder with a tsconfig or a package.json to its patterns and the paths that they stand for."""
    bases: dict[str, str] = field(default_factory=dict)
    exports: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    """A package's folder to subpath and file."""
    autoload: list[tuple[str, str]] = field(default_factory=list)
    """A namespace of PHP and its folder, longest first."""
    led: dict[tuple[str, str, str], str | None] = field(default_factory=dict)
    """A language, where an import stands and its name, to the file that it led to before."""


def index(
    paths: Iterable[str],
    named: Mapping[str, str] | None = None,
    outlines: Mapping[str, Outline] | None = None,
) -> Index:
    """`named`: a manifest's path to the name of its package. `outlines`: what files define and declare."""
    ordered = sorted(paths)
    found = Index(frozenset(ordered))
    for path, name in (named or {}).items():
        folder, manifest = posixpath.split(path)
        found.packages.setdefault(manifest, {}).setdefault(
            name.replace("-", "_") if manifest == "Cargo.toml" else name, folder
        )
    go = found.packages.get("go.mod", {})
    found.packages["go.mod"] = dict(sorted(go.items(), key=lambda one: -len(one[0])))  # the innermost first
    packages = {
        posixpath.dirname(path) for path in ordered if path.endswith(("/__init__.py", "/__init__.pyi"))
    }
    found.initialised = frozenset(packages)
    namespaces: list[tuple[str, str]] = []
    for path in ordered:
        folder, name = posixpath.split(path)
        found.by_name.setdefault(name, []).append(path)
        if name.endswith((".py", ".pyi")):
            dotted = _dotted(folder, name, packages)
            found.own.add(dotted.partition(".")[0])
            found.python.setdefault(dotted, []).append(path)
            if folder not in packages:
                namespaces.append((path, dotted))
        elif name.endswith(".go") and not name.endswith("_test.go"):
            found.folders.setdefault(folder, []).append(path)
    # A folder needs no __init__.py to be imported from; one that has it goes first.
    for path, dotted in namespaces:
        spelled = path.removeprefix("src/").rsplit(".", 1)[0].replace("/", ".")
        if spelled != dotted:
            found.python.setdefault(spelled, []).append(path)
    for path, outline in (outlines or {}).items():
        _note(found, path, outline)
    found.autoload.sort(key=lambda one: -len(one[0]))
    return found


def _note(found: Index, path: str, outline: Outline) -> None:
    """Note what a file defines under the names that others use for it, and what a manifest declares."""
    folder = posixpath.dirname(path)
    language = outline.language
    if language == "Go" and not path.endswith("_test.go"):
        _define(found, folder, path, outline)
    elif language in _JVM and outline.package:
        _define(found, outline.package, path, outline)
    elif language == "C#":
        for symbol in outline.symbols:
            if symbol.kind == "namespace":
                _define(found, symbol.full, path, outline)
    elif language == "Swift":
        for symbol in outline.symbols:
            if symbol.kind in _TYPES and not symbol.parent:
                found.types.setdefault(symbol.name, []).append(path)
    elif language == "Haskell" and outline.package:
        found.defines.setdefault("haskell", {}).setdefault(outline.package, []).append(path)
    elif language == "Elixir":
        for symbol in outline.symbols:
            if symbol.kind == "module":
                found.defines.setdefault("elixir", {}).setdefault(symbol.full, []).append(path)
    base = next((value for what, _, value, _ in outline.declares if what == "base"), "")
    for what, key, value, _ in outline.declares:
        if what == "alias":
            at = posixpath.join(folder, base or ".") if path.endswith(".json") else folder
            found.aliases.setdefault(folder, []).append((key, posixpath.normpath(posixpath.join(at, value))))
            if path.endswith("Cargo.toml"):
                found.packages.setdefault("Cargo.toml", {}).setdefault(key.replace("-", "_"), folder)
        elif what == "base":
            found.bases[folder] = posixpath.normpath(posixpath.join(folder, value))
        elif what == "export":
            found.exports.setdefault(folder, []).append(
                (key, posixpath.normpath(posixpath.join(folder, value)))
            )
        elif what == "autoload":
            found.autoload.append((key.strip("\\"), posixpath.normpath(posixpath.join(folder, value))))


def _define(found: Index, place: str, path: str, outline: Outline) -> None:
    names = found.defines.setdefault(place, {})
    for symbol in outline.symbols:
        is_top = not symbol.parent or (outline.language == "C#" and symbol.kind in _TYPES)
        if (
            is_top
            and symbol.kind not in {"impl", "namespace", "package"}
            and (symbol.public or outline.language != "Go")
        ):
            files = names.setdefault(symbol.name, [])
            if path not in files:
                files.append(path)


def _dotted(folder: str, name: str, packages: set[str]) -> str:
    parts = [] if name.startswith("__init__.") else [name.rsplit(".", 1)[0]]
    while folder in packages:
        folder, last = posixpath.split(folder)
        parts.insert(0, last)
    return ".".join(parts)


def resolved(outline: Outline, known: Index) -> tuple[dict[str, list[str]], list[str]]:
    """Return the repository's files that this one imports, and the names that lead to none, in order.

    Each file has the imports that lead to it; what is used without an import has none.
    """
    found: dict[str, list[str]] = {}
    other: dict[str, None] = {}
    for name in outline.imports:
        files = _targets(outline, name, known)
        if not files:
            other[name] = None
        for path in files[:MAX_TARGETS]:
            if path != outline.path:
                found.setdefault(path, []).append(name)
    for path in _unimported(outline, known):
        found.setdefault(path, [])
    return found, list(other)


def _unimported(outline: Outline, known: Index) -> list[str]:
    """Return the files whose types a file uses without naming them: C# and Swift need no import for that."""
    if outline.language == "Swift":
        own = {symbol.name for symbol in outline.symbols}
        files = (
            [path for path in known.types.get(name, ()) if _is_seen(path, outline)]
            for name in outline.uses
            if name not in own
        )
        return list(dict.fromkeys(one[0] for one in files if len(one) == 1 and one[0] != outline.path))
    if outline.language == "C#":
        own = {one.full for one in outline.symbols if one.kind == "namespace"}
        around = {".".join(name.split(".")[:end]) for name in own for end in range(1, name.count(".") + 2)}
        return [
            path for space in sorted(around) for path in _used(outline, space, known) if path != outline.path
        ]
    return []


def _is_seen(path: str, outline: Outline) -> bool:
    """Tell whether a Swift file sees another one's types: of its own target, or of one that it imports."""
    target, own = _swift_target(path), _swift_target(outline.path)
    return not target or not own or target == own or target.replace("-", "_") in outline.imports


def _swift_target(path: str) -> str:
    """Return the folder of a package's target; "" in a project that is one module."""
    parts = path.split("/")
    at = next((at for at, part in enumerate(parts[:-2]) if part in _SWIFT_ROOTS), None)
    return parts[at + 1] if at is not None else ""


_SWIFT_ROOTS: Final = frozenset({"Sources", "Source", "Tests", "Plugins", "Tools", "Examples"})


def _used(outline: Outline, place: str, known: Index) -> list[str]:
    names = known.defines.get(place, {})
    found: dict[str, None] = {}
    for use in outline.uses:
        files = names.get(use, [])
        if outline.language == "C#" and len(files) > 1:  # a partial type is where a file is named after it
            files = [path for path in files if posixpath.basename(path) == f"{use}.cs"]
        found.update(dict.fromkeys(files[:4]))
    return list(found)


def _targets(outline: Outline, name: str, known: Index) -> list[str]:
    language = outline.language
    if language == "Go":
        return _go(outline, name, known)
    if language in _JVM and known.defines:
        return _jvm(outline, name, known)
    if language == "C#":
        return _used(outline, name, known)
    at = outline.path if language == "Rust" else posixpath.dirname(outline.path)
    key = (language, at, name)
    if key not in known.led:
        known.led[key] = _target(language, at, name, known)
    one = known.led[key]
    return [one] if one else []


def _target(language: str, folder: str, name: str, known: Index) -> str | None:
    """Return the file that an import in a folder leads to; of Rust the file that imports counts."""
    if language in SCRIPTS:
        return _script(folder, name, known)
    match language:
        case "Python" | "Notebook":
            return _python(folder, name, known)
        case "Rust":
            return _rust(folder, name, known)
        case "Java" | "Kotlin" | "Scala" | "Groovy":
            path = name.replace(".", "/")  # of a class, or of what an import of static ones names in it
            ending = {"Java": ".java", "Kotlin": ".kt", "Scala": ".scala", "Groovy": ".groovy"}[language]
            return _suffix(f"{path}{ending}", folder, known) or _suffix(
                f"{posixpath.dirname(path)}{ending}", folder, known
            )
        case "PHP":
            return _php(name.replace("\\", "/"), folder, known)
        case "C" | "C++" | "Objective-C":
            own = _joined(folder, name, known, ("",))
            return own or (None if is_standard(name, "C") else _suffix(name, folder, known))
        case "Bash" | "Protobuf" | "GraphQL" | "PowerShell" | "R" | "Julia" | "Make" | "Erlang":
            own = _joined(folder, name, known, ("", ".jl"))
            return own or (_suffix(name, folder, known) if "." in name else None)
        case "Ruby":
            if name.startswith("."):
                return _joined(folder, name, known, ("", ".rb"))
            return _loaded(f"{name.removesuffix('.rb')}.rb", folder, known)
        case "Lua":
            path = name.replace(".", "/")
            tails = (f"lua/{path}.lua", f"lua/{path}/init.lua", f"{path}.lua", f"{path}/init.lua")
            return next((file for tail in tails if (file := _rooted(tail, folder, known))), None)
        case "Haskell" | "Elixir":
            files = known.defines.get(language.lower(), {}).get(name, [])
            return _nearest(files, folder)
        case "Perl":
            return _suffix(f"{name.replace('::', '/')}.pm", folder, known)
        case "Dart":
            return _dart(folder, name, known)
        case "Zig":
            place = known.packages.get("build.zig.zon", {}).get(name)
            if place is None:
                return _joined(folder, name, known, ("",)) if name.endswith((".zig", ".zon")) else None
            return _joined(place, name, known, (".zig",)) or _joined(
                posixpath.join(place, "src"), "", known, (f"/{name}.zig", "/root.zig", "/main.zig")
            )
        case "Solidity":
            if name.startswith("."):
                return _joined(folder, name, known, ("",))
            tail = name.partition("/")[2]
            return _rooted(name, folder, known) or (_suffix(tail, folder, known) if "/" in tail else None)
        case "HCL":
            endings = ("/main.tf", "/variables.tf", "/outputs.tf")
            return _joined(folder, name, known, endings) if name.startswith(".") else None
    return None


# --- Python ------------------------------------------------------------------------------------------------


def _python(folder: str, name: str, known: Index) -> str | None:
    if name.startswith("."):
        level = len(name) - len(name.lstrip("."))
        for _ in range(level - 1):
            if not folder:
                return None
            folder = posixpath.dirname(folder)
        return _below(folder, name.lstrip(".").split("."), known)
    parts = name.split(".")
    if folder not in known.initialised:  # a script's own folder comes first
        beside = posixpath.join(folder, parts[0])
        if any(f"{beside}{ending}" in known.paths for ending in (".py", "/__init__.py")):
            return _below(folder, parts, known)
    if parts[0] in sys.stdlib_module_names:
        return None
    for end in range(len(parts), 0, -1):
        target = _nearest(known.python.get(".".join(parts[:end]), ()), folder)
        if target:
            return target
    if len(parts) > 1:  # a namespace package below a folder that is no part of the name
        for end in range(len(parts), 1, -1):
            tail = "/".join(parts[:end])
            target = _suffix(f"{tail}.py", folder, known) or _suffix(f"{tail}/__init__.py", folder, known)
            if target:
                return target
    return None


def _below(folder: str, parts: Sequence[str], known: Index) -> str | None:
    """Return the deepest module below a folder that the parts name; the rest is something in it."""
    wanted = [part for part in parts if part]
    for end in range(len(wanted), -1, -1):
        stem = posixpath.join(folder, *wanted[:end])
        endings = ("/__init__.py", ".py", ".pyi", "/__init__.pyi") if end else ("/__init__.py",)
        targets = (f"{stem}{ending}".lstrip("/") for ending in endings)
        target = next((one for one in targets if one in known.paths), None)
        if target:
            return target
    return None


def _nearest(files: Sequence[str], folder: str) -> str | None:
    return max(files, key=lambda path: len(posixpath.commonprefix([path, folder + "/"])), default=None)


# --- scripts -----------------------------------------------------------------------------------------------


def _joined(folder: str, name: str, known: Index, endings: Sequence[str]) -> str | None:
    base = posixpath.normpath(posixpath.join(folder, name))
    stem = next(
        (base.removesuffix(end) for end in (".js", ".jsx", ".mjs", ".cjs") if base.endswith(end)), base
    )
    candidates = (candidate + ending for candidate in dict.fromkeys((base, stem)) for ending in endings)
    return next((path for one in candidates if (path := one.removeprefix("./")) in known.paths), None)


def _script(folder: str, name: str, known: Index) -> str | None:
    name = name.partition("?")[0]
    if name.startswith("."):
        return _joined(folder, name, known, _SCRIPT_ENDINGS)
    for at in upwards(folder):  # the nearest tsconfig or package.json that knows the name
        for pattern, value in known.aliases.get(at, ()):
            target = _aliased(name, pattern, value, known)
            if target:
                return target
        target = _joined(known.bases[at], name, known, _SCRIPT_ENDINGS) if at in known.bases else None
        if target:
            return target
    return _script_package(name, known)


def _aliased(name: str, pattern: str, value: str, known: Index) -> str | None:
    before, star, after = pattern.partition("*")
    if not star:
        return _joined("", value, known, _SCRIPT_ENDINGS) if name == pattern else None
    if name.startswith(before) and name.endswith(after) and len(name) >= len(before) + len(after):
        inside = name[len(before) : len(name) - len(after) or None]
        return _joined("", value.replace("*", inside, 1), known, _SCRIPT_ENDINGS)
    return None


def _script_package(name: str, known: Index) -> str | None:
    """A package of the same repository: what its exports lead to, else its sources."""
    parts = name.split("/")
    for end in (2, 1):
        folder = known.packages.get("package.json", {}).get("/".join(parts[:end]))
        if folder is None or (end == 1 and name.startswith("@")):
            continue
        inside = "/".join(parts[end:])
        wanted = f"./{inside}" if inside else "."
        for subpath, file in known.exports.get(folder, ()):
            if fnmatchcase(wanted, subpath):
                stem = (
                    file.replace("*", inside.removeprefix(subpath[2:].partition("*")[0]), 1)
                    if "*" in file
                    else file
                )
                target = _sourced(folder, stem, known)
                if target:
                    return target
        return _joined(f"{folder}/src".lstrip("/"), inside, known, _SCRIPT_ENDINGS) or _joined(
            folder, inside, known, _SCRIPT_ENDINGS
        )
    return None


def _sourced(folder: str, file: str, known: Index) -> str | None:
    """Return an exported file, or the source that it is built from: `dist/legacy/a.js` is `src/a.ts`."""
    target = _joined("", file, known, _SCRIPT_ENDINGS)
    if target:
        return target
    parts = posixpath.relpath(file, folder or ".").split("/")
    for start in range(1, len(parts)):
        tail = "/".join(parts[start:])
        for ending in (".d.ts", ".d.mts", ".d.cts"):
            tail = tail.removesuffix(ending)
        target = _joined(posixpath.join(folder, "src"), tail, known, _SCRIPT_ENDINGS)
        if target:
            return target
    return None


# --- the others --------------------------------------------------------------------------------------------


def _jvm(outline: Outline, name: str, known: Index) -> list[str]:
    folder = posixpath.dirname(outline.path)
    if name.endswith(".*"):
        place = name.removesuffix(".*")
        if place in known.defines:
            return [path for path in _used(outline, place, known) if path != outline.path]
        name = place  # of a class, all that is in it
    parts = name.split(".")
    for end in range(len(parts), 1, -1):
        files = known.defines.get(".".join(parts[: end - 1]), {}).get(parts[end - 1])
        if files:
            near = max(len(posixpath.commonprefix([path, folder])) for path in files)
            return [path for path in files if len(posixpath.commonprefix([path, folder])) == near][:4]
    return []


def _go(outline: Outline, name: str, known: Index) -> list[str]:
    """Return a package's files that define what this file takes; all of them where it takes nothing."""
    folder = _go_folder(name, known)
    files = known.folders.get(folder, []) if folder is not None else []
    taken = {use.rpartition(".")[2] for use in outline.uses if use.rpartition(".")[0] == name}
    names = known.defines.get(folder or "", {})
    defining = list(dict.fromkeys(path for one in taken for path in names.get(one, ()) if path in set(files)))
    return sorted(defining) or files


def _go_folder(name: str, known: Index) -> str | None:
    modules = known.packages.get("go.mod", {})
    for module in modules:
        if name == module or name.startswith(module + "/"):
            folder = posixpath.join(modules[module], name[len(module) + 1 :]).rstrip("/")
            return folder if folder in known.folders else None
    if modules or "." not in name.partition("/")[0]:  # the standard library's names begin with no domain
        return None
    parts = name.split("/")
    tails = ("/".join(parts[start:]) for start in range(1, len(parts)))
    return next((tail for tail in tails if tail in known.folders), None)


def _php(tail: str, folder: str, known: Index) -> str | None:
    """A class by composer.json's autoload, else by the end of its namespace."""
    if tail.endswith(".php"):
        return _joined(folder, tail, known, ("",)) or _suffix(tail, folder, known)
    for namespace, place in known.autoload:
        space = namespace.replace("\\", "/")
        if tail.startswith(f"{space}/") if space else True:
            path = posixpath.normpath(posixpath.join(place, f"{tail[len(space) :].lstrip('/')}.php"))
            if path in known.paths:
                return path
    parts = tail.split("/")
    for start in range(max(len(parts) - 1, 0)):
        found = _suffix("/".join(parts[start:]) + ".php", folder, known)
        if found:
            return found
    found = _suffix(f"{parts[-1]}.php", folder, known) if len(parts) == 2 else None
    return found if found and posixpath.basename(posixpath.dirname(found)) in {"", "src", "lib"} else None


def _loaded(tail: str, folder: str, known: Index) -> str | None:
    """Ruby looks in the folders that it is given: by custom lib, and those of tests."""
    found = [
        path
        for path in known.by_name.get(posixpath.basename(tail), ())
        if path == tail or f"/{path}".endswith(tuple(f"/{root}/{tail}" for root in _RUBY_ROOTS))
    ]
    return _nearest(found, folder)


def _rooted(tail: str, folder: str, known: Index) -> str | None:
    """Return a file at this path from the root, or from the root of a package of the repository."""
    if tail in known.paths:
        return tail
    return _suffix(tail, folder, known) if "/" in tail else _joined(folder, tail, known, ("",))


def _dart(folder: str, name: str, known: Index) -> str | None:
    if not name.startswith("package:"):
        return None if name.startswith("dart:") else _joined(folder, name, known, ("",))
    package, _, path = name.removeprefix("package:").partition("/")
    place = known.packages.get("pubspec.yaml", {}).get(package)
    return _joined(posixpath.join(place, "lib"), path, known, ("",)) if place is not None else None


def _suffix(tail: str, folder: str, known: Index) -> str | None:
    """Return the file that ends so, the nearest when several do."""
    tail = tail.lstrip("./")
    found = [
        p for p in known.by_name.get(posixpath.basename(tail), ()) if p == tail or p.endswith("/" + tail)
    ]
    return _nearest(found, folder)


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
    for at in upwards(folder):
        if posixpath.basename(at) in _RUST_APART or any(
            posixpath.join(at, file) in known.paths for file in _RUST_ROOTS
        ):
            return at
    return None


def _rust_module(base: str, parts: Sequence[str], known: Index) -> str | None:
    """Return the deepest module that the path names; what is no module is something in the file of `base`."""
    for end in range(len(parts), 0, -1):
        stem = posixpath.join(base, *parts[:end])
        for target in (f"{stem}.rs", f"{stem}/mod.rs"):
            if target in known.paths:
                return target
    files = (*(posixpath.join(base, file) for file in _RUST_ROOTS), f"{base}.rs", f"{base}/mod.rs")
    return next((target for target in files if target in known.paths), None)
