"""A denoising trajectory as two small tensors, from which every state the student visited can be derived."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Bool, Int
from torch import Tensor

NEVER = torch.iinfo(torch.int64).max
"""`step_map` value of a position that was still masked when its row ended."""

GIVEN = -1
"""`step_map` value of a position that was filled before the first step."""


@dataclass(frozen=True, kw_only=True)
class Trajectory:
    """The finished canvases and the denoising step at which each position was unmasked (Y of eq. 6, without copies).

    Steps are counted from 0 in the order in which they are taken: state y_t has `step_map < t` unmasked.
    """

    tokens: Int[Tensor, "B L"]
    step_map: Int[Tensor, "B L"]
    steps: Int[Tensor, "B"]
    block_length: int

    @classmethod
    def given(cls, tokens: Int[Tensor, "B L"], block_length: int) -> "Trajectory":
        """Canvases that nobody sampled: they were finished before the first step."""
        return cls(
            tokens=tokens,
            step_map=torch.full_like(tokens, GIVEN),
            steps=tokens.new_zeros(len(tokens)),
            block_length=block_length,
        )

    def __len__(self) -> int:
        return self.tokens.shape[0]

    def __getitem__(self, rows: Tensor) -> "Trajectory":
        """The trajectories of some rows (an index or a boolean tensor)."""
        return Trajectory(
            tokens=self.tokens[rows],
            step_map=self.step_map[rows],
            steps=self.steps[rows],
            block_length=self.block_length,
        )

    @classmethod
    def joined(cls, parts: Sequence["Trajectory"]) -> "Trajectory":
        """The trajectories of all parts, in their order."""
        return cls(
            tokens=torch.cat([part.tokens for part in parts]),
            step_map=torch.cat([part.step_map for part in parts]),
            steps=torch.cat([part.steps for part in parts]),
            block_length=parts[0].block_length,
        )

    def to(self, device: torch.device | str) -> "Trajectory":
        """The same trajectories on another device."""
        return replace(
            self,
            tokens=self.tokens.to(device),
            step_map=self.step_map.to(device),
            steps=self.steps.to(device),
        )

    def lengths(self, end_ids: tuple[int, ...]) -> Int[Tensor, "B"]:
        """Tokens before each row's first end token (the whole canvas where there is none)."""
        return (is_end(self.tokens, end_ids).cumsum(1) == 0).sum(1)

    def canvas_at(self, step: Int[Tensor, "B"], mask_id: int) -> Int[Tensor, "B L"]:
        """y_t: what the student saw when it took denoising step `step` of each row."""
        return self.tokens.where(self.step_map < step[:, None], mask_id)

    def visited_states(self, mask_id: int) -> "States":
        """Every state from which a step was taken, as one row axis ordered by row, then step (App. C.2).

        Open are the masked positions of the block in which the step unmasked something.
        """
        longest = int(self.steps.max()) if len(self) else 0
        taken = torch.arange(longest, device=self.steps.device) < self.steps[:, None]
        rollout, step = taken.nonzero(as_tuple=True)
        visited = self[rollout]
        block = (visited.step_map == step[:, None]).to(torch.uint8).argmax(-1) // self.block_length
        place = torch.arange(self.tokens.shape[1], device=step.device) // self.block_length - block[:, None]
        return States(
            rollout=rollout,
            step=step,
            canvas=visited.canvas_at(step, mask_id),
            finished=visited.tokens,
            step_map=visited.step_map,
            open=(visited.step_map >= step[:, None]) & (place == 0),
            later=place > 0,
        )


@dataclass(frozen=True, kw_only=True)
class States:
    """One row per (rollout, denoising step): the student's canvas y_t, what became of it, and sets of its positions.

    `step_map` is the rollout's. `open` positions may be supervised, `later` ones stand behind the active block.
    """

    rollout: Int[Tensor, "S"]
    step: Int[Tensor, "S"]
    canvas: Int[Tensor, "S L"]
    finished: Int[Tensor, "S L"]
    step_map: Int[Tensor, "S L"]
    open: Bool[Tensor, "S L"]
    later: Bool[Tensor, "S L"]

    def __len__(self) -> int:
        return self.rollout.shape[0]

    def __getitem__(self, rows: Tensor | slice) -> "States":
        """Some of the states (an index, a boolean tensor or a slice)."""
        return States(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    @property
    def is_masked(self) -> Bool[Tensor, "S L"]:
        """Positions that the student sees as [MASK]."""
        return self.step_map >= self.step[:, None]

    @property
    def unmasked_now(self) -> Bool[Tensor, "S L"]:
        """Positions that this step unmasks."""
        return self.step_map == self.step[:, None]


def is_end(tokens: Int[Tensor, "*shape"], end_ids: tuple[int, ...]) -> Bool[Tensor, "*shape"]:
    """Where an end token stands; nothing is copied to the tokens' device."""
    return torch.stack([tokens == end_id for end_id in end_ids]).any(0)
