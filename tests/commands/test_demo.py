"""`fanout demo`: five scenes of the real tools, nobody's money, and a picture that shows what it prints."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

import picture
from fakes.upstream import Upstream, serving
from fanout_mcp.commands import demo

KEY = "sk-or-a-very-secret-key"
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "project").mkdir()
    source = 'import sys\n\n\ndef parse_arguments() -> list[str]:\n    """Parse the command line."""\n'
    (tmp_path / "project" / "main.py").write_text(f"{source}    return sys.argv\n")
    return tmp_path / "project"


def run(project: Path, upstream: Upstream, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    home = {"HOME": str(project.parent), "XDG_CONFIG_HOME": "", "XDG_STATE_HOME": "", "XDG_CACHE_HOME": ""}
    key = {"FANOUT_BASE_URL": upstream.url, "FANOUT_API_KEY": KEY}
    command = [sys.executable, "-P", "-m", "fanout_mcp", "demo", *words]
    return subprocess.run(
        command,
        cwd=project,
        env={**os.environ, "COLUMNS": "80", **home, **key, **more},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.slow
def test_five_scenes_are_shown_each_on_one_screen_and_no_key_is_used(project: Path) -> None:
    with serving() as upstream:
        done = run(project, upstream)
    assert (done.returncode, done.stderr) == (0, "")
    assert upstream.log == []
    assert KEY not in done.stdout
    scenes = re.split(r"\n\d of 5 ", done.stdout)[1:]
    assert [scene.partition(" ─")[0] for scene in scenes] == list(demo.SCENES)
    assert all(scene.count("\n") <= 24 and max(map(len, scene.splitlines())) <= 80 for scene in scenes)
    find, review, panel, hooks, _ = scenes
    assert "main.py\n    parse_arguments (lines 4-6)\n" in find
    assert "dropped 1 claim of the scripted reviewer: quote not in the file" in review
    assert "5 of 8 agree" in panel
    assert "oracle cut: too late" in panel
    assert re.search(r"cost \$0\.0\d+ \(scripted\)", " ".join(panel.split()))
    assert re.search(r"5 sample hooks .*\n.*\nnative .* ms\n.*\nwarm .* ms\n", hooks)
    assert sorted(path.name for path in project.iterdir()) == ["main.py"]


@pytest.mark.slow
def test_live_asks_the_users_own_backend(project: Path) -> None:
    with serving() as upstream:
        done = run(project, upstream, LIVE="1")
    assert "PROCEED" in done.stdout, done.stderr
    assert upstream.log != []


@pytest.mark.slow
def test_where_no_code_answers_the_question_fanouts_own_is_asked(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with serving() as upstream:
        done = run(tmp_path / "empty", upstream, "How are members of a panel counted in a vote?")
    assert "so fanout's own is asked" in done.stdout, done.stderr
    assert "panel/vote.py" in done.stdout


def texts(path: Path) -> list[str]:
    """Return the lines of a picture, top down."""
    lines: dict[float, str] = {}
    for text in ET.fromstring(path.read_text(encoding="utf-8")).iter(f"{SVG}text"):
        if text.get("clip-path"):
            height = float(text.get("y") or 0)
            lines[height] = lines.get(height, "") + (text.text or "")
    return [lines[height] for height in sorted(lines)]


def without_figures(text: str) -> str:
    """Leave out what differs from run to run: figures, and how long a bar or a gap is."""
    return "".join(re.sub(r"[\d.,]+|█+", "#", text).split())


@pytest.mark.slow
@pytest.mark.parametrize("name", picture.PICTURES)
def test_a_picture_shows_what_the_demo_prints_today(name: str) -> None:
    console = picture.played(picture.PICTURES[name])
    wanted = [without_figures(line) for line in console.export_text().splitlines()]
    for theme in picture.THEMES:
        shown = [without_figures(line) for line in texts(picture.FOLDER / f"{name}-{theme}.svg")]
        assert [line for line in shown if line] == [line for line in wanted if line], "run `make picture`"


def shipped_words() -> Iterator[tuple[str, str]]:
    yield from (("panel", said[2]) for said in demo.shipped()["panel"]["members"].values())
    yield "panel", demo.shipped()["panel"]["question"]
    yield from (("review", claim["title"]) for claim in demo.shipped()["claims"])


@pytest.mark.parametrize(("name", "words"), [*shipped_words()])
@pytest.mark.parametrize("theme", picture.THEMES)
def test_a_picture_holds_the_scripted_words_of_today(name: str, words: str, theme: str) -> None:
    lines = texts(picture.FOLDER / f"{name}-{theme}.svg")
    assert words in "\n".join(lines).replace("\xa0", " "), "run `make picture`"


@pytest.mark.parametrize("path", sorted(picture.FOLDER.iterdir()), ids=lambda path: path.name)
def test_a_picture_loads_nothing_from_elsewhere(path: Path) -> None:
    text = path.read_text(encoding="utf-8").replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert not re.search(r"https?:|@import|@font-face|<image|<script|<foreignObject", text)


def test_every_member_of_the_panel_has_a_scripted_answer() -> None:
    from fanout_mcp.panel.personas import built_in

    assert list(demo.shipped()["panel"]["members"]) == list(built_in().presets["all"])


def test_a_users_hooks_are_found_in_settings_and_where_they_were_adopted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, project = tmp_path / "home", tmp_path / "project"
    for path, command in {
        home / ".claude" / "settings.json": "python3 mine.py",
        home / ".claude" / "fanout" / "hooks.json": "python3 adopted.py",
        project / ".claude" / "settings.json": ": fanout own entry",
    }.items():
        path.parent.mkdir(parents=True)
        group = {"hooks": [{"type": "command", "command": command}, {"type": "prompt", "prompt": "?"}]}
        path.write_text(json.dumps({"hooks": {"PreToolUse": [group], "Stop": [group]}}))
    monkeypatch.chdir(project)
    found = demo.own_hooks({"HOME": str(home)})
    commands = [hook["command"] for group in found for hook in group["hooks"]]
    assert commands == ["python3 mine.py", "python3 adopted.py"]
