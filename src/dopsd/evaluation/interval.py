"""A mean of shares with its 95 % interval: one formula, whatever was repeated."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.stats import norm, t

_CONFIDENCE = 0.975  # of each of the two bounds


def crossed_mean(values: "Float[Any, 'seeds problems']") -> tuple[float, float, float]:
    """The mean over seeds and problems, its variance, and the degrees of freedom of that.

    Raises ValueError for a single seed or problem. The variance of the mean is that of two crossed random effects,
    (MS_seeds + MS_problems - MS_rest) / (seeds * problems), with Satterthwaite's degrees of freedom (1946): few seeds
    that differ widen it much.
    """
    table = np.asarray(values, dtype=np.float64)
    seeds, problems = table.shape
    if seeds < 2 or problems < 2:
        raise ValueError(f"pooling needs at least 2 seeds and 2 problems, got {seeds} and {problems}")
    mean, by_seed, by_problem = table.mean(), table.mean(1), table.mean(0)
    rest = table - by_seed[:, None] - by_problem + mean
    squares = (problems * by_seed.var(ddof=1), seeds * by_problem.var(ddof=1))
    freedoms = (seeds - 1, problems - 1, (seeds - 1) * (problems - 1))
    rest_square = (rest**2).sum() / freedoms[2]
    total = max(sum(squares) - rest_square, squares[1])
    terms = zip((*squares, rest_square), freedoms, strict=True)
    spread = sum(square**2 / freedom for square, freedom in terms)
    freedom = total**2 / spread if spread else problems - 1
    return float(mean), float(total / table.size), float(freedom)


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A share of successes (or a mean of shares) among n problems, and its 95 % interval; all between 0 and 1."""

    accuracy: float
    low: float
    high: float
    n: int

    @classmethod
    def of(cls, successes: int, n: int) -> "Interval":
        """Wilson's score interval (1927) for independent trials; raises ValueError for n = 0."""
        if n < 1:
            raise ValueError("an accuracy needs at least 1 graded example, got 0")
        return cls._wilson(successes / n, trials=n, n=n)

    @classmethod
    def of_problems(cls, shares: Sequence[float]) -> "Interval":
        """The mean of one share a problem: the samples of a problem belong together, problems are independent.

        Wilson's interval for as many trials as would have this variance (Korn and Graubard 1998). Where every
        share is 0 or 1 that is the number of problems; unlike a bootstrap's, the interval of 0 % is not empty.
        """
        values = np.asarray(shares, dtype=np.float64)
        if not len(values):
            raise ValueError("an accuracy needs at least 1 graded example, got 0")
        return cls._of_variance(values.mean(), values.var() / len(values), n=len(values))

    @classmethod
    def of_seeds(cls, shares: "Float[Any, 'seeds problems']") -> "Interval":
        """The mean over at least 2 seeds and 2 problems, either of which might have been others; raises ValueError."""
        mean, variance, freedom = crossed_mean(shares)
        quantile = float(t.ppf(_CONFIDENCE, freedom))
        return cls._of_variance(mean, variance, n=len(shares[0]), quantile=quantile)

    @classmethod
    def _of_variance(
        cls, mean: float, variance: float, *, n: int, quantile: float | None = None
    ) -> "Interval":
        trials = mean * (1 - mean) / variance if variance > 0 else n
        return cls._wilson(float(mean), trials=float(trials), n=n, quantile=quantile)

    @classmethod
    def _wilson(cls, share: float, *, trials: float, n: int, quantile: float | None = None) -> "Interval":
        z = float(norm.ppf(_CONFIDENCE)) if quantile is None else quantile
        shrink = 1 + z * z / trials
        centre = (share + z * z / (2 * trials)) / shrink
        half = z / shrink * sqrt(share * (1 - share) / trials + (z / (2 * trials)) ** 2)
        low = max(centre - half, 0.0) if share > 0 else 0.0
        high = min(centre + half, 1.0) if share < 1 else 1.0
        return cls(accuracy=share, low=low, high=high, n=n)

    def __str__(self) -> str:
        return f"{100 * self.accuracy:.1f} % [{100 * self.low:.1f}, {100 * self.high:.1f}]"
