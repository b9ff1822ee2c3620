"""Supervised fine-tuning: the paper's masked-diffusion baseline, and how the embedded models were made."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dopsd.diffusion.denoiser import Denoiser
from dopsd.diffusion.masking import exact_count, random_ratio_mask
from dopsd.diffusion.prompts import Prompts
from dopsd.diffusion.responses import Responses
from dopsd.diffusion.views import Views
from dopsd.distillation.block_states import masked_in_blocks
from dopsd.method.budget import Forwards
from dopsd.method.method import Method
from dopsd.method.on_policy import LearnFrom, OnPolicy
from dopsd.method.shares import share_of
from dopsd.method.spending import Spending, Workload
from dopsd.method.teacher_weights import TeacherWeights, autoregressive, check_constant
from dopsd.method.two_stream import two_stream, two_stream_views
from dopsd.model.visible import BlockCausal, Causal
from dopsd.rollout import Rollout
from dopsd.stream import Draw
from dopsd.task import Task


class SFT(Method):
    """Cross-entropy of tokens of finished responses, mean over responses; the prompt is never masked.

    exact_count (LLaDA, eq. 14), k ~ U{1..L} of L tokens masked in z: 1/k sum_{i masked} -log p(y_i | x, z);
    one_over_t, each masked with probability t = (1 - e) u + e, u ~ U(0, 1), e = 1e-3: 1/(L t) sum of the same.
    Both are 1/L of the negative evidence lower bound on average, the first without the rare rows of a huge 1/t.
    A block-causal network: the same in each block by itself, behind finished blocks (BD3LM), mean over the L tokens.
    A causal one: 1/L sum_i -log p(y_i | x, y_1 .. y_(i-1)), nothing is masked.
    `tail`: what follows the first end token counts among the L, or is shown and not learnt.
    """

    structures = ("all", "block_causal", "causal")

    def __init__(
        self,
        *,
        form: Literal["exact_count", "one_over_t"],
        tail: Literal["trained", "ignored"],
        **shared: Any,
    ):
        super().__init__(**shared)
        self.form, self.tail = form, tail

    @abstractmethod
    def responses(self, batch: Sequence[Draw], prompts: Prompts) -> Responses:
        """What is learnt in a training step; logs what is left out."""

    def training_step(self, batch: Sequence[Draw], batch_idx: int) -> None:
        """One optimizer step on the responses; none where not one token of them is masked."""
        prompts = self.chat.prompts(draw.example for draw in batch).to(self.device)
        responses = self.responses(batch, prompts)
        views, is_answer, reader = self._views(responses)
        if not len(views):
            return
        of, width = Forwards.of_views(views), views.width
        views, mine = share_of(views)
        is_answer = is_answer[mine]
        update = self.update(rows=len(views), width=width, of=of)
        for rows in update:
            with update:
                update.backward(*self._loss(views[rows], is_answer[rows], reader))
        norm, figures = update.step()
        loss, *sums = figures.tolist()
        self.log_step(
            {
                "train/loss": loss,
                "train/gradient_norm": float(norm),
                "train/examples": float(len(responses)),
                **_of_a_token(*sums),
            }
        )

    def _most_rows(self, load: Workload, responses: int, length: int) -> list[Forwards]:
        """The optimizer step on so many responses: a row each, of two streams in a block-causal network."""
        streams = 2 if isinstance(self.network.visible, BlockCausal) else 1
        return [Forwards.of_width(responses, load.prompt_tokens + streams * length)]

    def _views(self, responses: Responses) -> tuple[Views, Bool[Tensor, "N K"], Denoiser]:
        """A view of each response, which of the positions read are the answer's, and the network as it reads them."""
        finished, answer, keys = responses.tokens, responses.scored, responses.keys
        among = torch.ones_like(answer) if self.tail == "trained" else answer
        mask_id, block_length = self.chat.special.mask_id, None
        match self.network.visible:
            case Causal():
                read, masked, weight = among, torch.zeros_like(among), 1 / among.sum(1).double()
            case BlockCausal(block_length=block_length):
                read, weight = masked_in_blocks(self._masked, keys, among, block_length=block_length)
                masked = read
            case _:
                read, weight = self._masked(keys, among)
                masked = read
        weight = weight / len(responses)
        shared = {"prompts": responses.prompts, "finished": finished, "read": read, "weight": weight}
        if block_length is None:
            row = torch.arange(len(responses), device=finished.device)
            views = Views.of(row=row, canvas=finished.masked_fill(masked, mask_id), **shared)
            reader = self.network
        else:
            views = two_stream_views(masked=masked, mask_id=mask_id, **shared)
            reader = two_stream(self.network, views, block_length=block_length)
        return views, answer[views.row].gather(1, views.columns % finished.shape[1]), reader

    def _masked(
        self, keys: Int[Tensor, "B"], among: Bool[Tensor, "B L"]
    ) -> tuple[Bool[Tensor, "B L"], Float[Tensor, "B"]]:
        """Which positions of each row are masked, and what each of them weighs."""
        if self.form == "exact_count":
            return exact_count(keys, among)
        masked, t = random_ratio_mask(keys, among)
        return masked, 1 / (among.sum(1) * t)

    def _loss(
        self, views: Views, is_answer: Bool[Tensor, "N K"], reader: Denoiser
    ) -> tuple[Float[Tensor, ""], Float[Tensor, "5"]]:
        """sum of weight * -log p(y_i | x, z); it once more, and sums and weights of answer and tail, to log."""
        with self.clock("student"):
            cross_entropy = -views.log_probability(reader)
        weights = torch.stack([views.weight * is_answer, views.weight * ~is_answer])
        loss, sums = (views.weight * cross_entropy).sum(), (weights * cross_entropy.detach()).sum((1, 2))
        return loss, torch.stack([loss.detach(), *sums, *weights.sum((1, 2))])


class RolloutSFT(SFT, OnPolicy):
    """SFT on the student's own accepted answers (rejection-sampling fine-tuning), token for token as it wrote them."""

    def responses(self, batch: Sequence[Draw], prompts: Prompts) -> Responses:
        """The accepted ones of the answers that the rollout keeps."""
        return self.written(batch, prompts, learn_from="accepted")

    def most_spent(self, load: Workload) -> Spending:
        """All that is kept is accepted."""
        rows = self._most_rows(load, self.most_answers(load), self.rollout.sampler.gen_length)
        return Spending(rollouts=self.most_rollouts(load), updates=rows)


class TeacherSFT(SFT, OnPolicy):
    """SFT on answers of an autoregressive model, that which the student is made of or another: token after token."""

    has_autoregressive_teacher = True
    takes_refused = "learn_from=all"

    def __init__(self, *, teacher_weights: TeacherWeights, learn_from: LearnFrom, **shared: Any):
        super().__init__(**shared)
        self.learn_from: LearnFrom = learn_from
        self._teacher = self.other_weights = autoregressive(teacher_weights, self.network)

    @staticmethod
    def check(*, task: Task, rollout: Rollout, teacher_weights: TeacherWeights) -> None:
        """The teacher does not move, and has no threshold."""
        check_constant(teacher_weights)
        if rollout.sampler.threshold is not None:
            raise ValueError(
                f"threshold={rollout.sampler.threshold}: must be null with source=teacher, one token after another"
            )

    def responses(self, batch: Sequence[Draw], prompts: Prompts) -> Responses:
        """All that the teacher wrote, or what was accepted of it."""
        return self.written(
            batch, prompts, learn_from=self.learn_from, writer=self._teacher, autoregressive=True
        )

    def most_spent(self, load: Workload) -> Spending:
        """All that is kept is learnt, and was written token after token."""
        rows = self._most_rows(load, self.most_answers(load), self.rollout.sampler.gen_length)
        return Spending(rollouts=self.most_rollouts(load, autoregressive=True), updates=rows)


def _of_a_token(answer: float, tail: float, of_answer: float, of_tail: float) -> dict[str, float]:
    """The mean cross-entropy of answer and tail, where some of them was masked."""
    found = {"sft/answer_loss": (answer, of_answer), "sft/tail_loss": (tail, of_tail)}
    return {key: total / weight for key, (total, weight) in found.items() if weight > 0}
