"""What the model would write at a position, and how sure it is; all in float32."""

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

ConfidenceMeasure = Literal["probability", "max_logit"]


def forbid(logits: Float[Tensor, "*shape V"], token: int) -> Float[Tensor, "*shape V"]:
    """The logits without one token (a model must not write [MASK]), in place."""
    logits[..., token] = -torch.inf
    return logits


def sample(
    logits: Float[Tensor, "*shape V"], temperature: float, number: Float[Tensor, "*shape"]
) -> Int[Tensor, "*shape"]:
    """A token from softmax(logits / temperature): the one at which the distribution function passes `number` in (0, 1).

    Gumbel noise on all V logits would draw from the same distribution, with V random numbers for each position.
    """
    relative = (logits.double() - logits.amax(-1, keepdim=True).double()) / temperature
    cumulative = relative.exp_().cumsum(-1)
    total = cumulative[..., -1:].contiguous()
    passed = torch.searchsorted(cumulative, number[..., None] * total, right=True)
    last_possible = torch.searchsorted(cumulative, total)  # where rounding makes number * total the total
    chosen = passed.minimum(last_possible)[..., 0]
    return chosen.clamp(max=logits.shape[-1] - 1)  # NaN is nowhere passed


def probability_of(
    logits: Float[Tensor, "*shape V"], tokens: Int[Tensor, "*shape"]
) -> Float[Tensor, "*shape"]:
    """Probability of one token at each position."""
    return log_probability_of(logits, tokens).exp()


def log_probability_of(
    logits: Float[Tensor, "*shape V"], tokens: Int[Tensor, "*shape"]
) -> Float[Tensor, "*shape"]:
    """Log-probability of one token at each position, in nats."""
    logits = logits.float()
    return logits.gather(-1, tokens[..., None])[..., 0] - logits.logsumexp(-1)


def margin(logits: Float[Tensor, "*shape V"]) -> Float[Tensor, "*shape"]:
    """How much more probable the most likely token is than the second."""
    logits = logits.float()
    first, second = (logits.topk(2).values - logits.logsumexp(-1, keepdim=True)).exp().unbind(-1)
    return first - second


def negative_entropy(logits: Float[Tensor, "*shape V"]) -> Float[Tensor, "*shape"]:
    """Minus the entropy of the distribution, in nats."""
    return -torch.special.entr(logits.float().softmax(-1)).sum(-1)


def confidence(
    logits: Float[Tensor, "*shape V"], measure: ConfidenceMeasure = "probability"
) -> Float[Tensor, "*shape"]:
    """Confidence of the most likely token: its probability (paper), or its raw logit (released code)."""
    top = logits.max(-1)
    return top.values.float() if measure == "max_logit" else probability_of(logits, top.indices)
