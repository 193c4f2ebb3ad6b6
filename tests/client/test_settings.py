"""A settings file is edited without touching a byte that isn't ours, or not at all."""

from __future__ import annotations

import fcntl
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as rules
from hypothesis import strategies as st

from fanout_hooks.client import json_edit, settings
from fanout_hooks.client.settings import Refused

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(
    st.text(min_size=1, max_size=6).filter(lambda key: key != "hooks"), VALUES, max_size=4
)
STYLES = st.sampled_from(
    [
        {"indent": 2},
        {"indent": 4},
        {"indent": "\t"},
        {},
        {"separators": (" , ", " : ")},
        {"ensure_ascii": False},
    ]
)
LEADS = st.sampled_from(["", "\n", "\r\n \t", " "])
"""What may stand before the object."""
HOOKS = {"Stop": [{"hooks": [{"type": "command", "command": 'echo "ä"'}]}]}


@rules(deadline=None)
@given(OBJECTS, STYLES, LEADS)
def test_of_every_file_everything_else_keeps_its_bytes_and_taking_out_gives_the_old_file(
    data: dict[str, Any], style: dict[str, Any], lead: str
) -> None:
    before = lead + json.dumps(data, **style)
    after = json_edit.with_value(before, "hooks", HOOKS)
    assert json.loads(after) == data | {"hooks": HOOKS}
    assert list(json.loads(after)) == [*data, "hooks"]
    assert json_edit.with_value(after, "hooks", None) == before


@rules(deadline=None)
@given(OBJECTS, VALUES, STYLES, st.integers(0, 4), LEADS)
def test_of_every_file_a_value_is_replaced_where_it_stands(
    data: dict[str, Any], old: Any, style: dict[str, Any], at: int, lead: str
) -> None:
    items = list(data.items())
    items.insert(at, ("hooks", old))
    before = lead + json.dumps(dict(items), **style)
    written = json_edit.value_text(before, "hooks")
    assert written is not None
    after = json_edit.with_value(before, "hooks", HOOKS)
    assert list(json.loads(after)) == [key for key, _ in items]
    assert json_edit.with_text(after, "hooks", written) == before


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "line 1: Expecting value"),
        (b'{"hooks": {},}', "line 1"),
        (b'{\n  // mine\n  "hooks": {}\n}', "line 2: has comments"),
        (b'{"hooks": {"Stop": []}, "hooks": {}}', '"hooks" appears twice'),
        (b'{"a": {"x": 1, "x": 2}}', '"x" appears twice'),
        (b"[]", "not a JSON object"),
        (b'{"a": "\xff"}', "not UTF-8"),
        (b"[" * 100_000, "recursion"),
        (b'{"a": "' + b"x" * settings.MAX_BYTES + b'"}', "larger than 8 MB"),
    ],
    ids=["empty", "comma", "comments", "twice", "twice inside", "list", "bytes", "deep", "huge"],
)
def test_what_cannot_be_understood_whole_is_refused_with_the_reason(
    content: bytes, why: str, tmp_path: Path
) -> None:
    path = tmp_path / "settings.json"
    path.write_bytes(content)
    with pytest.raises(Refused) as refused:
        settings.read(str(path))
    assert str(path) in str(refused.value)
    assert why in str(refused.value)
    assert path.read_bytes() == content


def test_a_folder_a_pipe_or_a_device_is_refused_and_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, Path("/dev/null")):
        with pytest.raises(Refused):
            settings.read(str(path))


def test_a_file_edited_meanwhile_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_text("{}")
    read = settings.read(str(path))
    path.write_text('{"model": "opus"}')
    with pytest.raises(Refused, match="was changed meanwhile"):
        settings.write(read, '{"hooks": {}}', str(tmp_path / "state"))
    assert path.read_text() == '{"model": "opus"}'


def test_a_file_that_appeared_meanwhile_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    read = settings.read(str(path))
    path.write_text('{"model": "opus"}')
    with pytest.raises(Refused, match="was changed meanwhile"):
        settings.write(read, '{"hooks": {}}', str(tmp_path / "state"))
    assert path.read_text() == '{"model": "opus"}'


def test_a_read_only_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_text("{}")
    path.chmod(0o444)
    with pytest.raises(Refused, match="read-only"):
        settings.write(settings.read(str(path)), '{"hooks": {}}', str(tmp_path / "state"))
    assert path.read_text() == "{}"


def test_nothing_is_written_that_could_not_be_read_again(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_text("{}")
    with pytest.raises(Refused):
        settings.write(settings.read(str(path)), '{"hooks": ', str(tmp_path / "state"))
    assert path.read_text() == "{}"


def test_a_symlink_stays_one_and_its_target_keeps_its_mode(tmp_path: Path) -> None:
    target = tmp_path / "dotfiles" / "claude.json"
    target.parent.mkdir()
    target.write_text("{}")
    target.chmod(0o640)
    link = tmp_path / "settings.json"
    link.symlink_to(target)
    settings.write(settings.read(str(link)), '{"hooks": {}}', str(tmp_path / "state"))
    assert link.is_symlink()
    assert target.read_text() == '{"hooks": {}}'
    assert target.stat().st_mode & 0o777 == 0o640


def test_what_was_there_is_kept_and_old_copies_are_swept(tmp_path: Path) -> None:
    path, state = tmp_path / "settings.json", str(tmp_path / "state")
    path.write_text('{"number": 0}')
    for number in range(1, settings.KEEP_BACKUPS + 5):
        kept = settings.write(settings.read(str(path)), f'{{"number": {number}}}', state)
        assert Path(kept).read_text() == f'{{"number": {number - 1}}}'
    assert len(list((tmp_path / "state" / "backups").iterdir())) == settings.KEEP_BACKUPS


def test_no_stray_file_is_left_beside_the_settings(tmp_path: Path) -> None:
    path = tmp_path / "claude" / "settings.json"
    settings.write(settings.read(str(path)), '{"hooks": {}}', str(tmp_path / "state"))
    assert [one.name for one in path.parent.iterdir()] == ["settings.json"]


def test_a_file_is_on_the_disk_before_it_takes_its_name_and_the_name_after_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, synced = tmp_path / "settings.json", list[tuple[bool, bool]]()
    monkeypatch.setattr(
        os, "fsync", lambda fd: synced.append((stat.S_ISDIR(os.fstat(fd).st_mode), path.exists()))
    )
    settings.replace(str(path), b"{}", 0o600)
    assert synced == [(False, False), (True, True)]


def test_another_process_at_work_is_waited_for_and_then_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "LOCK_S", 0.05)
    path, state = tmp_path / "settings.json", tmp_path / "state"
    path.write_text("{}")
    settings.write(settings.read(str(path)), '{"a": 1}', str(state))
    (lock,) = (state / "locks").iterdir()
    with lock.open("r+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(Refused, match="another process is changing"):
            settings.write(settings.read(str(path)), '{"a": 2}', str(state))
    assert path.read_text() == '{"a": 1}'
