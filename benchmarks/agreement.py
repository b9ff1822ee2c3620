"""Whether another device computes what the CPU computes: loss, gradients and greedy tokens of the embedded model."""

from typing import NamedTuple

import torch
from setup import load, load_student
from torch import Tensor

from dopsd.rollout import RolloutBatch

TOLERANCE = {"loss": 1e-4, "gradient": 1e-3, "greedy_tokens": 0.01}
TRAINER = {"cpu": "trainer=cpu", "cuda": "trainer=gpu"}
STEP = ("task=countdown", "prompts_per_step=4", "max_attempts=1", "learning.learn_from=all")
PUZZLES = ("task=countdown", "task.test=16", "lora=none")


class Step(NamedTuple):
    """What one training step has made."""

    rollout: RolloutBatch
    loss: float
    gradient: Tensor


def disagreement(device: str) -> dict[str, float]:
    """How far a device is from the CPU in float32: the figures of TOLERANCE, 0 where both do the same.

    Loss and gradient: the relative difference, on the same trajectories. Greedy tokens: the share that differs.
    """
    expected = step("cpu")
    found = step(device, expected.rollout)
    return {
        "loss": abs(found.loss / expected.loss - 1),
        "gradient": float((found.gradient - expected.gradient).norm() / expected.gradient.norm()),
        "greedy_tokens": float((greedy_tokens(device) != greedy_tokens("cpu")).double().mean()),
    }


def step(device: str, given: RolloutBatch | None = None) -> Step:
    """One step of the demo, on its own rollout or on a given one."""
    method, batch = load([*STEP, TRAINER[device]])
    rollout = given
    if rollout is None:
        rollout = method.roll_out(
            batch, method.chat.prompts(draw.example for draw in batch).to(method.device)
        )
    method.roll_out = lambda *_: rollout.to(method.device)
    method.training_step(batch, 0)
    gradients = [p.grad.flatten().cpu() for p in method.network.parameters() if p.grad is not None]
    return Step(rollout, method.logged["train/loss"], torch.cat(gradients))


def greedy_tokens(device: str) -> Tensor:
    """The finished canvases of some puzzles."""
    plan, student = load_student([*PUZZLES, TRAINER[device]])
    prompts = student.chat.prompts(plan.task.examples("test")).to(plan.device)
    keys = torch.zeros(len(prompts), dtype=torch.int64, device=plan.device)
    return plan.evaluation_sampler.sample(student.network, prompts, keys, student.chat.special).tokens.cpu()
