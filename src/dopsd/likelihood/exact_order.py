"""The exact likelihood of writing one token at a time from left to right."""

import torch

from dopsd.diffusion.responses import Responses
from dopsd.diffusion.views import Views
from dopsd.likelihood.likelihood import Likelihood
from dopsd.setting import setting


@setting
class ExactOrder(Likelihood):
    """log p(y_i | x, y_<i, M..M) for each token: the chain rule, whose sum is log p(y | x) for left-to-right decoding.

    JustGRPO. As many forwards as the answer has tokens.
    """

    per_token = True

    def most_views(self, length: int, steps: int) -> int:
        """One for each token."""
        return length

    def views(self, responses: Responses, *, mask_id: int) -> Views:
        """A view for each scored token, in which it and all that follows is masked."""
        row, column = responses.scored.nonzero(as_tuple=True)
        of = responses[row]
        columns = torch.arange(of.tokens.shape[1], device=row.device)
        return Views.of(
            row=row,
            prompts=of.prompts,
            canvas=of.tokens.masked_fill(columns >= column[:, None], mask_id),
            finished=of.tokens,
            read=columns == column[:, None],
            weight=torch.ones_like(row, dtype=torch.float32),
        )
