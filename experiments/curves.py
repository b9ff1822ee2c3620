"""Curves of runs over training steps."""

import statistics
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dopsd.figure import plain
from dopsd.job.metrics_file import STEP
from dopsd.report.runs.arms import Arm
from dopsd.report.runs.svg import COLORS

CURVES = {  # metrics.csv: what is read beside it
    "eval/accuracy": "dev accuracy",
    "rollout/length": "tokens of an answer",
    "distill/entropy": "entropy, nats",
    "distill/clipped_fraction": "clipped share",
}


def draw_curves(figure: Figure, arms: Sequence[Arm]) -> None:
    """What was logged over training steps: a thin line a seed, their mean thick."""
    panels = figure.subplots(1, len(CURVES))
    for axes, (column, label) in zip(panels, CURVES.items(), strict=True):
        draw_curve(axes, arms, column)
        axes.set_ylabel(label)
    panels[0].legend(fontsize=8, frameon=False)
    plain(*panels)


def draw_curve(axes: Axes, arms: Sequence[Arm], column: str) -> None:
    """One thing that was logged, of arms of which runs have ended."""
    for number, arm in enumerate(arms):
        seeds = [{of[STEP]: of[column] for of in run.curve if column in of} for run in arm.ended]
        for seed in seeds:
            axes.plot(seed.keys(), seed.values(), color=COLORS[number], alpha=0.3, linewidth=0.8)
        steps = [step for step in seeds[0] if all(step in seed for seed in seeds)]
        means = [statistics.mean(seed[step] for seed in seeds) for step in steps]
        axes.plot(steps, means, color=COLORS[number], linewidth=2, label=arm.label)
    axes.set_xlabel("training step")
