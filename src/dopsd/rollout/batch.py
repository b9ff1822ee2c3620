"""What is kept of a rollout: one row for each completion."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from dopsd.diffusion.prompts import Prompts
from dopsd.diffusion.responses import Responses
from dopsd.diffusion.trajectory import Trajectory
from dopsd.rollout.cost import Cost
from dopsd.task import Verdict


@dataclass(frozen=True, kw_only=True)
class RolloutBatch:
    """The kept completions of some prompts, ordered by prompt and attempt, with their verdicts.

    `prompt` is the row of the prompt that a completion answers, of `prompts` rows; `attempt` is which try it was,
    from 0, `attempts` how many its prompt took. `keys` are the random streams of the completions themselves: of
    (seed, draw, attempt), those that they were sampled with. `cost` is that of all tries.
    """

    trajectory: Trajectory
    keys: Int[Tensor, "B"]
    prompt: Int[Tensor, "B"]
    attempt: Int[Tensor, "B"]
    attempts: Int[Tensor, "B"]
    responses: list[str]
    verdicts: list[Verdict]
    prompts: int
    cost: Cost

    def __len__(self) -> int:
        return len(self.verdicts)

    @property
    def accepted(self) -> Bool[Tensor, "B"]:
        """Rows whose answer was accepted."""
        return torch.tensor([v.accepted for v in self.verdicts], device=self.attempts.device)

    @classmethod
    def joined(cls, parts: Sequence["RolloutBatch"]) -> "RolloutBatch":
        """The rollouts of all parts, in their order; the prompts of a part stand behind those of the parts before."""
        before = accumulate((part.prompts for part in parts), initial=0)
        return cls(
            trajectory=Trajectory.joined([part.trajectory for part in parts]),
            keys=torch.cat([part.keys for part in parts]),
            prompt=torch.cat([part.prompt + start for part, start in zip(parts, before, strict=False)]),
            attempt=torch.cat([part.attempt for part in parts]),
            attempts=torch.cat([part.attempts for part in parts]),
            responses=[response for part in parts for response in part.responses],
            verdicts=[verdict for part in parts for verdict in part.verdicts],
            prompts=sum(part.prompts for part in parts),
            cost=sum((part.cost for part in parts), Cost()),
        )

    def answering(self, prompts: Prompts, end_ids: tuple[int, ...]) -> Responses:
        """The completions with their prompts, one row for each; `prompts` are those that were asked."""
        return Responses.of(self.trajectory, prompts.rows(self.prompt), self.keys, end_ids)

    def to(self, device: torch.device | str) -> "RolloutBatch":
        """The same rollouts on another device."""
        return replace(
            self,
            trajectory=self.trajectory.to(device),
            keys=self.keys.to(device),
            prompt=self.prompt.to(device),
            attempt=self.attempt.to(device),
            attempts=self.attempts.to(device),
        )
