"""Every published figure, beside its bound, in one run.

    python -m benchmarks [TOPIC ...] [--json | --markdown] [--data FOLDER]

A topic is a module of this package with `run() -> Iterable[Row]`. Each row is shown on stderr the moment it
is known, tables go to stdout. Exit status 1 when a bar was missed or a topic broke.
"""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "tests"))  # the fakes of the tests, as pytest finds them

from benchmarks.table import Row, as_json, line, markdown, show

FRAME = {"__init__", "__main__", "table"}
SHARED = "_"
"""Modules whose name begins with it are shared by topics, and are none."""
READ_DATA = {"agreement"}
"""Topics that measure on published data, which is read where `--data` says and not kept here."""


def topics() -> list[str]:
    names = (path.stem for path in Path(__file__).parent.glob("*.py"))
    return sorted(name for name in names if name not in FRAME and not name.startswith(SHARED))


def measure(topic: str, *, as_lines: bool, data: Path | None = None) -> Iterator[Row]:
    """Run a topic, showing each row as it comes; one that breaks is a missed bar, the others still run."""
    try:
        measured = import_module(f"benchmarks.{topic}").run
        for row in measured(data) if topic in READ_DATA else measured():
            yield _shown(topic, row, as_lines=as_lines)
    except Exception as error:  # noqa: BLE001 - the edge: a day of figures is not lost to one topic
        traceback.print_exc()
        yield _shown(topic, Row("the topic itself", f"{type(error).__name__}", met=False), as_lines=as_lines)


def _shown(topic: str, row: Row, *, as_lines: bool) -> Row:
    print(line(topic, row), file=sys.stderr, flush=True)
    if as_lines:
        print(as_json(topic, row), flush=True)
    return row


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__.splitlines()[0] if __doc__ else ""
    )
    parser.add_argument("topics", nargs="*", metavar="TOPIC", help=f"of {', '.join(topics())} (default: all)")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one JSON object a line and row")
    form.add_argument("--markdown", action="store_true", help="Markdown tables")
    parser.add_argument(
        "--data", type=Path, metavar="FOLDER", help="published data that agreement measures on"
    )
    args = parser.parse_args(argv)
    unknown = [topic for topic in args.topics if topic not in topics()]
    if unknown:
        parser.error(f"no topic {', '.join(unknown)}; there are {', '.join(topics())}")
    rows: list[Row] = []
    for topic in args.topics or topics():
        found = list(measure(topic, as_lines=args.json, data=args.data))
        rows += found
        if args.markdown:
            print(markdown(topic, found), flush=True)
        elif not args.json:
            show(topic, found)
    return int(any(row.met is False for row in rows))


if __name__ == "__main__":
    raise SystemExit(main())
