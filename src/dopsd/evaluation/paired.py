"""Two sets of answers to the same problems: how sure is it that they differ?"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.stats import binom, binomtest

from dopsd.evaluation.bootstrap import bootstrap_mean


def in_points(difference: float, low: float, high: float) -> str:
    """A difference of accuracies and its interval, in percentage points: `+1.5 points [-0.5, +3.5]`."""
    return f"{100 * difference:+.1f} points [{100 * low:+.1f}, {100 * high:+.1f}]"


@dataclass(frozen=True, kw_only=True)
class McNemar:
    """The test of McNemar (1947) on the problems that only one of the two solves."""

    only_first: int
    only_second: int
    exact_p: float
    mid_p: float

    @classmethod
    def of(cls, only_first: int, only_second: int) -> "McNemar":
        """Two-sided, by the binomial distribution; mid-p counts what was observed half (Fagerland et al. 2013)."""
        n, fewer = only_first + only_second, min(only_first, only_second)
        if n == 0:
            return cls(only_first=0, only_second=0, exact_p=1.0, mid_p=1.0)
        exact = float(binomtest(fewer, n, 0.5).pvalue)
        doubled = 2 * float(binom.cdf(fewer, n, 0.5)) - float(binom.pmf(fewer, n, 0.5))
        return cls(only_first=only_first, only_second=only_second, exact_p=exact, mid_p=min(doubled, 1.0))


@dataclass(frozen=True, kw_only=True)
class PairedComparison:
    """Second minus first: the difference of accuracies with its 95 % interval, and McNemar's test.

    `mcnemar` is None where a problem has several samples: its outcomes are then no longer right or wrong.
    """

    n: int
    first: float
    second: float
    difference: float
    low: float
    high: float
    mcnemar: McNemar | None

    @classmethod
    def of(cls, first: Mapping[str, float], second: Mapping[str, float]) -> "PairedComparison":
        """From the share of right samples of each problem, by id; raises ValueError unless the ids are the same."""
        if first.keys() != second.keys():
            raise ValueError(
                f"{len(first.keys() - second.keys())} ids stand only in the first, "
                f"{len(second.keys() - first.keys())} only in the second, "
                f"{len(first.keys() & second.keys())} in both: only answers to the same examples are compared"
            )
        a, b = (np.array([shares[i] for i in first], dtype=np.float64) for shares in (first, second))
        low, high = bootstrap_mean(b - a)
        binary = set(np.unique([a, b])) <= {0.0, 1.0}
        return cls(
            n=len(a),
            first=float(a.mean()),
            second=float(b.mean()),
            difference=float((b - a).mean()),
            low=low,
            high=high,
            mcnemar=McNemar.of(int((a > b).sum()), int((b > a).sum())) if binary else None,
        )

    @property
    def points(self) -> str:
        """The difference and its interval, in percentage points."""
        return in_points(self.difference, self.low, self.high)

    def __str__(self) -> str:
        if self.mcnemar is None:
            return self.points
        return f"{self.points}, McNemar mid-p {self.mcnemar.mid_p:.2g} (exact {self.mcnemar.exact_p:.2g})"
