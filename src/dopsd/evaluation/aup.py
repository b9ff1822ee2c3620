"""Accuracy under parallelism: one number for how accuracy holds as more tokens are filled in a forward (d3LLM)."""

from collections.abc import Sequence
from itertools import pairwise
from math import exp

STEEPNESS = 3.0
TOLERATED = 5.0


def accuracy_under_parallelism(points: Sequence[tuple[float, float]], best: float | None = None) -> float:
    """AUP of (tokens per forward, accuracy in percent) points; `best` is the highest accuracy of all that is compared.

    AUP = x_1 y_1 + 1/2 sum_i (x_i - x_(i-1)) (y_i W(y_i) + y_(i-1) W(y_(i-1))) in order of x, with
    W(y) = min(exp(-3 (1 - y / best)), 1). Points whose accuracy is more than 5 below the first are left out. Raises
    ValueError where there are no points, or accuracies or tokens per forward that cannot be.
    """
    if not points or any(x <= 0 or not 0 <= y <= 100 for x, y in points) or (best is not None and best < 0):
        raise ValueError(
            f"AUP of {list(points)} is not defined: tokens per forward > 0, accuracies in percent"
        )
    points = sorted(points)
    (first_x, first_y), *_ = points
    kept = [(x, y) for x, y in points if y >= first_y - TOLERATED]
    best = max(y for _, y in points) if best is None else best

    def weighted(y: float) -> float:
        return y * min(exp(-STEEPNESS * (1 - y / best)), 1) if best else 0.0

    areas = [
        (x - x_before) * (weighted(y) + weighted(y_before)) / 2
        for (x_before, y_before), (x, y) in pairwise(kept)
    ]
    return first_x * first_y + sum(areas)
