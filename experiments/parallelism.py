"""Accuracy as more tokens are unmasked in a forward: `python experiments/parallelism.py runs/main_table`.

The seeds of main_table.py that have ended and the embedded model, at each confidence threshold; typed again, it goes on
where it stopped. Writes parallelism.json, .md (with the AUP of d3LLM) and .png to experiments/main_table/.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from main_table import TASKS, ended
from main_table_report import HERE, NAMES
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from dopsd.evaluation.aup import accuracy_under_parallelism
from dopsd.figure import plain
from dopsd.job.table import markdown

# and by the task's schedule: one token a step, of Sudoku two
THRESHOLDS = ("0.95", "0.9", "0.8", "0.7", "0.5")
ARMS = ("base", "dopsd", "sft_solutions", "diffu_grpo", "d3llm")
N = 256  # test puzzles
Points = Sequence[Mapping[str, float]]


def main(runs: Path) -> None:
    """Decode what has not been decoded, and put together what there is."""
    results = {
        task: {
            arm: points(runs / task / arm / "parallelism", f"eval_limit={N}", *whose(runs / task / arm, task))
            for arm in ARMS
            if arm == "base" or ended(runs / task / arm / "seeds")
        }
        for task in TASKS
    }
    (HERE / "parallelism.json").write_text(json.dumps(results, indent=1) + "\n")
    (HERE / "parallelism.md").write_text(
        "\n".join(f"### {task}\n\n{table(arms)}" for task, arms in results.items())
    )
    draw(results, HERE / "parallelism.png")


def whose(arm: Path, task: str) -> tuple[str, ...]:
    """The weights of an arm, as they are named to an evaluation."""
    return (f"task={task}", "model=tiny") if arm.name == "base" else (f"checkpoint={arm / 'seeds'}",)


def points(where: Path, *settings: str) -> list[dict[str, float]]:
    """Tokens a forward and accuracy by the schedule and at each threshold; means over seeds."""
    exact = where / "exact"
    found = [decoded(exact, *settings)]
    for threshold in THRESHOLDS:
        beside = (f"threshold={threshold}", f"baseline={exact}")
        found.append(decoded(where / f"threshold={threshold}", *settings, *beside))
    return [
        {
            "tokens_per_forward": statistics.mean(row["mean_tokens"] / row["mean_forwards"] for row in rows),
            "accuracy": statistics.mean(row["accuracy"] for row in rows),
        }
        for rows in found
    ]


def decoded(directory: Path, *settings: str) -> list[dict]:
    """The rows of one evaluation, made anew unless it has ended; raises CalledProcessError where that fails."""
    report = directory / "evaluation.json"
    if not report.exists():
        shutil.rmtree(directory, ignore_errors=True)
        subprocess.run(
            [sys.executable, "-m", "dopsd.evaluate", f"hydra.run.dir={directory}", *settings],
            check=True,
            stdout=subprocess.DEVNULL,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
    return json.loads(report.read_text())["rows"]


def table(arms: Mapping[str, Points]) -> str:
    """A row a method: tokens a forward and accuracy at each threshold, and AUP with one best accuracy for all."""
    best = max(100 * point["accuracy"] for found in arms.values() for point in found)
    rows = [
        [
            NAMES.get(name, name),
            *(f"{100 * point['accuracy']:.1f} at {point['tokens_per_forward']:.2f}" for point in found),
            f"{accuracy_under_parallelism([(p['tokens_per_forward'], 100 * p['accuracy']) for p in found], best):.0f}",
        ]
        for name, found in arms.items()
    ]
    return markdown(["method", "schedule", *THRESHOLDS, "AUP"], rows)


def draw(results: Mapping[str, Mapping[str, Points]], file: Path) -> None:
    """Accuracy over tokens a forward, a panel a task."""
    figure = Figure(figsize=(4.8 * len(results), 4), layout="constrained")
    for axes, (task, arms) in zip(figure.subplots(1, len(results)), results.items(), strict=True):
        draw_panel(axes, arms)
        axes.set_title(task, loc="left", fontsize=10)
    figure.savefig(file, dpi=130, format="png")


def draw_panel(axes: Axes, arms: Mapping[str, Points]) -> None:
    """A line an arm."""
    for number, (name, found) in enumerate(arms.items()):
        color = "black" if name == "dopsd" else f"C{number}"
        xs = [point["tokens_per_forward"] for point in found]
        axes.plot(xs, [point["accuracy"] for point in found], "o-", color=color, label=NAMES.get(name, name))
    axes.set_xlabel("tokens a forward")
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.legend(fontsize=8, frameon=False)
    plain(axes)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path)
    main(parser.parse_args().runs.absolute())
