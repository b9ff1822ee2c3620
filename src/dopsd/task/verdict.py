"""What is said of a response."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

VerdictWord = Literal["correct", "wrong", "no_answer"]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether a response is learnt from (`accepted`), the score that decides it, and the metrics that are reported.

    Score and metrics are in 0..1. The first metric says whether the response is right as a whole; where none is
    given it is `correct`, which is 1 for what is accepted. `answered` says whether the grader found anything that it
    could take for an answer, `answer` what it read.
    """

    accepted: bool
    score: float
    metrics: Mapping[str, float] = field(default_factory=dict)
    answered: bool = True
    answer: str | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if not self.metrics:
            object.__setattr__(self, "metrics", {"correct": float(self.accepted)})

    @property
    def correct(self) -> bool:
        """Whether the response is right as a whole."""
        return next(iter(self.metrics.values())) == 1

    @property
    def word(self) -> VerdictWord:
        """What the response is in one word, whatever is learnt from."""
        return "correct" if self.correct else "wrong" if self.answered else "no_answer"
