"""Which positions of a state are supervised (K_t)."""

from abc import ABC, abstractmethod

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dopsd.diffusion.confidence import ConfidenceMeasure, confidence, forbid
from dopsd.diffusion.hidden import Hidden
from dopsd.diffusion.trajectory import States
from dopsd.setting import setting


class Supervision(ABC):
    """Picks K_t: the `count` candidates of highest confidence, none of which the teacher was shown (eq. 10)."""

    of_the_answer: bool = False
    """Whether all masked positions of the answer are open, not only those of the active block."""

    @abstractmethod
    def candidates(self, states: States, revealed: Bool[Tensor, "S L"]) -> Bool[Tensor, "S L"]:
        """The positions among which K_t is chosen; the teacher is read there."""

    def count(self, states: States, revealed: Bool[Tensor, "S L"]) -> Int[Tensor, "S"]:
        """|K_t|: all candidates; 0 where the teacher was shown every position that could be supervised."""
        return self.candidates(states, revealed).sum(-1)

    def confidence(self, teacher: Hidden, mask_id: int) -> Float[Tensor, "S C"]:
        """What puts candidates in order; where all of them are chosen, nothing."""
        return torch.zeros(teacher.states.shape[:-1], device=teacher.states.device)


@setting
class TeacherRanked(Supervision):
    """K_t = the open positions of which the teacher is most confident, as many as the student unmasked (default).

    [MASK], which nobody writes, has no part in the probabilities that rank; raw logits are as the released code's.
    """

    measure: ConfidenceMeasure = "probability"

    def candidates(self, states: States, revealed: Bool[Tensor, "S L"]) -> Bool[Tensor, "S L"]:
        """The open positions that the teacher still sees as [MASK]."""
        return states.open & ~revealed

    def count(self, states: States, revealed: Bool[Tensor, "S L"]) -> Int[Tensor, "S"]:
        """As many as the student unmasked, or all that are left."""
        return states.unmasked_now.sum(-1).minimum(self.candidates(states, revealed).sum(-1))

    def confidence(self, teacher: Hidden, mask_id: int) -> Float[Tensor, "S C"]:
        """The teacher's in its most likely token."""

        def read(logits: Float[Tensor, "N V"]) -> list[Tensor]:
            logits = forbid(logits, mask_id) if self.measure == "probability" else logits
            return [confidence(logits, self.measure)]

        return teacher.map(read)[0]


@setting
class StudentRanked(Supervision):
    """K_t = the positions which the student really unmasked (ablation, Table 7)."""

    def candidates(self, states: States, revealed: Bool[Tensor, "S L"]) -> Bool[Tensor, "S L"]:
        """The unmasked positions that are left."""
        return states.unmasked_now & ~revealed


@setting
class AllMasked(Supervision):
    """K_t = all positions of the answer that the student sees as [MASK] (the trajectory teacher, arXiv 2607.04428).

    `honest` leaves out those that the teacher was shown; published is that they count, with targets close to the
    student's own token.
    """

    of_the_answer = True
    honest: bool

    def candidates(self, states: States, revealed: Bool[Tensor, "S L"]) -> Bool[Tensor, "S L"]:
        """The open positions."""
        return states.open & ~revealed if self.honest else states.open
