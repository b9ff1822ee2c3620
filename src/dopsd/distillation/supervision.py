"""Which positions of a state are supervised (K_t)."""

from abc import ABC, abstractmethod
from collections.abc import Callable

from jaxtyping import Bool, Float, Int
from torch import Tensor

from dopsd.diffusion.choose import choose, columns_of
from dopsd.diffusion.confidence import ConfidenceMeasure
from dopsd.diffusion.trajectory import VisitedStates
from dopsd.setting import setting

TeacherConfidence = Callable[[ConfidenceMeasure], Float[Tensor, "S C"]]


class Supervision(ABC):
    """Picks K_t: as many positions as the student's step unmasked (eq. 10), none of which the teacher was shown."""

    @abstractmethod
    def count(self, states: VisitedStates, revealed: Bool[Tensor, "S L"]) -> Int[Tensor, "S"]:
        """|K_t| of each state; 0 where the teacher was shown every position that could be supervised."""

    @abstractmethod
    def candidates(self, states: VisitedStates) -> Int[Tensor, "S C"]:
        """The response columns that the teacher is read at."""

    @abstractmethod
    def select(
        self,
        states: VisitedStates,
        revealed: Bool[Tensor, "S L"],
        candidates: Int[Tensor, "S C"],
        teacher_confidence: TeacherConfidence,
    ) -> tuple[Int[Tensor, "S K"], Bool[Tensor, "S K"]]:
        """K_t as indices into the candidates, and which of them are real (rows may have fewer than K)."""


@setting
class TeacherRanked(Supervision):
    """K_t = the open positions of the active block of which the teacher is most confident (default)."""

    measure: ConfidenceMeasure = "probability"

    def count(self, states: VisitedStates, revealed: Bool[Tensor, "S L"]) -> Int[Tensor, "S"]:
        """As many as the student unmasked, or all that are left."""
        return states.unmasked_now.sum(-1).minimum((states.is_open & ~revealed).sum(-1))

    def candidates(self, states: VisitedStates) -> Int[Tensor, "S C"]:
        """All columns of the active block."""
        return states.block_columns

    def select(
        self,
        states: VisitedStates,
        revealed: Bool[Tensor, "S L"],
        candidates: Int[Tensor, "S C"],
        teacher_confidence: TeacherConfidence,
    ) -> tuple[Int[Tensor, "S K"], Bool[Tensor, "S K"]]:
        """The most confident open positions that the teacher still sees as [MASK]."""
        count = self.count(states, revealed)
        among = (states.is_open & ~revealed).gather(1, candidates)
        supervised = choose(teacher_confidence(self.measure), among=among, count=count)
        return columns_of(supervised, int(count.max()))


@setting
class StudentRanked(Supervision):
    """K_t = the positions which the student really unmasked (ablation, Table 7)."""

    def count(self, states: VisitedStates, revealed: Bool[Tensor, "S L"]) -> Int[Tensor, "S"]:
        """The unmasked positions that are left."""
        return (states.unmasked_now & ~revealed).sum(-1)

    def candidates(self, states: VisitedStates) -> Int[Tensor, "S C"]:
        """The columns which the student unmasked."""
        return columns_of(states.unmasked_now, int(states.unmasked_now.sum(-1).max()))[0]

    def select(
        self,
        states: VisitedStates,
        revealed: Bool[Tensor, "S L"],
        candidates: Int[Tensor, "S C"],
        teacher_confidence: TeacherConfidence,
    ) -> tuple[Int[Tensor, "S K"], Bool[Tensor, "S K"]]:
        """Those of them that the teacher still sees as [MASK]."""
        supervised = (states.unmasked_now & ~revealed).gather(1, candidates)
        return columns_of(supervised, candidates.shape[1])
