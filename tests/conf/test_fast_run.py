"""Every arm and every experiment that is found takes a training step and an evaluation, and leaves a run's files."""

from pathlib import Path

import pytest
from command_line import QUICK, read_json, run
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from dopsd.entry.composing import CONF, arms

PUZZLES = ("task.max_number=4", "task.dev=2", "task.test=2")
SFT = ("gen_length=48", "block_length=48", "denoising_steps=1")  # a canvas that holds a solution
NOT_HERE = {
    "model": {"llada_8b", "llada_1_5", "d3llm_llada"},  # weights
    "trainer": {"gpu", "ddp", "fsdp"},  # devices; two processes are tested elsewhere
    "task": {"gsm8k", "gsm_symbolic", "math500"},  # data
    "debug": {"fast_dev_run"},  # every run here is one
}


def found() -> list[str]:
    """`group=arm` for every arm of every group of training that a plain run has not."""
    with initialize_config_dir(CONF, version_base="1.3"):
        usual = compose("train", return_hydra_config=True).hydra.runtime.choices
    groups = [group for group in usual if not group.startswith("hydra") and "/" not in group]
    return [
        f"{group}={arm}"
        for group in groups
        for arm in arms(group)
        if arm != usual[group] and arm not in NOT_HERE.get(group, ())
    ]


def test_no_group_is_forgotten() -> None:
    groups = {folder.name for folder in Path(CONF).iterdir() if folder.is_dir()}
    with_choices = {choice.partition("=")[0] for choice in found()} | NOT_HERE.keys()
    of_one_arm = {group for group in groups if len(arms(group)) == 1}
    assert groups - with_choices - of_one_arm == {"probe", "likelihood"}  # no method reads a likelihood yet
    assert all(known in found() for known in ("teacher=ar_prefix", "experiment=embedded_base"))


@pytest.mark.parametrize("choice", ["rho=0.25", *found()])
def test_fast_run(
    choice: str,
    model: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    more = () if choice.startswith(("task=", "experiment=")) else PUZZLES
    more += SFT if choice == "method=sft" or choice.startswith("experiment=") else ()
    where = f"hydra.run.dir={tmp_path / 'run'}"
    ran = run(capsys, "train", *QUICK, model, "model.init=random", choice, *more, where)
    assert ran.code == 0, ran.err
    assert OmegaConf.load(tmp_path / "run" / "config.yaml").command.overrides.count(choice) == 1
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
