"""What manifests declare: names, descriptions, entry points, workspaces, aliases; one function a format.

Each declaration is `(what, name, value, line)`:

    name         ""              the package's name as others import it
    description  ""              the sentence that its owner wrote
    script       command         what it runs: `pkg.module:function`, a file
    export       subpath         the file that it leads to (`.`: the package itself)
    alias        pattern         the path pattern that it stands for (`@/*` -> `src/*`)
    base         ""              the folder that bare imports are looked for in
    workspace    ""              a glob of folders that are packages of this repository
    autoload     namespace       its folder
"""

from __future__ import annotations

import json
import posixpath
import re
import tomllib
from collections.abc import Callable, Iterator
from typing import Any, Final

Declared = tuple[str, str, str, int]

_CONDITIONS: Final = ("import", "module", "default", "require", "node", "browser", "types")
MAX_DECLARED: Final = 400


def declared(path: str, text: str) -> list[Declared]:
    """Return what a manifest declares; nothing for a file that is none, or is broken."""
    name = posixpath.basename(path)
    reader = _READERS.get(name) or _READERS.get(posixpath.splitext(name)[1])
    if reader is None or len(text) > 1_000_000:
        return []
    try:
        found = [one for one in reader(text) if one[2] and all(isinstance(part, str) for part in one)]
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
        return []
    return [(what, key, value, _line(text, what, key, value)) for what, key, value in found[:MAX_DECLARED]]


Triples = Iterator[tuple[str, Any, Any]]
"""Of a declaration its first three; what is no text is left out."""


def _line(text: str, what: str, key: str, value: str) -> int:
    """Return the line where it is written: a key or a value in quotes, else the first mention."""
    for wanted in (f'"{key}"', f"'{key}'") if key and what != "export" else ():
        at = text.find(wanted)
        if at >= 0:
            return text.count("\n", 0, at) + 1
    label = {"name": r"(?:name|module|app|artifactId)", "description": "(?i:description|summary)"}.get(what)
    if label:
        match = re.search(rf"(?m)^[^\n]*\b{label}\b[^\n]*?{re.escape(value[:40])}", text)
        if match:
            return text.count("\n", 0, match.start()) + 1
    at = max(text.find(value[:40]), 0)
    return text.count("\n", 0, at) + 1


def _package_json(text: str) -> Triples:
    data = json.loads(text)
    yield "name", "", data.get("name")
    yield "description", "", data.get("description")
    for field in ("source", "module", "main", "types"):
        yield "export", ".", data.get(field)
    exports = data.get("exports")
    if isinstance(exports, dict) and any(key.startswith(".") for key in exports):
        for key, value in exports.items():
            for target in _targets(value):
                yield "export", key, target
    else:
        for target in _targets(exports):
            yield "export", ".", target
    for key, value in (data.get("imports") or {}).items():
        for target in _targets(value):
            yield "alias", key, target
    bins = data.get("bin")
    if isinstance(bins, str):
        yield "script", str(data.get("name", "")).rpartition("/")[2], bins
    elif isinstance(bins, dict):
        for key, value in bins.items():
            yield "script", key, value
    spaces = data.get("workspaces")
    spaces = spaces.get("packages") if isinstance(spaces, dict) else spaces
    for glob in spaces or ():
        yield "workspace", "", glob


def _targets(value: Any) -> list[str]:
    """Return the files that a conditional export may lead to, source conditions first."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        return [target for one in value for target in _targets(one)]
    if isinstance(value, dict):
        known = [key for key in _CONDITIONS if key in value]
        own = [key for key in value if key not in _CONDITIONS]
        return [target for key in (*own, *known) for target in _targets(value[key])]
    return []


def _tsconfig(text: str) -> Triples:
    options = json.loads(_without_comments(text)).get("compilerOptions") or {}
    yield "base", "", options.get("baseUrl")
    for key, values in (options.get("paths") or {}).items():
        for value in values:
            yield "alias", key, value


def _without_comments(text: str) -> str:
    kept = re.sub(
        r'((?<!\\)"(?:[^"\\\n]|\\.)*+")|//[^\n]*|/\*.*?(?:\*/|\Z)',
        lambda m: m[1] or "",
        text,
        flags=re.DOTALL,
    )
    return re.sub(r'((?<!\\)"(?:[^"\\\n]|\\.)*+")|,(?=\s*[}\]])', lambda m: m[1] or "", kept)


def _pyproject(text: str) -> Triples:
    data = tomllib.loads(text)
    tool = data.get("tool") or {}
    project = data.get("project") or tool.get("poetry") or {}
    yield "name", "", project.get("name")
    yield "description", "", project.get("description")
    for table in ("scripts", "gui-scripts"):
        for key, value in (project.get(table) or {}).items():
            yield "script", key, value.get("callable") if isinstance(value, dict) else value
    for group in (project.get("entry-points") or {}).values():
        for key, value in group.items():
            yield "script", key, value
    for glob in ((tool.get("uv") or {}).get("workspace") or {}).get("members") or ():
        yield "workspace", "", glob


def _cargo(text: str) -> Triples:
    data = tomllib.loads(text)
    package, library = data.get("package") or {}, data.get("lib") or {}
    yield "name", "", package.get("name")
    yield "description", "", package.get("description")
    yield "alias", library.get("name", ""), library.get("path") or "src/lib.rs" * bool(library)
    yield "export", ".", library.get("path")
    for one in data.get("bin") or ():
        yield "script", one.get("name", ""), one.get("path") or "src/main.rs"
    for glob in (data.get("workspace") or {}).get("members") or ():
        yield "workspace", "", glob


def _go_mod(text: str) -> Triples:
    match = re.search(r"(?m)^module\s+\"?([^\s\"]+)", text)
    yield "name", "", match[1] if match else ""


def _go_work(text: str) -> Triples:
    for block in re.findall(r"(?ms)^use\s*(\([^)]*\)|\S+)", text):
        for folder in re.sub(r"//[^\n]*", "", block).strip("()").split():
            yield "workspace", "", folder


def _composer(text: str) -> Triples:
    data = json.loads(text)
    yield "name", "", data.get("name")
    yield "description", "", data.get("description")
    for part in ("autoload", "autoload-dev"):
        for namespace, folders in ((data.get(part) or {}).get("psr-4") or {}).items():
            for folder in [folders] if isinstance(folders, str) else folders:
                yield "autoload", namespace, folder or "."
    for value in data.get("bin") or ():
        yield "script", str(value).rpartition("/")[2], value


def _keyed(text: str) -> Triples:
    """Read the top level of a simple YAML or Pkl-like file: Chart.yaml, pubspec.yaml, compose files."""
    for key in ("name", "description", "summary"):
        match = re.search(rf"(?m)^{key}\s*:\s*[|>]?-?\s*((?:[^\n]*(?:\n[ \t]+[^\n]+)*))", text)
        if match:
            value = " ".join(match[1].split()).strip("\"'")
            yield ("name" if key == "name" else "description"), "", value
    block = re.search(r"(?m)^(?:packages|workspace)\s*:\s*\n((?:[ \t]*-[^\n]*\n?|[ \t]*#[^\n]*\n?)+)", text)
    for glob in re.findall(r"-\s*[\"']?([^\"'\s#]+)", block[1]) if block else ():
        yield "workspace", "", glob


def _gradle_settings(text: str) -> Triples:
    match = re.search(r"rootProject\.name\s*=\s*[\"']([^\"']+)", text)
    yield "name", "", match[1] if match else ""
    for line in re.findall(r"(?m)^[ \t]*include\s*\(?([^)\n]*(?:\n\s+[\"'][^)\n]*)*)", text):
        for name in re.findall(r"[\"']:?([^\"']+)[\"']", line):
            yield "workspace", "", name.replace(":", "/")


def _xml(text: str) -> Triples:
    """Read Maven's and .NET's project files."""
    plain = re.sub(r"(?s)<(parent|dependency|dependencies)>.*?(?:</\1>|\Z)|<build>.*", "", text)
    for what, tags in (
        ("name", "artifactId PackageId AssemblyName id"),
        ("description", "description Description"),
    ):
        for tag in tags.split():
            value, closed, _ = plain.partition(f"<{tag}>")[2].partition(f"</{tag}>")
            if closed:
                yield what, "", " ".join(value.split())
                break
    for module in re.findall(r"<module>([^<]+)</module>", text):
        yield "workspace", "", module.strip()


def _quoted(text: str) -> Triples:
    """Read names and descriptions in scripts that are manifests: mix.exs, gemspecs, Package.swift."""
    for what, pattern in (
        ("name", r"(?m)(?:\bapp:\s*:|\bname:\s*\"|\.name\s*=\s*[\"'.]|^name\s*=\s*\"?|^name:\s*)([\w.@/-]+)"),
        (
            "description",
            r"(?mi)(?:\bdescription:\s*|\.(?:summary|description)\s*=\s*|^description\s*[=:]\s*|^synopsis:\s*)[\"']?(@\w+|[^\"'\n]{8,})",
        ),
    ):
        match = re.search(pattern, text)
        value = match[1].strip() if match else ""
        if value.startswith("@"):  # an attribute of the module
            given = re.search(rf"{re.escape(value)}\s+\"([^\"]+)\"", text)
            value = given[1] if given else ""
        yield what, "", value


_READERS: Final[dict[str, Callable[[str], Triples]]] = {
    name: reader
    for reader, names in (
        (_package_json, "package.json"),
        (_tsconfig, "tsconfig.json jsconfig.json tsconfig.base.json"),
        (_pyproject, "pyproject.toml"),
        (_cargo, "Cargo.toml"),
        (_go_mod, "go.mod"),
        (_go_work, "go.work"),
        (_composer, "composer.json"),
        (_keyed, "Chart.yaml pubspec.yaml pnpm-workspace.yaml package.yaml"),
        (_gradle_settings, "settings.gradle settings.gradle.kts"),
        (_xml, "pom.xml .csproj .fsproj .vbproj .nuspec"),
        (_quoted, "build.zig.zon mix.exs Package.swift setup.cfg rebar.config .gemspec .cabal"),
    )
    for name in names.split()
}
"""By a file's name, else by its ending."""

PACKAGE_FILES: Final = frozenset(
    """package.json pyproject.toml Cargo.toml go.mod composer.json Chart.yaml pubspec.yaml pom.xml mix.exs
    Package.swift setup.cfg setup.py package.yaml build.gradle build.gradle.kts build.sbt build.zig""".split()  # noqa: SIM905 - words read better as text
)
"""Files that make their folder a package."""
