"""The straightforward way of doing a step, written independently, gives the same loss and the same gradients."""

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from command_line import small_model
from reference import reference_step
from setup import load

SMALL = ("model.init=random", "prompts_per_step=3", "gen_length=16", "denoising_steps=8", "lora_r=2")
EVERYTHING = (
    *("learning.learn_from=all", "max_attempts=2", "updates_per_rollout=1"),
    *("lora_dropout=0.0", "gradient_clip=1e9"),
)
# What the straightforward way does not do: tests/method/test_parity.py has these rules.
CODE = (
    *(
        "parity=code",
        "parity.end_block=like_others",
        "parity.cut=shares_of_time",
        "parity.states_until=canvas",
    ),
    *("parity.early_exit=true", "parity.judged=answer", "parity.first_update=scheduled"),
    *("parity.loss_dtype=float32", "parity.confidence_dtype=float32"),
)


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        CODE,
        ["parity=paper"],
        ["divergence=fkl", "clip=nonnegative", "rho=0.5"],
        ["task=sudoku", "divergence=jsd", "rollout.sampler.early_exit=false"],
    ],
)
def test_loss_and_gradients_agree(overrides: list[str], tmp_path: Path) -> None:
    model = small_model(tmp_path / "model")
    method, batch = load(["task=countdown", model, *overrides, *SMALL, *EVERYTHING])
    reference = reference_step(method, batch)
    expected = {name: p.grad.clone() for name, p in method.network.named_parameters() if p.grad is not None}
    method.training_step(batch, 0)
    assert reference["kept"] == 1
    assert method.logged["train/loss"] == pytest.approx(reference["loss"], rel=1e-4, abs=1e-7)
    assert expected
    for name, parameter in method.network.named_parameters():
        if name in expected:
            torch.testing.assert_close(parameter.grad, expected[name], rtol=1e-3, atol=1e-6)
