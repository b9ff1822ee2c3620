"""Methods' learning steps done the straightforward way give the same loss and the same gradient norm."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from command_line import small_model
from methods import WAYS, compared, learning
from setup import load

SMALL = ("task=countdown", "model.init=random", "gen_length=16", "denoising_steps=8", "lora_r=2")
SIZES = {
    "diffu_grpo": ["max_attempts=4", "inner_updates=3"],
    "vrpo": ["group_size=4"],
    "sft": ["gen_length=48", "denoising_steps=48"],
}


@pytest.mark.parametrize("name", SIZES)
def test_loss_and_gradient_norm_agree(name: str, tmp_path: Path, half_accepted: None) -> None:
    typed = [
        *SMALL,
        f"method={name}",
        "lora_dropout=0",
        "prompts_per_step=3",
        small_model(tmp_path / "model"),
    ]
    found = {way: learning(name, way, *load([*typed, *SIZES[name]]))() for way in WAYS}
    compared(
        {
            way: {**figures, "step_s": 1.0, "step_memory_gb": 1.0, "shares": {}}
            for way, figures in found.items()
        },
        {},
    )
    assert abs(found["dopsd"]["loss"]) > 1e-4
    assert found["dopsd"]["gradient_norm"] > 1e-3
