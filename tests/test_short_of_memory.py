"""A run for which the memory does not suffice ends in one line that says what to try, and can be taken up with that."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from command_line import QUICK, read_json, run
from scarce_memory import out_of_memory_at

from dopsd.job import student
from dopsd.model import MaskedDiffusionLM

TASK = ("task.max_number=4", "task.dev=3", "task.test=3", "model.init=random", "seed=1")
LONGER = (*QUICK, *TASK, "max_steps=3", "eval_every=2", "eval_limit=null", "prompts_per_step=2", "lora_r=2")
LEARNS = ("learning.learn_from=all", "micro_batch_tokens=200")


@pytest.fixture
def scarce(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def at(*forwards: int, with_gradients: bool = True) -> None:
        forward = out_of_memory_at(*forwards, with_gradients=with_gradients)
        monkeypatch.setattr(MaskedDiffusionLM, "forward", forward)

    return at


def test_once_the_run_goes_on_with_half_the_budget(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], scarce: Callable[..., None]
) -> None:
    scarce(1)
    ran = run(capsys, "train", *LONGER, *LEARNS, model, f"hydra.run.dir={tmp_path / 'run'}")
    assert ran.code == 0, ran.err
    assert "out of memory: micro_batch_tokens=200 is now 100 for this run\n" in ran.err
    assert read_json(tmp_path / "run" / "summary.json")["optimizer_steps"] == 3


@pytest.mark.parametrize(
    ("typed", "named"), [("micro_batch_tokens", "micro_batch_tokens"), ("method.micro_batch_tokens",) * 2]
)
def test_the_second_time_it_stops_and_can_be_resumed_with_the_budget_to_try(
    typed: str,
    named: str,
    model: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    scarce: Callable[..., None],
) -> None:
    directory = tmp_path / "run"
    with monkeypatch.context() as patched:
        patched.setattr(MaskedDiffusionLM, "forward", out_of_memory_at(1, from_=8))
        settings = (*LONGER, LEARNS[0], f"{typed}=200", "max_steps=5")
        ran = run(capsys, "train", *settings, model, f"hydra.run.dir={directory}")
    assert ran.code == 2
    [line] = [line for line in ran.err.splitlines() if line.startswith("dopsd: ")]
    assert ran.err.splitlines()[-1] == line
    assert line.startswith(f"dopsd: {named}=100: out of memory in an update on states of ")
    assert f"(halved before); try {named}=50 (python -m dopsd.train resume={directory} " in line
    assert not (directory / "summary.json").exists()
    ran = run(capsys, "train", f"resume={directory}", "micro_batch_tokens=50")
    assert ran.code == 0, ran.err
    assert read_json(directory / "summary.json")["training_steps"] == 5


def test_an_evaluation_names_its_batch_size(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], scarce: Callable[..., None]
) -> None:
    scarce(1, with_gradients=False)
    ran = run(capsys, "evaluate", *LONGER[:1], *TASK, model, f"hydra.run.dir={tmp_path}", "eval_batch_size=2")
    assert ran.code == 2
    assert "dopsd: eval_batch_size=2: out of memory in an evaluation (" in ran.err
    assert ran.err.endswith("; try eval_batch_size=1\n")


def test_what_no_setting_explains_is_one_line_too(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.\nMore words.")

    monkeypatch.setattr(student, "_placed", full)
    ran = run(capsys, "train", *LONGER, model, f"hydra.run.dir={tmp_path / 'run'}")
    assert ran.code == 2
    assert ran.err == "dopsd: out of memory: CUDA out of memory. Tried to allocate 20.00 MiB. More words.\n"
