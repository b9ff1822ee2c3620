"""The likelihood along the states that the rollout itself went through."""

import torch

from dopsd.diffusion.responses import Responses
from dopsd.diffusion.trajectory import GIVEN, NEVER
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

    def most_views(self, length: int, steps: int) -> int:
        """One for each step."""
        return steps

    def views(self, responses: Responses, *, mask_id: int) -> Views:
        """A view for each such step: the canvas before it, read at what it unmasked."""
        trajectory = responses.trajectory
        written = responses.scored & (trajectory.step_map != GIVEN) & (trajectory.step_map != NEVER)
        of_token = written.nonzero()[:, 0], trajectory.step_map[written]
        row, step = torch.stack(of_token).unique(dim=1)
        of = responses[row]
        return Views.of(
            row=row,
            prompts=of.prompts,
            canvas=of.trajectory.canvas_at(step, mask_id),
            finished=of.tokens,
            read=written[row] & (of.trajectory.step_map == step[:, None]),
            weight=torch.ones_like(row, dtype=torch.float32),
        )
