"""The likelihood along the states that the rollout itself went through."""

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from dopsd.diffusion.prompts import Prompts
from dopsd.diffusion.trajectory import GIVEN, NEVER, Trajectory
from dopsd.diffusion.views import Views
from dopsd.likelihood.likelihood import Likelihood
from dopsd.setting import setting


@setting
class TrajectoryLikelihood(Likelihood):
    """log p(y_i | x, y_t) for each token, at the step t that unmasked it: the sum is the probability of the draws.

    TraceRL (arXiv 2509.06949). A probability only where the order does not depend on the drawn tokens (random, entropy,
    margin): under low_confidence a draw is kept because it is likely. As many forwards as steps that unmasked something
    of the answer.
    """

    per_token = True

    def views(
        self,
        trajectory: Trajectory,
        scored: Bool[Tensor, "B L"],
        prompts: Prompts,
        keys: Int[Tensor, "B"],
        *,
        mask_id: int,
    ) -> Views:
        """A view for each such step: the canvas before it, read at what it unmasked."""
        written = scored & (trajectory.step_map != GIVEN) & (trajectory.step_map != NEVER)
        of_token = written.nonzero()[:, 0], trajectory.step_map[written]
        row, step = torch.stack(of_token).unique(dim=1)
        visited = trajectory[row]
        return Views.of(
            row=row,
            prompts=prompts.rows(row),
            canvas=visited.canvas_at(step, mask_id),
            finished=visited.tokens,
            read=written[row] & (visited.step_map == step[:, None]),
            weight=torch.ones(len(row), device=keys.device),
        )
