"""Overlap top-K (Figure 3): how near the student's most likely tokens are to each teacher's, over denoising steps."""

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from pydantic import Field
from torch import Tensor

from dopsd.diffusion.prompts import Prompts
from dopsd.diffusion.trajectory import States
from dopsd.distillation.divergence import top_k_overlap
from dopsd.distillation.supervision import Supervision
from dopsd.distillation.targets import Targets
from dopsd.distillation.teacher import Teacher, TeacherView
from dopsd.probes.overlap_finding import OverlapFinding
from dopsd.probes.probe import NothingFoundError, Probe, Subject
from dopsd.rollout import Rollout
from dopsd.setting import setting
from dopsd.stream import Draw


@setting
class Overlap(Probe):
    """Both teachers look at the same trajectories, those that training would learn from; each ranks its own K_t.

    The student has the weights that are probed, the teachers those before training (`teacher_weights=fixed`).
    """

    title = "overlap top-K"

    rollout: Rollout
    suffix: Teacher | None
    ar_prefix: Teacher | None
    supervision: Supervision
    learn_from: Literal["accepted", "all"] = "accepted"
    top_k: Annotated[int, Field(ge=1)] = 20

    def __post_init__(self) -> None:
        if not self.teachers:
            raise ValueError("at least one of suffix and ar_prefix must be a teacher")

    @property
    def teachers(self) -> dict[str, Teacher]:
        """Those to compare."""
        named = {"suffix": self.suffix, "ar_prefix": self.ar_prefix}
        return {name: teacher for name, teacher in named.items() if teacher is not None}

    @property
    def reads_solutions(self) -> bool:
        """The AR-prefix teacher does."""
        return any(teacher.reads_solution for teacher in self.teachers.values())

    def run(self, subject: Subject) -> OverlapFinding:
        """The overlap of every prompt at every step."""
        batches = [self._look_at(subject, draws) for draws in subject.batches()]
        overlaps = {name: np.concatenate([batch[name] for batch in batches]) for name in self.teachers}
        learnt = len(next(iter(overlaps.values())))
        if not learnt:
            raise NothingFoundError(
                f"none of {len(subject.examples)} prompts had an accepted answer in {self.rollout.max_attempts} tries; "
                "learning.learn_from=all looks at every answer"
            )
        return OverlapFinding(
            top_k=self.top_k, asked=len(subject.examples), seed=subject.seed, overlaps=overlaps
        )

    def _look_at(self, subject: Subject, draws: Sequence[Draw]) -> dict[str, Float[ndarray, "N T"]]:
        """One row a trajectory, one column a step; nan where there is no state or nothing is supervised."""
        tried = subject.ask(self.rollout, draws)
        prompts = subject.prompts(draws)[tried.prompt]
        learnt = tried.accepted if self.learn_from == "accepted" else torch.ones_like(tried.accepted)
        states = tried.trajectory.visited_states(subject.chat.special.mask_id)
        states = states[learnt[states.rollout]]
        found = {}
        for name, teacher in self.teachers.items():
            shown = subject.prompts(draws, teacher.message)[tried.prompt]
            overlap = torch.full((len(tried), self.rollout.sampler.denoising_steps), torch.nan)
            for start in range(0, len(states), subject.batch_size):
                part = states[start : start + subject.batch_size]
                keys, eos_id = tried.keys[part.rollout], subject.chat.special.eos_id
                view = teacher.view(part, shown[part.rollout], keys, eos_id=eos_id)
                supervised = self.supervision.count(part, view.revealed) > 0
                if supervised.any():
                    part, view = part[supervised], view[supervised]
                    at_states = self._compare(subject, part, view, prompts[part.rollout])
                    overlap[part.rollout.cpu(), part.step.cpu()] = at_states.cpu()
            found[name] = overlap[learnt.cpu()].double().numpy()
        return found

    @torch.no_grad()
    def _compare(
        self, subject: Subject, states: States, view: TeacherView, prompts: Prompts
    ) -> Float[Tensor, "S"]:
        """Mean over K_t of eq. 13."""
        with subject.untrained() as teacher:
            mask_id = subject.chat.special.mask_id
            targets = Targets.of(teacher, states, view, self.supervision, mask_id=mask_id)

        at = prompts.tokens.shape[1] + targets.columns
        student = subject.student(*prompts.followed_by(states.canvas), at=at).logits()
        overlap = top_k_overlap(student.float(), targets.logits.float(), self.top_k)
        return (overlap * targets.is_real).sum(-1) / targets.is_real.sum(-1)
