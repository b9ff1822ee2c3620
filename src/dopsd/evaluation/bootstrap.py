"""Percentile intervals (Efron 1979) of means over problems, always the same for the same values."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

_RESAMPLES = 10_000
_BOUNDS = (2.5, 97.5)  # percent


@dataclass(frozen=True, kw_only=True)
class Mean:
    """A mean over n prompts and its 95 % percentile-bootstrap interval (of no width where n = 1)."""

    mean: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{100 * self.mean:.1f} % [{100 * self.low:.1f}, {100 * self.high:.1f}]"


def bootstrap_means(values: Float[ndarray, "N C"], seed: int) -> list[Mean]:
    """The mean of each column over the rows (prompts) that have a value there (nan: none).

    All columns see the same resampled prompts; every column must have a value.
    """
    present = ~np.isnan(values)
    filled = np.where(present, values, 0.0)
    rows = len(values)
    drawn = np.random.default_rng(seed).multinomial(rows, np.full(rows, 1 / rows), _RESAMPLES)
    times_drawn = drawn.astype(np.float64)
    counts = times_drawn @ present.astype(np.float64)
    resampled = np.where(counts > 0, times_drawn @ filled / np.maximum(counts, 1), np.nan)
    low, high = np.nanpercentile(resampled, _BOUNDS, axis=0)
    n = present.sum(0)
    means = filled.sum(0) / n
    return [
        Mean(mean=float(means[c]), low=float(low[c]), high=float(high[c]), n=int(n[c]))
        for c in range(values.shape[1])
    ]


def bootstrap_mean(values: np.ndarray, *, seed: int = 0) -> tuple[float, float]:
    """The interval of one mean; its cost grows with the number of distinct values only."""
    distinct, counts = np.unique(values, return_counts=True)
    drawn = np.random.default_rng(seed).multinomial(len(values), counts / len(values), size=_RESAMPLES)
    low, high = np.percentile(drawn @ distinct / len(values), _BOUNDS)
    return float(low), float(high)
