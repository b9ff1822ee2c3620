"""A run that ends in the middle of a training step goes on from its last resume point as if nothing had been."""

import csv
from pathlib import Path
from typing import Any

import pytest
import torch
from command_line import SHORT, run
from safetensors.torch import load_file

from dopsd.method.update import Update

SMALL = (*SHORT, "task.max_number=4", "task.dev=3", "task.test=3", "model.init=random", "lora_r=2", "lr=0.01")
RUN = (*SMALL, "debug=fast_dev_run", "max_steps=3", "prompts_per_step=4", "micro_batch_tokens=200")
METHODS = [
    ("method=diffu_grpo", "max_attempts=3", "inner_updates=3"),
    ("method=vrpo", "pairs.compare=accepted", "group_size=3", "likelihood.samples=3"),
    ("method=vrpo", "pairs.compare=accepted", "group_size=3", "likelihood.samples=3", "pairs.writer=student"),
]


class Killed(BaseException):
    """Nothing in a run catches it."""


def outcome(directory: Path) -> tuple[list[dict[str, str]], dict[str, torch.Tensor]]:
    """metrics.csv without what depends on the clock, and the final weights."""
    timed = ("perf/", "time/", "budget/device_seconds")
    with (directory / "metrics.csv").open(newline="") as file:
        rows = [{k: v for k, v in row.items() if not k.startswith(timed)} for row in csv.DictReader(file)]
    return rows, load_file(directory / "weights" / "final" / "adapter_model.safetensors")


@pytest.mark.parametrize("method", METHODS)
def test_killed_in_an_update_and_taken_up_again_it_ends_as_if_it_had_not_been(
    method: tuple[str, ...],
    model: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    half_accepted: None,
) -> None:
    steps: list[Update] = []
    step = Update.step

    def counted(self: Update) -> Any:
        steps.append(self)
        return step(self)

    monkeypatch.setattr(Update, "step", counted)
    ran = run(capsys, "train", *RUN, model, *method, f"hydra.run.dir={tmp_path / 'whole'}")
    assert ran.code == 0, ran.err
    updates = len(steps)
    assert updates >= 3

    def killed_in_the_last_but_one(self: Update) -> Any:
        if (
            len(steps) == 2 * updates - 2
        ):  # the weights of all updates before have moved, that of a training step, too
            raise Killed
        return counted(self)

    monkeypatch.setattr(Update, "step", killed_in_the_last_but_one)
    with pytest.raises(Killed):
        run(capsys, "train", *RUN, model, *method, f"hydra.run.dir={tmp_path / 'killed'}")
    assert not (tmp_path / "killed" / "summary.json").exists()
    assert (tmp_path / "killed" / "resume.ckpt").exists()

    monkeypatch.setattr(Update, "step", counted)
    ran = run(capsys, "train", f"resume={tmp_path / 'killed'}")
    assert ran.code == 0, ran.err
    rows, weights = outcome(tmp_path / "killed")
    expected_rows, expected = outcome(tmp_path / "whole")
    assert rows == expected_rows
    assert all(torch.equal(weights[name], expected[name]) for name in expected)
