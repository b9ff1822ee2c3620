"""OPDLM: an autoregressive model becomes a block-diffusion model by on-policy distillation (arXiv 2606.06712)."""

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, Literal

import torch
from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor

from dopsd.diffusion.confidence import forbid
from dopsd.diffusion.responses import Responses
from dopsd.diffusion.trajectory import NEVER, is_end
from dopsd.diffusion.views import Views
from dopsd.distillation.block_states import random_masks, visited_masks
from dopsd.distillation.curriculum import LengthLimit
from dopsd.distillation.divergence import Objective, PositionLosses
from dopsd.method.budget import Forwards
from dopsd.method.on_policy import OnPolicy
from dopsd.method.shares import share_of
from dopsd.method.teacher_weights import FixedWeights
from dopsd.method.two_stream import finished_stream, two_stream, two_stream_views
from dopsd.model import dropout_off
from dopsd.model.visible import Causal
from dopsd.stream import Draw


class OPDLM(OnPolicy):
    """The student writes blocks; the autoregressive model that it was says what each masked token should have been.

    z = in each block of y what the student saw as [MASK] at one of its steps there (or random masks);
    q_i = the student's softmax at i, which sees x, y before i's block and z in it;
    p_i = the softmax of the weights before training for the token that follows x, y_1 .. y_(i-1);
    [MASK], which nobody writes, has no part in either;
    L(y) = the mean of KL(p_i || q_i) over the masked positions before the first end token, 0 where there is none;
    the mean of L over all answers, right or wrong.
    """

    structures = ("block_causal",)

    def __init__(
        self,
        *,
        masks: Literal["trajectory", "random"],
        end_token: Literal["excluded", "included"],
        objective: Objective,
        length: LengthLimit,
        updates_per_rollout: Annotated[int, Field(ge=1)],
        **shared: Any,
    ):
        super().__init__(**shared)
        self.masks, self.end_token, self.objective = masks, end_token, objective
        self.length, self.updates_per_rollout = length, updates_per_rollout
        self._teacher = FixedWeights().attach(self.network)

    def training_step(self, batch: Sequence[Draw], batch_idx: int) -> None:
        """One rollout of the batch's prompts, whose answers are dealt to the optimizer steps."""
        prompts = self.chat.prompts(draw.example for draw in batch).to(self.device)
        sampler = self.rollout.sampler
        length = self.length.at(batch_idx, whole=sampler.gen_length, block_length=sampler.block_length)
        rollout = self.roll_out(batch, prompts, gen_length=length)
        answers = rollout.answering(prompts, self.chat.special.end_ids)
        parts = torch.arange(len(answers), device=self.device).tensor_split(self.updates_per_rollout)
        parts = [self._views(answers[rows]) for rows in parts]
        if learnt := [self._learn(views) for views in parts if len(views)]:
            self.log_updates(learnt, examples=float(sum(map(len, parts))))
        self.log_step({"opdlm/gen_length": float(length)})

    def _views(self, answers: Responses) -> Views:
        """A row for each answer in which something is scored; the others count in the mean."""
        masked = self._masked(answers)
        scored = masked & answers.scored
        if self.end_token == "excluded":
            scored &= ~is_end(answers.tokens, self.chat.special.end_ids)
        return two_stream_views(
            prompts=answers.prompts,
            finished=answers.tokens,
            masked=masked,
            read=scored,
            weight=1 / (scored.sum(1) * len(answers)),
            mask_id=self.chat.special.mask_id,
        )

    def _masked(self, answers: Responses) -> Bool[Tensor, "B L"]:
        """z of each answer; what its student never wrote is masked in any case."""
        times, block_length = answers.trajectory.step_map, self.rollout.sampler.block_length
        if self.masks == "trajectory":
            return visited_masks(answers.keys, times, block_length=block_length)
        is_written = times != NEVER
        return random_masks(answers.keys, is_written, block_length=block_length) | ~is_written

    def _learn(self, views: Views) -> dict[str, float]:
        """One optimizer step on these rows, of which each rank takes its share; returns what to log."""
        scored, of, width = views.is_real.sum(), Forwards.of_views(views), views.width
        self.budget.forward(Forwards.of_views(finished_stream(views)))
        views, _ = share_of(views)
        update = self.update(rows=len(views), width=width, of=of)
        for rows in update:
            with update:
                update.backward(*self._losses(views[rows]))
        norm, totals = update.step()
        loss, overlap, entropy, weight = totals.tolist()
        return {
            "train/loss": loss,
            "train/gradient_norm": float(norm),
            "distill/top_k_overlap": overlap / weight,
            "distill/entropy": entropy / weight,
            "opdlm/scored": float(scored),
        }

    def _losses(self, views: Views) -> tuple[Float[Tensor, ""], Float[Tensor, "4"]]:
        """The weighted sum of KL(p_i || q_i), and the sums that are logged."""
        mask_id, block_length = self.chat.special.mask_id, self.rollout.sampler.block_length
        with self.clock("teacher"), torch.no_grad(), dropout_off(self.network), self._teacher.network() as ar:
            following = partial(ar, visible=Causal(), reading="next")
            teacher = finished_stream(views).read(following)

        def compare(logits: Float[Tensor, "N V"], states: Float[Tensor, "N D"]) -> PositionLosses:
            return self.objective.compare(forbid(logits, mask_id), forbid(teacher.head(states), mask_id))

        with self.clock("student"):
            student = views.read(two_stream(self.network, views, block_length=block_length))
            losses = PositionLosses(*student.map(compare, teacher.states))
        weight = views.weight[views.is_real]
        loss = (weight * losses.loss).sum()
        logged = [(weight * each).sum() for each in (losses.top_k_overlap, losses.student_entropy)]
        return loss, torch.stack([loss.detach(), *logged, weight.sum()])
