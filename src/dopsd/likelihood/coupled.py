"""Every token scored twice: from a canvas of masks, and in one of two complementary views."""

from typing import Annotated

import torch
from pydantic import Field

from dopsd.diffusion.masking import independent_mask
from dopsd.diffusion.noise import Purpose, derive, uniform
from dopsd.diffusion.responses import Responses
from dopsd.diffusion.views import Views
from dopsd.likelihood.likelihood import Likelihood, rows_of
from dopsd.setting import setting

Ratio = Annotated[float, Field(gt=0, lt=1)]


@setting
class Coupled(Likelihood):
    """(1/2) [ log p(y_i | x, M..M) + w log p(y_i | x, the view of two in which i is masked) ] for each token.

    DiffuCoder's coupled-GRPO (arXiv 2506.20639): a token is masked in the first view with probability
    r ~ U(`lowest_ratio`, `highest_ratio`), w = 1/r, and else in the second, w = 1/(1-r). r is drawn for each response.
    What follows the answer is masked in all three views. A token's weights add up to 3/2 on average, not to 1.
    """

    lowest_ratio: Ratio
    highest_ratio: Ratio
    per_token = True

    def __post_init__(self) -> None:
        if self.lowest_ratio > self.highest_ratio:
            raise ValueError(
                f"lowest_ratio={self.lowest_ratio} must be at most highest_ratio={self.highest_ratio}"
            )

    def most_views(self, length: int, steps: int) -> int:
        """The canvas of masks and the two complementary views."""
        return 3

    def views(self, responses: Responses, *, mask_id: int) -> Views:
        """Three views of each response, less those in which nothing is masked."""
        scored = responses.scored
        between = uniform(derive(responses.keys, Purpose.MASKED_RATIO))
        ratio = self.lowest_ratio + between * (self.highest_ratio - self.lowest_ratio)
        drawn = independent_mask(derive(responses.keys, Purpose.MASKED_POSITION), ratio, scored.shape[1])
        row = rows_of(responses, 3)
        of = responses[row]
        read = torch.stack([scored, scored & drawn, scored & ~drawn], 1).flatten(0, 1)
        return Views.of(
            row=row,
            prompts=of.prompts,
            canvas=of.tokens.masked_fill(read | ~of.scored, mask_id),
            finished=of.tokens,
            read=read,
            weight=torch.stack([torch.ones_like(ratio), 1 / ratio, 1 / (1 - ratio)], 1).flatten() / 2,
        )
