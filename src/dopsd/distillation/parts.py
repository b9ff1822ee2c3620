"""Which optimizer step a visited state belongs to, where a trajectory makes several, and where its states end."""

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from dopsd.diffusion.trajectory import States, is_end

LEFT_OUT = -1
"""The part of a state that is in none."""


def before_the_end(states: States, eos_id: int) -> Bool[Tensor, "S"]:
    """States in which something is masked up to the answer's first end of text, that one included."""
    ends = is_end(states.finished, (eos_id,)).long()
    ended_before = ends.cumsum(1) - ends
    return (states.is_masked & (ended_before == 0)).any(-1)


def shares_of_time(states: States, steps: Int[Tensor, "S"], parts: int) -> Int[Tensor, "S"]:
    """Step t of the `steps` that its trajectory took is in part floor(t * parts / steps)."""
    return states.step * parts // steps


def equal_chunks(rollout: Int[Tensor, "S"], parts: int) -> Int[Tensor, "S"]:
    """Of a trajectory's S states the first size = floor((S - 1) / parts) are part 0, the next part 1, ...

    So 1 to `parts` of the last ones are in none, and none of a trajectory with S <= parts is in any. `rollout` is
    ascending, the states of each stand in the order of their steps.
    """
    _, trajectory, number = rollout.unique_consecutive(return_inverse=True, return_counts=True)
    place = torch.arange(len(rollout), device=rollout.device) - (number.cumsum(0) - number)[trajectory]
    size = ((number - 1) // parts)[trajectory]
    part = place // size.clamp(min=1)
    return part.masked_fill((size == 0) | (part >= parts), LEFT_OUT)
