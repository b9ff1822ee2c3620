"""What the model would write at a position, and how sure it is; all in float32.

Probabilities are put in order as log-odds, log p - log(1 - p): the order is the same, but in float32 every p above
1 - 3e-8 is 1, and trained networks are often that sure.
"""

import math
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

ConfidenceMeasure = Literal["probability", "max_logit"]


def forbid(logits: Float[Tensor, "*shape V"], *tokens: int) -> Float[Tensor, "*shape V"]:
    """The logits without some tokens (a model must not write [MASK]), in place."""
    for token in tokens:
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


def log_odds(probability: float) -> float:
    """The log-odds of a probability above 0."""
    return math.inf if probability == 1 else math.log(probability) - math.log1p(-probability)


def log_odds_of(logits: Float[Tensor, "*shape V"], tokens: Int[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Log-odds of one token at each position: its logit less those of all others together."""
    logits, at = logits.float(), tokens[..., None]
    return logits.gather(-1, at)[..., 0] - _log_sum_exp(logits.scatter(-1, at, -torch.inf))


def coarse_log_odds_of(
    logits: Float[Tensor, "*shape V"], tokens: Int[Tensor, "*shape"]
) -> Float[Tensor, "*shape"]:
    """Log-odds of one token's probability as it is in bfloat16: of what is almost certain no digit is left."""
    return logits.bfloat16().softmax(-1).gather(-1, tokens[..., None])[..., 0].float().logit()


def log_probability_of(
    logits: Float[Tensor, "*shape V"], tokens: Int[Tensor, "*shape"]
) -> Float[Tensor, "*shape"]:
    """Log-probability of one token at each position, in nats."""
    return logits.float().log_softmax(-1).gather(-1, tokens[..., None])[..., 0]


def margin(logits: Float[Tensor, "*shape V"]) -> Float[Tensor, "*shape"]:
    """Log-odds of how much more probable the most likely token is than the second: (p1 - p2) / (1 - p1 + p2)."""
    logits = logits.float()
    top = logits.topk(2)
    first, second = top.values.unbind(-1)
    others = _log_sum_exp(logits.scatter(-1, top.indices[..., :1], -torch.inf))
    apart = -torch.expm1(second - first)  # (p1 - p2) / p1
    least = torch.finfo(apart.dtype).tiny  # two that are equal: not very sure, but finite
    return first + apart.clamp(min=least).log() - torch.logaddexp(others, second)


def negative_entropy(logits: Float[Tensor, "*shape V"]) -> Float[Tensor, "*shape"]:
    """Minus the entropy of the distribution, in nats; the largest p's -p log p is p log(1 + (1 - p) / p)."""
    probability = logits.float().softmax(-1)
    first = probability.max(-1)
    others = probability.scatter_(-1, first.indices[..., None], 0)
    own = first.values * torch.log1p(others.sum(-1) / first.values)
    return -(torch.special.entr(others).sum(-1) + own)


def confidence(
    logits: Float[Tensor, "*shape V"], measure: ConfidenceMeasure = "probability"
) -> Float[Tensor, "*shape"]:
    """Confidence in the most likely token: log-odds of its probability (paper), or its raw logit (released code)."""
    top = logits.max(-1)
    return top.values.float() if measure == "max_logit" else log_odds_of(logits, top.indices)


def _log_sum_exp(logits: Float[Tensor, "*shape V"]) -> Float[Tensor, "*shape"]:
    """torch.logsumexp, by way of the softmax, which is one kernel; -inf where all logits are."""
    top = logits.amax(-1)
    return (top - logits.softmax(-1).amax(-1).log()).where(top != -torch.inf, top)
