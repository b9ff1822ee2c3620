"""Gathers the runs of a sweep: `python experiments/collect.py runs/train/<time> experiments/NAME`.

Writes results.json (each run's summary and dev curve) and curves.png there, and prints the table for the README.
"""

import json
import statistics
import sys
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from results import summaries, write_results

from dopsd.figure import plain
from dopsd.job.metrics_file import STEP, read_metrics

KEYS = (
    "task",
    "seed",
    "arms",
    "overrides",
    "optimizer_steps",
    "completions",
    "base",
    "best",
    "final",
    "wall_s",
    "versions",
)


def main(runs: Path, experiment: Path) -> None:
    """Read every summary.json below `runs`; refuse where there is none."""
    files = sorted(runs.rglob("summary.json"))
    if not files:
        sys.exit(f"collect: {runs}: must hold at least one finished run (a summary.json)")
    results = [read(file) for file in files]
    command = f"python experiments/collect.py RUNS experiments/{experiment.name}"
    write_results(experiment, command, summaries(files), runs=results)
    draw(results, experiment / "curves.png")
    sys.stdout.write(table(results))


def read(file: Path) -> dict:
    """One run: its summary, the speed of its median step, dev accuracy over training steps and completions."""
    summary = json.loads(file.read_text())
    curve, rates = [], []
    for row in read_metrics(file.parent / "metrics.csv"):
        if "perf/step_s" in row:  # not before the first step
            rates.append(row["perf/trajectories_per_s"])
        if "eval/accuracy" in row:
            accuracy = [row[f"eval/{column}"] for column in ("accuracy", "low", "high")]
            curve.append([int(row[STEP]), *accuracy, int(row["budget/completions"])])
    return {**{key: summary[key] for key in KEYS}, "rate": statistics.median(rates), "dev": curve}


def table(results: list[dict]) -> str:
    """One row a run, in Markdown."""
    lines = ["| overrides | base | best on dev | final | s |", "|---|---|---|---|---|"]
    for run in results:
        name = " ".join(run["overrides"]) or "(defaults)"
        cells = [
            interval(run["base"]),
            f"{interval(run['best'])}, step {run['best']['training_step']}",
            interval(run["final"]),
        ]
        lines.append(f"| `{name}` | {' | '.join(cells)} | {run['wall_s']:.0f} |")
    return "\n".join(lines) + "\n"


def interval(part: dict) -> str:
    """`41.0 [37.0, 45.0]`, in percent."""
    return f"{100 * part['accuracy']:.1f} [{100 * part['low']:.1f}, {100 * part['high']:.1f}]"


def draw(results: list[dict], file: Path) -> None:
    """Dev accuracy of every run over training steps, with 95 % bands."""
    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.subplots()
    for run in results:
        steps, accuracy, low, high, *_ = zip(*run["dev"], strict=True)
        [line] = axes.plot(steps, accuracy, marker="o", markersize=3, label=" ".join(run["overrides"]))
        axes.fill_between(steps, low, high, color=line.get_color(), alpha=0.12, linewidth=0)
    axes.set_xlabel("training step")
    axes.set_ylabel("dev accuracy, 95 % bands")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    plain(axes)
    axes.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    figure.savefig(file, dpi=150, format="png")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python experiments/collect.py RUNS EXPERIMENT")
    main(Path(sys.argv[1]), Path(sys.argv[2]))
