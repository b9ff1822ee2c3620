"""Policy gradients from groups of completions: diffu-GRPO (d1, arXiv 2504.12216) and its followers."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from math import gcd
from typing import Annotated, Any, Literal

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from dopsd.diffusion.noise import Purpose, derive
from dopsd.diffusion.responses import Responses
from dopsd.likelihood.likelihood import Likelihood
from dopsd.method.budget import Forwards
from dopsd.method.on_policy import OnPolicy
from dopsd.method.scoring import evaluate, follow
from dopsd.method.spending import Spending, Workload
from dopsd.method.teacher_weights import TeacherWeights
from dopsd.policy.advantage import Advantage
from dopsd.policy.surrogate import Surrogate, Valuation
from dopsd.rollout import Rollout
from dopsd.rollout.reward import Reward
from dopsd.stream import Draw
from dopsd.task import Task


class DiffuGRPO(OnPolicy):
    """The student answers each prompt G times; what was better than its group becomes more likely.

    {y_1 .. y_G} sampled by the student, rewards r_g, advantages A_g = r_g - the group's baseline;
    v(y_g) = sum over views of weight * log p(tokens | view), of each token or of the whole (the likelihood);
    loss = surrogate(v, v_old, v_ref, A), by default the clipped ratio exp(v - v_old) with beta KL to the reference;
    `inner_updates` optimizer steps on a group, in turns through `mask_draws` draws of masks that v, v_old, v_ref share
    (`every_other`: of one a step, every other one round and round, so half of an even number, all of an odd one).

    wd1, SPG and ESPO are this with another surrogate and likelihood. A group whose rewards are all equal says nothing:
    it takes no forward unless the surrogate reads it, and stays in the denominator. A batch of such groups is no step.
    """

    learns_with_dropout = False

    def __init__(
        self,
        *,
        reward: Reward,
        advantage: Advantage,
        likelihood: Likelihood,
        surrogate: Surrogate,
        reference: TeacherWeights,
        inner_updates: Annotated[int, Field(ge=1)],
        mask_draws: Annotated[int, Field(ge=1)] | Literal["every_other"],
        **shared: Any,
    ):
        super().__init__(**shared)
        self.reward, self.advantage = reward, advantage
        self.likelihood, self.surrogate = likelihood, surrogate
        self.inner_updates, self.mask_draws = inner_updates, _draws(mask_draws, inner_updates)
        self.reference = self.other_weights = (
            reference.attach(self.network) if surrogate.reads_reference else None
        )

    @staticmethod
    def check(
        *,
        task: Task,
        rollout: Rollout,
        reward: Reward,
        likelihood: Likelihood,
        surrogate: Surrogate,
        inner_updates: int,
        mask_draws: int | Literal["every_other"],
    ) -> None:
        """Raises ValueError where there is no group, or where the parts do not fit together or the task."""
        if rollout.keep != "all":
            raise ValueError(f"parity.keep={rollout.keep}: must be all, a prompt's completions are its group")
        if rollout.max_attempts < 2:
            raise ValueError(f"max_attempts={rollout.max_attempts}: a group must have at least 2")
        if surrogate.needs_tokens and not likelihood.per_token:
            arm, needs = type(likelihood).__name__, "needs ratio=sequence surrogate.divided_by=counted"
            raise ValueError(f"ratio=token: {arm} has one value for a whole answer, which {needs}")
        if _draws(mask_draws, inner_updates) > inner_updates:
            raise ValueError(f"mask_draws={mask_draws}: must be at most inner_updates={inner_updates}")
        reward.check(task)

    def training_step(self, batch: Sequence[Draw], batch_idx: int) -> None:
        """One rollout of the batch's prompts, then the optimizer steps on its groups."""
        prompts = self.chat.prompts(draw.example for draw in batch).to(self.device)
        group = self.roll_out(batch, prompts)
        rewards = self.reward.of(group)
        advantage, has_signal = self.advantage.of(rewards.view(len(batch), -1))
        self.log_step({"reward/mean": rewards.mean(), "reward/groups_with_signal": has_signal.float().mean()})
        if has_signal.any():
            learnt = (has_signal[group.prompt] | self.surrogate.learns_without_advantage).nonzero()[:, 0]
            responses = group.answering(prompts, self.chat.special.end_ids)
            updates = list(self._updates(responses, learnt, advantage.flatten(), groups=len(batch)))
            self.log_updates(updates, examples=float(has_signal.sum()))

    def most_spent(self, load: Workload) -> Spending:
        """Every group says something, and every view of it has a gradient in every update."""
        sampler = self.rollout.sampler
        views = load.completions * self.likelihood.most_views(sampler.gen_length, sampler.most_steps)
        width = load.prompt_tokens + sampler.gen_length
        old = self.mask_draws if self.surrogate.reads_old else 1
        reference = 0 if self.reference is None else self.mask_draws
        return Spending(
            rollouts=self.most_rollouts(load),
            updates=[Forwards.of_width(views, width)] * self.inner_updates,
            no_gradient=Forwards.of_width(views * (old + reference + self.inner_updates - 1), width),
        )

    def _updates(
        self, group: Responses, learnt: Int[Tensor, "N"], advantage: Float[Tensor, "B"], *, groups: int
    ) -> Iterator[dict[str, float]]:
        """The optimizer steps on some completions of the groups; gives what to log of each."""
        surrogate, responses, mask_id = self.surrogate, group[learnt], self.chat.special.mask_id
        keys = derive(responses.keys, Purpose.INNER_UPDATE)
        views = [
            self.likelihood.views(replace(responses, keys=derive(keys, number)), mask_id=mask_id)
            for number in range(self.mask_draws)
        ]
        old = [evaluate(self, each, self.network) for each in views[: None if surrogate.reads_old else 1]]
        reference = []
        if self.reference is not None:
            with self.reference.network() as network:
                reference = [evaluate(self, each, network) for each in views]
        known = partial(
            Valuation,
            advantage=advantage[learnt],
            counted=responses.scored,
            group_tokens=group.scored.view(groups, -1).sum(1).repeat_interleave(len(group) // groups)[learnt],
            completions=len(group),
            groups=groups,
            tokens=int(group.scored.sum()),
        )
        for update in range(self.inner_updates):
            number = update % self.mask_draws
            each = views[number]
            value = partial(self.likelihood.combine, each, rows=len(learnt), positive=advantage[learnt] > 0)
            log_p = (evaluate(self, each, self.network) if update else old[0].clone()).requires_grad_()
            loss, figures = surrogate.loss(
                known(
                    value=value(log_p),
                    old=value(old[number]) if surrogate.reads_old else None,
                    reference=value(reference[number]) if reference else None,
                )
            )
            [coefficient] = torch.autograd.grad(loss, log_p)
            norm = follow(self, each, coefficient)
            figures |= {"train/loss": loss.detach(), "train/gradient_norm": norm}
            yield {name: float(figure) for name, figure in figures.items()}


def _draws(mask_draws: int | Literal["every_other"], inner_updates: int) -> int:
    return inner_updates // gcd(2, inner_updates) if mask_draws == "every_other" else mask_draws
