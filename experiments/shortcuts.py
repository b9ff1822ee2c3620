"""Shortcuts beside exact training: `python experiments/shortcuts.py exact=DIR NAME=DIR ... experiments/shortcuts`.

Each DIR holds one run a seed, all of them trained on the same machine with the same threads. Writes results.json and
curves.png (dev accuracy per trajectory and per second of training) and prints the table for the README. An arm's speed
is that of its median step, so that what else the machine did now and then does not count.
"""

import json
import statistics
import sys
from pathlib import Path

from collect import read
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from dopsd.evaluation.paired_seeds import SeedsComparison, Shares
from dopsd.figure import plain
from dopsd.job.found_runs import find_runs

EXACT = "exact"


def main(directories: dict[str, Path], experiment: Path) -> None:
    """Read the runs of every arm; refuse an arm without any."""
    arms = {name: [read(file) for file in files_of(name, runs)] for name, runs in directories.items()}
    (experiment / "results.json").write_text(json.dumps(arms, indent=1) + "\n")
    draw(arms, experiment / "curves.png")
    sys.stdout.write(table(arms, directories))


def files_of(name: str, runs: Path) -> list[Path]:
    """The summaries of an arm's runs."""
    files = sorted(runs.rglob("summary.json"))
    if not files:
        sys.exit(f"shortcuts: {name}={runs}: must hold at least one finished run (a summary.json)")
    return files


def table(arms: dict[str, list[dict]], directories: dict[str, Path]) -> str:
    """One row an arm, in Markdown: speed as a ratio to exact training, test accuracy of every seed, mean changes."""
    lines = [
        "| way | trajectories/s | speed | best on dev, a seed each | change | after the last step | change |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, runs in arms.items():
        cells = [f"{rate(runs):.1f}", f"{rate(runs) / rate(arms[EXACT]):.2f} x"]
        for weights in ("best", "final"):
            seeds = ", ".join(f"{100 * run[weights]['accuracy']:.1f}" for run in runs)
            cells += [
                f"{seeds} %",
                "" if name == EXACT else change(directories[name], directories[EXACT], weights),
            ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def change(runs: Path, exact: Path, weights: str) -> str:
    """The mean difference on test, seed by seed on the same puzzles: both are drawn, and count in the interval."""
    return SeedsComparison.of(answered(exact, weights), answered(runs, weights)).points


def answered(runs: Path, weights: str) -> dict[str, Shares]:
    """What each seed of the runs in a directory answered right on test."""
    return {run.seed: run.shares(weights) for run in find_runs([runs]).runs}


def rate(runs: list[dict]) -> float:
    """Trajectories sampled and learnt from in a second of training, the median over seeds."""
    return statistics.median(run["rate"] for run in runs)


def draw(arms: dict[str, list[dict]], file: Path) -> None:
    """Dev accuracy: one thin line a seed, the mean of the seeds thick."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for axes, label in zip(panels, ("trajectories", "seconds of training"), strict=True):
        for number, (name, runs) in enumerate(arms.items()):
            color = f"C{number}"
            unit = 1 if axes is panels[0] else rate(runs)
            curves = [[(point[4] / unit, point[1]) for point in run["dev"]] for run in runs]
            for curve in curves:
                axes.plot(*zip(*curve, strict=True), color=color, alpha=0.3, linewidth=0.8)
            means = [
                [statistics.mean(values) for values in zip(*points, strict=True)]
                for points in zip(*curves, strict=True)
            ]
            axes.plot(
                *zip(*means, strict=True), color=color, linewidth=2, marker="o", markersize=3, label=name
            )
        axes.set_xlabel(label)
        axes.set_xlim(left=0)
    panels[0].set_ylabel("dev accuracy, mean over seeds")
    panels[0].yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    panels[0].legend(fontsize=8, frameon=False, loc="lower right")
    plain(*panels)
    figure.savefig(file, dpi=150, format="png")


if __name__ == "__main__":
    *named, where = sys.argv[1:]
    if not named or not all("=" in argument for argument in named) or not named[0].startswith(f"{EXACT}="):
        sys.exit(__doc__)
    pairs = (argument.split("=", 1) for argument in named)
    main({name: Path(runs) for name, runs in pairs}, Path(where))
