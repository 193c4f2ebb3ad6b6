"""Well-kept packages to measure on: pinned, fetched once by pip or npm into the user's cache."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

CACHE = Path(os.environ.get("FANOUT_BENCH_CACHE", Path.home() / ".cache" / "fanout-bench"))


def from_pypi(name: str, version: str) -> Path:
    """Return the folder of a package's sources, as its wheel holds them: without most of its tests."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    return _unpacked("pypi", name, version, [*pip, "--only-binary=:all:", f"{name}=={version}"])


def source_from_pypi(name: str, version: str) -> Path:
    """Return the folder of a package's source distribution, tests and all."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    whole = _unpacked("pypi-source", name, version, [*pip, f"--no-binary={name}", f"{name}=={version}"])
    (folder,) = [path for path in whole.iterdir() if path.is_dir()]
    return folder


def from_npm(name: str, version: str) -> Path:
    return _unpacked("npm", name, version, ["npm", "pack", "--silent", f"{name}@{version}"])


def fetched(registry: str, name: str, version: str) -> Path:
    """Return a package's folder: registry is `pypi`, `pypi-source` or `npm`."""
    return {"pypi": from_pypi, "pypi-source": source_from_pypi, "npm": from_npm}[registry](name, version)


def _unpacked(registry: str, name: str, version: str, command: list[str]) -> Path:
    folder = CACHE / registry / f"{name.replace('/', '_')}-{version}"
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as draft:
        subprocess.run(command, cwd=draft, check=True, capture_output=True, timeout=300)
        (archive,) = [path for path in Path(draft).iterdir() if path.is_file()]
        whole = Path(draft) / "whole"
        if archive.suffix == ".whl":
            with zipfile.ZipFile(archive) as wheel:
                wheel.extractall(whole)
        else:
            with tarfile.open(archive) as tar:
                tar.extractall(whole, filter="data")
        whole.rename(folder)
    return folder


def texts(folder: Path, suffixes: tuple[str, ...]) -> dict[str, str]:
    """Return path below the folder -> text of the files with these suffixes."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix in suffixes and path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_text("utf-8", "replace") for path in paths}
