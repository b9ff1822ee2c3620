"""Two processes of one thread beside one process of two threads, on the same global batch: `python benchmarks/ddp.py`.

Writes benchmarks/results/ddp.json and prints a table. Both are the training command itself, run in turn; each figure
is the median over all training steps but the first of each run.
"""

import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from step import cpu_name

RESULTS = Path(__file__).parent / "results" / "ddp.json"
REPETITIONS, STEPS = 3, 6
WORK = [
    *("task=countdown", "prompts_per_step=16", f"max_steps={STEPS}"),
    *("eval_every=1000", "eval_limit=2", "eval_batch_size=2", "logger=csv"),
]
WAYS = {
    "1 process x 2 threads": (2, ["trainer=cpu"]),
    "2 processes x 1 thread": (1, ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2"]),
}


def main() -> None:
    """Run both ways in turn, several times, and write what came out."""
    speeds: dict[str, list[float]] = {way: [] for way in WAYS}
    for _ in range(REPETITIONS):
        for way, (threads, trainer) in WAYS.items():
            speeds[way] += trajectories_per_s(threads, trainer)
    medians = {way: statistics.median(each) for way, each in speeds.items()}
    one, two = medians.values()
    results = {
        "machine": {"cpu": cpu_name(), "cores": os.cpu_count(), "torch": torch.__version__},
        "ddp2": {
            "efficiency": two / one,
            "trajectories_per_s": medians,
            "steps": len(speeds[next(iter(WAYS))]),
        },
    }
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    show(results["ddp2"])


def trajectories_per_s(threads: int, trainer: list[str]) -> list[float]:
    """The speed of each training step of one run but the first."""
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, "-m", "dopsd.train", *WORK, *trainer, f"hydra.run.dir={directory}/run"]
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
        with Path(directory, "run", "metrics.csv").open(newline="") as file:
            return [float(row["perf/trajectories_per_s"]) for row in csv.DictReader(file)][1:]


def show(measured: dict) -> None:
    """The table."""
    table = Table(title=f"Training on two cores: efficiency {100 * measured['efficiency']:.0f} %")
    table.add_column("way")
    table.add_column("trajectories/s", justify="right")
    for way, speed in measured["trajectories_per_s"].items():
        table.add_row(way, f"{speed:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
