"""OPDLM: an autoregressive model becomes a block-diffusion model by on-policy distillation (arXiv 2606.06712)."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor

from dopsd.diffusion.confidence import forbid, log_probability_of
from dopsd.diffusion.masking import exact_count
from dopsd.diffusion.prompts import Prompts
from dopsd.diffusion.responses import Responses
from dopsd.diffusion.trajectory import NEVER, is_end
from dopsd.diffusion.views import Views
from dopsd.distillation.block_states import masked_in_blocks, random_masks, visited_masks
from dopsd.distillation.curriculum import LengthLimit
from dopsd.distillation.divergence import Objective, PositionLosses
from dopsd.method.budget import Forwards
from dopsd.method.on_policy import OnPolicy
from dopsd.method.scoring import measure
from dopsd.method.shares import share_of
from dopsd.method.spending import Spending, Workload
from dopsd.method.teacher_weights import TeacherWeights, autoregressive, check_constant, next_tokens
from dopsd.method.two_stream import finished_stream, two_stream, two_stream_views
from dopsd.model import dropout_off
from dopsd.rollout import Cost, RolloutBatch
from dopsd.stream import Draw
from dopsd.task import Task


class OPDLM(OnPolicy):
    """The student writes blocks; an autoregressive model says what each masked token should have been.

    z = in each block of y what the student saw as [MASK] at one of its steps there (or random masks);
    q_i = the student's softmax at i, which sees x, y before i's block and z in it;
    p_i = the softmax of the weights before training, or another model's, for the token that follows x, y_1 .. y_(i-1);
    [MASK], which nobody writes, has no part in either;
    L(y) = the mean of KL(p_i || q_i) over the masked positions before the first end token, 0 where there is none;
    the mean of L over all answers, right or wrong.
    A share of the answers are the teacher's own, which are masked at random: of each block 1/k of the k masked tokens'
    -log q_i(y_i), in L weighted by the block's tokens (BD3LM), the end token included.
    """

    structures = ("block_causal",)
    has_autoregressive_teacher = True

    def __init__(
        self,
        *,
        masks: Literal["trajectory", "random"],
        end_token: Literal["excluded", "included"],
        objective: Objective,
        teacher_weights: TeacherWeights,
        length: LengthLimit,
        updates_per_rollout: Annotated[int, Field(ge=1)],
        sft_share: Annotated[float, Field(ge=0, le=1)],
        **shared: Any,
    ):
        super().__init__(**shared)
        self.masks, self.end_token, self.objective = masks, end_token, objective
        self.length, self.updates_per_rollout, self.sft_share = length, updates_per_rollout, sft_share
        self._teacher = self.other_weights = autoregressive(teacher_weights, self.network)

    @staticmethod
    def check(*, task: Task, teacher_weights: TeacherWeights) -> None:
        """The teacher does not move."""
        check_constant(teacher_weights)

    def training_step(self, batch: Sequence[Draw], batch_idx: int) -> None:
        """One rollout of the batch's prompts, whose answers are dealt to the optimizer steps."""
        prompts = self.chat.prompts(draw.example for draw in batch).to(self.device)
        length = self._gen_length(batch_idx)
        answers, is_taught = self._answers(batch, prompts, length)
        parts = [
            (is_taught[rows], self._views(answers[rows], is_taught[rows])) for rows in self._dealt(is_taught)
        ]
        if learnt := [self._learn(views, taught[views.row]) for taught, views in parts if len(views)]:
            self.log_updates(learnt, examples=float(sum(len(views) for _, views in parts)))
        told = {} if is_taught.all() else {"opdlm/teacher_nats": self._teacher_nats(answers[~is_taught])}
        self.log_step({"opdlm/gen_length": float(length), **told})

    def most_spent(self, load: Workload) -> Spending:
        """Of each answer a row of two streams, and one of a single stream for the teacher."""
        by, taught = self.rollout.of_length(self._gen_length(load.step)), self._taught(load.prompts)
        own, by_teacher = (
            Cost.at_most(sampler, prompts * load.tries, prompt_tokens=load.prompt_tokens)
            for sampler, prompts in (
                (by.sampler, load.prompts - taught),
                (by.autoregressive().sampler, taught),
            )
        )
        answers, parts, length = self.most_answers(load), self.updates_per_rollout, by.sampler.gen_length
        return Spending(
            rollouts=own + by_teacher,
            updates=[Forwards.of_width(answers / parts, load.prompt_tokens + 2 * length)] * parts,
            no_gradient=Forwards.of_width(answers, load.prompt_tokens + length),
        )

    def _gen_length(self, step: int) -> int:
        sampler = self.rollout.sampler
        return self.length.at(step, whole=sampler.gen_length, block_length=sampler.block_length)

    def _taught(self, prompts: int) -> int:
        """How many of the prompts the teacher answers."""
        return round(self.sft_share * prompts)

    def _teacher_nats(self, answers: Responses) -> float:
        """-log p of a token of these answers, the end token included: how likely the teacher finds them."""
        views = Views.of(
            row=torch.arange(len(answers), device=answers.tokens.device),
            prompts=answers.prompts,
            canvas=answers.tokens,
            finished=answers.tokens,
            read=answers.scored,
            weight=1 / answers.scored.sum(1),
        )
        with self._teacher.network() as ar:
            return -float(measure(self, views, next_tokens(ar)).sum() / views.is_real.sum())

    def _answers(
        self, batch: Sequence[Draw], prompts: Prompts, length: int
    ) -> tuple[Responses, Bool[Tensor, "B"]]:
        """The answers to the batch, and which of them the teacher wrote: those to its last prompts."""
        own, parts = len(batch) - self._taught(len(batch)), []
        if own:
            parts.append(self.roll_out(batch[:own], prompts.rows(slice(own)), gen_length=length))
        if own < len(batch):
            asked = batch[own:], prompts.rows(slice(own, None))
            by_teacher = {"writer": self._teacher, "autoregressive": True, "name": "taught"}
            parts.append(self.roll_out(*asked, gen_length=length, **by_teacher))
        rollout = RolloutBatch.joined(parts)
        return rollout.answering(prompts, self.chat.special.end_ids), rollout.prompt >= own

    def _dealt(self, is_taught: Bool[Tensor, "B"]) -> list[Int[Tensor, "_"]]:
        """The answers of each optimizer step, as even a share of both kinds as there is."""
        own, taught = (
            (is_taught == kind).nonzero()[:, 0].tensor_split(self.updates_per_rollout)
            for kind in (False, True)
        )
        return [torch.cat(both) for both in zip(own, reversed(taught), strict=True)]

    def _views(self, answers: Responses, is_taught: Bool[Tensor, "B"]) -> Views:
        """A row for each answer in which something is scored; the others count in the mean."""
        masked = self._masked(answers)
        scored = masked & answers.scored
        if self.end_token == "excluded":
            scored &= ~is_end(answers.tokens, self.chat.special.end_ids)
        weight = (1 / scored.sum(1, keepdim=True)).expand(scored.shape)
        if self.sft_share:
            by_teacher, hidden, of_each = is_taught[:, None], *self._masked_at_random(answers)
            masked = torch.where(by_teacher, hidden | ~answers.scored, masked)  # as if not written yet
            scored, weight = torch.where(by_teacher, hidden, scored), torch.where(by_teacher, of_each, weight)
        return two_stream_views(
            prompts=answers.prompts,
            finished=answers.tokens,
            masked=masked,
            read=scored,
            weight=weight / len(answers),
            mask_id=self.chat.special.mask_id,
        )

    def _masked(self, answers: Responses) -> Bool[Tensor, "B L"]:
        """z of each answer; what its student never wrote is masked in any case."""
        times, block_length = answers.trajectory.step_map, self.rollout.sampler.block_length
        if self.masks == "trajectory":
            return visited_masks(answers.keys, times, block_length=block_length)
        is_written = times != NEVER
        return random_masks(answers.keys, is_written, block_length=block_length) | ~is_written

    def _masked_at_random(self, answers: Responses) -> tuple[Bool[Tensor, "B L"], Float[Tensor, "B L"]]:
        """What is masked in the blocks of an answer that the teacher wrote, and what that weighs."""
        block_length = self.rollout.sampler.block_length
        return masked_in_blocks(exact_count, answers.keys, answers.scored, block_length=block_length)

    def _learn(self, views: Views, is_taught: Bool[Tensor, "N"]) -> dict[str, float]:
        """One optimizer step on these rows, of which each rank takes its share; returns what to log."""
        scored, of, width = views.is_real.sum(), Forwards.of_views(views), views.width
        self.budget.forward(Forwards.of_views(finished_stream(views)))
        views, mine = share_of(views)
        is_taught = is_taught[mine]
        update = self.update(rows=len(views), width=width, of=of)
        for rows in update:
            with update:
                update.backward(*self._losses(views[rows], is_taught[rows]))
        norm, totals = update.step()
        loss, overlap, entropy, weight, taught = totals.tolist()
        return {
            "train/loss": loss,
            "train/gradient_norm": float(norm),
            "distill/top_k_overlap": overlap / weight,
            "distill/entropy": entropy / weight,
            "opdlm/scored": float(scored),
            **({"opdlm/sft_loss": taught} if self.sft_share else {}),  # its part of the loss
        }

    def _losses(
        self, views: Views, is_taught: Bool[Tensor, "N"]
    ) -> tuple[Float[Tensor, ""], Float[Tensor, "5"]]:
        """The weighted sum of KL(p_i || q_i), or of -log q_i(y_i) in the teacher's own answers; what is logged."""
        mask_id, block_length = self.chat.special.mask_id, self.rollout.sampler.block_length
        with self.clock("teacher"), torch.no_grad(), dropout_off(self.network), self._teacher.network() as ar:
            teacher = finished_stream(views).read(next_tokens(ar))
        is_taught = is_taught[:, None].expand_as(views.is_real)[views.is_real]

        def compare(
            logits: Float[Tensor, "N V"],
            states: Float[Tensor, "N D"],
            tokens: Int[Tensor, "N"],
            is_taught: Bool[Tensor, "N"],
        ) -> PositionLosses:
            logits = forbid(logits, mask_id)
            found = self.objective.compare(logits, forbid(teacher.head(states), mask_id))
            if not self.sft_share:
                return found
            nats = -log_probability_of(logits, tokens)
            return found._replace(loss=nats.where(is_taught, found.loss))

        with self.clock("student"):
            student = views.read(two_stream(self.network, views, block_length=block_length))
            beside = teacher.states, views.tokens[views.is_real], is_taught
            losses = PositionLosses(*student.map(compare, *beside))
        weight = views.weight[views.is_real]
        loss = (weight * losses.loss).sum()
        logged = [(weight * each).sum() for each in (losses.top_k_overlap, losses.student_entropy)]
        taught = (weight * losses.loss.detach() * is_taught).sum()
        return loss, torch.stack([loss.detach(), *logged, weight.sum(), taught])
