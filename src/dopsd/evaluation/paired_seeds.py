"""Two arms of several seeds on the same problems: how sure is it that they differ, seed by seed and together?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from scipy.stats import t

from dopsd.evaluation.interval import crossed_mean
from dopsd.evaluation.paired import PairedComparison, in_points

Shares = Mapping[str, float]
"""The share of right answers to each problem, by its id."""


@dataclass(frozen=True, kw_only=True)
class SeedsComparison:
    """Second minus first with its 95 % interval and two-sided p, and the comparison of each seed."""

    difference: float
    low: float
    high: float
    p: float | None
    by_seed: Mapping[str, PairedComparison]

    @classmethod
    def of(cls, first: Mapping[str, Shares], second: Mapping[str, Shares]) -> "SeedsComparison":
        """From the answers of each seed; raises ValueError without a common seed, or for other problems.

        One seed: the paired bootstrap and McNemar's exact p. More: seeds and problems as crossed random effects.
        """
        seeds = [seed for seed in first if seed in second]
        if not seeds:
            raise ValueError(f"no seed in common ({', '.join(first)}; {', '.join(second)})")
        by_seed = {seed: PairedComparison.of(first[seed], second[seed]) for seed in seeds}
        if len({frozenset(first[seed]) for seed in seeds}) > 1:
            raise ValueError("the seeds answered different problems")
        if len(seeds) == 1:
            (only,) = by_seed.values()
            p = None if only.mcnemar is None else only.mcnemar.exact_p
            return cls(difference=only.difference, low=only.low, high=only.high, p=p, by_seed=by_seed)
        problems = list(first[seeds[0]])
        return cls._of_table([[second[s][i] - first[s][i] for i in problems] for s in seeds], by_seed)

    @classmethod
    def _of_table(
        cls, differences: Sequence[Sequence[float]], by_seed: Mapping[str, PairedComparison]
    ) -> "SeedsComparison":
        mean, variance, freedom = crossed_mean(differences)
        error = sqrt(variance)
        half = float(t.ppf(0.975, freedom)) * error
        p = 2 * float(t.sf(abs(mean) / error, freedom)) if error else float(mean == 0)
        return cls(difference=mean, low=mean - half, high=mean + half, p=p, by_seed=by_seed)

    @property
    def points(self) -> str:
        """The difference and its interval, in percentage points."""
        return in_points(self.difference, self.low, self.high)


def holm(values: Sequence[float]) -> list[float]:
    """Holm's (1979) adjustment: the chance of any false alarm among all of these p-values stays below each."""
    order = np.argsort(values)
    raised = [(len(values) - rank) * values[i] for rank, i in enumerate(order)]
    adjusted = np.empty(len(values))
    adjusted[order] = np.minimum(np.maximum.accumulate(raised), 1.0)
    return adjusted.tolist()
