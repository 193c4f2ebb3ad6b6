"""`fanout policy`: what the company's policy says, whether it binds, and whether its audit log is whole."""

from __future__ import annotations

import argparse
import hashlib
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from fanout_hooks.client import files
from fanout_mcp.commands.flags import FINDINGS, OK
from fanout_mcp.errors import InvalidInput, SettingsError, why
from fanout_mcp.state import audit, policy
from fanout_mcp.text import printable

SET_FLAGS: Final = 0x40086602


def add_arguments(parser: argparse.ArgumentParser) -> None:
    what = parser.add_subparsers(dest="what", required=True)
    what.add_parser("check", help="say whether the policy is in force, or what prevents it")
    what.add_parser("show", help="list what the policy forbids")
    what.add_parser("write-json", help=f"write {policy.COPY}, which hooks read (as root)")
    prepare = what.add_parser("prepare", help="create append-only audit logs (as root)")
    prepare.add_argument("users", nargs="+", metavar="USER", help="a user of this machine")
    verify = what.add_parser("verify-log", help="find out whether the audit log was changed")
    verify.add_argument("--folder", type=Path, help="the log's folder (default: the policy's)")
    verify.add_argument("--second", help="what the second place has, as a file; -: stdin")


def run(args: argparse.Namespace) -> int:
    found = policy.current() if args.what != "check" else None
    if found is None:
        return _check()
    if args.what == "verify-log":
        return _verify(found, args.folder, args.second)
    if not found.is_there:
        return _say([f"there is no policy on this machine ({policy.PLACE})"])
    if args.what == "write-json":
        return _write_copy(found)
    if args.what == "prepare":
        return _prepare(found, args.users)
    return _say([policy.PLACE, *(list(found.forbids()) or ["it forbids nothing"])])


def _say(lines: list[str], status: int = OK) -> int:
    sys.stdout.writelines(f"{printable(line)}\n" for line in lines)
    return status


def _check() -> int:
    try:
        found = policy.current()
    except SettingsError as error:
        return _say([str(error)], FINDINGS)
    if not found.is_there:
        return _say([f"there is no policy on this machine ({policy.PLACE})"])
    problems: list[str] = []
    try:
        problems += _copy_problems(found)
        problems += _log_problems(found)
    except OSError as error:
        problems.append(f"{error.filename or policy.COPY} can't be looked at: {why(error)}")
    if problems:
        return _say(problems, FINDINGS)
    return _say([f"{policy.PLACE} binds every user of this machine"])


def _digest() -> str:
    return hashlib.sha256(policy.trusted_bytes(policy.PLACE)).hexdigest()


def _copy_problems(found: policy.Policy) -> Iterator[str]:
    do = "sudo fanout policy write-json"
    if not Path(policy.COPY).exists():
        yield f"{policy.COPY} is missing; the gate is strict until hooks know the policy: {do}"
    elif problem := policy.untrusted(policy.COPY):
        yield f"{policy.COPY} {problem}"
    elif policy.trusted_bytes(policy.COPY) != policy.copy_of(found, _digest()):
        yield f"{policy.COPY} is older than {policy.PLACE}: {do}"


def _log_problems(found: policy.Policy) -> Iterator[str]:
    if found.audit is None:
        return
    folder = Path(found.audit.folder)
    try:
        status = folder.stat()
    except OSError as error:
        yield f"{folder}: {why(error)}; sudo fanout policy prepare USER..."
        return
    if status.st_uid != policy.OWNER or (status.st_mode & stat.S_IWOTH and not status.st_mode & stat.S_ISVTX):
        yield f"{folder} must be root's, and its users' files safe from one another: sudo chmod 1777 {folder}"
    second = found.audit.second
    if not second:
        yield f"{folder}: without `second` in [audit], a log that was cut or replaced as a whole looks whole"
    elif second != "syslog" and Path(second).stat().st_uid == os.getuid() != policy.OWNER:
        yield f"{second} must have another owner than the one who writes the log"


def _write_copy(found: policy.Policy) -> int:
    try:
        files.replace(policy.COPY, policy.copy_of(found, _digest()), 0o644, is_synced=True)
    except OSError as error:
        raise SettingsError(f"{policy.COPY} can't be written: {why(error)}. Run it as root.") from error
    return _say([f"{policy.COPY} is written"])


def _prepare(found: policy.Policy, users: list[str]) -> int:
    """Make each user a log in root's folder that the user can add to, and neither cut, replace nor remove."""
    if found.audit is None:
        raise InvalidInput(f"{policy.PLACE} names no audit log: [audit] folder = ...")
    import pwd  # not on Windows, where this module is imported too

    folder = Path(found.audit.folder)
    try:
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        for user in users:
            known = pwd.getpwnam(user)
            path = folder / f"{known.pw_uid}.jsonl"
            if path.exists() and path.stat().st_size > audit.MAX_BYTES:
                _set_append_only(path, on=False)
                _only_grows(path.rename(audit.part_of(path)), known.pw_gid, 0o640)
            path.touch(mode=0o600)
            _only_grows(path, known.pw_gid, 0o660)
    except KeyError:
        raise InvalidInput(f"there is no user {user!r} on this machine.") from None
    except OSError as error:
        raise SettingsError(
            f"{folder} can't be prepared: {why(error)}. Run it as root, on ext4 or xfs."
        ) from error
    return _say([f"{folder}: {len(users)} logs are ready"])


def _only_grows(path: Path, group: int, mode: int) -> None:
    """Make a log root's, readable by its user, once: one that only grows takes no other owner or mode."""
    with path.open("rb") as file:
        if audit.is_append_only(file.fileno()):
            return
    os.chown(path, policy.OWNER, group)
    path.chmod(mode)
    _set_append_only(path, on=True)


def _set_append_only(path: Path, *, on: bool) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        had = audit.flags_of(descriptor)
        flags = had | audit.APPEND_ONLY if on else had & ~audit.APPEND_ONLY
        files.fcntl.ioctl(descriptor, SET_FLAGS, flags.to_bytes(8, "little"))
    finally:
        os.close(descriptor)


def _verify(found: policy.Policy, folder: Path | None, second: str | None) -> int:
    if folder is None and found.audit is None:
        raise InvalidInput("the policy names no audit log: name its folder with --folder.")
    place = folder or Path(found.audit.folder if found.audit else "")
    named = second or (found.audit.second if found.audit and found.audit.second != "syslog" else "")
    try:
        texts = Path(named).read_text("utf-8", "replace").splitlines() if named not in {"", "-"} else None
        wrong, unknown = audit.verify(place, sys.stdin if named == "-" else texts)
        count = sum(path.read_bytes().count(b"\n") for path in place.glob("*.jsonl"))
    except OSError as error:
        raise InvalidInput(f"the log can't be read: {error}.") from error
    lines = [f"{place}: {count:,} lines, {len(wrong)} faults", *wrong]
    lines += [f"can't tell: {one}" for one in unknown]
    if found.audit and found.audit.second == "syslog" and not named:
        how = "journalctl -t fanout-audit -o cat | fanout policy verify-log --second -"
        lines.append(f"the second place is syslog: {how}")
    return _say(lines, FINDINGS if wrong else OK)
