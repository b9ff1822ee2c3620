"""Toy verification (Table 3): does seeing a share rho of an accepted answer help the model to write the rest?"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

import torch
from jaxtyping import Bool, Int
from pydantic import Field
from torch import Tensor

from dopsd.diffusion.noise import example_keys
from dopsd.diffusion.sampler import BlockSampler
from dopsd.distillation.teacher import SuffixTeacher
from dopsd.probes.probe import Probe, Subject
from dopsd.probes.verification_finding import VerificationFinding
from dopsd.rollout import Rollout, RolloutBatch
from dopsd.setting import setting
from dopsd.stream import Draw

Share = Annotated[float, Field(gt=0, le=1)]


@setting
class ToyVerification(Probe):
    """Reveals a random share rho of a whole answer (eq. 8 at y_T, end-of-text tail included) and decodes the rest.

    As in the paper, each block is cleared when it is entered: the model writes every token itself and only looks
    ahead at what was revealed of later blocks. With `keep_revealed` the revealed tokens stay. The paper does not
    say what becomes of a prompt without an accepted answer; here it is decoded plainly.
    """

    title = "toy verification"

    rollout: Rollout
    finish: BlockSampler
    rhos: tuple[Share, ...] = (0.1, 0.25, 0.5)
    keep_revealed: bool = False

    def __post_init__(self) -> None:
        if not self.rhos:
            raise ValueError("rhos=[]: must hold at least one share")
        if self.rollout.keep == "all":
            raise ValueError("rollout.keep=all: must be first or best, one answer of each prompt is revealed")

    def run(self, subject: Subject) -> VerificationFinding:
        """Pass@1, pass@k, and accuracy at every rho; a smaller rho reveals a subset of a larger one."""
        batches = [self._verify(subject, draws) for draws in subject.batches()]
        whole = {name: torch.cat([batch[name] for batch in batches], -1).cpu() for name in batches[0]}
        return VerificationFinding(rhos=(0.0, *self.rhos), max_attempts=self.rollout.max_attempts, **whole)

    def _verify(self, subject: Subject, draws: Sequence[Draw]) -> dict[str, Bool[Tensor, "*rhos B"]]:
        tried = subject.ask(self.rollout, draws)
        once = subject.ask(replace(self.rollout, max_attempts=1), draws)
        everywhere = torch.arange(len(draws), device=tried.attempts.device)
        solved = tried.accepted.nonzero()[:, 0]
        first = [self._finish(subject, draws, once, everywhere, rho) for rho in (0.0, *self.rhos)]
        plain = first[0]
        answer = [
            plain.index_copy(0, solved, self._finish(subject, draws, tried, solved, rho)) for rho in self.rhos
        ]
        return {
            "has_answer": tried.accepted,
            "first_try": once.accepted,
            "shown_answer": torch.stack([plain, *answer]),
            "shown_first_try": torch.stack(first),
        }

    def _finish(
        self, subject: Subject, draws: Sequence[Draw], tried: RolloutBatch, rows: Int[Tensor, "R"], rho: float
    ) -> Bool[Tensor, "R"]:
        """Whether some prompts come out right when a share of their kept try is revealed."""
        if not len(rows):
            return torch.zeros_like(rows, dtype=torch.bool)
        chosen = [draws[row] for row in rows.tolist()]
        prompts = subject.prompts(chosen)
        special = subject.chat.special
        states = tried.trajectory[rows].visited_states(special.mask_id)
        teacher, at_first = SuffixTeacher(retain_ratio=rho), states[states.step == 0]
        view = teacher.view(at_first, prompts, tried.keys[rows], eos_id=special.eos_id)
        never_used = self.rollout.max_attempts  # by a try, so its random stream is free
        keys = example_keys(subject.seed, [draw.number for draw in chosen], never_used, rows.device)
        finished = self.finish.sample(
            subject.student,
            prompts,
            keys,
            special,
            given=view.canvas,
            keep_given=self.keep_revealed,
        )
        responses = subject.chat.responses(finished.tokens)
        verdicts = [
            subject.task.verdict(draw.example, response)
            for draw, response in zip(chosen, responses, strict=True)
        ]
        return torch.tensor([verdict.accepted for verdict in verdicts], device=rows.device)
