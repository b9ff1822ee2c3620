"""The likelihood that takes one forward: every token by itself, from a canvas of masks."""

from typing import Annotated

import torch
from pydantic import Field

from dopsd.diffusion.masking import mask_prompts
from dopsd.diffusion.responses import Responses
from dopsd.diffusion.views import Views
from dopsd.likelihood.likelihood import Likelihood, rows_of
from dopsd.setting import setting


@setting
class MeanField(Likelihood):
    """log p(y_i | x', M..M) for each token; in x' each prompt token is masked with probability `prompt_mask`.

    diffu-GRPO of d1 (arXiv 2504.12216). The whole canvas is masked, what follows the answer too. The sum over
    tokens is the likelihood of independent tokens, no bound on that of a sampler.
    """

    prompt_mask: Annotated[float, Field(ge=0, le=1)]
    per_token = True

    def most_views(self, length: int, steps: int) -> int:
        """One."""
        return 1

    def views(self, responses: Responses, *, mask_id: int) -> Views:
        """One view of each response."""
        return Views.of(
            row=rows_of(responses, 1),
            prompts=mask_prompts(responses.prompts, responses.keys, self.prompt_mask, mask_id),
            canvas=torch.full_like(responses.tokens, mask_id),
            finished=responses.tokens,
            read=responses.scored,
            weight=torch.ones_like(responses.keys, dtype=torch.float32),
        )
