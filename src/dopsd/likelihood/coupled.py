"""Every token scored twice: from a canvas of masks, and in one of two complementary views."""

from typing import Annotated

import torch
from jaxtyping import Bool, Int
from pydantic import Field
from torch import Tensor

from dopsd.diffusion.masking import independent_mask
from dopsd.diffusion.noise import Purpose, derive, uniform
from dopsd.diffusion.prompts import Prompts
from dopsd.diffusion.trajectory import Trajectory
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

    def views(
        self,
        trajectory: Trajectory,
        scored: Bool[Tensor, "B L"],
        prompts: Prompts,
        keys: Int[Tensor, "B"],
        *,
        mask_id: int,
    ) -> Views:
        """Three views of each response, less those in which nothing is masked."""
        between = uniform(derive(keys, Purpose.MASKED_RATIO))
        ratio = self.lowest_ratio + between * (self.highest_ratio - self.lowest_ratio)
        drawn = independent_mask(derive(keys, Purpose.MASKED_POSITION), ratio, scored.shape[1])
        row = rows_of(keys, 3)
        read = torch.stack([scored, scored & drawn, scored & ~drawn], 1).flatten(0, 1)
        finished = trajectory.tokens[row]
        return Views.of(
            row=row,
            prompts=prompts.rows(row),
            canvas=finished.masked_fill(read | ~scored[row], mask_id),
            finished=finished,
            read=read,
            weight=torch.stack([torch.ones_like(ratio), 1 / ratio, 1 / (1 - ratio)], 1).flatten() / 2,
        )
