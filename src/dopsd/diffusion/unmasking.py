"""One denoising step's choice: which token each position would take, and what puts the positions in order."""

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dopsd.diffusion.confidence import margin, negative_entropy, probability_of, sample
from dopsd.diffusion.noise import derive, gumbel, uniform

Remasking = Literal["low_confidence", "entropy", "margin", "random"]
NoiseDtype = Literal["float64", "bfloat16"]

_TOKEN_NOISE, _POSITION_NOISE = 1, 2


def propose(
    logits: Float[Tensor, "*shape V"],
    keys: Int[Tensor, "*shape"],
    *,
    temperature: float,
    noise_dtype: NoiseDtype,
) -> Int[Tensor, "*shape"]:
    """The token each position would take: the most likely one, or a sample (bfloat16: by coarse Gumbel noise)."""
    if temperature == 0:
        return logits.argmax(-1)
    keys = derive(keys, _TOKEN_NOISE)
    if noise_dtype == "float64":
        return sample(logits, temperature, uniform(keys))
    vocabulary = torch.arange(logits.shape[-1], device=logits.device)
    noise = gumbel(derive(keys[..., None], vocabulary)).bfloat16()
    return (logits.bfloat16() + temperature * noise).argmax(-1)


def score(
    logits: Float[Tensor, "*shape V"],
    proposal: Int[Tensor, "*shape"],
    keys: Int[Tensor, "*shape"],
    remasking: Remasking,
) -> Float[Tensor, "*shape"]:
    """What puts positions in order: the proposed token's probability, the whole distribution, or chance."""
    match remasking:
        case "low_confidence":
            return probability_of(logits, proposal)
        case "entropy":
            return negative_entropy(logits)
        case "margin":
            return margin(logits)
        case "random":
            return uniform(derive(keys, _POSITION_NOISE))
