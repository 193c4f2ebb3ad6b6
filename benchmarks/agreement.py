"""What agreement of reviewers is worth: measured, and fitted, on published reviews of real changes.

    python -m benchmarks agreement --data FOLDER    figures, beside those of the committed table
    python -m benchmarks.agreement FOLDER           fit again, and write review/agreement.toml

FOLDER holds changes.jsonl: a change a line, with `golden` comments and `findings` that each name a reviewer,
have a text, and the golden comment that they match, or null. Measured leaving one change out: the rate
that is given to a change's claims was fitted on the others. Panels are drawn from the reviewers of each
change.
"""

from __future__ import annotations

import json
import random
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks._logistic import fitted, logistic
from benchmarks.table import Row
from fanout_mcp.review.agreement import features, probability, rates
from fanout_mcp.review.finding import Finding
from fanout_mcp.review.merge import merge
from fanout_mcp.types import Json

PANELS: Final = 25
FIT_PANELS: Final = 10
RIDGE: Final = 2.0
BARS: Final = {3: (0.522, 0.162), 5: (0.599, 0.132)}
"""Of panels: F1 of what two named at least, Brier score at most."""
TABLE: Final = Path(__file__).parents[1] / "mcp_server" / "fanout_mcp" / "review" / "agreement.toml"
HEAD: Final = """\
# How often a claim was real that so many of so many reviewers made: a logistic curve's weights, in the
# order of agreement.features. Fitted by `python -m benchmarks.agreement FOLDER`.
"""

Cell = tuple[int, int]
"""How many named a claim, and of how many reviewers."""
Counts = Mapping[Cell, tuple[float, float]]
"""Claims, and real ones among them."""


class Change(NamedTuple):
    name: str
    golden: int
    findings: list[Json]

    @property
    def reviewers(self) -> list[str]:
        return sorted({finding["reviewer"] for finding in self.findings})


class Group(NamedTuple):
    """What the product made one finding; `golden`: the comments that its members match."""

    change: str
    named: int
    reviewers: int
    golden: frozenset[str]


def run(data: Path | None = None) -> Iterable[Row]:
    if data is None or not (data / "changes.jsonl").is_file():
        yield Row("agreement of reviewers", "not run: give the folder of the data, --data FOLDER")
        return
    changes = read(data)
    f1 = duplicates(changes)
    yield Row("duplicates within a change, F1", f"{f1:.3f}", bar=">= 0.86", met=f1 >= 0.86)
    weights = fit(counted(panels(changes, range(1, rates().largest + 1), FIT_PANELS, seed=1)))
    for size, (least, most) in BARS.items():
        yield from _panel(changes, size, least, most)
    same = all(abs(a - b) < 0.005 for a, b in zip(weights, rates().weights, strict=True))
    yield Row("the committed table is this fit", "yes" if same else f"no: {_rounded(weights)}", met=same)


def read(folder: Path) -> list[Change]:
    lines = (folder / "changes.jsonl").read_text("utf-8").splitlines()
    tables = [json.loads(line) for line in lines]
    return [Change(table["change"], len(table["golden"]), table["findings"]) for table in tables]


def _panel(changes: Sequence[Change], size: int, least: float, most: float) -> Iterator[Row]:
    groups = list(panels(changes, [size], PANELS, seed=0))
    f1 = _f1_of_agreed(groups, changes)
    yield Row(f"{size} reviewers: F1 of what 2 named", f"{f1:.3f}", bar=f">= {least}", met=f1 >= least)
    training = list(panels(changes, range(1, rates().largest + 1), FIT_PANELS, seed=1))
    errors: list[float] = []
    for change in changes:
        weights = fit(counted(group for group in training if group.change != change.name))
        here = [group for group in groups if group.change == change.name]
        errors += [(_rate(weights, g.named, g.reviewers) - bool(g.golden)) ** 2 for g in here]
    brier = sum(errors) / len(errors)
    yield Row(f"{size} reviewers: Brier score", f"{brier:.3f}", bar=f"<= {most}", met=brier <= most)
    seen = counted(groups)
    shown = ", ".join(
        f"{real / all_of:.0%} ({probability(named, size):.0%})"
        for (named, _), (all_of, real) in sorted(seen.items())
    )
    yield Row(f"real of what 1 to {size} of {size} named (and what is shown)", shown)


def panels(changes: Sequence[Change], sizes: Iterable[int], count: int, seed: int) -> Iterator[Group]:
    """Merge what random panels said of each change."""
    chance = random.Random(seed)
    for size in sizes:
        for change in (change for _ in range(count) for change in changes):
            panel = set(chance.sample(change.reviewers, min(size, len(change.reviewers))))
            yield from grouped(change, panel)


def grouped(change: Change, panel: set[str]) -> Iterator[Group]:
    numbers = [n for n, finding in enumerate(change.findings) if finding["reviewer"] in panel]
    for united in merge(_finding(change.findings[n], n) for n in numbers):
        golden = {change.findings[n]["golden"] for n in united.members} - {None}
        yield Group(change.name, len(united.reviewers), len(panel), frozenset(golden))


def _finding(table: Json, number: int) -> Finding:
    return Finding(
        path="",
        line=0,
        end_line=0,
        quote="",
        severity="medium",
        rule="",
        title=table["text"],
        reviewers=(table["reviewer"],),
        verified="unverified",
        source="model",
        members=(number,),
    )


def duplicates(changes: Sequence[Change]) -> float:
    """F1 over the pairs of two reviewers' findings that both match a golden comment: one, or two."""
    right = said = true = 0
    for change in changes:
        place: dict[int, int] = {}
        for position, united in enumerate(merge(_finding(f, n) for n, f in enumerate(change.findings))):
            place.update(dict.fromkeys(united.members, position))
        known = [n for n, finding in enumerate(change.findings) if finding["golden"] is not None]
        for one, other in combinations(known, 2):
            left, two = change.findings[one], change.findings[other]
            if left["reviewer"] == two["reviewer"]:
                continue
            is_one, is_told = left["golden"] == two["golden"], place[one] == place[other]
            right, said, true = right + (is_one and is_told), said + is_told, true + is_one
    return 2 * right / (said + true)


def _f1_of_agreed(groups: Sequence[Group], changes: Sequence[Change]) -> float:
    """F1 of what at least two named: how much of it is real, and how many golden comments it holds."""
    agreed = [group for group in groups if group.named >= 2]
    precision = sum(bool(group.golden) for group in agreed) / len(agreed)
    # A panel names a comment once, in however many groups it stands; groups come panel by panel.
    hits = 0
    for _, run_of in _runs(groups):
        hits += len({comment for group in run_of if group.named >= 2 for comment in group.golden})
    recall = hits / (PANELS * sum(change.golden for change in changes))
    return 2 * precision * recall / (precision + recall)


def _runs(groups: Sequence[Group]) -> Iterator[tuple[str, list[Group]]]:
    here: list[Group] = []
    for group in groups:
        if here and here[-1].change != group.change:
            yield here[-1].change, here
            here = []
        here.append(group)
    if here:
        yield here[-1].change, here


def counted(groups: Iterable[Group]) -> Counts:
    claims: Counter[Cell] = Counter()
    real: Counter[Cell] = Counter()
    for group in groups:
        claims[group.named, group.reviewers] += 1
        real[group.named, group.reviewers] += bool(group.golden)
    return {cell: (count, real[cell]) for cell, count in claims.items()}


def fit(counts: Counts) -> list[float]:
    """Fit the logistic curve; every panel size weighs the same."""
    by_size: defaultdict[int, float] = defaultdict(float)
    for (_, size), (count, _) in counts.items():
        by_size[size] += count
    rows = [
        (features(*cell), count * 1_000 / by_size[cell[1]], real * 1_000 / by_size[cell[1]])
        for cell, (count, real) in sorted(counts.items())
    ]
    return fitted(rows, len(features(1, 1)), ridge=RIDGE)


def _rate(weights: Sequence[float], named: int, reviewers: int) -> float:
    return logistic(weights, features(named, reviewers))


def _rounded(weights: Sequence[float]) -> list[float]:
    return [round(weight, 4) for weight in weights]


def main(folder: str) -> None:
    changes = read(Path(folder))
    weights = fit(counted(panels(changes, range(1, rates().largest + 1), FIT_PANELS, seed=1)))
    data = f"code-review-benchmark by Martian, MIT licence, {len(changes)} changes"
    TABLE.write_text(
        f'{HEAD}data = "{data}"\nlargest_panel = {rates().largest}\nweights = {_rounded(weights)}\n', "utf-8"
    )


if __name__ == "__main__":
    main(sys.argv[1])
