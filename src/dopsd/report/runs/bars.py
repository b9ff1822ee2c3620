"""Accuracy of each arm before training, of its best and its last weights, as bars with their intervals."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from dopsd.figure import plain
from dopsd.report.runs.arms import Arm, Pooled
from dopsd.report.runs.svg import COLORS, INK, LINES

_BARS = (("best", "best on dev", COLORS[0]), ("final", "last", COLORS[1]))
_HEIGHT, _BASE = 0.36, "#808080"  # of a bar, in the room of an arm


def bars_size(arms: Sequence[Arm]) -> tuple[float, float]:
    """Inches, for so many arms."""
    return 8.5, 1.1 + 0.5 * len(arms)


def draw_bars(figure: Figure, arms: Sequence[Arm]) -> None:
    """Arms that have no run that ended have no bar."""
    axes = figure.subplots()
    places = np.arange(len(arms), dtype=float)
    for (weights, title, color), shift in zip(_BARS, (-_HEIGHT / 2, _HEIGHT / 2), strict=True):
        _draw(axes, [arm.pooled[weights] for arm in arms], places + shift, title=title, color=color)
    first = next((arm for arm in arms if arm.pooled["base"]), None)
    for place, arm in zip(places, arms, strict=True):
        if base := arm.pooled["base"]:
            label = "before training" if arm is first else None
            axes.plot(
                [base.accuracy] * 2, [place - 0.42, place + 0.42], color=_BASE, linewidth=2.5, label=label
            )
        else:
            axes.text(0, float(place), "  no run has ended", va="center", style="italic")
    axes.set_yticks(places, [arm.label for arm in arms])
    axes.set_ylim(len(arms) - 0.4, -0.6)
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set_xlabel("accuracy on test, 95 % intervals over seeds and problems")
    axes.set_xlim(left=0)
    axes.margins(x=0.12)
    plain(axes)
    axes.grid(visible=False, axis="y")
    axes.grid(axis="x", color=LINES, linewidth=0.8)
    figure.legend(loc="outside upper right", ncols=3, frameon=False)


def _draw(axes: Axes, pooled: Sequence[Pooled | None], places: np.ndarray, *, title: str, color: str) -> None:
    found = [(place, of) for place, of in zip(places, pooled, strict=True) if of is not None]
    axes.barh(
        [place for place, _ in found], [of.accuracy for _, of in found], _HEIGHT, color=color, label=title
    )
    for place, of in found:
        high = of.accuracy if of.high is None else of.high
        if of.low is not None and of.high is not None:
            error = [[of.accuracy - of.low], [of.high - of.accuracy]]
            axes.errorbar(of.accuracy, place, xerr=error, color=INK, capsize=3, linewidth=1.2)
        axes.annotate(
            f"{100 * of.accuracy:.1f}",
            (high, place),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
