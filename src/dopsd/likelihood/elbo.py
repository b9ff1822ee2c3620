"""The evidence lower bound, from masks of an exact number of tokens."""

from typing import Annotated

import torch
from pydantic import Field

from dopsd.diffusion.masking import mask_of, masked_count
from dopsd.diffusion.noise import Purpose, derive
from dopsd.diffusion.responses import Responses
from dopsd.diffusion.views import Views
from dopsd.likelihood.likelihood import Likelihood, rows_of, sample_keys
from dopsd.setting import setting


@setting
class Elbo(Likelihood):
    """B = mean over j, k of (|C| / l_j) sum over i masked in z_jk of log p(y_i | x, z_jk).

    VRPO (arXiv 2505.19223, eq. 14-15): l_j ~ U{1..|C|} for j = 1..`samples`, and z_jk masks l_j of the tokens C for
    k = 1..`masks_per_count`. E B = E over orders of sum_i log p(y_i | those before) <= log p under the sampler that
    unmasks one token a step in random order. What follows the answer is shown as it stands in the canvas.
    `per_length` divides by |C|.
    """

    samples: Annotated[int, Field(ge=1)]
    masks_per_count: Annotated[int, Field(ge=1)]
    per_length: bool
    per_token = False

    def most_views(self, length: int, steps: int) -> int:
        """One for each mask."""
        return self.samples * self.masks_per_count

    def views(self, responses: Responses, *, mask_id: int) -> Views:
        """`samples` x `masks_per_count` views of each response."""
        row = rows_of(responses, self.samples * self.masks_per_count)
        of = responses[row]
        of_count = sample_keys(responses.keys, self.samples).repeat_interleave(self.masks_per_count, 1)
        which = torch.arange(of_count.shape[1], device=row.device) % self.masks_per_count
        of_mask = derive(derive(of_count, Purpose.LIKELIHOOD_MASK), which)
        count = masked_count(of_count.flatten(), of.scored)
        masked = mask_of(of_mask.flatten(), among=of.scored, count=count)
        share = 1.0 if self.per_length else of.scored.sum(1)
        return Views.of(
            row=row,
            prompts=of.prompts,
            canvas=of.tokens.masked_fill(masked, mask_id),
            finished=of.tokens,
            read=masked,
            weight=share / (count.double() * self.samples * self.masks_per_count),
        )
