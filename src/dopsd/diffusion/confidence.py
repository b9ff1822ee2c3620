"""What the model would write at a position, and how sure it is."""

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

ConfidenceMeasure = Literal["probability", "max_logit"]


def forbid(logits: Float[Tensor, "*shape V"], token: int) -> Float[Tensor, "*shape V"]:
    """The logits without one token (a model must not write [MASK]), in place."""
    logits[..., token] = -torch.inf
    return logits


def probability_of(
    logits: Float[Tensor, "*shape V"], tokens: Int[Tensor, "*shape"]
) -> Float[Tensor, "*shape"]:
    """Probability of one token at each position, in float32."""
    logits = logits.float()
    return (logits.gather(-1, tokens[..., None])[..., 0] - logits.logsumexp(-1)).exp()


def confidence(
    logits: Float[Tensor, "*shape V"], measure: ConfidenceMeasure = "probability"
) -> Float[Tensor, "*shape"]:
    """Confidence of the most likely token: its probability (paper), or its raw logit (released code)."""
    top = logits.max(-1)
    return top.values.float() if measure == "max_logit" else probability_of(logits, top.indices)
