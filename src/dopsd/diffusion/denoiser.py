"""What a sampler asks for logits: the network, or the network under classifier-free guidance."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

Denoiser = Callable[..., Any]
"""`denoiser(canvas, attention_mask, at=columns)` returns the logits at some columns of each row, (B, K, V).

With `readout=` it returns what that makes of the hidden states there.
"""


def guided(denoiser: Denoiser, *, scale: float, mask_id: int, gen_length: int) -> Denoiser:
    """Logits moved away from what is likely whatever the prompt says, which is masked there (LLaDA's form).

    `scale` 0 changes nothing; each forward has twice the rows.
    """

    def logits(
        canvas: Int[Tensor, "B S"], attention_mask: Bool[Tensor, "B S"], *, at: Int[Tensor, "B K"]
    ) -> Float[Tensor, "B K V"]:
        without_prompt = canvas.clone()
        without_prompt[:, :-gen_length] = mask_id
        both = torch.cat([canvas, without_prompt])
        asked = denoiser(both, attention_mask.repeat(2, 1), at=at.repeat(2, 1)).float()
        conditional, unconditional = asked.chunk(2)
        return unconditional + (scale + 1) * (conditional - unconditional)

    return logits
