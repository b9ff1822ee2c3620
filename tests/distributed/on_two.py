"""Commands in processes of their own, on two of them, and what must be the same as of one process."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from command_line import QUICK, Ran, read_json
from safetensors.torch import load_file
from torch import Tensor

from dopsd.method.budget import BUDGET

ON_TWO = ("trainer.accelerator=cpu", "trainer.devices=2")
OF_EVERY_METHOD = (
    *QUICK,
    *("task.max_number=4", "task.dev=3", "task.test=3", "model.init=random", "eval_limit=null"),
    *("eval_every=2", "lr=0.01", "gradient_clip=1e6", "prompts_per_step=2"),
)
LONGER = (*OF_EVERY_METHOD, "learning.learn_from=accepted")
FIGURES = (*(name for name in BUDGET if name != "device_seconds"), "base", "best", "final")


def command(*arguments: str, timeout_s: float = 200) -> Ran:
    """A command in processes of its own."""
    ran = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    return Ran(code=ran.returncode, out=ran.stdout, err=ran.stderr)


def rows(directory: Path) -> list[dict[str, float]]:
    """metrics.csv without what depends on the clock."""
    with (directory / "metrics.csv").open(newline="") as file:
        return [
            {
                name: float(value)
                for name, value in row.items()
                if value and not name.startswith(("perf/", "time/", "budget/device_seconds"))
            }
            for row in csv.DictReader(file)
        ]


def losses(directory: Path) -> list[float]:
    """Those of all updates."""
    return [row["train/loss"] for row in rows(directory) if "train/loss" in row]


def gradients(directory: Path) -> dict[str, Tensor]:
    """By weight, Adam's mean of the gradients so far: after one update a tenth of that update's.

    Unlike Adam's steps they tell how large the gradients were.
    """
    resume_point = torch.load(directory / "resume.ckpt", weights_only=True)
    [optimizer] = resume_point["optimizer_states"]
    return {str(i): state["exp_avg"] for i, state in optimizer["state"].items()}


def assert_same_run(one: Path, other: Path) -> None:
    """Everything that a run leaves, but for its times."""
    assert len(rows(one)) == len(rows(other))
    for row, expected in zip(rows(one), rows(other), strict=True):
        assert row == pytest.approx(expected, rel=1e-4, abs=1e-5)
    assert losses(one) == pytest.approx(losses(other), rel=0, abs=1e-5)
    assert_close(gradients(one), gradients(other), atol=1e-6)
    ours, theirs = (load_file(d / "weights/final/adapter_model.safetensors") for d in (one, other))
    assert_close(ours, theirs, atol=3e-5)  # Adam makes whole steps of gradients as small as rounding
    for weights in ("base", "best", "final"):
        ours, theirs = (d / "samples" / f"{weights}.jsonl" for d in (one, other))
        assert ours.read_text() == theirs.read_text()
    ours, theirs = (read_json(d / "summary.json") for d in (one, other))
    assert {key: ours[key] for key in FIGURES} == {key: theirs[key] for key in FIGURES}
    assert {file.name for file in one.iterdir()} == {file.name for file in other.iterdir()}


def assert_close(ours: dict[str, Tensor], theirs: dict[str, Tensor], *, atol: float) -> None:
    """Tensors of the same names, element by element."""
    assert ours.keys() == theirs.keys()
    assert ours
    for name, tensor in ours.items():
        torch.testing.assert_close(tensor, theirs[name], rtol=0, atol=atol, msg=lambda m, n=name: f"{n}: {m}")
