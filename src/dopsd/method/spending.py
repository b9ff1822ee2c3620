"""What a training step spends at most, as a method says it before the step is taken."""

from collections.abc import Sequence
from dataclasses import dataclass

from dopsd.method.budget import Budget, Forwards
from dopsd.rollout import Cost

_NO_ROWS, _NO_ROLLOUTS = Forwards(rows=0, tokens=0), Cost()


@dataclass(frozen=True, kw_only=True)
class Workload:
    """A training step to come: its number from 0, its prompts, the tries at each, and the mean tokens of a prompt.

    `shown_tokens` are those of what a teacher is given in a prompt's place.
    """

    step: int
    prompts: int
    tries: int
    prompt_tokens: float
    shown_tokens: float

    @property
    def completions(self) -> int:
        """All tries at all prompts."""
        return self.prompts * self.tries


@dataclass(frozen=True, kw_only=True)
class Spending:
    """Rollouts, the rows of each optimizer step, and rows without gradients."""

    updates: Sequence[Forwards]
    no_gradient: Forwards = _NO_ROWS
    rollouts: Cost = _NO_ROLLOUTS

    def enter(self, budget: Budget) -> None:
        """Counts it as spent."""
        budget.roll_out(self.rollouts)
        budget.forward(self.no_gradient)
        for rows in self.updates:
            budget.update(rows)
