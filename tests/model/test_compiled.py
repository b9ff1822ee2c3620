"""Compiled layers: the same results, from a number of graphs that neither layers nor shapes add to."""

import subprocess
import sys
from pathlib import Path

import pytest

STEPS = Path(__file__).with_name("compiled_steps.py")


def test_steps_are_the_same_and_graphs_are_few(tmp_path):
    subprocess.run([sys.executable, STEPS, tmp_path], check=True, timeout=280)


COMPILED = """
import torch
from dopsd.model import load_model
from dopsd.model.visible import TwoStream

canvas = torch.randint(500, (3, 24), generator=torch.Generator().manual_seed(0))
mask = torch.ones(3, 24, dtype=torch.bool)
mask[0, :5] = False
models = [load_model("tiny", compile=compile).train() for compile in (False, True)]
for visible in (None, TwoStream(4, 8)):
    for model in models:
        model.zero_grad()
        model(canvas, mask, visible=visible).logits().logsumexp(-1).sum().backward()
    plain, compiled = (model(canvas, mask, visible=visible).logits() for model in models)
    torch.testing.assert_close(compiled, plain, rtol=1e-4, atol=1e-4)
    for ours, expected in zip(models[1].parameters(), models[0].parameters(), strict=True):
        torch.testing.assert_close(ours.grad, expected.grad, rtol=1e-3, atol=1e-3)
"""


@pytest.mark.slow
def test_compiled_layers_give_the_same_logits_and_gradients():
    """In a process of its own: the type checks that the tests switch on cannot be traced."""
    subprocess.run([sys.executable, "-c", COMPILED], check=True, timeout=280)
