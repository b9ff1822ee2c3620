"""The evidence lower bound from pairs of complementary masks."""

from typing import Annotated

import torch
from pydantic import Field

from dopsd.diffusion.masking import mask_of
from dopsd.diffusion.noise import Purpose, derive, uniform
from dopsd.diffusion.responses import Responses
from dopsd.diffusion.views import Views
from dopsd.likelihood.likelihood import Likelihood, rows_of, sample_keys
from dopsd.setting import setting


@setting
class CoupledElbo(Likelihood):
    """B = mean over j of (1/2) [ w(l_j) S(z_j) + w(|C| - l_j) S(C without z_j) ] with w(l) = (|C|+1) / l.

    S(z) = sum over i masked in z of log p(y_i | x, z), 0 where nothing is. ESPO (arXiv 2512.03759): l_j ~ U{0..|C|},
    z_j masks l_j of the tokens C, and E B is that of `Elbo`. The counts are spread evenly over a response's `samples`
    pairs: l_j = floor((|C|+1) (u + j) / samples) with one u ~ U(0, 1); the released code spreads them over the batch,
    and takes the whole canvas for C. What follows the answer is shown as it stands. `per_length` divides by |C|.
    """

    samples: Annotated[int, Field(ge=1)]
    per_length: bool
    per_token = False

    def most_views(self, length: int, steps: int) -> int:
        """Two for each pair."""
        return 2 * self.samples

    def views(self, responses: Responses, *, mask_id: int) -> Views:
        """Two views for each of `samples` pairs, less those in which nothing is masked."""
        row = rows_of(responses, self.samples)
        among, length = responses.scored[row], responses.scored[row].sum(1)
        offset = uniform(derive(responses.keys, Purpose.LIKELIHOOD_OFFSET))[:, None]
        place = (offset + torch.arange(self.samples, device=row.device)) / self.samples
        count = (place.flatten() * (length + 1)).long()
        drawn = mask_of(sample_keys(responses.keys, self.samples).flatten(), among=among, count=count)
        masked = torch.stack([drawn, among & ~drawn], 1).flatten(0, 1)
        row, length = row.repeat_interleave(2), length.repeat_interleave(2)
        weight = (length + 1) / (2 * self.samples * masked.sum(1).double())
        of = responses[row]
        return Views.of(
            row=row,
            prompts=of.prompts,
            canvas=of.tokens.masked_fill(masked, mask_id),
            finished=of.tokens,
            read=masked,
            weight=weight / length if self.per_length else weight,
        )
