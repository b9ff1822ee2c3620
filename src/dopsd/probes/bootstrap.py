"""Means over prompts with bootstrap intervals."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

_RESAMPLES = 2000


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
    times_drawn = np.random.default_rng(seed).multinomial(rows, np.full(rows, 1 / rows), _RESAMPLES)
    counts = times_drawn @ present
    resampled = np.where(counts > 0, times_drawn @ filled / np.maximum(counts, 1), np.nan)
    low, high = np.nanquantile(resampled, [0.025, 0.975], axis=0)
    n = present.sum(0)
    means = filled.sum(0) / n
    return [
        Mean(mean=float(means[c]), low=float(low[c]), high=float(high[c]), n=int(n[c]))
        for c in range(values.shape[1])
    ]
