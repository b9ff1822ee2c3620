"""Curves of arms: dev accuracy over what was spent, and all that training logs over its steps."""

from collections.abc import Mapping, Sequence
from statistics import mean

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from dopsd.figure import plain
from dopsd.report.runs.arms import Arm
from dopsd.report.runs.run import Run
from dopsd.report.runs.svg import COLORS

ACCURACY = "eval/accuracy"
_STEPS = "budget/training_steps"
_COLUMNS, _POINTS = 3, 100  # of the panels; of a line in one
_NOT_DRAWN = ("budget/", "perf/", "time/", "eval/", "train/states", "train/examples", "train/lr")
Points = list[tuple[float, float]]


def draw_accuracy(figure: Figure, arms: Sequence[Arm], axis: str) -> None:
    """Over one name of a budget: the mean over the seeds that ended, thick; each seed thin, dotted if it has not."""
    axes = figure.subplots()
    for number, arm in enumerate(arms):
        color = COLORS[number % len(COLORS)]
        for run in arm.runs:
            line = "-" if run.has_ended else ":"
            axes.plot(
                *_xy(_points(run, f"budget/{axis}", ACCURACY)), line, color=color, linewidth=0.8, alpha=0.6
            )
        middle = _mean_curve([_points(run, f"budget/{axis}", ACCURACY) for run in arm.ended])
        axes.plot(*_xy(middle), color=color, linewidth=2.2, marker="o", markersize=3.5, label=arm.label)
    axes.set_xlabel(axis.replace("_", " "))
    axes.set_ylabel("accuracy on dev")
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set_xlim(left=0)
    plain(axes)
    figure.legend(loc="outside right upper", frameon=False)


def logged_names(arms: Sequence[Arm]) -> list[str]:
    """What training has logged of any of the arms, but for what it has spent."""
    rows = (row for arm in arms for run in arm.runs for row in run.curve)
    names = dict.fromkeys(name for row in rows for name in row)
    return [name for name in names if "/" in name and not name.startswith(_NOT_DRAWN)]


def panels_size(names: Sequence[str]) -> tuple[float, float]:
    """Inches, for so many panels."""
    return 10.5, 0.6 + 1.9 * -(-len(names) // _COLUMNS)


def draw_panels(figure: Figure, arms: Sequence[Arm], names: Sequence[str]) -> None:
    """A small panel each over training steps: the mean over the seeds that have ended."""
    rows = -(-len(names) // _COLUMNS)
    panels = figure.subplots(rows, _COLUMNS, squeeze=False).flat
    for axes, name in zip(panels, names, strict=False):
        for number, arm in enumerate(arms):
            curves = [_points(run, _STEPS, name) for run in arm.ended]
            color = COLORS[number % len(COLORS)]
            axes.plot(*_xy(_thinned(_mean_by_step(curves))), color=color, linewidth=1.4, label=arm.label)
        axes.set_title(name, loc="left", fontsize=9)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=4))
        axes.set_xlim(left=0)
        plain(axes)
    for axes in list(figure.axes)[len(names) :]:
        axes.remove()
    figure.legend(
        *figure.axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=6, frameon=False
    )


def draw_overlap(axes: Axes, by_step: Mapping[str, Sequence[Mapping[str, float]]]) -> None:
    """Overlap of student and teacher over denoising steps, a line for each teacher, with its band."""
    for number, (title, steps) in enumerate(by_step.items()):
        x, color = [of["step"] for of in steps], COLORS[number % len(COLORS)]
        axes.fill_between(
            x, [of["low"] for of in steps], [of["high"] for of in steps], color=color, alpha=0.2, linewidth=0
        )
        axes.plot(x, [of["mean"] for of in steps], color=color, linewidth=1.6, label=title)
    axes.set_xlabel("denoising step, in the order taken")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.legend(frameon=False)
    plain(axes)


def _points(run: Run, x: str, y: str) -> Points:
    return [(row[x], row[y]) for row in run.curve if x in row and y in row]


def _mean_curve(curves: Sequence[Points]) -> Points:
    """Point by point, as far as all of them go: seeds that end by what is spent differ by a step or two."""
    return [(mean(x for x, _ in at), mean(y for _, y in at)) for at in zip(*curves, strict=False)]


def _mean_by_step(curves: Sequence[Points]) -> Points:
    """At the steps at which all have logged."""
    values = [dict(curve) for curve in curves]
    steps = sorted(set.intersection(*map(set, values))) if values else []
    return [(step, mean(of[step] for of in values)) for step in steps]


def _thinned(points: Points) -> Points:
    """At most so many points, means of neighbours."""
    width = -(-len(points) // _POINTS)
    groups = [points[i : i + width] for i in range(0, len(points), width)] if points else []
    return [(mean(x for x, _ in group), mean(y for _, y in group)) for group in groups]


def _xy(points: Points) -> tuple[list[float], list[float]]:
    return [x for x, _ in points], [y for _, y in points]
