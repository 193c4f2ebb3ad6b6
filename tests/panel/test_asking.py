"""Files attached to a question: bounded, below the root, scrubbed, fenced; or a sentence that says why."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanout_mcp.errors import InvalidInput
from fanout_mcp.panel import asking
from fanout_mcp.panel.asking import LEFT_OUT, packed, read_material
from fanout_mcp.types import Prompt

KEY = "sk-or-v1-0123456789abcdef0123456789abcdef"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    root.mkdir()
    (root / "plan.md").write_text("Do it in one night.\n")
    (tmp_path / "outside.md").write_text("not yours")
    return root


def test_a_file_is_fenced_as_data_under_its_name(root: Path) -> None:
    found = read_material(root, ["plan.md"])
    assert found.files == ("plan.md",)
    assert "Do it in one night." in found.text
    fences = [line.split()[0] for line in found.text.splitlines() if "plan.md" in line]
    assert len(fences) == 2
    assert fences[0] == fences[1], "a file can't close its own fence: nobody knows its mark before"
    assert fences[0] not in read_material(root, ["plan.md"]).text


def test_the_same_file_named_in_three_ways_is_attached_once(root: Path) -> None:
    assert read_material(root, ["plan.md", "./plan.md", str(root / "plan.md")]).files == ("plan.md",)


def test_a_key_in_a_file_is_scrubbed_and_counted(root: Path) -> None:
    (root / "notes.md").write_text(f"use {KEY} for it")
    found = read_material(root, ["notes.md"])
    assert KEY not in found.text
    assert found.redacted == 1


def _outside(root: Path) -> str:
    return "../outside.md"


def _absolute(root: Path) -> str:
    return str(root.parent / "outside.md")


def _symlink(root: Path) -> str:
    (root / "link.md").symlink_to(root.parent / "outside.md")
    return "link.md"


def _symlinked_folder(root: Path) -> str:
    (root / "folder").symlink_to(root.parent)
    return "folder/outside.md"


def _fifo(root: Path) -> str:
    os.mkfifo(root / "pipe")
    return "pipe"


def _binary(root: Path) -> str:
    (root / "image.png").write_bytes(b"\x89PNG\x00\x01")
    return "image.png"


def _huge(root: Path) -> str:
    with (root / "huge.txt").open("wb") as file:
        file.truncate(10_000_000_000)  # sparse: it takes no room
    return "huge.txt"


def _env(root: Path) -> str:
    (root / ".env").write_text(f"KEY={KEY}")
    return ".env"


def _private_key(root: Path) -> str:
    (root / "id_rsa").write_text("x")
    return "id_rsa"


def _git(root: Path) -> str:
    (root / ".git").mkdir()
    (root / ".git" / "config").write_text("x")
    return ".git/config"


def _folder(root: Path) -> str:
    (root / "src").mkdir()
    return "src"


@pytest.mark.parametrize(
    ("make", "why"),
    [
        pytest.param(_outside, "not a path below the root", id="outside the root"),
        pytest.param(_absolute, "not a path below the root", id="absolute, outside the root"),
        pytest.param(_symlink, "symlink", id="through a symlink"),
        pytest.param(_symlinked_folder, "symlink", id="below a symlinked folder"),
        pytest.param(_fifo, "not a regular file", id="a FIFO"),
        pytest.param(_binary, "binary", id="binary"),
        pytest.param(_huge, "larger than 400,000 bytes", id="huge"),
        pytest.param(_env, "secret", id="an environment file"),
        pytest.param(_private_key, "secret", id="a private key"),
        pytest.param(_git, "secret", id="inside .git"),
        pytest.param(_folder, "a folder", id="a folder"),
        pytest.param(lambda _: "nowhere.md", "not there", id="not there"),
        pytest.param(lambda _: "", "not a path", id="an empty name"),
        pytest.param(lambda _: "plan.md\x00", "not a path", id="a NUL in the name"),
        pytest.param(lambda _: "a" * 5000, "too long", id="a name without end"),
        pytest.param(lambda _: "\ud800", "unreadable", id="no text in the name"),
    ],
)
def test_what_can_not_be_attached_is_refused_with_its_reason(
    root: Path, make: Callable[[Path], str], why: str
) -> None:
    with pytest.raises(InvalidInput, match=why) as caught:
        read_material(root, [make(root)])
    assert KEY not in str(caught.value)
    assert "not yours" not in str(caught.value)
    assert (str(root) in str(caught.value)) == (why in {"not a path below the root", "not there"})
    assert len(str(caught.value)) < 500


def test_too_many_files_and_too_much_text_are_refused_with_the_bound(root: Path) -> None:
    names = [f"{number}.txt" for number in range(asking.MAX_FILES + 1)]
    with pytest.raises(InvalidInput, match="at most 20"):
        read_material(root, names)
    for name in names[:3]:
        (root / name).write_text("word " * 20_000)
    with pytest.raises(InvalidInput, match="at most 200,000"):
        read_material(root, names[:3])


def test_no_file_is_no_material(root: Path) -> None:
    assert read_material(root, []) == asking.Material()


# --- small contexts ---


@given(st.integers(500, 20_000), st.integers(100, 8_000), st.text(min_size=1, max_size=60_000))
def test_a_packed_prompt_keeps_its_head_and_fits_with_its_answer(tokens: int, most: int, text: str) -> None:
    prompt = Prompt("You judge.", text)
    short = packed(prompt, tokens, most)
    if short is None:
        return
    answer = min(most, max(tokens // 3, asking.MIN_ANSWER))
    assert len(short.system + short.user) <= (tokens - answer) * asking.CHARS_A_TOKEN
    kept, _, note = short.user.rpartition("\n")
    assert text.startswith(kept)
    assert note == LEFT_OUT.format(count=len(text) - len(kept))


@pytest.mark.parametrize(
    ("length", "tokens"),
    [(300, 4_000), (200_000, 1_000), (10, 1)],
    ids=["it fits", "too little left", "none"],
)
def test_a_prompt_is_not_packed_where_that_helps_no_one(length: int, tokens: int) -> None:
    assert packed(Prompt("You judge.", "x" * length), tokens, 1_500) is None
