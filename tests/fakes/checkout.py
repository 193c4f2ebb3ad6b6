"""A checkout with the real launcher and a fake `uv`, which makes an environment when the test says so.

The fake's environment runs this test's own interpreter, so what takes over is the real server.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from fakes.wire_client import Wire

ROOT = Path(__file__).parents[2]

FAKE_UV = """#!/bin/sh
# venv ... FOLDER | pip install ... --python PYTHON ...
echo "$1" >> "{log}"
if [ "$1" = venv ]; then
  for folder; do :; done
  mkdir -p "$folder/bin" "$folder/lib/python3/site-packages"
  printf '#!/bin/sh\\nexec "{python}" "$@"\\n' > "$folder/bin/python"
  chmod +x "$folder/bin/python"
  echo "{source}/mcp_server" > "$folder/lib/python3/site-packages/_fanout.pth"
  exit
fi
[ -e "{gate}.closed" ] && exit 1
read answer < "{gate}"
[ "$answer" = go ] && exit
echo "Resolving" && echo "error: no route to the index" && echo "bye" && exit 1
"""


@dataclass(frozen=True)
class Checkout:
    """Its folder, and the gate that an install waits at."""

    source: Path
    data: Path
    bin: Path

    @classmethod
    def make(cls, folder: Path) -> Checkout:
        source, bin_ = folder / "fan out", folder / "bin"
        shutil.copytree(ROOT / "mcp_server" / "launcher", source / "mcp_server" / "launcher")
        shutil.copy(ROOT / "mcp_server" / "launch.py", source / "mcp_server")
        edge = Path("mcp_server", "fanout_mcp", "edge")
        (source / edge).mkdir(parents=True)
        for name in ("../__init__.py", "__init__.py", "first.py", "tools.json"):
            shutil.copy(ROOT / edge / name, source / edge / name)
        for name in ("pyproject.toml", "constraints.txt"):
            (source / name).write_text("")
        checkout = cls(source, folder / "data", bin_)
        bin_.mkdir()
        os.mkfifo(checkout.gate)
        text = FAKE_UV.format(log=checkout.log, gate=checkout.gate, python=sys.executable, source=source)
        (bin_ / "uv").write_text(text)
        (bin_ / "uv").chmod(0o755)
        return checkout

    @property
    def gate(self) -> Path:
        return self.bin / "gate"

    @property
    def log(self) -> Path:
        return self.bin / "log"

    def start(self, *, as_plugin: bool = True) -> Wire:
        data = ["--data", str(self.data)] if as_plugin else []
        command = [sys.executable, "-I", str(self.source / "mcp_server" / "launch.py"), *data]
        return Wire(command, {"PATH": f"{self.bin}:{os.environ['PATH']}"}, timeout=90)

    def finish_install(self, answer: str = "go") -> None:
        """Let the install that waits at the gate go on, or fail; waits until there is one."""
        self.gate.write_text(answer + "\n")

    def close(self) -> None:
        """Let no install wait for ever: whoever waits fails, whoever comes later does so at once."""
        self.gate.with_suffix(".closed").touch()
        held = os.open(self.gate, os.O_RDWR)  # what is written stays readable while it is held
        os.write(held, b"closed\n")
        for workplace in (self.data, self.source / ".venv"):
            if workplace.exists():
                with (workplace / "setup.log.lock").open("w") as lock:
                    fcntl.flock(lock, fcntl.LOCK_EX)  # the install holds it until its end
        os.close(held)

    def steps(self) -> list[str]:
        return self.log.read_text().split() if self.log.exists() else []
