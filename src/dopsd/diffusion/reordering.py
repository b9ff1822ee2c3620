"""In how far two trajectories of the same prompts were unmasked in another order."""

from jaxtyping import Float
from torch import Tensor

from dopsd.diffusion.trajectory import NEVER, Trajectory


def share_reordered(some: Trajectory, others: Trajectory) -> Float[Tensor, "B"]:
    """The share of pairs of positions that are unmasked in the opposite order: 0.5 where chance decides.

    Of the pairs within a block that both unmask one after the other; nan where there is none.
    """
    earlier, written = [], []
    for trajectory in (some, others):
        steps = trajectory.step_map.unflatten(1, (-1, trajectory.block_length))
        earlier.append(steps[..., :, None] < steps[..., None, :])
        written.append(steps != NEVER)
    in_both = written[0] & written[1]
    pairs = in_both[..., :, None] & in_both[..., None, :] & earlier[0]
    opposite = (pairs & earlier[1].mT).sum((1, 2, 3)).double()
    return opposite / (opposite + (pairs & earlier[1]).sum((1, 2, 3)))
