"""What an answer is worth to methods that learn from a reward: a weighted sum of named parts of its verdict."""

from collections.abc import Mapping
from typing import Annotated

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from dopsd.rollout.batch import RolloutBatch
from dopsd.setting import setting
from dopsd.task import Task, Verdict
from dopsd.task.response_format import format_parts

Weight = Annotated[float, Field(allow_inf_nan=False)]


@setting
class Reward:
    """The weight of each part: accepted, score, answered, parts of the format, and the metrics of the task.

    Raises ValueError where no weight differs from 0.
    """

    parts: Mapping[str, Weight]

    def __post_init__(self) -> None:
        if not any(self.parts.values()):
            given = ", ".join(f"{name}: {weight:g}" for name, weight in self.parts.items())
            raise ValueError(f"parts='{{{given}}}': at least one weight must not be 0")

    def check(self, task: Task) -> None:
        """Raises ValueError for a part that a verdict on the task's first example has not."""
        allowed = reward_parts(task.verdict(task.examples("train")[0], ""), "")
        for name, weight in self.parts.items():
            if name not in allowed:
                raise ValueError(
                    f"reward.parts.{name}={weight:g}: no part of verdicts of task={task.name}, which are "
                    f"{', '.join(allowed)}"
                )

    def of(self, rollout: RolloutBatch) -> Float[Tensor, "B"]:
        """The reward of each completion; in a mixture of tasks, a part that one of them has not is 0 there."""
        rewards = []
        for verdict, response in zip(rollout.verdicts, rollout.responses, strict=True):
            parts = reward_parts(verdict, response)
            rewards.append(sum(weight * parts.get(name, 0.0) for name, weight in self.parts.items()))
        return torch.tensor(rewards, dtype=torch.float32, device=rollout.prompt.device)


def reward_parts(verdict: Verdict, response: str) -> dict[str, float]:
    """All parts of what is known of one response, by name."""
    return {
        **verdict.metrics,
        "accepted": float(verdict.accepted),
        "score": verdict.score,
        "answered": float(verdict.answered),
        **format_parts(verdict, response),
    }
