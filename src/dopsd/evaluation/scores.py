"""What answers reached by each metric, example by example: what intervals and comparisons are made from."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from statistics import fmean

from dopsd.evaluation.interval import Interval
from dopsd.evaluation.paired import PairedComparison


@dataclass(frozen=True, kw_only=True)
class Scores:
    """The mean over the answers to each example, by its id, of each metric; `metric` is the one that is reported."""

    metric: str
    shares: Mapping[str, Mapping[str, float]]

    @classmethod
    def of(cls, metric: str, answers: Iterable[tuple[str, Mapping[str, float]]]) -> "Scores":
        """From the id of the example and the metrics of each answer; raises ValueError where none has the metric."""
        found: dict[str, dict[str, list[float]]] = {metric: {}}
        for identity, metrics in answers:
            for name, value in metrics.items():
                found.setdefault(name, {}).setdefault(identity, []).append(value)
        if not found[metric]:
            names = ", ".join(name for name in found if name != metric)
            raise ValueError(f"metric={metric}: must be one that the answers have ({names or 'none'})")
        means = {name: {i: fmean(values) for i, values in of.items()} for name, of in found.items()}
        return cls(metric=metric, shares=means)

    @property
    def metrics(self) -> dict[str, Interval]:
        """Each metric's mean over the examples that have it, with its interval; the reported one comes first."""
        return {name: Interval.of_problems(list(shares.values())) for name, shares in self.shares.items()}

    @property
    def accuracy(self) -> Interval:
        """The reported metric."""
        return Interval.of_problems(list(self.shares[self.metric].values()))

    def by(self, metric: str) -> "Scores":
        """The same with another metric as the reported one."""
        return replace(self, metric=metric)

    def compared(self, other: "Scores") -> PairedComparison:
        """Another's reported metric less this one's; raises ValueError unless both have it for the same examples."""
        if other.metric not in self.shares:
            raise ValueError(f"has the metrics {', '.join(self.shares)}, not {other.metric}")
        return PairedComparison.of(self.shares[other.metric], other.shares[other.metric])
