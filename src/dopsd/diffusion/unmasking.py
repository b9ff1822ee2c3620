"""One denoising step's choice: which token each position would take, and what puts the positions in order."""

from typing import Literal

from jaxtyping import Float, Int
from torch import Tensor

from dopsd.diffusion.confidence import coarse_log_odds_of, log_odds_of, margin, negative_entropy, sample
from dopsd.diffusion.noise import Purpose, coarse_gumbel, derive, uniform

Remasking = Literal["low_confidence", "entropy", "margin", "random"]
NoiseDtype = Literal["float64", "bfloat16"]
ConfidenceDtype = Literal["float32", "bfloat16"]


def propose(
    logits: Float[Tensor, "*shape V"],
    keys: Int[Tensor, "*shape"],
    *,
    temperature: float,
    noise_dtype: NoiseDtype,
) -> Int[Tensor, "*shape"]:
    """The token each position would take: the most likely one, or a sample.

    bfloat16 does what the released code does: argmax of exp(l) / (-log u)^T with logits l and uniform numbers u in
    bfloat16. No noise is above 5.54, so what is much less likely than the best is never drawn.
    """
    if temperature == 0:
        return logits.argmax(-1)
    keys = derive(keys, Purpose.TOKEN)
    if noise_dtype == "float64":
        return sample(logits, temperature, uniform(keys))
    noise = coarse_gumbel(keys, logits.shape[-1])
    return noise.mul_(temperature).add_(logits.bfloat16()).argmax(-1)


def score(
    logits: Float[Tensor, "*shape V"],
    proposal: Int[Tensor, "*shape"],
    keys: Int[Tensor, "*shape"],
    remasking: Remasking,
    *,
    dtype: ConfidenceDtype = "float32",
) -> Float[Tensor, "*shape"]:
    """What puts positions in order: the proposed token's probability (as log-odds), the distribution, or chance.

    In bfloat16 the probability is one of about 8 bits, as in the released code, and many positions are equal.
    """
    match remasking:
        case "low_confidence" if dtype == "bfloat16":
            return coarse_log_odds_of(logits, proposal)
        case "low_confidence":
            return log_odds_of(logits, proposal)
        case "entropy":
            return negative_entropy(logits)
        case "margin":
            return margin(logits)
        case "random":
            return uniform(derive(keys, Purpose.POSITION))
