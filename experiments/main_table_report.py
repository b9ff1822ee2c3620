"""Tables and figures of the runs of main_table.py: `python experiments/main_table_report.py runs/main_table`.

Writes results.json, tables.md and a figure a task to experiments/main_table/; what has not been run is named there.
"""

import json
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from main_table import ARMS, TASKS, curve, ended
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from results import published, summaries, write_results
from shortcuts import change

from dopsd.evaluation.interval import Interval
from dopsd.figure import plain
from dopsd.job.metrics_file import read_metrics
from dopsd.job.table import markdown

HERE = Path(__file__).parent / "main_table"
OURS, REACHED = "dopsd", "diffu_grpo"
NAMES = {
    "sft_solutions": "SFT, solutions",
    "sft_accepted": "SFT, own accepted answers",
    "diffu_grpo": "diffu-GRPO",
    "vrpo": "VRPO",
    "d3llm": "d3LLM",
    "ar_prefix": "AR-style teacher",
    "trajectory_teacher": "trajectory teacher",
    "dopsd": "d-OPSD",
    "wd1": "wd1",
    "spg": "SPG",
    "espo": "ESPO",
}
AXES = {"optimizer_steps": "optimizer steps", "completions": "completions", "seconds": "seconds of training"}
PAPER = "paper, %: LLaDA-8B, length 128 / 256 (its SFT: s1K)"
Arm = Mapping[str, Any]


def main(runs: Path) -> None:
    """Read what there is, and say what is missing."""
    results = {
        task: {name: read(runs / task / name, beside=runs / task / OURS) for name in ARMS} for task in TASKS
    }
    there = [runs / task / name for task, arms in results.items() for name in arms if arms[name]["seeds"]]
    seeds = summaries(file for arm in there for file in sorted(arm.glob("seeds/*/summary.json")))
    beside = [file for what in ("search_*", "alone") for file in runs.glob(f"*/*/{what}/summary.json")]
    write_results(HERE, "python experiments/main_table.py", seeds, beside=summaries(beside), **results)
    parts = []
    for task, arms in results.items():
        done = {name: arm for name, arm in arms.items() if arm["seeds"]}
        missing = [NAMES[name] for name in arms if name not in done]
        parts.append(f"### {task}\n")
        if missing:
            parts.append(f"Not run yet: {', '.join(missing)}.\n")
        if done:
            parts += [accuracies(task, done), "Reached first:\n", efforts(task, done)]
            parts += ["Searched:\n", searches(done)]
            draw(done, HERE / f"{task}.png")
    (HERE / "tables.md").write_text("\n".join(parts))


def read(directory: Path, *, beside: Path) -> Arm:
    """One method on one task: what its search tried, and its seeds (none where they have not ended) beside d-OPSD's."""
    tried = [
        {"tried": run.name.removeprefix("search_"), "dev": [point["accuracy"] for point in curve(run)]}
        for run in sorted(directory.glob("search_*"))
        if (run / "summary.json").exists()
    ]
    if not ended(directory / "seeds"):
        return {"search": tried, "seeds": []}
    [pooled] = json.loads((directory / "seeds" / "sweep.json").read_text())["settings"]
    typed = dict(override.split("=", 1) for override in pooled["setting"].split())
    quiet = directory / "alone" / "summary.json"
    compared = directory != beside and ended(beside / "seeds")
    return {
        "search": tried,
        "typed": pooled["setting"],
        "prompts_per_step": int(typed["prompts_per_step"]),
        **{which: pooled[which] for which in ("base", "best", "final")},
        "beside": {
            which: change(directory / "seeds", beside / "seeds", which) if compared else ""
            for which in ("best", "final")
        },
        "seeds": [seed(file) for file in sorted((directory / "seeds").rglob("summary.json"))],
        "seconds_a_flop": of_median_step(quiet.parent) if quiet.exists() else None,
    }


def seed(file: Path) -> dict:
    """One run: what it reached on test and spent, and its curve on dev."""
    summary = json.loads(file.read_text())
    spent = (
        "completions",
        "optimizer_steps",
        "training_forwards",
        "no_gradient_forwards",
        "denoising_forwards",
        "flop",
    )
    kept = {which: summary[which] for which in ("best", "final")}
    return {
        "seed": summary["seed"],
        **{key: summary[key] for key in spent},
        **kept,
        "dev": curve(file.parent),
    }


def of_median_step(run: Path) -> float:
    """Seconds a FLOP of the median training step of a run that had the machine for itself."""
    rows = read_metrics(run / "metrics.csv")
    spent = [(row["budget/device_seconds"], row["budget/flop"]) for row in rows]
    steps = pairwise(spent)
    return statistics.median((b[0] - a[0]) / (b[1] - a[1]) for a, b in steps if b[1] > a[1])


def mean(arm: Arm, value: Callable[[Mapping], float]) -> float:
    """Over seeds."""
    return statistics.mean(value(run) for run in arm["seeds"])


def accuracies(task: str, arms: Mapping[str, Arm]) -> str:
    """The main table: test accuracy of the checkpoint that was best on dev, and of the last."""
    base = next(iter(arms.values()))["base"]
    paper = {name: " / ".join(map(str, of)) for name, of in published("table1")[task].items()}
    rows = [["base", paper["base"], in_percent(base), "", "", in_percent(base), "", "", ""]]
    for name, arm in arms.items():
        seeds = [
            ", ".join(f"{100 * run[which]['accuracy']:.1f}" for run in arm["seeds"])
            for which in ("best", "final")
        ]
        rows.append(
            [
                NAMES[name],
                paper.get(name, ""),
                in_percent(arm["best"]),
                seeds[0],
                arm["beside"]["best"],
                in_percent(arm["final"]),
                seeds[1],
                arm["beside"]["final"],
                f"{mean(arm, lambda run: run['flop']) / 1e12:.1f}",
            ]
        )
    columns = ["method", PAPER, "best on dev", "seeds", "- d-OPSD", "last", "seeds", "- d-OPSD", "TFLOP"]
    return markdown(columns, rows)


def in_percent(figures: Mapping) -> str:
    """`41.0 % [37.0, 45.0]`."""
    return str(Interval(**{key: figures[key] for key in ("accuracy", "low", "high", "n")}))


def points(arm: Arm, axis: str) -> list[tuple[float, float]]:
    """The mean curve over seeds: what was spent, and dev accuracy. Solutions that are read count as completions."""

    def spent(point: Mapping) -> float:
        if axis == "seconds":
            return point["flop"] * arm["seconds_a_flop"]
        if axis == "completions" and not arm["seeds"][0]["completions"]:
            return point["training_steps"] * arm["prompts_per_step"]
        return point[axis]

    curves = [run["dev"] for run in arm["seeds"]]
    return [
        (statistics.mean(map(spent, at)), statistics.mean(point["accuracy"] for point in at))
        for at in zip(*curves, strict=False)  # runs that end by completions differ by a step or two
    ]


def efforts(task: str, arms: Mapping[str, Arm]) -> str:
    """What each method spends until its mean dev accuracy first is diffu-GRPO's best."""
    if REACHED not in arms:
        return ""
    wanted = max(accuracy for _, accuracy in points(arms[REACHED], "completions"))
    paper = {name: str(steps) for name, steps in published("table2")[task].items()}
    rows = []
    for name, arm in arms.items():
        best = max(accuracy for _, accuracy in points(arm, "completions"))
        reached = [
            next(
                (f"{spent:.0f}" for spent, accuracy in points(arm, axis) if accuracy >= wanted), "not reached"
            )
            for axis in ("optimizer_steps", "completions")
        ]
        rows.append([NAMES[name], f"{100 * best:.1f} %", *reached, paper.get(name, "")])
    columns = ["method", "best mean on dev", f"optimizer steps to {100 * wanted:.1f} %", "completions to it"]
    columns.append("the paper's optimizer steps")
    return markdown(columns, rows)


def searches(arms: Mapping[str, Arm]) -> str:
    """Every run of the search with its best accuracy on dev, and what was chosen."""
    rows = []
    for name, arm in arms.items():
        tried = [f"{run['tried']}: {100 * max(run['dev'][1:]):.1f}" for run in arm["search"]]
        rows.append([NAMES[name], "; ".join(tried), f"`{arm['typed']}`"])
    return markdown(["method", "tried: best on dev, %", "run with"], rows)


def draw(arms: Mapping[str, Arm], file: Path) -> None:
    """Mean dev accuracy over seeds, over each of the axes."""
    timed = all(arm["seconds_a_flop"] for arm in arms.values())
    axes_of = [axis for axis in AXES if timed or axis != "seconds"]
    figure = Figure(figsize=(4.6 * len(axes_of), 4.4), layout="constrained")
    panels: Sequence = figure.subplots(1, len(axes_of), sharey=True)
    for axes, axis in zip(panels, axes_of, strict=True):
        for name, arm in arms.items():
            number = list(NAMES).index(name)  # a method's color, whatever has been run
            style = "-" if number < 8 else "--"
            width = 2.6 if name == OURS else 1.4
            color = "black" if name == OURS else f"C{number % 10}"
            xs, ys = zip(*points(arm, axis), strict=True)
            axes.plot(
                xs, ys, style, color=color, linewidth=width, marker="o", markersize=3, label=NAMES[name]
            )
        axes.set_xlabel(AXES[axis])
        axes.set_xscale("symlog", linthresh=16) if axis == "optimizer_steps" else axes.set_xlim(left=0)
    panels[0].set_ylabel("dev accuracy, mean of 3 seeds")
    panels[0].yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    panels[-1].legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    plain(*panels)
    figure.savefig(file, dpi=130, format="png")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python experiments/main_table_report.py RUNS")
    main(Path(sys.argv[1]))
