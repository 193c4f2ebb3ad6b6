"""Edit Claude Code's settings files: one value changes, every other byte stays.

    file = read(path)                                # Refused when it isn't plain JSON of this user
    text = with_value(file.text, "hooks", {...})     # json_edit.py: key order and formatting stay
    write(file, text, state_folder)                  # lock, compare, backup, replace at once

Rules:
1. A file that can't be understood whole is never written: invalid JSON, comments, a key that is there
   twice (reading would lose one). Nothing is repaired.
2. A symlink stays one: its target is replaced. The mode stays. A read-only file is left alone.
3. Claude Code takes no lock when it writes. So what is on disk is compared with what was read, right before
   it is replaced; a file that was edited meanwhile is left alone.
4. What was there is kept: `write` says where.
5. A byte-order mark is read, as the client reads it, and stays.
"""

from __future__ import annotations

import codecs
import json
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

from fanout_hooks.client import files, json_edit
from fanout_hooks.client.files import flags, is_running, lock

MAX_BYTES = 8 << 20
LOCK_S = 2.0
POLL_S = 0.02
KEEP_BACKUPS = 20


class Refused(Exception):
    """The file is left as it is; the text says why and what to do."""


class File(NamedTuple):
    """A settings file as it was read. `raw` is None where there is none yet."""

    path: str
    target: str
    """Where the bytes are: the path with symlinks followed."""
    raw: bytes | None
    text: str
    data: dict[str, Any]
    mode: int = 0o644


def read(path: str) -> File:
    """Read a settings file; one that isn't there is an empty one. Raises Refused."""
    file = _read(path)
    if file.raw is None:
        return file._replace(text="{}\n")
    text, data = _understood(path, file.raw)
    return file._replace(text=text, data=data)


def read_text(path: str) -> File:
    """Read a file of text that is no JSON; one that isn't there is an empty one. Raises Refused."""
    file = _read(path)
    try:
        return file._replace(text=(file.raw or b"").decode())
    except UnicodeDecodeError as error:
        raise Refused(f"{path} is not UTF-8 (byte {error.start}); fix it first") from None


def _read(path: str) -> File:
    target = os.path.realpath(path)
    try:
        with files.opened(target) as file:
            raw, mode = file.read(MAX_BYTES + 1), os.fstat(file.fileno()).st_mode
    except FileNotFoundError:
        return File(path, target, None, "", {})
    except OSError as error:
        raise Refused(f"{path} can't be read: {error.strerror}") from None
    if len(raw) > MAX_BYTES:
        raise Refused(f"{path} is larger than {MAX_BYTES >> 20} MB")
    return File(path, target, raw, "", {}, stat.S_IMODE(mode))


def _understood(path: str, raw: bytes) -> tuple[str, dict[str, Any]]:
    fix = "fix it first; nothing was written"
    try:
        text = raw.removeprefix(codecs.BOM_UTF8).decode("utf-8")
        data = json.loads(text, object_pairs_hook=_once)
    except UnicodeDecodeError as error:
        raise Refused(f"{path} is not UTF-8 (byte {error.start}); {fix}") from None
    except json.JSONDecodeError as error:
        why = "has comments, and JSON has none" if text[error.pos :].lstrip()[:1] == "/" else error.msg
        raise Refused(f"{path}, line {error.lineno}: {why}; {fix}") from None
    except (ValueError, RecursionError) as error:
        raise Refused(f"{path}: {error}; {fix}") from None
    if not isinstance(data, dict):
        raise Refused(f"{path} is not a JSON object; {fix}")
    return text, data


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f'"{twice}" appears twice in one object, and only one of them counts')
    return found


# --- writing ------------------------------------------------------------------------------------------------


class Edit(NamedTuple):
    """A settings file, and the text that it is to have."""

    file: File
    text: str

    @property
    def is_change(self) -> bool:
        return self.text != self.file.text

    def write(self, state_folder: str) -> str:
        """Write what changes; return where the old one is kept, "" where there is none."""
        return write(self.file, self.text, state_folder) if self.is_change else ""


def write(before: File, text: str, state_folder: str) -> str:
    """Replace the file at once; return where the old one is kept ("" where none was). Raises Refused."""
    _understood(before.path, text.encode())
    mark = "\ufeff" if (before.raw or b"").startswith(codecs.BOM_UTF8) else ""
    return write_text(before, mark + text, state_folder)


def write_text(before: File, text: str, state_folder: str) -> str:
    """As `write`, for what is no JSON."""
    with locked(before.target, state_folder):
        if on_disk(before.target) != before.raw:
            raise Refused(f"{before.path} was changed meanwhile; nothing was written. Try again.")
        if before.raw is not None and not before.mode & 0o222:
            raise Refused(f"{before.path} is read-only; make it writable first")
        kept = _keep(before, state_folder) if before.raw is not None else ""
        replace(before.target, text.encode(), before.mode)
    return kept


def remove(before: File, state_folder: str) -> str:
    """Remove a file of ours; return where it is kept."""
    with locked(before.target, state_folder):
        if before.raw is None:
            return ""
        kept = _keep(before, state_folder)
        os.unlink(before.target)
    return kept


def replace(target: str, data: bytes, mode: int) -> None:
    """Write a file whole or not at all. Raises Refused."""
    folder = os.path.dirname(target)
    try:
        os.makedirs(folder, exist_ok=True)
        sweep(folder)
        files.replace(target, data, mode, is_synced=True)
    except OSError as error:
        raise Refused(f"{target} can't be written: {error.strerror}") from None
    _sync_folder(folder)


def sweep(folder: str) -> None:
    """Remove what a process that was killed in the middle of `replace` has left."""
    for name in os.listdir(folder):
        before, mark, rest = name.partition(files.TEMPORARY)
        if mark and not before and not is_running(rest.partition("-")[0]):
            files.remove(os.path.join(folder, name))


def _sync_folder(folder: str) -> None:
    with suppress(OSError):  # some systems have no such thing; the rename holds all the same
        fd = os.open(folder, flags("O_RDONLY", "O_DIRECTORY"))
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def on_disk(target: str) -> bytes | None:
    """Return the bytes of a file, None where there is none. Raises OSError."""
    try:
        return files.read(target)
    except FileNotFoundError:
        return None


def _keep(before: File, state_folder: str) -> str:
    folder, own = os.path.join(state_folder, "backups"), _name_of(before.target)
    seconds, rest = divmod(time.time_ns(), 10**9)  # of one moment: the names' order decides what is swept
    when = time.strftime("%Y%m%d-%H%M%S", time.localtime(seconds))
    path = os.path.join(folder, f"{own}.{when}-{rest:09}.json")
    try:
        with os.fdopen(files.own(path, files.NEW), "wb") as file:
            file.write(before.raw or b"")
    except OSError as error:
        files.remove(path)
        raise Refused(f"{path} can't be written: {error.strerror}; {before.path} stays as it was") from None
    for old in sorted(name for name in os.listdir(folder) if name.startswith(own))[:-KEEP_BACKUPS]:
        os.unlink(os.path.join(folder, old))
    return path


def copies(path: str, state_folder: str) -> list[str]:
    """Return where earlier versions of a file are kept, the newest first."""
    folder, own = os.path.join(state_folder, "backups"), _name_of(os.path.realpath(path))
    names = os.listdir(folder) if os.path.isdir(folder) else []
    return [os.path.join(folder, name) for name in sorted(names, reverse=True) if name.startswith(own)]


def _name_of(target: str) -> str:
    digest = files.digest(target, 6).hex()
    return f"{os.path.basename(target)}-{digest}"


@contextmanager
def locked(target: str, state_folder: str, wait_s: float = LOCK_S) -> Iterator[None]:
    """Hold a file against others of ours: the lock lies in our own folder, not the user's. Raises Refused."""
    path = os.path.join(state_folder, "locks", _name_of(target))
    try:
        fd = files.own(path)
    except OSError as error:
        raise Refused(f"{path} can't be written: {error.strerror}; nothing was written") from None
    try:
        if not lock(fd, time.monotonic() + wait_s, POLL_S):
            raise Refused(f"another process is changing {target}; try again")
        yield
    finally:
        os.close(fd)


# --- Changes the `hooks` in the text of a settings file group by group: what stays keeps its bytes. ---------

KEY = "hooks"


class Edited(NamedTuple):
    """A settings file's text, and whether all that stays in its `hooks` has the bytes that it had."""

    text: str
    is_exact: bool


def with_hooks(text: str, wanted: dict[str, Any]) -> Edited:
    """Return the text with these hooks: groups cut out, others put in behind; without any, no `hooks`.

    Groups that changed inside, or whose order did, can't be had so: then all of `hooks` is rewritten. An
    event with an empty list says nothing, and stays.
    """
    edited = text
    for event, groups in json.loads(text).get(KEY, {}).items():
        edited = _cut(edited, event, groups, wanted.get(event))
    for event, groups in wanted.items():
        there = json.loads(edited).get(KEY, {}).get(event, [])
        for group in _more(groups, there):
            edited = json_edit.with_item(edited, (KEY, event), group)
    made = json.loads(edited).get(KEY, {})
    if _filled(made) == _filled(wanted):
        return Edited(edited if made else json_edit.with_value(edited, KEY, None), is_exact=True)
    return Edited(json_edit.with_value(text, KEY, wanted or None), is_exact=False)


def _filled(hooks: dict[str, Any]) -> dict[str, Any]:
    return {event: groups for event, groups in hooks.items() if groups != []}


def _cut(text: str, event: str, groups: Any, wanted: Any) -> str:
    """Cut the groups of an event that aren't wanted, and an event that isn't."""
    if wanted is None:
        return text if groups == [] else json_edit.without(text, (KEY, event))
    if not isinstance(groups, list) or not isinstance(wanted, list):
        return text
    for number in reversed(range(len(groups))):
        if groups[number] not in wanted:
            text = json_edit.without(text, (KEY, event, number))
    return text


def _more(groups: Any, there: Any) -> list[Any]:
    if not isinstance(groups, list) or not isinstance(there, list):
        return []
    return [group for group in groups if group not in there]
