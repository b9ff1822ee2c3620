"""Every method at equal completions: `python experiments/main_table.py` (typed again, it goes on where it stopped).

For each task and method, on the embedded model: a search on dev over three learning rates (one more beyond an edge) and
then over two further values of one number of the method's own, each with half of the completions; with what was best
on dev, three seeds. Runs go to runs/main_table; experiments/main_table_report.py makes tables and figures of them.
"""

import argparse
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from dopsd.job.metrics_file import read_metrics
from dopsd.report.runs.run import ENDED

TASKS = ("countdown", "sudoku")
SEEDS = "1,2,3"
SEARCHED_WITH = "100"  # another seed: no run of the table was chosen by itself
LEARNING_RATES = (3e-5, 1e-4, 3e-4, 1e-3, 3e-3)  # the middle three are searched, an outer one beyond its edge
EVALUATIONS = {"search": 3, "seeds": 6}  # of a run, on dev
DEV = 256
UNTIL_ACCEPTED = {"countdown": 4, "sudoku": 2}  # completions, of the base model


@dataclass(frozen=True, kw_only=True)
class Arm:
    """A method as it is typed, and what is searched of it."""

    typed: tuple[str, ...]
    own: str
    values: tuple[str, ...]  # the first is what the learning rate is searched with
    a_prompt: int | None = None  # completions of a prompt; None: until one is accepted
    prompts: int = 32  # in a training step
    by_steps: bool = False  # ends by max_steps: nothing is sampled, or a curriculum has to end

    def settings(
        self, task: str, completions: int, lr: float, value: str, *, evaluations: int
    ) -> tuple[str, ...]:
        """What a run is typed with, but for its seed."""
        a_prompt = self.a_prompt or UNTIL_ACCEPTED[task]
        prompts = int(value) if self.own == "prompts_per_step" else self.prompts
        steps = max(1, round(completions / (prompts * a_prompt)))
        return (
            f"task={task}",
            *self.typed,
            f"lr={lr}",
            f"prompts_per_step={prompts}",
            *((f"{self.own}={value}",) if self.own != "prompts_per_step" else ()),
            f"max_steps={steps if self.by_steps else completions}",
            *(() if self.by_steps else (f"stop_at.completions={completions}",)),
            f"eval_every={max(1, round(steps / evaluations))}",
        )


GROUPS = {"own": "inner_updates", "values": ("4", "2", "8"), "a_prompt": 6}
TRAJECTORY = ("experiment=trajectory_teacher", "lora_r=16", "lora_alpha=32")
BATCH = {"own": "prompts_per_step", "values": ("16", "8", "32")}
ARMS = {
    "sft_solutions": Arm(typed=("method=sft",), **BATCH, a_prompt=1, by_steps=True),
    "sft_accepted": Arm(
        typed=("method=sft", "source=accepted_rollouts"),
        own="temperature",
        values=("0.9", "0.6", "1.2"),
    ),
    "diffu_grpo": Arm(typed=("method=diffu_grpo",), **GROUPS),
    "vrpo": Arm(typed=("method=vrpo", "group_size=4"), **BATCH, a_prompt=4),
    "d3llm": Arm(typed=("method=d3llm",), own="entropy_weight", values=("2.0", "0.5", "0.0"), by_steps=True),
    "ar_prefix": Arm(typed=("teacher=ar_prefix",), own="updates_per_rollout", values=("1", "2", "4")),
    "trajectory_teacher": Arm(
        typed=TRAJECTORY, own="teacher.gap", values=("final", "16", "4"), a_prompt=1, prompts=16
    ),
    "dopsd": Arm(typed=("method=dopsd",), own="rho", values=("0.25", "0.1", "0.5")),
    "wd1": Arm(typed=("method=wd1",), **GROUPS),
    "spg": Arm(typed=("method=spg",), **GROUPS),
    "espo": Arm(typed=("method=espo",), **GROUPS),
}


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One method on one task: its search and its seeds, one after the other."""

    task: str
    name: str
    runs: Path
    completions: int

    @property
    def arm(self) -> Arm:
        """What is run."""
        return ARMS[self.name]

    def __call__(self) -> None:
        """Whatever of it has not been run."""
        sweep(self.runs / "seeds", f"seed={SEEDS}", *self.chosen())

    def alone(self) -> None:
        """A few steps, for their seconds."""
        settings = [override for override in self.chosen() if not override.startswith("max_steps")]
        sweep(self.runs / "alone", f"seed={SEARCHED_WITH}", "eval_limit=1", "max_steps=4", *settings)

    def chosen(self) -> tuple[str, ...]:
        """What the seeds are typed with."""
        lr, value = self.search()
        return self.arm.settings(self.task, self.completions, lr, value, evaluations=EVALUATIONS["seeds"])

    def search(self) -> tuple[float, str]:
        """The learning rate and the value of its own number that dev prefers."""
        default, *others = self.arm.values
        tried = {lr: self.on_dev(lr, default) for lr in LEARNING_RATES[1:-1]}
        best = max(tried, key=tried.__getitem__)
        for edge, beyond in zip(LEARNING_RATES[1:-1:2], LEARNING_RATES[::4], strict=True):
            if best == edge:
                tried[beyond] = self.on_dev(beyond, default)
        best = max(tried, key=tried.__getitem__)
        values = {default: tried[best]} | {value: self.on_dev(best, value) for value in others}
        return best, max(values, key=values.__getitem__)

    def on_dev(self, lr: float, value: str) -> tuple[float, float]:
        """The best accuracy on dev in a run of half the completions, and the last (which decides between equals)."""
        directory = self.runs / f"search_lr={lr}_{self.arm.own}={value}"
        settings = self.arm.settings(
            self.task, self.completions // 2, lr, value, evaluations=EVALUATIONS["search"]
        )
        sweep(directory, f"seed={SEARCHED_WITH}", f"eval_limit={DEV}", *settings)
        _, *reached = [point["accuracy"] for point in curve(directory)]
        return max(reached), reached[-1]


def curve(run: Path) -> list[dict]:
    """Every evaluation on dev, with what had been spent."""
    budgets = ("completions", "optimizer_steps", "training_steps", "flop")
    return [
        {"accuracy": row["eval/accuracy"]} | {key: row[f"budget/{key}"] for key in budgets}
        for row in read_metrics(run / "metrics.csv")
        if "eval/accuracy" in row
    ]


def ended(sweep: Path) -> bool:
    """Whether every job of the sweep in a directory has."""
    table = sweep / "sweep.json"
    return table.exists() and all(job["state"] in ENDED for job in json.loads(table.read_text())["jobs"])


def sweep(directory: Path, *overrides: str) -> None:
    """`python -m dopsd.train --multirun`, or what is left of it; raises CalledProcessError where a job fails."""
    if ended(directory):
        return
    if (directory / "multirun.yaml").exists():
        typed = (f"resume={directory}",)
    else:
        typed = ("--multirun", *overrides, f"hydra.sweep.dir={directory}")
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "output.txt").open("a") as output:
        subprocess.run(
            [sys.executable, "-m", "dopsd.train", *typed],
            check=True,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )


def main() -> None:
    """Cells run side by side, a thread each; what fails is named at the end, and the others go on."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=Path, default=Path("runs/main_table"))
    parser.add_argument("--completions", type=int, default=1600)
    parser.add_argument("--workers", type=int, default=2, help="runs at a time, one thread each")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=TASKS)
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument(
        "--untimed", action="store_true", help="leave out the seconds, which want a quiet machine"
    )
    asked = parser.parse_args()
    cells = [
        Cell(task=task, name=name, runs=(asked.runs / task / name).absolute(), completions=asked.completions)
        for name in asked.arms  # each method on all tasks before the next
        for task in asked.tasks
    ]
    with ThreadPoolExecutor(asked.workers) as pool:
        running = {cell: pool.submit(cell) for cell in cells}
    failed = {cell: error for cell, future in running.items() if (error := future.exception())}
    for cell in [] if asked.untimed else cells:
        if cell not in failed:
            cell.alone()
    for cell, error in failed.items():
        sys.stderr.write(f"{cell.task}, {cell.name}: {error}; see output.txt below {cell.runs}\n")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
