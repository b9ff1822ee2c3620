"""Learning steps of diffu-GRPO, VRPO and SFT the straightforward way: a yardstick, and a second opinion on the loss.

One view after another, unpadded, with the log-softmax of the logits of all columns, and a backward pass for each group
of a GRPO (a device's batch in its released code), each pair of VRPO, each quarter of the solutions. It shares with
dopsd the network, rollouts, advantages, and which positions each view masks.
"""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from reference import CHUNKS
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from dopsd.diffusion.noise import Purpose, derive
from dopsd.diffusion.responses import Responses
from dopsd.diffusion.views import Views
from dopsd.method.diffu_grpo import DiffuGRPO
from dopsd.method.sft import SFT
from dopsd.method.vrpo import VRPO
from dopsd.rollout import RolloutBatch
from dopsd.stream import Draw

Figures = dict[str, float]


def grpo_step(method: DiffuGRPO, batch: Sequence[Draw], rollout: RolloutBatch) -> Figures:
    """All inner updates of mean-field diffu-GRPO with one ratio a token; the means of loss and norm."""
    prompts = method.chat.prompts(draw.example for draw in batch)
    group = rollout.answering(prompts, method.chat.special.end_ids)
    advantage = method.advantage.of(method.reward.of(rollout).view(len(batch), -1))[0].flatten()
    keys = derive(group.keys, Purpose.INNER_UPDATE)
    updates = [
        method.likelihood.views(
            Responses(**{**vars(group), "keys": derive(keys, number)}), mask_id=method.chat.special.mask_id
        )
        for number in range(method.inner_updates)
    ]
    method.network.eval()
    with torch.no_grad():
        old = [[log_p(method.network, views, view) for view in range(len(views))] for views in updates]
        with method.reference.network() as network:
            reference = [[log_p(network, views, view) for view in range(len(views))] for views in updates]
    method.network.train()
    done = []
    for views, of_old, of_reference in zip(updates, old, reference, strict=True):
        given = zip(of_old, of_reference, advantage[views.row], strict=True)
        done.append(
            learnt(
                method,
                views,
                [partial(token_loss, method, *of_view) for of_view in given],
                of=len(group),
                parts=len(batch),
            )
        )
    return {name: sum(each[name] for each in done) / len(done) for name in done[0]}


def token_loss(method: DiffuGRPO, old: Tensor, reference: Tensor, advantage: Tensor, new: Tensor) -> Tensor:
    """Mean over the tokens of a completion of -min(rho A, clip(rho) A) + beta k3."""
    surrogate, d = method.surrogate, reference - new
    rho = (new - old).exp()
    clipped = rho.clamp(1 - surrogate.clip_low, 1 + surrogate.clip_high)
    kl = d.exp() - d - 1
    return (-torch.minimum(rho * advantage, clipped * advantage) + surrogate.beta * kl).mean()


def vrpo_step(method: VRPO, batch: Sequence[Draw], rollout: RolloutBatch) -> Figures:
    """One update; all views of a pair are in one graph, since its score is a sum under a sigmoid."""
    prompts = method.chat.prompts(draw.example for draw in batch)
    answers = method.pairs.answers(batch, rollout, chat=method.chat, seed=method.seed)
    views, pairs = method._views(answers, prompts), len(answers.pairs)
    optimizer, total = zeroed(method), 0.0
    for pair in range(pairs):
        gain = []
        for answer in (2 * pair, 2 * pair + 1):
            own = (views.row == answer).nonzero()[:, 0].tolist()
            with torch.no_grad(), method.reference.network() as network:
                reference = [log_p(network, views, view) for view in own]
            policy = [log_p(method.network, views, view) for view in own]
            weight = [views.weight[view][views.is_real[view]].double() for view in own]
            gain += [sum((w * (p - r)).sum() for w, p, r in zip(weight, policy, reference, strict=True))]
            if answer % 2 == 0:
                of_chosen = -sum(p.mean() for p in policy) / len(own)
        loss = (method.sft_weight * of_chosen - logsigmoid(method.beta * (gain[0] - gain[1]))) / pairs
        loss.backward()
        total += float(loss.detach())
    return {"loss": total, "gradient_norm": stepped(method, optimizer)}


def sft_step(method: SFT, batch: Sequence[Draw]) -> Figures:
    """One update on the mean over responses."""
    prompts = method.chat.prompts(draw.example for draw in batch)
    views, *_ = method._views(method.responses(batch, prompts))
    losses = [partial(weighted, views.weight[view][views.is_real[view]]) for view in range(len(views))]
    return learnt(method, views, losses, of=1, parts=CHUNKS)


def weighted(weight: Tensor, new: Tensor) -> Tensor:
    """The sum of weight * -log p."""
    return (weight * -new).sum()


def learnt(
    method: DiffuGRPO | SFT,
    views: Views,
    losses: Sequence[Callable[[Tensor], Tensor]],
    *,
    of: int,
    parts: int,
) -> Figures:
    """One update on the sum of each view's loss, divided by a number, in as many graphs as it has parts."""
    optimizer, total, size = zeroed(method), 0.0, -(-len(views) // parts)
    for first in range(0, len(views), size):
        chunk = range(first, min(first + size, len(views)))
        loss = sum(losses[view](log_p(method.network, views, view)) for view in chunk) / of
        loss.backward()
        total += float(loss.detach())
    return {"loss": total, "gradient_norm": stepped(method, optimizer)}


def log_p(network: Callable[..., Tensor] | nn.Module, views: Views, view: int) -> Tensor:
    """log p of a view's tokens, in float64."""
    prompt = views.prompts.tokens[view][views.prompts.attention_mask[view]]
    logits = network(torch.cat([prompt, views.canvas[view]])[None]).logits()[0]
    real = views.is_real[view]
    tokens, at = views.tokens[view][real], len(prompt) + views.columns[view][real]
    return logits.float().log_softmax(-1)[at, tokens].double()


def zeroed(method: DiffuGRPO | VRPO | SFT) -> torch.optim.Optimizer:
    """The optimizer, without gradients."""
    optimizer = method.optimizers()
    optimizer.zero_grad()
    return optimizer


def stepped(method: DiffuGRPO | VRPO | SFT, optimizer: torch.optim.Optimizer) -> float:
    """Clips, steps; the norm before."""
    norm = nn.utils.clip_grad_norm_(method.network.parameters(), method._gradient_clip)
    optimizer.step()
    return float(norm)
