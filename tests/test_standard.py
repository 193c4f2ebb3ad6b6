"""No module of ours hides a standard one, in any process, whatever a library does to `sys.path`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import fanout_hooks
import fanout_mcp
from fanout_mcp.reports import hooks
from fanout_mcp.review.finding import FOCUSES
from fanout_mcp.review.static.analyse import review_static
from fanout_mcp.source.workers import Failure, Workers
from fanout_mcp.state.settings import Settings

pytestmark = pytest.mark.slow

FOLDERS = sorted(
    str(path.parent)
    for package in (fanout_mcp, fanout_hooks)
    for path in Path(str(package.__file__)).parent.rglob("__init__.py")
)
SAMPLES = {
    "a.ts": "export function f(x: number): number { if (x) { return 1 } return 2 }\n",
    "b.py": "import os\ndef f(x=[]):\n    os.system(input())\n",
    "c.js": "function g(y) { return eval(y) }\n",
    "d.go": "package main\nfunc main() { if true { } }\n",
    "e.c": "int main(void) { char b[2]; gets(b); return 0; }\n",
}
OTHERS = ("typescript", "javascript", "go", "c")
CALLS = (
    ("fanout_mcp.structure.outline:outline_file",),
    ("fanout_mcp.source.pack:pack_file", 6_000),
    ("fanout_mcp.structure.signals:scan_file", "security"),
    ("fanout_mcp.structure.rank:count_file", ["hello"]),
)
"""What is asked of a worker for a file, and with what besides its root and path."""
IMPORT_ALL = """
import sys
from fanout_mcp.standard import keep_standard
keep_standard()
sys.path[:0] = {folders!r}
import importlib
for name in sorted(sys.stdlib_module_names):
    if name in {{"antigravity", "this", "idlelib", "tkinter", "turtle", "turtledemo"}}:
        continue
    known = sys.modules.get(name)
    try:
        found = importlib.import_module(name) if known is None else known
    except ImportError:
        continue
    place = str(getattr(found, "__file__", None) or "")
    if "fanout" in place or {home!r} in place:
        raise SystemExit(f"{{name}} came from {{place}}")
"""


def test_every_standard_module_is_found_where_it_belongs(tmp_path: Path) -> None:
    for name in ("secrets", "types", "json", "wave", "xmlrpc", "tomllib"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the file of a project was imported')")
    code = IMPORT_ALL.format(folders=[str(tmp_path), *FOLDERS], home=str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-P", "-W", "ignore", "-c", code], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, text in SAMPLES.items():
        (tmp_path / name).write_text(text)
    for name in ("secrets", "json", "statistics", "types"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the file of a project was imported')")
    return tmp_path


@pytest.mark.anyio
async def test_after_a_review_of_every_focus_every_function_of_a_worker_still_answers(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    workers = Workers(1)
    try:
        for focus in FOCUSES:
            analysed = await review_static(SAMPLES, focus, workers)
            # What a linter does for other languages is left to it; everything else is analysed.
            assert set(analysed.not_analysed.values()) <= {
                f"no rules on {focus} for {name}" for name in OTHERS
            }
            items = [(function, [str(project), path, *more]) for function, *more in CALLS for path in SAMPLES]
            for function, item in items:
                [(_, result)] = workers.map_now(function, [item])
                assert not isinstance(result, Failure), (focus, function, item, result)
            asked = hooks.item(Settings(project, project / "user"), 7, None)
            [(_, report)] = workers.map_now(hooks.GATHER, [asked])
            assert not isinstance(report, Failure), (focus, report)
    finally:
        workers.close()
