"""curve.png: dev accuracy over what was spent, the test accuracies beside it, and what the training did below."""

from collections.abc import Mapping, Sequence
from textwrap import fill

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from dopsd import ranks
from dopsd.callbacks.dev_evaluation import DevAccuracy
from dopsd.evaluation.interval import Interval
from dopsd.figure import plain
from dopsd.files import written_whole
from dopsd.job.metrics_file import STEP, read_metrics
from dopsd.job.run_directory import RunDirectory

_DEV, _TEST, _BELOW = "#1f5fa8", "#b3501e", "#555555"
_PANELS = (("train/loss", "loss"), ("rollout/accepted", "accepted"), ("rollout/length", "answer\nlength"))


def draw_curve(
    run: RunDirectory,
    *,
    title: str,
    history: Sequence[DevAccuracy],
    test: Mapping[str, Interval],
    over: str,
) -> None:
    """Dev and test accuracy above; below, what of loss, accepted share and answer length stands in metrics.csv.

    All of them over one of the names of a budget.
    """
    if not ranks.is_first():
        return
    rows = read_metrics(run.metrics)
    panels = [panel for panel in _PANELS if any(panel[0] in row for row in rows)]
    title = fill(title, 95, break_on_hyphens=False).replace("$", r"\$")  # all of it, and no formula
    height = 3.8 + 1.1 * len(panels) + 0.17 * title.count("\n")
    figure = Figure(figsize=(8, height), layout="constrained")
    grid = figure.add_gridspec(1 + len(panels), 2, width_ratios=[4, 1], height_ratios=[3] + [1] * len(panels))
    above = figure.add_subplot(grid[0, 0])
    beside = figure.add_subplot(grid[0, 1], sharey=above)
    below = [figure.add_subplot(grid[i, 0], sharex=above) for i in range(1, 1 + len(panels))]
    spent = {row[STEP]: row[f"budget/{over}"] for row in rows}
    _draw_dev(above, history, spent)
    _draw_test(beside, test)
    for axes, (name, label) in zip(below, panels, strict=True):
        _draw_metric(axes, rows, name, label, spent)
    for axes in (above, *below[:-1]) if below else ():
        axes.tick_params(labelbottom=False)
    lowest = (above, *below)[-1]
    lowest.set_xlabel(over.replace("_", " "))
    lowest.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    plain(above, beside, *below)
    figure.align_ylabels([above, *below])
    figure.suptitle(title, x=0.01, ha="left", fontsize=10)
    with written_whole(run.curve) as part:
        figure.savefig(part, dpi=150, format="png")


def _draw_dev(axes: Axes, history: Sequence[DevAccuracy], spent: Mapping[float, float]) -> None:
    x = [spent[checked.training_step] for checked in history]
    accuracies = [checked.accuracy for checked in history]
    low, high = [a.low for a in accuracies], [a.high for a in accuracies]
    axes.fill_between(x, low, high, color=_DEV, alpha=0.18, linewidth=0)
    axes.plot(x, [a.accuracy for a in accuracies], color=_DEV, marker="o", markersize=4)
    best = max(history, key=lambda checked: (checked.accuracy.accuracy, -checked.training_step))
    for checked in {history[0].training_step: history[0], best.training_step: best}.values():
        axes.annotate(
            f"{100 * checked.accuracy.accuracy:.1f} %",
            (spent[checked.training_step], checked.accuracy.accuracy),
            xytext=(0, 6),
            textcoords="offset points",
            ha="center",
            color=_DEV,
            fontsize=9,
        )
    reported, *others = history[0].metrics
    for name in others:
        values = [checked.metrics[name].accuracy for checked in history]
        axes.plot(x, values, color=_BELOW, linewidth=1, label=name)
    if others:
        axes.legend(frameon=False, fontsize=9, loc="upper left")
    named = "accuracy" if reported == "correct" else reported
    axes.set_ylabel(f"{named} on dev\n(n = {accuracies[0].n}, 95 % band)")
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.margins(y=0.15)


def _draw_test(axes: Axes, test: Mapping[str, Interval]) -> None:
    for place, interval in enumerate(test.values()):
        share = interval.accuracy
        axes.errorbar(
            place,
            share,
            yerr=[[share - interval.low], [interval.high - share]],
            color=_TEST,
            marker="s",
            markersize=4,
            capsize=3,
        )
    labels = [f"{name}\n{100 * interval.accuracy:.1f}" for name, interval in test.items()]
    axes.set_xticks(range(len(test)), labels, fontsize=9)
    axes.set_xlim(-0.6, len(test) - 0.4)
    axes.set_title(f"% on test\n(n = {next(iter(test.values())).n})", fontsize=9, color=_TEST)
    axes.tick_params(labelleft=False)


def _draw_metric(
    axes: Axes, rows: Sequence[dict[str, float]], name: str, label: str, spent: Mapping[float, float]
) -> None:
    points = [(spent[row[STEP]], row[name]) for row in rows if name in row]
    axes.plot([x for x, _ in points], [value for _, value in points], color=_BELOW, linewidth=1.2)
    if len(points) == 1:
        axes.plot(*points[0], color=_BELOW, marker="o", markersize=4)
    axes.set_ylabel(label)
    if name == "rollout/accepted":
        axes.set_ylim(-0.05, 1.05)
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
