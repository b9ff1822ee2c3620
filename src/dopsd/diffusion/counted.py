"""Which positions of a finished canvas are the answer."""

from jaxtyping import Bool
from torch import Tensor

from dopsd.diffusion.trajectory import NEVER, Trajectory, is_end


def counted(trajectory: Trajectory, end_ids: tuple[int, ...]) -> Bool[Tensor, "B L"]:
    """C(y): up to and including the first end token of any kind; what an early exit filled up is never in it."""
    ends = is_end(trajectory.tokens, end_ids).long()
    ended_before = ends.cumsum(1) - ends
    return (ended_before == 0) & (trajectory.step_map != NEVER)
