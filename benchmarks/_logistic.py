"""Fit a logistic curve by Newton's method."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

ROUNDS = 25
CLOSE = 1e-9
Observed = tuple[Sequence[float], float, float]
"""What was measured, how often it was seen, and how often it came true."""


def logistic(weights: Sequence[float], row: Sequence[float]) -> float:
    return 1 / (1 + math.exp(-sum(w * x for w, x in zip(weights, row, strict=True))))


def fitted(observed: Iterable[Observed], size: int, *, ridge: float) -> list[float]:
    """Return the weights, slightly drawn to zero."""
    rows = list(observed)
    weights = [0.0] * size
    for _ in range(ROUNDS):
        slope = [-ridge * weight for weight in weights]
        bend = [[ridge * (i == j) for j in range(size)] for i in range(size)]
        for row, count, real in rows:
            p = logistic(weights, row)
            for i in range(size):
                slope[i] += (real - count * p) * row[i]
                for j in range(size):
                    bend[i][j] += count * p * (1 - p) * row[i] * row[j]
        steps = _solved(bend, slope)
        weights = [w + step for w, step in zip(weights, steps, strict=True)]
        if max(map(abs, steps)) < CLOSE:
            break
    return weights


def _solved(matrix: list[list[float]], right: list[float]) -> list[float]:
    rows = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    size = len(rows)
    for i in range(size):
        best = max(range(i, size), key=lambda r: abs(rows[r][i]))
        rows[i], rows[best] = rows[best], rows[i]
        for r in range(size):
            if r != i:
                factor = rows[r][i] / rows[i][i]
                rows[r] = [x - factor * y for x, y in zip(rows[r], rows[i], strict=True)]
    return [rows[i][size] / rows[i][i] for i in range(size)]
