"""d-OPSD: on-policy self-distillation of a masked diffusion language model (arXiv 2606.18195)."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Annotated, Any, Literal

import torch
from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor

from dopsd import ranks
from dopsd.diffusion.prompts import Prompts
from dopsd.diffusion.trajectory import VisitedStates
from dopsd.distillation.divergence import Objective, PositionLosses
from dopsd.distillation.state_sample import times_counted
from dopsd.distillation.supervision import Supervision
from dopsd.distillation.targets import Targets
from dopsd.distillation.teacher import Teacher, TeacherView
from dopsd.memory import needing
from dopsd.method.method import Method
from dopsd.method.teacher_weights import TeacherWeights
from dopsd.model import dropout_off, in_step, sampling
from dopsd.rollout import Rollout, RolloutBatch
from dopsd.setting import setting
from dopsd.stream import Draw


@setting
class Learning:
    """Which visited states become optimizer steps, and what their losses are averaged over (eq. 11, 12).

    `states_per_trajectory` takes a sample of each trajectory's states in place of all: the same loss on average, and
    fewer forwards. Raises ValueError where it cannot be divided into the updates.
    """

    learn_from: Literal["accepted", "all"] = "accepted"
    average_over: Literal["learned", "rollouts"] = "learned"
    over_positions: Literal["mean", "sum"] = "mean"
    over_states: Literal["visited", "steps"] = "visited"
    updates_per_rollout: Annotated[int, Field(ge=1)] = 1
    states_per_trajectory: Annotated[int, Field(ge=1)] | None = None
    train_last_block: bool = True

    def __post_init__(self) -> None:
        if self.states_per_trajectory is not None and self.states_per_trajectory % self.updates_per_rollout:
            raise ValueError(
                f"states_per_trajectory={self.states_per_trajectory}: must be a multiple of "
                f"updates_per_rollout={self.updates_per_rollout}"
            )


class DOPSD(Method):
    """The student samples a trajectory; the teacher, shown part of its end, says what each step should have been."""

    def __init__(
        self,
        *,
        rollout: Rollout,
        teacher: Teacher,
        teacher_weights: TeacherWeights,
        supervision: Supervision,
        objective: Objective,
        learning: Learning,
        **shared: Any,
    ):
        super().__init__(**shared)
        self.rollout, self.learning = rollout, learning
        self.teacher, self.supervision, self.objective = teacher, supervision, objective
        self.teacher_weights = teacher_weights.attach(self.network)

    def training_step(self, batch: Sequence[Draw], batch_idx: int) -> None:
        """One rollout of the batch's prompts, then the optimizer steps on the states it visited."""
        examples = [draw.example for draw in batch]
        prompts = self.chat.prompts(examples).to(self.device)
        with self.clock("rollout"):
            rollout = self._roll_out(batch, prompts)
        self._log_rollout(rollout)
        shown = self.chat.prompts(examples, with_solution=True) if self.teacher.reads_solution else prompts
        shown = shown.to(self.device)
        learnt, examples = [], set()
        for states in self._chunks(rollout):
            view = self.teacher.view(states, shown[states.rollout], rollout.keys[states.rollout])
            has_supervision = self.supervision.count(states, view.revealed) > 0
            if has_supervision.any():
                supervised, seen = states[has_supervision], view[has_supervision]
                weights = self._state_weights(supervised, len(batch))
                weights = weights * self._times_counted(supervised, rollout)
                kept = weights > 0
                learnt.append(self._learn(supervised[kept], seen[kept], prompts, weights[kept]))
                examples.update(supervised.rollout.tolist())
        if learnt:
            means = {key: sum(each[key] for each in learnt) / len(learnt) for key in learnt[0]}
            self.log_step({**means, "train/examples": float(len(examples))})

    def _roll_out(self, batch: Sequence[Draw], prompts: Prompts) -> RolloutBatch:
        """Each rank samples its part of the batch, then every rank has the whole."""
        size = len(batch) // ranks.count()
        mine = slice(ranks.this() * size, (ranks.this() + 1) * size)
        lend = in_step if self.rollout.dropout else sampling
        with self._needing_less(len(batch)), lend(self.network) as denoiser:
            part = self.rollout.collect(
                denoiser,
                batch[mine],
                prompts[mine],
                chat=self.chat,
                task=self.task,
                seed=self.seed,
                on_progress=lambda settled: self.on_progress("rollout", settled, size),
            )
        return RolloutBatch.joined(ranks.gathered(part.to("cpu"))).to(self.device)

    def _needing_less(self, prompts: int) -> AbstractContextManager[None]:
        """What to lower where a rollout does not fit: tries that are only there for speed, else prompts."""
        tries, ranks_share = self.rollout.parallel_tries, prompts // ranks.count()
        if tries > 1:
            return needing("rollout.parallel_tries", tries, during="a rollout", smaller=tries // 2)
        smaller = ranks_share // 2 * ranks.count() or None
        return needing("prompts_per_step", prompts, during="a rollout", smaller=smaller)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """A moving average is part of the run."""
        checkpoint["teacher_weights"] = self.teacher_weights.state()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Takes it back."""
        self.teacher_weights.restore(checkpoint["teacher_weights"])

    def _chunks(self, rollout: RolloutBatch) -> Iterator[VisitedStates]:
        """The visited states of the rollouts to learn from, cut in time into `updates_per_rollout` parts."""
        states = rollout.trajectory.visited_states(self.chat.special.mask_id)
        wanted = torch.ones_like(states.step, dtype=torch.bool)
        if self.learning.learn_from == "accepted":
            wanted &= rollout.accepted[states.rollout]
        if not self.learning.train_last_block:
            wanted &= states.block_start + states.block_length < states.canvas.shape[1]
        chunks = self.learning.updates_per_rollout
        part = states.step * chunks // rollout.trajectory.steps[states.rollout]
        for chunk in range(chunks):
            yield states[wanted & (part == chunk)]

    def _learn(
        self, states: VisitedStates, view: TeacherView, prompts: Prompts, weights: Float[Tensor, "S"]
    ) -> dict[str, float]:
        """One optimizer step on these states, in micro-batches that add up to the whole; returns what to log.

        Every rank knows all states, whoever sampled them, and takes an equal share of them, in equally many forwards.
        """
        mine, is_mine = ranks.equal_share(len(states))
        weights = weights[mine] * is_mine.to(self.device)
        losses = partial(self._losses, states[mine], view[mine], prompts, weights)
        width = view.prompts.tokens.shape[1] + states.canvas.shape[1]
        norm, totals = self.update(losses, rows=len(mine), width=width)
        self.teacher_weights.after_update()
        loss, divergence, overlap, entropy, weight = totals.tolist()
        return {
            "train/loss": loss,
            "train/gradient_norm": float(norm),
            "train/states": float(len(states)),
            "distill/divergence": divergence,
            "distill/clipped_fraction": 1 - loss / divergence if divergence > 0 else 0.0,
            "distill/top_k_overlap": overlap / weight,
            "distill/entropy": entropy / weight,
        }

    def _state_weights(self, states: VisitedStates, rollouts: int) -> Float[Tensor, "S"]:
        """Mean over the states of a trajectory, then over trajectories (or all rollouts of the batch).

        `over_states=visited` counts the supervised states, so a short answer's first words weigh more than a long
        one's; `steps` counts all T denoising steps (eq. 11), those after an early end as 0.
        """
        _, trajectory, states_in = states.rollout.unique(return_inverse=True, return_counts=True)
        trajectories = len(states_in) if self.learning.average_over == "learned" else rollouts
        if self.learning.over_states == "steps":
            steps = self.rollout.sampler.denoising_steps / self.learning.updates_per_rollout
            return torch.full_like(states.step, 1.0 / (steps * trajectories), dtype=torch.float32)
        return 1.0 / (states_in[trajectory] * trajectories)

    def _times_counted(self, states: VisitedStates, rollout: RolloutBatch) -> Float[Tensor, "S"]:
        """1 for every state, or 0 and more where a sample of them stands for all."""
        if self.learning.states_per_trajectory is None:
            return torch.ones_like(states.step, dtype=torch.float32)
        number = self.learning.states_per_trajectory // self.learning.updates_per_rollout
        return times_counted(states.rollout, rollout.keys[states.rollout], number)

    def _losses(
        self,
        states: VisitedStates,
        view: TeacherView,
        prompts: Prompts,
        weights: Float[Tensor, "S"],
        micro_batches: Sequence[slice],
    ) -> Iterator[tuple[Float[Tensor, ""], Float[Tensor, "5"]]]:
        """The loss of each micro-batch, and the weighted sums that are logged."""
        for rows in micro_batches:
            part = states[rows]
            comparison, is_real = self._compare(part, view[rows], prompts[part.rollout])
            each = is_real * weights[rows, None]
            if self.learning.over_positions == "mean":
                each = each / is_real.sum(-1, keepdim=True)
            loss = (comparison.loss * each).sum()
            logged = (comparison.divergence, comparison.top_k_overlap, comparison.student_entropy)
            yield loss, torch.stack([loss.detach(), *((value * each).sum() for value in logged), each.sum()])

    def _compare(
        self, states: VisitedStates, view: TeacherView, prompts: Prompts
    ) -> tuple[PositionLosses, Bool[Tensor, "S K"]]:
        """Teacher, then student, at the supervised positions of each state; the second value marks real positions."""
        lend = self.teacher_weights.network
        with self.clock("teacher"), torch.no_grad(), dropout_off(self.network), lend() as teacher:
            mask_id = self.chat.special.mask_id
            targets = Targets.of(teacher, states, view, self.supervision, mask_id=mask_id)
        with self.clock("student"):
            compared = targets.compared_with(self.network, prompts, states.canvas, self.objective.compare)
            return PositionLosses(*compared), targets.is_real

    def _log_rollout(self, rollout: RolloutBatch) -> None:
        length = rollout.trajectory.lengths(self.chat.special.end_ids)
        self.log_step(
            {
                "rollout/accepted": rollout.accepted.float().mean(),
                "rollout/attempts": rollout.attempts.float().mean(),
                "rollout/length": length.float().mean(),
                "rollout/no_end": (length == rollout.trajectory.tokens.shape[1]).float().mean(),
            }
        )
