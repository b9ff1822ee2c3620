"""What a sampler asks: the network, or the network under classifier-free guidance."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dopsd.diffusion.readout import Head, Readout

Denoiser = Callable[..., Any]
"""`denoiser(sequence, attention_mask, at=columns, readout=read)` returns `read(hidden, head)`: what that makes of the
hidden states at some columns of each row, (B, K, D), and the vocabulary head. `attention_mask` is None where nothing
is padding.

Without `readout` it returns the logits there, (B, K, V).
"""


def guided(denoiser: Denoiser, *, scale: float, mask_id: int, gen_length: int) -> Denoiser:
    """Logits moved away from what is likely whatever the prompt says, which is masked there (LLaDA's form).

    `scale` 0 changes nothing; each forward has twice the rows.
    """

    def read_both(
        sequence: Int[Tensor, "B S"],
        attention_mask: Bool[Tensor, "B S"] | None,
        *,
        at: Int[Tensor, "B K"],
        readout: Readout,
    ) -> Any:
        def read(hidden: Float[Tensor, "both K D"], head: Head) -> Any:
            return readout(torch.cat(hidden.chunk(2), -1), _GuidedHead(head, scale))

        without_prompt = sequence.clone()
        without_prompt[:, :-gen_length] = mask_id
        both = torch.cat([sequence, without_prompt])
        mask = None if attention_mask is None else attention_mask.repeat(2, 1)
        return denoiser(both, mask, at=at.repeat(2, 1), readout=read)

    return read_both


@dataclass(frozen=True)
class _GuidedHead:
    """Takes the hidden states with and without the prompt side by side."""

    head: Head
    scale: float

    @property
    def out_features(self) -> int:
        """All logits that exist for one position."""
        return 2 * self.head.out_features

    def __call__(self, hidden: Float[Tensor, "*shape both"], /) -> Float[Tensor, "*shape V"]:
        conditional, unconditional = (self.head(half).float() for half in hidden.chunk(2, -1))
        return unconditional + (self.scale + 1) * (conditional - unconditional)
