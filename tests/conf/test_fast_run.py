"""Every arm of each axis takes an optimizer step and an evaluation, and leaves a run's files."""

from pathlib import Path

import pytest
from command_line import QUICK, read_json, run

AXES = {
    "method": ["dopsd", "sft"],
    "teacher": ["suffix", "ar_prefix"],
    "teacher_weights": ["fixed", "live", "ema"],
    "divergence": ["rkl", "fkl", "jsd"],
    "topk": ["teacher", "student"],
    "clip": ["pointwise", "none", "nonnegative", "token"],
    "parity": ["ours", "paper", "code"],
    "lora": ["default", "released", "none"],
    "logger": ["csv", "tensorboard", "wandb"],
    "task": ["countdown", "sudoku", "embedded_mixture"],
}
FIRST_ARMS = {arms[0] for arms in AXES.values()}
RUNS = [f"{axis}={arm}" for axis, arms in AXES.items() for arm in arms if arm not in FIRST_ARMS]
PUZZLES = ("task.max_number=4", "task.dev=2", "task.test=2")


@pytest.mark.parametrize("choice", ["rho=0.25", *RUNS])
def test_fast_run(
    choice: str,
    model: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    more = () if choice.startswith("task=") else PUZZLES
    if choice == "method=sft":  # a canvas that holds a solution
        more += ("gen_length=48", "block_length=48", "denoising_steps=1")
    where = f"hydra.run.dir={tmp_path / 'run'}"
    ran = run(capsys, "train", *QUICK, model, "model.init=random", choice, *more, where)
    assert ran.code == 0, ran.err
    summary = read_json(tmp_path / "run" / "summary.json")
    assert summary["optimizer_steps"] == 1
    assert summary["final"]["n"] == 2


def test_sweep_has_one_directory_a_job(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = f"hydra.sweep.dir={tmp_path / 'sweep'}"
    ran = run(
        capsys, "train", "--multirun", *QUICK, model, "model.init=random", "rho=0.25,0.5", *PUZZLES, where
    )
    assert ran.code == 0, ran.err
    summaries = sorted((tmp_path / "sweep").glob("*/summary.json"))
    assert len(summaries) == 2
    assert {"rho=0.25", "rho=0.5"} == {
        o for s in summaries for o in read_json(s)["overrides"] if o.startswith("rho")
    }
