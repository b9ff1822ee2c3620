"""Which block of a canvas is active, and which of its open positions a denoising step unmasks."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dopsd.diffusion.choose import choose
from dopsd.diffusion.confidence import log_odds
from dopsd.diffusion.decoding import CanvasRows
from dopsd.diffusion.trajectory import NEVER

Step = TypeVar("Step", int, Tensor)


class UnmaskingSchedule(ABC):
    """Blocks are filled left to right; their open positions are those still masked."""

    @abstractmethod
    def active_block(self, rows: CanvasRows) -> Int[Tensor, "B"]:
        """The block of each row's next step, counted from 0."""

    @abstractmethod
    def most_open(self, step: int) -> int:
        """How many positions a row can have open before a step, as is known without asking the device."""

    @abstractmethod
    def chosen(
        self, sureness: Float[Tensor, "B K"], step: Int[Tensor, "B"], is_open: Bool[Tensor, "B K"]
    ) -> Bool[Tensor, "B K"]:
        """The open positions of the active block which take their token."""

    @abstractmethod
    def is_complete(self, rows: CanvasRows) -> Bool[Tensor, "B"]:
        """Rows that have taken their last step."""


@dataclass(frozen=True, kw_only=True)
class FixedCounts(UnmaskingSchedule):
    """Every block has as many steps, which share out its positions; each takes the surest (LLaDA)."""

    block_length: int
    blocks: int
    denoising_steps: int

    @property
    def counts(self) -> list[int]:
        """How many positions each step of a block unmasks."""
        return [self._count(step) for step in range(self._steps)]

    def active_block(self, rows: CanvasRows) -> Int[Tensor, "B"]:
        """By the number of steps."""
        return rows.step // self._steps

    def most_open(self, step: int) -> int:
        """What the rest of the block's steps unmask."""
        return self._left[step % self._steps]

    def chosen(
        self, sureness: Float[Tensor, "B K"], step: Int[Tensor, "B"], is_open: Bool[Tensor, "B K"]
    ) -> Bool[Tensor, "B K"]:
        """The surest, as many as the step's count."""
        return choose(sureness, among=is_open, count=self._count(step))

    def is_complete(self, rows: CanvasRows) -> Bool[Tensor, "B"]:
        """All steps of all blocks."""
        return rows.step == self.denoising_steps

    @property
    def _steps(self) -> int:
        return self.denoising_steps // self.blocks

    def _count(self, step: Step) -> Step:
        """A remainder goes to the block's first steps. Computed where the steps are: nothing is sent to a device."""
        return self.block_length // self._steps + (step % self._steps < self.block_length % self._steps)

    @cached_property
    def _left(self) -> list[int]:
        return [sum(self.counts[step:]) for step in range(self._steps)]


@dataclass(frozen=True, kw_only=True)
class SureEnough(UnmaskingSchedule):
    """A step unmasks every position that is at least so sure, and the surest one in any case (Fast-dLLM).

    `threshold` is a probability (or a difference of two); sureness is in log-odds.
    """

    threshold: float
    block_length: int

    def active_block(self, rows: CanvasRows) -> Int[Tensor, "B"]:
        """The first with something masked."""
        return (rows.step_map == NEVER).to(torch.uint8).argmax(1) // self.block_length

    def most_open(self, step: int) -> int:
        """All of the block."""
        return self.block_length

    def chosen(
        self, sureness: Float[Tensor, "B K"], step: Int[Tensor, "B"], is_open: Bool[Tensor, "B K"]
    ) -> Bool[Tensor, "B K"]:
        """Those over the threshold, and the surest."""
        surest = choose(sureness, among=is_open, count=torch.ones_like(step))
        return surest | (is_open & (sureness >= log_odds(self.threshold)))

    def is_complete(self, rows: CanvasRows) -> Bool[Tensor, "B"]:
        """Nothing is masked."""
        return (rows.step_map != NEVER).all(1)
