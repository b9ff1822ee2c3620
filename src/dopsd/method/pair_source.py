"""Where pairs of a better and a worse answer to one prompt come from: rollouts, or solutions and rollouts."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from dopsd.chat import Chat
from dopsd.diffusion.noise import example_keys
from dopsd.diffusion.trajectory import Trajectory
from dopsd.policy.pairs import PairChoice, Pairs, best_and_worst
from dopsd.rollout import Rollout, RolloutBatch
from dopsd.setting import setting
from dopsd.stream import Draw
from dopsd.task import Task

Writer = Literal["start", "student"]
_OF_A_SOLUTION = -1  # the attempt whose random stream it has


@dataclass(frozen=True, kw_only=True)
class Answers:
    """Answers to the prompts of a batch, and pairs of their rows.

    `prompt` is the row of the prompt that each answers, `keys` are their random streams. Texts that did not fit into
    the canvas are `too_long`.
    """

    trajectory: Trajectory
    prompt: Int[Tensor, "N"]
    keys: Int[Tensor, "N"]
    pairs: Pairs
    too_long: int = 0

    def to(self, device: torch.device) -> "Answers":
        """The same answers on another device."""
        return replace(
            self,
            trajectory=self.trajectory.to(device),
            prompt=self.prompt.to(device),
            keys=self.keys.to(device),
            pairs=self.pairs.to(device),
        )


class PairSource(ABC):
    """Gives each prompt of a batch one pair, or none."""

    writer: Writer | None
    """Whose rollouts it is given: of the weights before training, or of the current ones; None: it needs none."""
    has_texts: bool
    """Whether an answer may be a text that was not sampled here."""

    @abstractmethod
    def check(self, task: Task, rollout: Rollout | None) -> None:
        """Raises ValueError where there can be no pairs."""

    def canvas(self, rollout: Rollout | None) -> int:
        """Tokens of an answer: as many as in a rollout."""
        assert rollout is not None
        return rollout.sampler.gen_length

    @abstractmethod
    def answers(
        self, batch: Sequence[Draw], rollout: RolloutBatch | None, *, chat: Chat, seed: int
    ) -> Answers:
        """Answers to the prompts of a batch, and the pairs."""


@setting
class RolloutPairs(PairSource):
    """A better and a worse one of a prompt's completions, or its reference solution and a refused completion.

    `compare=accepted`: one that was accepted and one that was not; `score`: one of highest and one of lowest score.
    """

    writer: Writer
    compare: Literal["accepted", "score", "solution"]
    match: Literal["random", "closest_length"]

    @property
    def has_texts(self) -> bool:
        """Solutions are."""
        return self.compare == "solution"

    def check(self, task: Task, rollout: Rollout | None) -> None:
        """It needs groups, or reference solutions."""
        assert rollout is not None
        if rollout.keep != "all":
            needs = "must be all with method=vrpo, which learns from groups"
            raise ValueError(f"parity.keep={rollout.keep}: {needs}")
        if not self.has_texts and rollout.max_attempts == 1:
            raise ValueError(f"group_size=1: must be at least 2 with pairs.compare={self.compare}")
        if self.has_texts and task.examples("train")[0].solution is None:
            needs = f"needs reference solutions, which task={task.name} has not"
            raise ValueError(f"pairs.compare=solution: {needs}")

    def answers(
        self, batch: Sequence[Draw], rollout: RolloutBatch | None, *, chat: Chat, seed: int
    ) -> Answers:
        """The completions, and behind them the solutions that fit."""
        assert rollout is not None
        trajectory, prompt, keys, too_long = rollout.trajectory, rollout.prompt, rollout.keys, 0
        better, worse = self._better_and_worse(rollout)
        if self.compare == "solution":
            solutions, rows, too_long = _solutions(batch, chat, like=trajectory)
            numbers = [batch[row].number for row in rows.tolist()]
            trajectory, prompt = Trajectory.joined([trajectory, solutions]), torch.cat([prompt, rows])
            keys = torch.cat([keys, example_keys(seed, numbers, _OF_A_SOLUTION, keys.device)])
            better = torch.cat([torch.zeros_like(better), torch.ones_like(rows, dtype=torch.bool)])
            worse = torch.cat([worse, torch.zeros_like(rows, dtype=torch.bool)])
        lengths = trajectory.lengths(chat.special.end_ids)
        choice = PairChoice(match=self.match)
        pairs = choice.pairs(prompt, better=better, worse=worse, lengths=lengths, keys=keys)
        return Answers(trajectory=trajectory, prompt=prompt, keys=keys, pairs=pairs, too_long=too_long)

    def _better_and_worse(self, rollout: RolloutBatch) -> tuple[Bool[Tensor, "N"], Bool[Tensor, "N"]]:
        if self.compare != "score":
            return rollout.accepted, ~rollout.accepted
        scores = [verdict.score for verdict in rollout.verdicts]
        score = torch.tensor(scores, dtype=torch.float64, device=rollout.prompt.device)
        return best_and_worst(rollout.prompt, score)


def _solutions(
    batch: Sequence[Draw], chat: Chat, *, like: Trajectory
) -> tuple[Trajectory, Int[Tensor, "R"], int]:
    """The solutions that fit, the rows of their prompts, and how many do not fit."""
    there = {
        row: draw.example.solution for row, draw in enumerate(batch) if draw.example.solution is not None
    }
    canvases, fitting = chat.canvases(there.values(), like.tokens.shape[1])
    rows = torch.tensor([list(there)[place] for place in fitting], dtype=torch.int64)
    device = like.tokens.device
    given = Trajectory.given(canvases.to(device), like.block_length)
    return given, rows.to(device), len(there) - len(fitting)
