"""Two processes of one thread beside one process of two threads, on the same global batch (part of `make bench`).

Both are the training command itself, run in turn; a figure is the median over all training steps but the first of
each run.
"""

import csv
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

REPETITIONS, STEPS = 2, 5
WORK = [
    *("task=countdown", "prompts_per_step=16", f"max_steps={STEPS}"),
    *("eval_every=1000", "eval_limit=2", "eval_batch_size=2", "logger=csv"),
]
WAYS = {
    "1 process x 2 threads": (2, ["trainer=cpu"]),
    "2 processes x 1 thread": (1, ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2"]),
}


def two_processes() -> dict:
    """Trajectories/s of both ways, taken in turn, and their ratio."""
    speeds: dict[str, list[float]] = {way: [] for way in WAYS}
    for _ in range(REPETITIONS):
        for way, (threads, trainer) in WAYS.items():
            speeds[way] += trajectories_per_s(threads, trainer)
    medians = {way: statistics.median(each) for way, each in speeds.items()}
    one, two = medians.values()
    steps = len(speeds[next(iter(WAYS))])
    return {"efficiency": two / one, "trajectories_per_s": medians, "steps": steps}


def trajectories_per_s(threads: int, trainer: list[str]) -> list[float]:
    """The speed of each training step of one run but the first."""
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, "-m", "dopsd.train", *WORK, *trainer, f"hydra.run.dir={directory}/run"]
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
        with Path(directory, "run", "metrics.csv").open(newline="") as file:
            return [float(row["perf/trajectories_per_s"]) for row in csv.DictReader(file)][1:]
