"""A loss of log-probabilities in two exact passes: their values first, then one step along their gradients.

The loss need not be a sum over rows: its derivative c = dLoss / d log p comes from the values of all views, and then
sum c log p has the gradient of the loss, whatever the micro-batches and ranks. Dropout is off in both passes.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from dopsd import ranks
from dopsd.diffusion.denoiser import Denoiser
from dopsd.diffusion.views import Views
from dopsd.memory import needing
from dopsd.method.budget import Forwards
from dopsd.method.method import Method
from dopsd.model import dropout_off


def evaluate(method: Method, views: Views, network: Denoiser) -> Float[Tensor, "N K"]:
    """log p of all views under the weights of `network`, whose forwards are part of the method's cost."""
    method.budget.forward(Forwards.of_views(views))
    return measure(method, views, network)


@torch.no_grad()
def measure(method: Method, views: Views, network: Denoiser) -> Float[Tensor, "N K"]:
    """log p of all views under the weights of `network`, each rank computing its share of them; not in the budget."""
    whole = torch.zeros_like(views.weight)
    if not len(views):
        return whole
    mine, is_mine = ranks.equal_share(len(views))
    tokens = method.micro_batches.tokens
    with (
        method.clock("likelihood"),
        dropout_off(method.network),
        needing("micro_batch_tokens", tokens, during="a likelihood", smaller=tokens // 2),
    ):
        slices = method.micro_batches.of(len(mine), views.width)
        found = torch.cat([views[mine[rows]].log_probability(network) for rows in slices])
    whole[mine[is_mine]] = found[is_mine]
    ranks.add_up(whole)
    return whole


def follow(method: Method, views: Views, coefficient: Float[Tensor, "N K"]) -> float:
    """One optimizer step down the gradient of sum c log p; its norm, 0 where every c is 0 and no step was taken.

    Views without any c take no forward.
    """
    counted = (coefficient != 0).any(1)
    if not counted.any():
        return 0.0
    views, coefficient = views[counted], coefficient[counted]
    forwards, width, (mine, is_mine) = Forwards.of_views(views), views.width, ranks.equal_share(len(views))
    views, coefficient = views[mine], coefficient[mine] * is_mine.to(coefficient.device)[:, None]
    update = method.update(rows=len(mine), width=width, of=forwards)
    for rows in update:
        with update:
            update.backward(*_gradient(method, views[rows], coefficient[rows]))
    norm, _ = update.step()
    return float(norm)


def _gradient(method: Method, views: Views, coefficient: Float[Tensor, "N K"]) -> tuple[Tensor, Tensor]:
    with method.clock("student"), dropout_off(method.network):
        linear = (coefficient * views.log_probability(method.network)).sum()
    return linear, linear.detach()
