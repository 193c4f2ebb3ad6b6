"""Disks that are full, read-only or broken: one sentence, nothing half-written, what was paid for shown."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from fakes.faulty import BROKEN, READ_ONLY, full, run
from fakes.upstream import Rule, serving

pytestmark = pytest.mark.slow

FILES = 120
PURPOSE = "It says hello to each visitor."
ANSWER = json.dumps(
    {
        "purpose": PURPOSE,
        "notes": ["x" * 300],
        "verdict": "PROCEED",
        "confidence": 80,
        "summary": "It holds.",
        "ideas": [{"title": "An idea", "detail": "d"}],
    }
)
EXCEPTION = re.compile(r"\b[A-Z]\w*(?:Error|Exception)\b|Traceback|Errno|a defect of fanout")
HOOKS = {"Stop": [{"hooks": [{"type": "command", "command": "python3 h.py"}]}]}
FANOUT = (sys.executable, "-P", "-m", "fanout_mcp")
HOOKS_COMMAND = (
    sys.executable,
    "-P",
    "-c",
    "import sys; from fanout_hooks.cli import main; sys.exit(main())",
)


class Stage(NamedTuple):
    home: Path
    project: Path
    temporary: Path

    def env(self, **more: str) -> dict[str, str]:
        own = {"PATH": os.environ["PATH"], "HOME": str(self.home), "TMPDIR": str(self.temporary)}
        return {**own, "LANG": "C.UTF-8", **more}

    def files(self) -> dict[Path, bytes]:
        """Return the user's own files: what no failed command may change."""
        return {
            path: path.read_bytes()
            for folder in (self.home, self.project)
            for path in sorted(folder.rglob("*"))
            if path.is_file() and path.name != ".filler" and "locks" not in path.parts
        }


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    made = Stage(*(tmp_path / name for name in ("home", "project", "temporary")))
    for folder in (made.home / ".claude", made.project / "src", made.project / ".claude", made.temporary):
        folder.mkdir(parents=True)
    for number in range(FILES):
        (made.project / "src" / f"a_module_with_a_long_name_{number}.py").write_text(
            f'"""Say hello {number}."""\nimport os\ndef run(x=[]):\n    os.system(input())\n'
        )
    (made.project / "h.py").write_text("print(1)")
    settings = json.dumps({"hooks": HOOKS, "pad": "x" * 9_000})
    (made.home / ".claude" / "settings.json").write_text(settings)
    (made.project / ".claude" / "settings.local.json").write_text(settings)
    return made


# --- commands that write the user's files -------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["read-only", "full", "6 kB left", "no file above 8 kB", "none at all"])
@pytest.mark.parametrize(
    "command",
    [(*FANOUT, "install", "--yes"), (*HOOKS_COMMAND, "adopt", "--all", "--yes", "--scope", "user")],
    ids=["install", "adopt"],
)
def test_a_home_that_takes_nothing_is_one_sentence_and_stays_as_it_was(
    stage: Stage, fault: str, command: tuple[str, ...]
) -> None:
    before = stage.files()
    mounts = {"read-only": READ_ONLY, "full": full(), "6 kB left": full("6144")}
    limits = {"no file above 8 kB": 8_192, "none at all": 0}
    # What is written lies in the mounted home, which is gone afterwards: a listing is part of the command.
    listing = (
        f'"$0" "$@"; status=$?; find "{stage.home}" -type f -size +0 -newer "$HERE/h.py" >&2; exit $status'
    )
    found = {stage.home: mounts[fault]} if fault in mounts else {}
    done = run(["sh", "-c", listing, *command], stage.project, stage.env(), found, limits.get(fault))
    assert done.returncode in {1, 2}
    sentence, *left = done.stderr.splitlines()
    assert re.search(r"(can't be (?:written|made)|written to)", sentence)
    assert re.search(r"Read-only file system|No space left on device|File too large", sentence)
    assert not EXCEPTION.search(done.stdout + done.stderr)
    assert [line for line in left if "/.filler" not in line and not _is_kept_copy(line)] == []
    assert stage.files() == before


def _is_kept_copy(line: str) -> bool:
    """Name what may stay: whole copies of files as they were, and fanout's own program for its entries."""
    return "/backups/" in line or line.endswith(("settings.json", "originals.py", "launch.json", "python"))


def test_an_installation_that_fails_in_its_middle_is_undone(stage: Stage) -> None:
    skills = stage.home / ".claude" / "skills"
    skills.mkdir()
    before = stage.files()
    done = run([*FANOUT, "install", "--yes"], stage.project, stage.env(), {skills: READ_ONLY})
    assert done.returncode == 2
    assert "nothing was written" in done.stderr
    assert not EXCEPTION.search(done.stderr)
    after = {path: data for path, data in stage.files().items() if "backups" not in path.parts}
    assert after == before


@pytest.mark.parametrize(
    "words",
    [
        (*FANOUT, "install", "--yes"),
        (*HOOKS_COMMAND, "adopt", "--all", "--yes"),
        (*HOOKS_COMMAND, "check"),
        (*FANOUT, "doctor"),
    ],
    ids=["install", "adopt", "check", "doctor"],
)
def test_a_settings_file_whose_disk_fails_is_named(stage: Stage, words: tuple[str, ...]) -> None:
    settings = stage.home / ".claude" / "settings.json"
    done = run(list(words), stage.project, stage.env(), {settings: BROKEN})
    shown = done.stdout + done.stderr
    assert not EXCEPTION.search(shown)
    assert done.returncode in {0, 1, 2}
    if words[-1] != "doctor":
        assert f"{settings} can't be read: Input/output error" in shown


# --- what was paid for --------------------------------------------------------------------------------------

PAID = {
    "oracle": (("oracle", "Is it wise?"), "It holds."),
    "council": (("council", "Is it wise?", "--rounds", "1"), "PROCEED"),
    "summarize": (("summarize", "src"), PURPOSE),
    "summarize in full": (("summarize", "src", "--detail", "full"), PURPOSE),
}


@pytest.mark.parametrize("fault", ["read-only", "full", "40 kB left", "all of it full", "no file above 8 kB"])
@pytest.mark.parametrize("name", PAID)
def test_what_was_paid_for_is_returned_where_it_cannot_be_kept(stage: Stage, name: str, fault: str) -> None:
    words, wanted = PAID[name]
    everything = dict.fromkeys(stage, full())
    mounts = {
        "read-only": {stage.project: READ_ONLY},
        "full": {stage.project: full()},
        "40 kB left": {stage.project: full("40960")},
        "all of it full": everything,
    }
    limit = 8_192 if fault.startswith("no file") else None
    with serving(Rule(text=ANSWER)) as upstream:
        env = stage.env(FANOUT_BASE_URL=upstream.url, FANOUT_MODEL="maker/first")
        done = run([*FANOUT, *words], stage.project, env, mounts.get(fault, {}), limit)
        asked = len(upstream.log)
    assert done.returncode == 0, done.stderr
    assert asked >= 3
    assert wanted in done.stdout
    assert not EXCEPTION.search(done.stdout + done.stderr)


@pytest.mark.parametrize(
    "words",
    [("explore",), ("review", "src"), ("report",), ("doctor",), ("audit",)],
    ids=lambda words: words[0],
)
@pytest.mark.parametrize("fault", ["read-only", "full"])
def test_a_machine_that_takes_nothing_still_answers(stage: Stage, words: tuple[str, ...], fault: str) -> None:
    faults = dict.fromkeys(stage, READ_ONLY if fault == "read-only" else full())
    done = run([*FANOUT, *words], stage.project, stage.env(FANOUT_BACKEND="plan"), faults)
    assert done.returncode in {0, 1}
    assert done.stdout.strip()
    assert not EXCEPTION.search(done.stdout + done.stderr)
