"""An accuracy with its 95 % interval."""

from dataclasses import dataclass

from scipy.stats import binomtest


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A share of successes and its Wilson 95 % interval; all three are between 0 and 1."""

    accuracy: float
    low: float
    high: float
    n: int

    @classmethod
    def of(cls, successes: int, n: int) -> "Interval":
        """Wilson's score interval (1927); raises ValueError for n = 0."""
        if n < 1:
            raise ValueError("an accuracy needs at least 1 graded example, got 0")
        bounds = binomtest(successes, n).proportion_ci(confidence_level=0.95, method="wilson")
        return cls(accuracy=successes / n, low=float(bounds.low), high=float(bounds.high), n=n)

    def __str__(self) -> str:
        return f"{100 * self.accuracy:.1f} % [{100 * self.low:.1f}, {100 * self.high:.1f}]"
