"""What came of the overlap probe: its mean at each denoising step and over whole trajectories."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy import ndarray

from dopsd.evaluation.bootstrap import Mean, bootstrap_means
from dopsd.figure import entitle, plain
from dopsd.probes.probe import Finding

_TEACHERS = {
    "suffix": ("suffix teacher", "#1f5fa8", "-"),
    "ar_prefix": ("AR-prefix teacher", "#8a5a00", "--"),
}
_ENOUGH = 10  # prompts, for a mean to be drawn


@dataclass(frozen=True, kw_only=True)
class OverlapFinding(Finding):
    """The overlap at each (trajectory, denoising step) for each teacher; nan where there is none."""

    top_k: int
    asked: int
    """Prompts that were tried; those that training would learn from have a row."""
    seed: int
    overlaps: dict[str, Float[ndarray, "N T"]]

    @property
    def by_step(self) -> dict[str, dict[int, Mean]]:
        """The mean over the prompts whose answer reaches a step, steps counted from 0 in the order taken."""
        found = {}
        for name, overlap in self.overlaps.items():
            steps = np.flatnonzero((~np.isnan(overlap)).any(0))
            means = bootstrap_means(overlap[:, steps], self.seed)
            found[name] = dict(zip(steps.tolist(), means, strict=True))
        return found

    @property
    def overall(self) -> dict[str, Mean]:
        """The mean over each trajectory's steps, then over prompts."""
        found = {}
        for name, overlap in self.overlaps.items():
            measured = overlap[(~np.isnan(overlap)).any(1)]
            found[name] = bootstrap_means(np.nanmean(measured, axis=1, keepdims=True), self.seed)[0]
        return found

    def figures(self) -> dict[str, Any]:
        """Both means."""
        overall, by_step = self.overall, self.by_step
        return {
            "top_k": self.top_k,
            "asked": self.asked,
            "learnt_from": self._trajectories,
            "teachers": {
                name: {
                    "overall": asdict(overall[name]),
                    "by_step": [{"step": step, **asdict(mean)} for step, mean in by_step[name].items()],
                }
                for name in self.overlaps
            },
        }

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Whole trajectories."""
        return ["teacher", f"overlap top-{self.top_k}"], [
            [_TEACHERS[name][0], str(mean)] for name, mean in self.overall.items()
        ]

    def draw(self, figure: Figure, title: str) -> None:
        """Overlap over denoising steps with its band, and below it how many prompts reach each step."""
        figure.set_size_inches(7, 5.2)
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
        for name, means in self.by_step.items():
            words, colour, line = _TEACHERS[name]
            drawn = [(m.low, m.mean, m.high) if m.n >= _ENOUGH else (np.nan,) * 3 for m in means.values()]
            low, mean, high = np.array(drawn).T
            above.fill_between(list(means), low, high, color=colour, alpha=0.18, linewidth=0)
            above.plot(list(means), mean, line, color=colour, label=words, marker="o", markersize=3)
            below.step(list(means), [mean.n for mean in means.values()], line, color=colour, where="mid")
        above.set_ylabel(f"overlap top-{self.top_k},\nbootstrap 95 % band")
        above.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        above.legend(fontsize=8.5, frameon=False, loc="lower right")
        above.set_ylim(None, 1.01)
        below.set_ylabel("answers that\nreach it")
        below.set_ylim(0, None)
        below.set_xlabel(f"denoising step, in the order taken (means of at least {_ENOUGH} answers)")
        below.xaxis.set_major_locator(MaxNLocator(integer=True))
        entitle(above, title)
        plain(above, below)
        figure.align_ylabels()

    @property
    def _trajectories(self) -> int:
        return len(next(iter(self.overlaps.values())))
