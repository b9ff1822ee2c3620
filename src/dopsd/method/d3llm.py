"""d3LLM: cross-entropy on blocks of answers, masked in the order in which they were written (arXiv 2601.07568)."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor

from dopsd import ranks
from dopsd.diffusion.prompts import Prompts
from dopsd.diffusion.responses import Responses
from dopsd.diffusion.views import Views
from dopsd.distillation import regions
from dopsd.distillation.curriculum import BlockLength, MaskRatio
from dopsd.memory import needing
from dopsd.method.budget import Forwards
from dopsd.method.method import Method
from dopsd.method.on_policy import LearnFrom, OnPolicy
from dopsd.method.shares import share_of
from dopsd.method.solutions import solutions
from dopsd.method.spending import Spending, Workload
from dopsd.method.teacher_weights import TeacherWeights, check_constant
from dopsd.model import dropout_off
from dopsd.rollout import Rollout
from dopsd.stream import Draw
from dopsd.task import Task


class D3LLM(Method):
    """Both complementary views of one block of each answer, whose left is clean and whose right is masked.

    R = a block of b_s positions of y, b_s growing with training step s;
    m = the positions of R that are masked where a share t ~ U[r_s, r_S] of R is, in the order that y was written in;
    CE1 = mean over m of -log p(y_i | x, R masked at m), CE2 = mean over R - m of -log p(y_i | x, R masked at R - m);
    H = mean of the entropy of softmax(logits / T) over the positions of m whose most likely token is right;
    L = (CE1 + CE2 + w H) / 4, the means over all answers of the batch.
    """

    def __init__(
        self,
        *,
        order: Literal["own", "random"],
        tail: Literal["trained", "ignored"],
        mask_ratio: MaskRatio,
        block_length: BlockLength,
        entropy_weight: Annotated[float, Field(ge=0, allow_inf_nan=False)],
        entropy_temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)],
        **shared: Any,
    ):
        super().__init__(**shared)
        self.order, self.tail = order, tail
        self.mask_ratio, self.block_length = mask_ratio, block_length
        self.entropy_weight, self.entropy_temperature = entropy_weight, entropy_temperature

    @abstractmethod
    def responses(self, batch: Sequence[Draw], prompts: Prompts) -> Responses:
        """The answers that are learnt in a training step; logs what is left out."""

    def training_step(self, batch: Sequence[Draw], batch_idx: int) -> None:
        """One optimizer step on a block of each answer; none where there is no answer."""
        prompts = self.chat.prompts(draw.example for draw in batch).to(self.device)
        written = self.responses(batch, prompts)
        if not len(written):
            return
        region, masked = self._region(written, batch_idx)
        views = regions.complementary_views(
            written.tokens, region, masked, written.prompts, mask_id=self.chat.special.mask_id
        )
        is_first = torch.arange(len(views), device=self.device) < len(written)
        is_read = views.is_real.any(1)  # nothing is left of R where m is all of it
        self._learn(views[is_read], is_first[is_read])
        self.log_step({"train/examples": float(len(written))})

    def _most_learnt(self, answers: int, width: float) -> dict[str, Any]:
        """Both views of each answer; the first once more before, where the entropy of what is right in it is learnt."""
        counted = answers if self.entropy_weight else 0
        return {
            "updates": [Forwards.of_width(2 * answers, width)],
            "no_gradient": Forwards.of_width(counted, width),
        }

    def _region(self, written: Responses, step: int) -> tuple[Bool[Tensor, "B L"], Bool[Tensor, "B L"]]:
        """R and m of each answer."""
        (rows, canvas), keys = written.tokens.shape, written.keys
        ends = keys.new_full((rows,), canvas)
        region = regions.draw_region(
            written.trajectory.lengths(self.chat.special.end_ids),
            ends if self.tail == "trained" else written.scored.sum(1),
            keys,
            block_length=self.block_length.at(step, self.max_steps),
            canvas=canvas,
        )
        order = written.trajectory.step_map if self.order == "own" else regions.random_order(keys, canvas)
        return region, regions.masked_in(region, order, self.mask_ratio.draw(step, self.max_steps, keys))

    def _learn(self, views: Views, is_first: Bool[Tensor, "N"]) -> None:
        """One optimizer step on all views, of which each rank takes its share."""
        of_m, weight = views.is_real[is_first].sum(), self._weight(views[is_first])
        of, width = Forwards.of_views(views), views.width
        views, mine = share_of(views)
        is_first = is_first[mine]
        update = self.update(rows=len(views), width=width, of=of)
        for rows in update:
            with update:
                update.backward(*self._losses(views[rows], is_first[rows], weight))
        norm, (loss, ce1, ce2, entropy, right) = update.step()
        figures = {"train/loss": loss, "d3llm/ce1": ce1, "d3llm/ce2": ce2, "train/gradient_norm": norm}
        self.log_step({**figures, "d3llm/entropy": entropy / right.clamp(min=1), "d3llm/right": right / of_m})

    def _weight(self, views: Views) -> Float[Tensor, ""]:
        """What the entropy of each right token of m weighs in 4 L: w / (all that are right)."""
        if not self.entropy_weight:
            return torch.zeros((), device=self.device)
        return self.entropy_weight / self._right(views).clamp(min=1)

    def _losses(
        self, views: Views, is_first: Bool[Tensor, "N"], weight: Float[Tensor, ""]
    ) -> tuple[Float[Tensor, ""], Float[Tensor, "5"]]:
        """What these views add to L, and to what is logged: L, CE1, CE2, sum of entropies, right tokens."""
        with self.clock("student"):
            hidden, tokens = views.read(self.network), views.tokens[views.is_real]
            cross_entropy = -views.weight[views.is_real] * hidden.log_probability(tokens)
            in_m = (is_first[:, None] & (views.weight > 0))[views.is_real]
            with torch.set_grad_enabled(self.entropy_weight > 0):
                entropy, right = hidden[in_m].map(self._right_entropy, tokens[in_m])
        ce1, ce2, entropy = cross_entropy[in_m].sum(), cross_entropy[~in_m].sum(), entropy.sum()
        loss = (ce1 + ce2 + weight * entropy) / 4
        return loss, torch.stack([loss, ce1, ce2, entropy, right.sum()]).detach()

    def _right_entropy(self, logits: Float[Tensor, "N V"], tokens: Int[Tensor, "N"]) -> list[Tensor]:
        entropy, right = regions.right_entropy(logits, tokens, temperature=self.entropy_temperature)
        return [entropy, right.float()]

    @torch.no_grad()
    def _right(self, views: Views) -> Float[Tensor, ""]:
        """How many tokens of m are the most likely ones: H is a mean over them all, however the update is cut."""
        self.budget.forward(Forwards.of_views(views))
        width, (mine, is_mine) = views.width, ranks.equal_share(len(views))
        views = views[mine]
        views = replace(views, is_real=views.is_real & is_mine.to(self.device)[:, None])
        right, budget = torch.zeros((), device=self.device), self.micro_batches.tokens
        less = needing("micro_batch_tokens", budget, during="a count of right tokens", smaller=budget // 2)
        with self.clock("student"), dropout_off(self.network), less:
            for rows in self.micro_batches.of(len(views), width):
                part = views[rows]
                hidden, tokens = part.read(self.network), part.tokens[part.is_real]
                right += hidden.map(lambda logits, token: [logits.argmax(-1) == token], tokens)[0].sum()
        ranks.add_up(right)
        return right


class RolloutD3LLM(D3LLM, OnPolicy):
    """d3LLM on answers of the weights before training or of another model, or of the student as it is now (None)."""

    takes_refused = "learn_from=all"

    def __init__(
        self,
        *,
        learn_from: LearnFrom,
        teacher_weights: TeacherWeights | None = None,
        **shared: Any,
    ):
        super().__init__(**shared)
        self.learn_from: LearnFrom = learn_from
        self._writer = self.other_weights = (
            None if teacher_weights is None else teacher_weights.attach(self.network)
        )

    @staticmethod
    def check(
        *,
        task: Task,
        rollout: Rollout,
        teacher_weights: TeacherWeights | None,
        order: str,
        tail: str,
        block_length: BlockLength,
    ) -> None:
        """A teacher must not move, what is masked in its order must have one, and every block must fit."""
        if teacher_weights is not None:
            check_constant(teacher_weights, " (answers=student: current ones)")
        if order == "own" and tail == "trained" and rollout.sampler.early_exit:
            needs = "needs tail=ignored or order=random, as what is behind an answer then has no order"
            raise ValueError(f"parity.early_exit=true: {needs}")
        _check_lengths(block_length, rollout.sampler.gen_length)

    def responses(self, batch: Sequence[Draw], prompts: Prompts) -> Responses:
        """All that was written, or what was accepted of it."""
        return self.written(batch, prompts, learn_from=self.learn_from, writer=self._writer)

    def most_spent(self, load: Workload) -> Spending:
        """All that is kept is learnt."""
        width = load.prompt_tokens + self.rollout.sampler.gen_length
        learnt = self._most_learnt(self.most_answers(load), width)
        return Spending(rollouts=self.most_rollouts(load), **learnt)


class SolutionD3LLM(D3LLM):
    """d3LLM on reference solutions, masked in random order."""

    def __init__(self, *, gen_length: Annotated[int, Field(ge=1)], **shared: Any):
        super().__init__(**shared)
        self.gen_length = gen_length

    @staticmethod
    def check(*, task: Task, gen_length: int, order: str, block_length: BlockLength) -> None:
        """Solutions must be there, which have no order of their own, and every block must fit."""
        if task.examples("train")[0].solution is None:
            raise ValueError(f"answers=solutions: needs reference solutions, which task={task.name} has not")
        if order == "own":
            raise ValueError("order=own: must be random with answers=solutions, which were written in none")
        _check_lengths(block_length, gen_length)

    def responses(self, batch: Sequence[Draw], prompts: Prompts) -> Responses:
        """The solutions that fit into the canvas; the others are counted and left out."""
        fitting = solutions(batch, prompts, chat=self.chat, seed=self.seed, length=self.gen_length)
        self.log_step({"d3llm/too_long": float(len(batch) - len(fitting))})
        return fitting

    def most_spent(self, load: Workload) -> Spending:
        """All solutions fit."""
        return Spending(**self._most_learnt(load.prompts, load.prompt_tokens + self.gen_length))


def _check_lengths(block_length: BlockLength, canvas: int) -> None:
    if (longest := max(block_length.lengths)) > canvas:
        raise ValueError(f"block_lengths={longest}: must be at most gen_length={canvas}")
