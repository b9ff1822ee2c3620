"""The exact likelihood of writing one token at a time from left to right."""

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from dopsd.diffusion.prompts import Prompts
from dopsd.diffusion.trajectory import Trajectory
from dopsd.diffusion.views import Views
from dopsd.likelihood.likelihood import Likelihood
from dopsd.setting import setting


@setting
class ExactOrder(Likelihood):
    """log p(y_i | x, y_<i, M..M) for each token: the chain rule, whose sum is log p(y | x) for left-to-right decoding.

    JustGRPO. As many forwards as the answer has tokens.
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
        """A view for each scored token, in which it and all that follows is masked."""
        row, column = scored.nonzero(as_tuple=True)
        finished = trajectory.tokens[row]
        columns = torch.arange(scored.shape[1], device=keys.device)
        return Views.of(
            row=row,
            prompts=prompts.rows(row),
            canvas=finished.masked_fill(columns >= column[:, None], mask_id),
            finished=finished,
            read=columns == column[:, None],
            weight=torch.ones(len(row), device=keys.device),
        )
