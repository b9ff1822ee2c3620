"""VRPO: preference optimisation on low-variance bounds of the likelihood (LLaDA 1.5, arXiv 2505.19223)."""

from collections.abc import Sequence
from typing import Annotated, Any, cast

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from dopsd.diffusion.prompts import Prompts
from dopsd.diffusion.responses import Responses
from dopsd.diffusion.views import Views
from dopsd.likelihood.elbo import Elbo
from dopsd.likelihood.likelihood import Likelihood
from dopsd.likelihood.trajectory import TrajectoryLikelihood
from dopsd.method.budget import Forwards
from dopsd.method.on_policy import OnPolicy
from dopsd.method.pair_source import Answers, PairSource
from dopsd.method.scoring import evaluate, follow
from dopsd.method.spending import Spending, Workload
from dopsd.method.teacher_weights import FixedWeights
from dopsd.policy.preference import preference_loss, score_variance
from dopsd.rollout import Cost, Rollout
from dopsd.stream import Draw
from dopsd.task import Task


class VRPO(OnPolicy):
    """Of a better and a worse answer to a prompt, y_w and y_l, the better one is made likelier than the worse one.

    B(y) = (1/n) sum_j (|C|/l_j) sum_{i masked in z_j} log p(y_i | x, z_j), as the likelihood says (eq. 14);
    s = beta [B_theta(y_w) - B_ref(y_w)] - beta [B_theta(y_l) - B_ref(y_l)], with the same masks for theta and ref;
    the mean over pairs of -log sigmoid(s), plus `sft_weight` times the cross-entropy of y_w in its own views.
    """

    learns_with_dropout = False

    def __init__(
        self,
        *,
        pairs: PairSource,
        rollout: Rollout | None,
        likelihood: Likelihood,
        beta: Annotated[float, Field(gt=0)],
        sft_weight: Annotated[float, Field(ge=0)],
        log_score_variance: bool,
        **shared: Any,
    ):
        if rollout is None:  # pairs that need none
            super(OnPolicy, self).__init__(**shared)
        else:
            super().__init__(rollout=rollout, **shared)
        self.pairs, self.likelihood = pairs, likelihood
        self.beta, self.sft_weight, self.log_score_variance = beta, sft_weight, log_score_variance
        self.reference = self.other_weights = FixedWeights().attach(self.network)

    @staticmethod
    def check(
        *,
        task: Task,
        pairs: PairSource,
        rollout: Rollout | None,
        likelihood: Likelihood,
        log_score_variance: bool,
    ) -> None:
        """It needs pairs, and terms to know a variance from."""
        pairs.check(task, rollout)
        if pairs.has_texts and isinstance(likelihood, TrajectoryLikelihood):
            raise ValueError(
                "likelihood=trajectory: needs answers that were all sampled here (pairs=rollouts)"
            )
        if log_score_variance and not (isinstance(likelihood, Elbo) and likelihood.samples > 1):
            raise ValueError(
                "log_score_variance=true: needs likelihood=elbo with likelihood.samples of at least 2"
            )

    def training_step(self, batch: Sequence[Draw], batch_idx: int) -> None:
        """One optimizer step on the pairs of a batch; prompts without one are counted."""
        prompts = self.chat.prompts(draw.example for draw in batch).to(self.device)
        writer = self.reference if self.pairs.writer == "start" else None
        rollout = self.roll_out(batch, prompts, writer=writer) if self.pairs.writer else None
        answers = self.pairs.answers(batch, rollout, chat=self.chat, seed=self.seed).to(self.device)
        without = len(batch) - len(answers.pairs)
        self.log_step({"pairs/without": float(without), "pairs/too_long": float(answers.too_long)})
        if len(answers.pairs):
            self.log_step(self._learn(self._views(answers, prompts), len(answers.pairs)))

    @property
    def tries_per_prompt(self) -> tuple[int, ...]:
        """Its group's, where the pairs are not given."""
        return super().tries_per_prompt if self.pairs.writer else (0,)

    def most_spent(self, load: Workload) -> Spending:
        """A pair for each prompt, scored by the student and by the reference before it is learnt from."""
        length = self.pairs.canvas(self.rollout if self.pairs.writer else None)
        steps = self.rollout.sampler.most_steps if self.pairs.writer else length
        views, width = (
            2 * load.prompts * self.likelihood.most_views(length, steps),
            load.prompt_tokens + length,
        )
        return Spending(
            rollouts=self.most_rollouts(load) if self.pairs.writer else Cost(),
            updates=[Forwards.of_width(views, width)],
            no_gradient=Forwards.of_width(2 * views, width),
        )

    def _views(self, answers: Answers, prompts: Prompts) -> Views:
        """The forwards of y_w and y_l of the first pair, of the second, ..."""
        rows = torch.stack([answers.pairs.chosen, answers.pairs.refused], 1).flatten()
        responses = Responses.of(
            answers.trajectory[rows],
            prompts[answers.prompt[rows]],
            answers.keys[rows],
            self.chat.special.end_ids,
        )
        chosen, refused = responses.scored.sum(1).view(-1, 2).double().mean(0)
        self.log_step({"pairs/length_gap": chosen - refused})
        return self.likelihood.views(responses, mask_id=self.chat.special.mask_id)

    def _learn(self, views: Views, pairs: int) -> dict[str, float | Tensor]:
        """One optimizer step; returns what to log."""
        with self.reference.network() as reference:
            log_ref = evaluate(self, views, reference)
        log_p = evaluate(self, views, self.network).requires_grad_()
        policy, of_reference = self._bounds(views, log_p, pairs), self._bounds(views, log_ref, pairs)
        preference, figures = preference_loss(policy, of_reference, beta=self.beta)
        sft = self._cross_entropy(views, log_p, pairs)
        loss = preference + self.sft_weight * sft
        [coefficient] = torch.autograd.grad(loss, log_p)
        norm = follow(self, views, coefficient)
        if self.log_score_variance:
            figures |= self._variances(views, log_p.detach(), log_ref, pairs)
        logged = {"train/loss": loss.detach(), "train/examples": float(pairs), "preference/sft": sft.detach()}
        return {**logged, **figures, "train/gradient_norm": norm}

    def _bounds(self, views: Views, log_p: Float[Tensor, "N K"], pairs: int) -> Float[Tensor, "{pairs} 2"]:
        """B of both answers of each pair."""
        is_chosen = torch.arange(2 * pairs, device=log_p.device) % 2 == 0
        bounds = self.likelihood.combine(views, log_p.double(), 2 * pairs, positive=is_chosen)
        return (bounds if bounds.ndim == 1 else bounds.sum(1)).view(pairs, 2)

    def _cross_entropy(self, views: Views, log_p: Float[Tensor, "N K"], pairs: int) -> Float[Tensor, ""]:
        """SFT's loss, mean over y_w of the mean over its views z of -(1/l) sum_{i masked in z} log p(y_i | x, z)."""
        of_view = log_p.double().where(views.is_real, 0.0).sum(1) / views.is_real.sum(1)
        of_chosen = of_view / views.row.bincount(minlength=2 * pairs)[views.row]
        return -of_chosen[views.row % 2 == 0].sum() / pairs

    def _variances(
        self, views: Views, log_p: Float[Tensor, "N K"], log_ref: Float[Tensor, "N K"], pairs: int
    ) -> dict[str, Tensor]:
        """What the n terms of each bound tell of the variance of s, as it is and with masks of its own for ref."""
        samples = cast(Elbo, self.likelihood).samples
        policy, reference = (
            samples * (views.weight * value).double().sum(1).view(pairs, 2, samples, -1).sum(-1)
            for value in (log_p, log_ref)
        )
        shared, independent = score_variance(policy, reference, beta=self.beta)
        return {
            "preference/variance": shared.mean(),
            "preference/variance_not_shared": independent.mean(),
        }
