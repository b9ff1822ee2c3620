"""Ask the student, retry while the verdict is no, keep what was accepted (METHOD: at most `max_attempts` tries)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import torch
from jaxtyping import Bool, Int
from pydantic import Field
from torch import Tensor

from dopsd.chat import Chat
from dopsd.diffusion.noise import example_keys
from dopsd.diffusion.prompts import Prompts
from dopsd.diffusion.sampler import BlockSampler, Denoiser
from dopsd.diffusion.trajectory import Trajectory
from dopsd.setting import setting
from dopsd.stream import Draw
from dopsd.task import Task, Verdict


@dataclass(frozen=True, kw_only=True)
class RolloutBatch:
    """What the student did with each prompt: one kept trajectory, its verdict, and the tries it took."""

    trajectory: Trajectory
    keys: Int[Tensor, "B"]
    responses: list[str]
    verdicts: list[Verdict]
    attempts: Int[Tensor, "B"]

    @property
    def accepted(self) -> Bool[Tensor, "B"]:
        """Rows whose kept answer was accepted."""
        return torch.tensor([v.accepted for v in self.verdicts], device=self.attempts.device)

    @classmethod
    def joined(cls, parts: Sequence["RolloutBatch"]) -> "RolloutBatch":
        """The rollouts of all parts, in their order."""
        return cls(
            trajectory=Trajectory.joined([part.trajectory for part in parts]),
            keys=torch.cat([part.keys for part in parts]),
            responses=[response for part in parts for response in part.responses],
            verdicts=[verdict for part in parts for verdict in part.verdicts],
            attempts=torch.cat([part.attempts for part in parts]),
        )

    def to(self, device: torch.device | str) -> "RolloutBatch":
        """The same rollouts on another device."""
        return replace(
            self,
            trajectory=self.trajectory.to(device),
            keys=self.keys.to(device),
            attempts=self.attempts.to(device),
        )


@setting
class Rollout:
    """Rejection sampling in batches: every try decodes all prompts that are still without an accepted answer."""

    sampler: BlockSampler
    max_attempts: Annotated[int, Field(ge=1)] = 8
    keep: Literal["first", "best"] = "first"
    dropout: bool = False

    def collect(
        self,
        denoiser: Denoiser,
        draws: Sequence[Draw],
        prompts: Prompts,
        *,
        chat: Chat,
        task: Task,
        seed: int,
    ) -> RolloutBatch:
        """Sample until accepted (`keep=first`), or all tries and the best score (`keep=best`)."""
        device = prompts.tokens.device
        numbers = [draw.number for draw in draws]
        attempts = torch.zeros(len(draws), dtype=torch.int64)
        kept: Trajectory | None = None
        responses, verdicts = [""] * len(draws), [_UNTRIED] * len(draws)
        pending = list(range(len(draws)))
        for attempt in range(self.max_attempts):
            rows = torch.tensor(pending, device=device)
            keys = example_keys(seed, [numbers[i] for i in pending], attempt, device)
            sampled = self.sampler.sample(denoiser, prompts[rows], keys, chat.special)
            better = []
            for place, (i, response) in enumerate(zip(pending, chat.responses(sampled.tokens), strict=True)):
                verdict = task.verdict(draws[i].example, response)
                if _rank(verdict) > _rank(verdicts[i]):
                    responses[i], verdicts[i] = response, verdict
                    better.append(place)
            places = torch.tensor(better, dtype=torch.int64, device=device)
            kept = sampled if kept is None else kept.replaced(rows[places], sampled[places])
            attempts[pending] += 1
            if self.keep == "first":
                pending = [i for i in pending if not verdicts[i].accepted]
            if not pending:
                break
        assert kept is not None
        return RolloutBatch(
            trajectory=kept,
            keys=example_keys(seed, numbers, device=device),
            responses=responses,
            verdicts=verdicts,
            attempts=attempts.to(device),
        )


_UNTRIED = Verdict(accepted=False, score=-1.0)


def _rank(verdict: Verdict) -> tuple[bool, float]:
    return verdict.accepted, verdict.score
