"""A sample of each trajectory's states instead of all of them, at the same expected loss."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dopsd.diffusion.noise import Purpose, derive, uniform


def times_counted(rollout: Int[Tensor, "S"], keys: Int[Tensor, "S"], number: int) -> Float[Tensor, "S"]:
    """How often each state counts: 0 if left out, else (states of its trajectory) / `number`; 1 where all stay.

    Systematic sampling: `number` points at equal distances along a trajectory, from a random start, so every
    state has the same chance, the mean over the start is exactly 1 for each, and every block gets its share.
    `rollout` is ascending, the states of each stand in the order of their steps, `keys` are the rollouts' streams.
    """
    _, trajectory, size = rollout.unique_consecutive(return_inverse=True, return_counts=True)
    place = torch.arange(len(rollout), device=rollout.device) - (size.cumsum(0) - size)[trajectory]
    distance = size[trajectory].double() / number
    start = uniform(derive(keys, Purpose.STATE_SAMPLE))
    points_before = (place / distance - start).ceil()
    points_up_to = ((place + 1) / distance - start).ceil()
    return torch.where(distance <= 1, 1.0, (points_up_to - points_before) * distance).float()
