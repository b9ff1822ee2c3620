"""What a sampler asks: the network, or the network under classifier-free guidance."""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from dopsd.diffusion.hidden import Hidden

Denoiser = Callable[..., Hidden]
"""`denoiser(sequence, attention_mask, at=columns)` returns the hidden states at some columns of each row, (B, K, D);
`attention_mask` is None where nothing is padding.
"""


def guided(denoiser: Denoiser, *, scale: float, mask_id: int, gen_length: int) -> Denoiser:
    """Logits moved away from what is likely whatever the prompt says, which is masked there (LLaDA's form).

    `scale` 0 changes nothing; each forward has twice the rows.
    """

    def of_both(
        sequence: Int[Tensor, "B S"], attention_mask: Bool[Tensor, "B S"] | None, *, at: Int[Tensor, "B K"]
    ) -> Hidden:
        without_prompt = sequence.clone()
        without_prompt[:, :-gen_length] = mask_id
        both = torch.cat([sequence, without_prompt])
        mask = None if attention_mask is None else attention_mask.repeat(2, 1)
        hidden = denoiser(both, mask, at=at.repeat(2, 1))
        prompted, unprompted = hidden.states.chunk(2)
        return Hidden(states=prompted, head=hidden.head, unprompted=unprompted, cfg_scale=scale)

    return of_both
