"""Two processes of one thread beside one process of two threads, on the same global batch (part of `make bench`).

Both are the training command itself, run in turn, on the same trajectories; a run's time is that of its training steps
but the first.
"""

import csv
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

REPETITIONS, STEPS = 5, 4
WORK = [
    *("task=countdown", f"max_steps={STEPS}"),
    *("eval_every=1000", "eval_limit=2", "eval_batch_size=2", "logger=csv"),
]
WAYS = {
    "1 process x 2 threads": (2, ["trainer=cpu"]),
    "2 processes x 1 thread": (1, ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2"]),
}


def two_processes() -> dict:
    """How much faster or slower two processes are: the median of several turns, and every one."""
    turns = [{way: seconds(*how) for way, how in WAYS.items()} for _ in range(REPETITIONS)]
    one, two = WAYS
    ratios = [turn[one] / turn[two] for turn in turns]
    return {"efficiency": statistics.median(ratios), "turns": ratios, "seconds": turns}


def seconds(threads: int, trainer: list[str]) -> float:
    """The training steps of one run but the first."""
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, "-m", "dopsd.train", *WORK, *trainer, f"hydra.run.dir={directory}/run"]
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
        with Path(directory, "run", "metrics.csv").open(newline="") as file:
            steps = [float(row["perf/step_s"]) for row in csv.DictReader(file) if row["perf/step_s"]]
    assert len(steps) == STEPS
    return sum(steps[1:])
