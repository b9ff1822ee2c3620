"""d-OPSD: on-policy self-distillation of a masked diffusion language model (arXiv 2606.18195)."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.optim import Optimizer

from dopsd import ranks
from dopsd.diffusion.counted import counted
from dopsd.diffusion.prompts import Prompts
from dopsd.diffusion.trajectory import States
from dopsd.distillation.divergence import Objective, PositionLosses
from dopsd.distillation.parts import LEFT_OUT, before_the_end, equal_chunks, shares_of_time
from dopsd.distillation.state_sample import times_counted
from dopsd.distillation.supervision import Supervision
from dopsd.distillation.targets import Targets
from dopsd.distillation.teacher import Teacher, TeacherView
from dopsd.method.budget import Forwards
from dopsd.method.learning import Learning
from dopsd.method.on_policy import OnPolicy
from dopsd.method.schedule import rate_zero
from dopsd.method.spending import Spending, Workload
from dopsd.method.teacher_weights import TeacherWeights
from dopsd.model import dropout_off
from dopsd.model.visible import Visible
from dopsd.rollout import RolloutBatch
from dopsd.stream import Draw
from dopsd.task import Example


class DOPSD(OnPolicy):
    """The student samples a trajectory; the teacher, shown part of its end, says what each step should have been.

    Y = {y_T .. y_0} sampled by the student (eq. 6);
    y_teacher,t = y_t with the positions S_t replaced by y_0 (eq. 8);
    K_t = the most confident masked positions, as many as the step unmasked (eq. 10);
    L(Y) = 1/T sum_t 1/|K_t| sum_{i in K_t} D(P_student,t^i, P_teacher,t^i) (eq. 11);
    the mean of L over the accepted trajectories (eq. 12).
    A block-causal network sees nothing behind the active block: what S_t has there is not shown, nor is it supervised.
    """

    takes_refused = "learning.learn_from=all"

    def __init__(
        self,
        *,
        teacher: Teacher,
        teacher_weights: TeacherWeights,
        supervision: Supervision,
        objective: Objective,
        learning: Learning,
        **shared: Any,
    ):
        super().__init__(**shared)
        self.teacher, self.supervision, self.objective = teacher, supervision, objective
        self.learning = learning
        self.teacher_weights = self.other_weights = teacher_weights.attach(self.network)
        self._sees_later = cast(Visible, self.network.visible).own_blocks is None

    @property
    def notes(self) -> Sequence[str]:
        """What is left out for a block-causal student."""
        if self._sees_later:
            return ()
        return (
            "block-causal student: nothing behind the active block is shown to the teacher or supervised",
        )

    def training_step(self, batch: Sequence[Draw], batch_idx: int) -> None:
        """One rollout of the batch's prompts, then the optimizer steps on the states it visited."""
        examples = [draw.example for draw in batch]
        prompts, shown = self.chat.prompts(examples).to(self.device), self.shown(examples).to(self.device)
        rollout = self.roll_out(batch, prompts)
        prompts, shown = prompts[rollout.prompt], shown[rollout.prompt]
        learnt, trajectories = [], set()
        for number, (states, view) in enumerate(self._parts(rollout, shown)):
            with self._rate_of(batch_idx, number):
                if len(states):
                    weights = self._weights(states, rollout)
                    counted = weights > 0
                    learnt.append(self._learn(states[counted], view[counted], prompts, weights[counted]))
                    trajectories.update(states.rollout.tolist())
                elif self.learning.nothing_to_learn == "zero_gradient":
                    self._learn_nothing()
        if learnt:
            self.log_updates(learnt, examples=float(len(trajectories)))

    def shown(self, examples: Sequence[Example]) -> Prompts:
        """The teacher's prompts."""
        messages, last = map(self.teacher.message, examples), self.teacher.max_prompt_length
        return self.chat.prompts_of(messages, last=last)

    def most_spent(self, load: Workload) -> Spending:
        """Each state of each answer that is kept, once by the student and once by the teacher."""
        sampler, parts = self.rollout.sampler, self.learning.updates_per_rollout
        sample = 1 if self.learning.states is not None else self.learning.states_per_trajectory
        states = self.most_answers(load) * min(sampler.most_steps, sample or sampler.most_steps)
        update = Forwards.of_width(states / parts, load.prompt_tokens + sampler.gen_length)
        return Spending(
            rollouts=self.most_rollouts(load),
            updates=[update] * parts,
            no_gradient=Forwards.of_width(states, load.shown_tokens + sampler.gen_length),
        )

    def _parts(self, rollout: RolloutBatch, shown: Prompts) -> Iterator[tuple[States, TeacherView]]:
        """The supervised states and their teacher's input of each of the `updates_per_rollout` updates, in time."""
        visited = self._visited(rollout)
        part = self._part_of(visited, rollout)
        for number in range(self.learning.updates_per_rollout):
            states = visited[part == number]
            keys, eos_id = rollout.keys[states.rollout], self.chat.special.eos_id
            view = self.teacher.view(states, shown[states.rollout], keys, eos_id=eos_id)
            view = view if self._sees_later else view.without_later(states)
            is_supervised = self.supervision.count(states, view.revealed) > 0
            yield states[is_supervised], view[is_supervised]

    def _part_of(self, visited: States, rollout: RolloutBatch) -> Int[Tensor, "S"]:
        """The update that each state is learnt from in; logs how many trajectories were too short to be cut."""
        learning, parts = self.learning, self.learning.updates_per_rollout
        if learning.cut == "equal_chunks":
            part = equal_chunks(visited.rollout, parts)
            long_enough = visited.rollout[part != LEFT_OUT].unique()
            self.log_step({"train/too_short": float(len(rollout) - len(long_enough))})
        else:
            part = shares_of_time(visited, rollout.trajectory.steps[visited.rollout], parts)
        if learning.learn_from == "accepted":
            part = part.where(rollout.accepted[visited.rollout], LEFT_OUT)
        return part

    def _visited(self, rollout: RolloutBatch) -> States:
        """The states that may be learnt from, or the one of each rollout that is chosen, with their open positions."""
        visited = rollout.trajectory.visited_states(self.chat.special.mask_id)
        answer = counted(rollout.trajectory, self.chat.special.end_ids)
        if self.supervision.of_the_answer:
            is_open = visited.is_masked & answer[visited.rollout]
            visited = replace(visited, open=is_open if self._sees_later else is_open & ~visited.later)
        if self.learning.states is not None:
            rows, keys = answer[visited.rollout], rollout.keys[visited.rollout]
            visited = visited[self.learning.states.rows(visited, rows, keys)]
        if not self.learning.train_last_block:
            visited = visited[visited.later.any(-1)]
        if self.learning.states_until == "end_of_text":
            visited = visited[before_the_end(visited, self.chat.special.eos_id)]
        return visited

    def _weights(self, states: States, rollout: RolloutBatch) -> Float[Tensor, "S"]:
        """What each state counts: mean over the states of a trajectory (eq. 11), then over trajectories (eq. 12).

        `over_states=visited` counts the supervised states, so a short answer's first words weigh more than a long
        one's; `steps` counts all T denoising steps (eq. 11), those after an early end as 0. Where a sample of the
        states stands for all, those that are left out have 0; a state that is chosen is all of its trajectory.
        """
        learning = self.learning
        _, trajectory, states_in = states.rollout.unique(return_inverse=True, return_counts=True)
        of = len(states_in) if learning.average_over == "learned" else len(rollout)
        if learning.over_states == "steps" and learning.states is None:
            steps = self.rollout.sampler.denoising_steps / learning.updates_per_rollout
            weights = torch.full_like(states.step, 1.0 / (steps * of), dtype=torch.float32)
        else:
            weights = 1.0 / (states_in[trajectory] * of)
        if learning.states_per_trajectory is None:
            return weights
        number = learning.states_per_trajectory // learning.updates_per_rollout
        return weights * times_counted(states.rollout, rollout.keys[states.rollout], number)

    def _rate_of(self, training_step: int, update: int) -> AbstractContextManager[None]:
        """The schedule's learning rate, or that of the run's first update."""
        if training_step or update or self.learning.first_update == "scheduled":
            return nullcontext()
        return rate_zero(cast(Optimizer, self.optimizers(use_pl_optimizer=False)))

    def _learn_nothing(self) -> None:
        """An optimizer step on gradients of 0."""
        self.update(rows=0, width=1, of=Forwards(rows=0, tokens=0)).step_without_gradient()
        self.teacher_weights.after_update()

    def _learn(
        self, states: States, view: TeacherView, prompts: Prompts, weights: Float[Tensor, "S"]
    ) -> dict[str, float]:
        """One optimizer step on these states; returns what to log.

        Every rank knows all states, whoever sampled them, and takes an equal share of them, in equally many forwards.
        """
        number, length, (mine, is_mine) = len(states), states.canvas.shape[1], ranks.equal_share(len(states))
        learnt, width = Forwards.of(prompts[states.rollout], length), view.prompts.tokens.shape[1] + length
        self.budget.forward(Forwards.of(view.prompts, length))
        states, view, weights = states[mine], view[mine], weights[mine] * is_mine.to(self.device)
        update = self.update(rows=len(mine), width=width, of=learnt)
        for rows in update:
            with update:
                update.backward(*self._losses(states[rows], view[rows], prompts, weights[rows]))
        norm, totals = update.step()
        self.teacher_weights.after_update()
        loss, divergence, overlap, entropy, clip_ratio, negative, weight = totals.tolist()
        return {
            "train/loss": loss,
            "train/gradient_norm": float(norm),
            "train/states": float(number),
            "distill/divergence": divergence,
            "distill/clipped_fraction": 1 - loss / divergence if divergence > 0 else 0.0,
            "distill/clip_ratio": clip_ratio / weight,
            "distill/negative_share": negative / weight,
            "distill/top_k_overlap": overlap / weight,
            "distill/entropy": entropy / weight,
        }

    def _losses(
        self, states: States, view: TeacherView, prompts: Prompts, weights: Float[Tensor, "S"]
    ) -> tuple[Float[Tensor, ""], Float[Tensor, "7"]]:
        """The weighted sum of 1/|K_t| sum_{i in K_t} D(P_student^i, P_teacher^i), and the sums that are logged."""
        mask_id, lend = self.chat.special.mask_id, self.teacher_weights.network
        dropout = nullcontext() if self.learning.teacher_dropout else dropout_off(self.network)
        with self.clock("teacher"), torch.no_grad(), dropout, lend() as teacher:
            targets = Targets.of(teacher, states, view, self.supervision, mask_id=mask_id)
        with self.clock("student"):
            own = prompts[states.rollout]
            at = own.tokens.shape[1] + targets.columns
            student = self.network(*own.followed_by(states.canvas), at=at)
            losses = PositionLosses(*student.map(self.objective.compare, targets.logits))
        each = weights[:, None] * targets.is_real
        if self.learning.over_positions == "mean":
            each = each / targets.is_real.sum(-1, keepdim=True)
        logged = (*losses, losses.loss < 0, torch.ones_like(each))
        totals = [(value.detach() * each).sum() for value in logged]
        return (losses.loss * each).sum(), torch.stack(totals)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """A moving average is part of the run."""
        checkpoint["teacher_weights"] = self.teacher_weights.state()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Takes it back."""
        self.teacher_weights.restore(checkpoint["teacher_weights"])
