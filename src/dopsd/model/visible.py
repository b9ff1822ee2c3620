"""Who sees whom: which columns of a row each column attends to, beside padding, which nobody sees."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import no_type_check

import torch
from jaxtyping import Bool, Int
from torch import Tensor


class Visible(ABC):
    """A structure of attention, and what follows from it for the places in a row.

    Blocks are counted backwards from the end of the row, [left-padded prompt | canvas]: they are aligned with the
    canvas, and the prompt's leftmost one may be partial. (Kernels trace `sees`, and cannot trace a check of types.)
    """

    @abstractmethod
    def sees(self, query: Int[Tensor, "..."], key: Int[Tensor, "..."], width: int) -> Bool[Tensor, "..."]:
        """Whether the columns `query` see the columns `key` of a row of so many; every column sees itself."""

    @property
    def own_blocks(self) -> int | None:
        """The tokens of the smallest blocks that see nothing behind them; None where every column sees later ones."""
        return None

    def positions(self, counted: Int[Tensor, "B S"]) -> Int[Tensor, "B S"]:
        """The position of each column, given its place among the real tokens of its row."""
        return counted

    def before(self, columns: Int[Tensor, "B K"], width: int) -> Int[Tensor, "B K"]:
        """The columns that stand before the tokens at `columns` (before a row's first: itself)."""
        return (columns - 1).clamp(min=0)


@dataclass(frozen=True)
class All(Visible):
    """Every column sees every column."""

    @no_type_check
    def sees(self, query: Int[Tensor, "..."], key: Int[Tensor, "..."], width: int) -> Bool[Tensor, "..."]:
        """True."""
        shape = torch.broadcast_shapes(query.shape, key.shape)
        return torch.ones(shape, dtype=torch.bool, device=query.device)


@dataclass(frozen=True)
class Causal(Visible):
    """A column sees itself and what stands before it."""

    @property
    def own_blocks(self) -> int:
        """Of one token."""
        return 1

    @no_type_check
    def sees(self, query: Int[Tensor, "..."], key: Int[Tensor, "..."], width: int) -> Bool[Tensor, "..."]:
        """Where the key is not later."""
        return key <= query


@dataclass(frozen=True)
class BlockCausal(Visible):
    """A column sees its own block and the blocks before it."""

    block_length: int

    @property
    def own_blocks(self) -> int:
        """As they are."""
        return self.block_length

    @no_type_check
    def sees(self, query: Int[Tensor, "..."], key: Int[Tensor, "..."], width: int) -> Bool[Tensor, "..."]:
        """Where the key's block is not later."""
        return self._blocks_behind(key, width) >= self._blocks_behind(query, width)

    @no_type_check
    def _blocks_behind(self, column: Int[Tensor, "..."], width: int) -> Int[Tensor, "..."]:
        return (width - 1 - column) // self.block_length


@dataclass(frozen=True)
class TwoStream(Visible):
    """Rows [prompt | clean canvas | noisy canvas]: every block as it is denoised, behind clean ones, in one forward.

    Prompt and clean canvas are block-causal and see nothing noisy. A noisy block sees itself, the prompt and the clean
    blocks before it; its columns have the positions of the clean ones. Raises ValueError where blocks do not divide the
    canvas.
    """

    block_length: int
    gen_length: int

    def __post_init__(self) -> None:
        if self.gen_length % self.block_length:
            raise ValueError(
                f"gen_length={self.gen_length} must be a multiple of block_length={self.block_length}"
            )

    @no_type_check
    def sees(self, query: Int[Tensor, "..."], key: Int[Tensor, "..."], width: int) -> Bool[Tensor, "..."]:
        """By the streams and blocks of both."""
        of_query, of_key = self._blocks_behind(query, width), self._blocks_behind(key, width)
        from_noisy, to_noisy = self._is_noisy(query, width), self._is_noisy(key, width)
        is_own = from_noisy & (of_key == of_query)
        is_past = of_key > of_query
        return (to_noisy & is_own) | (~to_noisy & (is_past | (~from_noisy & (of_key == of_query))))

    def positions(self, counted: Int[Tensor, "B S"]) -> Int[Tensor, "B S"]:
        """The noisy columns' are those of the clean ones."""
        upto_clean = counted[:, : -self.gen_length]
        return torch.cat([upto_clean, upto_clean[:, -self.gen_length :]], dim=1)

    def before(self, columns: Int[Tensor, "B K"], width: int) -> Int[Tensor, "B K"]:
        """Before the first of a noisy block stands the end of the clean block before it, or of the prompt."""
        place = columns - (width - self.gen_length)
        starts_a_block = (place >= 0) & (place % self.block_length == 0)
        return (columns - 1 - self.gen_length * starts_a_block).clamp(min=0)

    @no_type_check
    def _is_noisy(self, column: Int[Tensor, "..."], width: int) -> Bool[Tensor, "..."]:
        return column >= width - self.gen_length

    @no_type_check
    def _blocks_behind(self, column: Int[Tensor, "..."], width: int) -> Int[Tensor, "..."]:
        """In the column's own stream."""
        end = width - self.gen_length * ~self._is_noisy(column, width)
        return (end - 1 - column) // self.block_length


def one_before(
    sequence: Int[Tensor, "B S"],
    at: Int[Tensor, "B K"] | None,
    active: Int[Tensor, "B Q"] | None,
    visible: Visible,
) -> tuple[Int[Tensor, "B _"], Int[Tensor, "B _"] | None]:
    """The columns that tell the tokens `at`, and those to compute, the one before the first of them included."""
    rows, width = sequence.shape
    if at is None:
        at = torch.arange(width, device=sequence.device).expand(rows, -1) if active is None else active
    if active is not None:
        active = torch.cat([(active[:, :1] - 1).clamp(min=0), active], dim=1)
    return visible.before(at, width), active
