"""Preference optimisation on likelihood estimates (VRPO, arXiv 2505.19223): score, loss, and how noisy a score is.

A pair is two columns: the chosen answer, then the refused one.
"""

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import softplus


def preference_score(
    policy: Float[Tensor, "P 2"], reference: Float[Tensor, "P 2"], *, beta: float
) -> Float[Tensor, "P"]:
    """s = beta [(B_w - B_w_ref) - (B_l - B_l_ref)] of each pair, in float64, B a log-likelihood or its bound."""
    gain = policy.double() - reference.double()
    return beta * (gain[:, 0] - gain[:, 1])


def preference_loss(
    policy: Float[Tensor, "P 2"], reference: Float[Tensor, "P 2"], *, beta: float
) -> tuple[Float[Tensor, ""], dict[str, Tensor]]:
    """The mean over pairs of -log sigmoid(s), with the gradient of `policy`, and figures by their name.

    `preference/accuracy` is the share of pairs with s > 0; one with s = 0 counts half.
    """
    score = preference_score(policy, reference.detach(), beta=beta)
    chosen, refused = policy.detach().double().mean(0)
    figures = {
        "preference/score": score.detach().mean(),
        "preference/accuracy": (score.detach().sign() / 2 + 0.5).mean(),
        "preference/chosen": chosen,
        "preference/refused": refused,
    }
    return softplus(-score).mean(), figures


def score_variance(
    policy: Float[Tensor, "P 2 n"], reference: Float[Tensor, "P 2 n"], *, beta: float
) -> tuple[Float[Tensor, "P"], Float[Tensor, "P"]]:
    """Estimates of the score's variance: with the draws of policy and reference shared, and as if they were not.

    V[s] = beta^2 sum_y (V_policy + V_reference - 2 Corr sqrt(V_policy V_reference)); without sharing Corr is 0. Each
    answer's estimate is the mean of n > 1 independent terms, of which term j of both has the same masks.
    """
    draws = policy.shape[-1]
    assert draws > 1, "one term says nothing of its variance"
    policy, reference = policy.double(), reference.double()
    shared = (policy - reference).var(-1)
    independent = policy.var(-1) + reference.var(-1)
    return beta**2 * shared.sum(1) / draws, beta**2 * independent.sum(1) / draws
