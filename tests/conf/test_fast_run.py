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
    "model": {"llada_8b", "llada_1_5"},  # weights
    "trainer": {"gpu", "ddp", "fsdp"},  # devices; two processes are tested elsewhere
    "task": {"gsm8k", "gsm_symbolic", "math500"},  # data
    "pairs": {"files"},  # a file: tested in method/test_pair_file.py
    "likelihood": {
        "trajectory"
    },  # which method=vrpo reads with rollouts alone, of which a random model accepts none
    "debug": {"fast_dev_run"},  # every run here is one
}


def found() -> list[str]:
    """`group=arm` for every arm that a plain run has not, with a method that has the group where the usual has not."""
    usual: dict[str, str] = {}
    choices: list[str] = []
    with initialize_config_dir(CONF, version_base="1.3"):
        for typed in ("", *(f"method={method}" for method in arms("method"))):
            has = compose("train", typed.split(), return_hydra_config=True).hydra.runtime.choices
            new = [it for it in has if not it.startswith("hydra") and "/" not in it and it not in usual]
            usual |= {group: has[group] for group in new}
            choices += [
                f"{typed} {group}={arm}".strip()
                for group in new
                for arm in arms(group)
                if arm != usual[group] and arm not in NOT_HERE.get(group, ())
            ]
    return choices


def test_no_group_is_forgotten() -> None:
    groups = {folder.name for folder in Path(CONF).iterdir() if folder.is_dir()}
    with_choices = {choice.split()[-1].partition("=")[0] for choice in found()} | NOT_HERE.keys()
    of_one_arm = {group for group in groups if len(arms(group)) == 1}
    assert groups - with_choices - of_one_arm == {"probe", "reward"}  # no method reads a reward yet
    assert all(known in found() for known in ("teacher=ar_prefix", "experiment=embedded_base", "method=vrpo"))


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
    more += SFT if choice.startswith(("method=sft", "method=vrpo", "experiment=")) else ()
    where = f"hydra.run.dir={tmp_path / 'run'}"
    ran = run(capsys, "train", *QUICK, model, "model.init=random", *choice.split(), *more, where)
    assert ran.code == 0, ran.err
    assert set(choice.split()) <= set(OmegaConf.load(tmp_path / "run" / "config.yaml").command.overrides)
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
