"""curve.png: held-out accuracy with its 95 % band, and the loss, over training steps."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from dopsd import ranks
from dopsd.callbacks.dev_evaluation import DevAccuracy
from dopsd.evaluation.interval import Interval
from dopsd.figure import entitle, plain
from dopsd.files import written_whole
from dopsd.job.metrics_file import read_metrics
from dopsd.job.run_directory import RunDirectory

_ACCURACY, _LOSS, _QUIET = "#1f5fa8", "#8a5a00", "#777777"


def draw_curve(run: RunDirectory, *, title: str, history: Sequence[DevAccuracy], base: Interval) -> None:
    """Dev accuracy above, the loss of metrics.csv below."""
    if not ranks.is_first():
        return
    figure = Figure(figsize=(7, 5.2), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[2, 1])
    _draw_accuracy(above, history, base)
    _draw_loss(below, read_metrics(run.metrics))
    entitle(above, title)
    below.set_xlabel("training step")
    below.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    plain(above, below)
    figure.align_ylabels()
    with written_whole(run.curve) as part:
        figure.savefig(part, dpi=150, format="png")


def _draw_accuracy(axes: Axes, history: Sequence[DevAccuracy], base: Interval) -> None:
    steps = [checked.training_step for checked in history]
    accuracies = [checked.accuracy for checked in history]
    axes.fill_between(
        steps,
        [a.low for a in accuracies],
        [a.high for a in accuracies],
        color=_ACCURACY,
        alpha=0.18,
        linewidth=0,
    )
    axes.plot(steps, [a.accuracy for a in accuracies], color=_ACCURACY, marker="o", markersize=4)
    reported, *others = history[0].metrics
    for name in others:
        values = [checked.metrics[name].accuracy for checked in history]
        axes.plot(steps, values, color=_QUIET, linewidth=1, label=f"{name} (dev)")
    if others:
        axes.legend(frameon=False, fontsize=9, loc="upper left")
    best = max(history, key=lambda checked: (checked.accuracy.accuracy, -checked.training_step))
    axes.annotate(
        f"{100 * best.accuracy.accuracy:.1f} %",
        (best.training_step, best.accuracy.accuracy),
        xytext=(0, 7),
        textcoords="offset points",
        ha="center",
        color=_ACCURACY,
    )
    axes.axhline(base.accuracy, color=_QUIET, linewidth=1, linestyle=(0, (4, 3)))
    axes.annotate(
        "base (test)",
        (1, base.accuracy),
        xycoords=("axes fraction", "data"),
        xytext=(0, -4),
        textcoords="offset points",
        ha="right",
        va="top",
        color=_QUIET,
        fontsize=9,
    )
    named = "accuracy" if reported == "correct" else reported
    axes.set_ylabel(f"dev {named}, 95 % band\n(n = {accuracies[0].n})")
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.margins(y=0.15)


def _draw_loss(axes: Axes, rows: Sequence[dict[str, float]]) -> None:
    points = [(row["step"], row["train/loss"]) for row in rows if "train/loss" in row]
    axes.plot([step for step, _ in points], [loss for _, loss in points], color=_LOSS, linewidth=1.2)
    axes.set_ylabel("loss")
