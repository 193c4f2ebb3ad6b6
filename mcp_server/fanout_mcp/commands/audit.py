"""`fanout audit`: what ran one after another and needn't have; hooks that are slow or race."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from fanout_hooks import audit, transcript
from fanout_hooks.audit import Observation
from fanout_mcp import settings
from fanout_mcp.clean import printable
from fanout_mcp.errors import InvalidInput
from fanout_mcp.status import OK

SETTINGS_FILES = ("settings.json", "settings.local.json")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--transcripts",
        nargs="?",
        const="",
        metavar="FOLDER",
        help="read Claude Code's transcripts too: this project's, or those below FOLDER",
    )
    parser.add_argument(
        "--last", type=int, default=50, metavar="N", help="at most N transcripts (default 50)"
    )
    parser.add_argument("--json", action="store_true", help="print the observations as JSON, nothing else")


def run(args: argparse.Namespace) -> int:
    root = settings.read().root
    found = [*_from_settings(root), *(_from_transcripts(args, root) if args.transcripts is not None else ())]
    found.sort(key=lambda one: (-one.seconds, one.place))
    if args.json:
        sys.stdout.write(audit.to_json(found) + "\n")
    else:
        _show(found, with_transcripts=args.transcripts is not None)
    return OK


def _from_settings(root: Path) -> Iterator[Observation]:
    folders = (Path.home() / ".claude", root / ".claude")
    for file in (folder / name for folder in folders for name in SETTINGS_FILES):
        try:
            data = json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            raise InvalidInput(
                f"{file} can't be read: {error}. Mend it; Claude Code ignores it too."
            ) from error
        if isinstance(data, dict):
            yield from audit.audit_settings(str(file), data, str(root))


def _from_transcripts(args: argparse.Namespace, root: Path) -> Iterator[Observation]:
    folder = args.transcripts or transcript.project_folder(str(root), str(Path.home()))
    if not Path(folder).is_dir():
        raise InvalidInput(f"{folder} holds no transcripts. Name their folder: --transcripts FOLDER.")
    read = [transcript.read(path) for path in transcript.find(folder)[: max(1, args.last)]]
    for conversation in read:
        yield from audit.audit_transcript(conversation)
    yield from audit.audit_hook_runs(read)


def _show(found: list[Observation], *, with_transcripts: bool) -> None:
    from rich.console import Console
    from rich.markup import escape

    console = Console(highlight=False)
    for one in found:
        time = f"{one.seconds:.1f} s {'measured' if one.measured else 'estimated'}, {one.basis}"
        console.print(f"[bold]{one.kind}[/]  {escape(printable(one.what))}")
        console.print(f"  [dim]at[/]   {escape(printable(one.place))}", soft_wrap=True)
        console.print(
            f"  [dim]time[/] {escape(time if one.seconds else 'not measured: ' + one.basis)}", soft_wrap=True
        )
        console.print(f"  [dim]do[/]   {escape(one.advice)}\n")
    if not found:
        console.print("Nothing ran one after another that could have run at once.")
    if not with_transcripts:
        console.print(
            "[dim]Settings and hooks only. Claude Code's transcripts are read with --transcripts.[/]"
        )
