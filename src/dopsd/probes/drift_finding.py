"""What came of the drift probe: each way of sampling beside the exact one."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from textwrap import fill
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy import ndarray
from torch import Tensor

from dopsd.evaluation.bootstrap import Mean, bootstrap_means
from dopsd.evaluation.interval import Interval
from dopsd.evaluation.paired import PairedComparison
from dopsd.figure import plain
from dopsd.probes.probe import Finding

EXACT, ANOTHER_SEED = "exact", "exact, another seed"


@dataclass(frozen=True, kw_only=True)
class WayMeasurement:
    """One way of sampling, prompt by prompt, and the seconds that it took."""

    seconds: float
    accepted: Bool[ndarray, "N"]
    differing: Float[ndarray, "N"]
    """Share of tokens that are not those of the exact answer."""
    reordered: Float[ndarray, "N"]
    """Share of pairs that are unmasked in the opposite order; nan where there is no pair."""
    log_probability: Float[ndarray, "N"]
    """What exact sampling gives to the tokens where they were unmasked, nats a token."""
    forwards: Float[ndarray, "N"]

    @classmethod
    def of(cls, *, seconds: float, **measures: Tensor) -> "WayMeasurement":
        """From tensors on any device."""
        return cls(seconds=seconds, **{name: measure.cpu().numpy() for name, measure in measures.items()})

    @classmethod
    def joined(cls, parts: Sequence["WayMeasurement"]) -> "WayMeasurement":
        """All prompts."""
        arrays = [f.name for f in fields(cls) if f.name != "seconds"]
        whole = {name: np.concatenate([getattr(part, name) for part in parts]) for name in arrays}
        return cls(seconds=sum(part.seconds for part in parts), **whole)


@dataclass(frozen=True, kw_only=True)
class WayComparison:
    """One way's means over prompts with their intervals, and its differences to exact sampling (None: is exact)."""

    accepted: Interval
    accepted_difference: PairedComparison | None
    differing: Mean
    reordered: Mean | None
    log_probability: Mean
    log_probability_difference: Mean
    forwards: float
    speedup: float
    """Samples a second, in units of the exact way's."""


@dataclass(frozen=True, kw_only=True)
class DriftFinding(Finding):
    """All ways, the exact one first and last the exact one with another seed, which says how far chance alone goes."""

    seed: int
    measured: Mapping[str, WayMeasurement]

    @property
    def compared(self) -> dict[str, WayComparison]:
        """Each way beside the exact one, on the same prompts."""
        return {name: self._compared(name) for name in self.measured}

    def _compared(self, name: str) -> WayComparison:
        own, exact = self.measured[name], self.measured[EXACT]
        columns = {
            "differing": own.differing,
            "reordered": own.reordered,
            "log_probability": own.log_probability,
            "log_probability_difference": own.log_probability - exact.log_probability,
        }
        known = {key: column for key, column in columns.items() if not np.isnan(column).all()}
        means = dict(zip(known, bootstrap_means(np.stack(list(known.values()), 1), self.seed), strict=True))
        return WayComparison(
            accepted=Interval.of(int(own.accepted.sum()), len(own.accepted)),
            accepted_difference=None if own is exact else PairedComparison.of(_by_id(exact), _by_id(own)),
            differing=means["differing"],
            reordered=means.get("reordered"),
            log_probability=means["log_probability"],
            log_probability_difference=means["log_probability_difference"],
            forwards=float(own.forwards.mean()),
            speedup=exact.seconds / own.seconds,
        )

    def figures(self) -> dict[str, Any]:
        """All of it."""
        compared = {name: asdict(one) for name, one in self.compared.items()}
        return {"asked": len(self.measured[EXACT].accepted), "ways": compared}

    def table(self) -> tuple[list[str], list[list[str]]]:
        """One line a way; differences are to the exact one."""
        columns = [
            "sampled",
            "accepted",
            "against exact",
            "tokens that differ",
            "pairs in another order",
            "nats a token",
            "nats against exact",
            "forwards",
            "samples/s",
        ]
        rows = []
        for name, one in self.compared.items():
            found = [str(one.accepted), "", "", "", _nats(one.log_probability, ".3f"), ""]
            if one.accepted_difference is not None:
                found[1:4] = one.accepted_difference.points, str(one.differing), str(one.reordered or "-")
                found[5] = _nats(one.log_probability_difference, "+.3f")
            rows.append([name, *found, f"{one.forwards:.1f}", f"{one.speedup:.2f} x"])
        return columns, rows

    def draw(self, figure: Figure, title: str) -> None:
        """Four measures side by side, a line a way."""
        figure.set_size_inches(12, 1.8 + 0.36 * len(self.measured))
        compared = self.compared
        others = {name: one for name, one in compared.items() if name != EXACT}
        accuracies = {name: one.accepted for name, one in compared.items()}
        panels = {
            "accepted, %": {
                name: (100 * i.low, 100 * i.accuracy, 100 * i.high) for name, i in accuracies.items()
            },
            "tokens that differ, %": {name: _bounds(one.differing, 100) for name, one in others.items()},
            "log-probability, nats a token,\nagainst exact": {
                name: _bounds(one.log_probability_difference) for name, one in others.items()
            },
            "samples/s against exact": {name: (one.speedup,) * 3 for name, one in compared.items()},
        }
        exact_is_at = (100 * accuracies[EXACT].accuracy, 0, 0, 1)
        all_axes = figure.subplots(1, len(panels), sharey=True)
        for axes, (label, values), exact in zip(all_axes, panels.items(), exact_is_at, strict=True):
            _dots(axes, [values.get(name) for name in compared])
            axes.axvline(exact, color="#777777", linewidth=0.8)
            axes.set_xlabel(label)
            plain(axes)
        all_axes[0].set_yticks(range(len(compared)), list(compared))
        all_axes[0].invert_yaxis()
        figure.suptitle(fill(title, 130), x=0.01, ha="left", fontsize=10)


def _dots(axes: Axes, values: Sequence[tuple[float, float, float] | None]) -> None:
    """A dot with its interval for each line that has one."""
    for place, bounds in enumerate(values):
        if bounds is not None:
            low, mean, high = bounds
            axes.plot([low, high], [place, place], color="#1f5fa8", linewidth=1.3)
            axes.plot([mean], [place], "o", color="#1f5fa8", markersize=5)


def _bounds(mean: Mean, unit: int = 1) -> tuple[float, float, float]:
    return unit * mean.low, unit * mean.mean, unit * mean.high


def _nats(mean: Mean, style: str) -> str:
    return f"{mean.mean:{style}} [{mean.low:{style}}, {mean.high:{style}}]"


def _by_id(measured: WayMeasurement) -> dict[str, float]:
    return {str(i): float(accepted) for i, accepted in enumerate(measured.accepted)}
