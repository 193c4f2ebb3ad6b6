"""`make dist`: wheel and source archive in dist/, built twice to one hash, and tried in a bare environment.

Two builds are equal because nothing of the machine is in them: the tracked files alone are copied, with one
mode, and SOURCE_DATE_EPOCH is the time of the last commit.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]


def git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout


def build(folder: Path) -> dict[str, str]:
    """Build both archives from a fresh copy of the tracked files; return file name -> SHA-256."""
    source, out = folder / "source", folder / "dist"
    for name in git("ls-files").splitlines():
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, source / name)
            (source / name).chmod(0o644)
    env = os.environ | {"SOURCE_DATE_EPOCH": git("log", "-1", "--format=%ct").strip()}
    words = [sys.executable, "-m", "hatchling", "build", "-d", str(out)]
    subprocess.run(words, cwd=source, env=env, stdout=subprocess.DEVNULL, check=True)
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(out.iterdir())}


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="fanout-dist-") as name:
        folder = Path(name)
        built, again = build(folder / "one"), build(folder / "other")
        for file, digest in built.items():
            sys.stdout.write(f"{digest}  {file}\n")
        if built != again:
            sys.stderr.write("two builds differ; something of the machine is in them\n")
            return 1
        wheel = next((folder / "one" / "dist").glob("*.whl"))
        bare = folder / "bare"
        python = bare / "bin" / "python"
        subprocess.run([sys.executable, "-m", "venv", str(bare)], check=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "-c", str(ROOT / "constraints.txt"), str(wheel)], check=True)
        subprocess.run([str(bare / "bin" / "fanout"), "--version"], cwd=folder, check=True)
        subprocess.run(
            [str(bare / "bin" / "fanout"), "doctor"], cwd=folder, check=True, stdout=subprocess.DEVNULL
        )
        shutil.rmtree(ROOT / "dist", ignore_errors=True)
        shutil.copytree(folder / "one" / "dist", ROOT / "dist")
    sys.stdout.write("dist/: installed into a bare environment and started\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
