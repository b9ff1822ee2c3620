"""Decoding with keys and values kept: exactly, or within a block as they were at its first step (Fast-dLLM)."""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from typing import Literal

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from dopsd.diffusion.decoding import Try
from dopsd.diffusion.denoiser import Denoiser
from dopsd.diffusion.hidden import Hidden
from dopsd.kv_cache import KVCache

CacheScope = Literal["prefix", "dual"]
"""What is kept within a block: what stands before the block, or what stands behind it as well."""

CacheName = Literal["prefix", "dual", "exact"]


class BlockCache(ABC):
    """Reads the active blocks of the tries in flight: a few columns of those that it knows, and the rest is kept.

    Rows do not depend on each other: each is computed as a whole when it is new, whatever the others do.
    """

    def __init__(self, denoiser: Denoiser):
        self._denoiser = denoiser
        self._kept: dict[Hashable, int] = {}
        self._cache = KVCache()

    @abstractmethod
    def _name(self, of: Try, start: int) -> Hashable:
        """What a row is known by, whose active block starts at a column."""

    @abstractmethod
    def _active(self, at: Int[Tensor, "B K"], since: Sequence[int], width: int) -> Int[Tensor, "B Q"]:
        """The columns to compute of rows whose active block started at the columns `since` when they were last read."""

    @abstractmethod
    def _whole(
        self, sequence: Int[Tensor, "B S"], attention_mask: Bool[Tensor, "B S"] | None, at: Int[Tensor, "B K"]
    ) -> tuple[Hidden, KVCache]:
        """The states of new rows, and the cache with all columns of theirs."""

    def read(
        self,
        tries: Sequence[Try],
        sequence: Int[Tensor, "B S"],
        attention_mask: Bool[Tensor, "B S"] | None,
        *,
        at: Int[Tensor, "B K"],
    ) -> Hidden:
        """The hidden states of all rows at their active blocks `at`.

        Nothing may shift a try's columns between two calls.
        """

        def mask_of(rows: Tensor) -> Tensor | None:
            return None if attention_mask is None else attention_mask[rows]

        starts = at[:, 0].tolist()
        names = [self._name(*row) for row in zip(tries, starts, strict=True)]
        row_of = {name: row for row, name in enumerate(names)}
        kept = [(place, name) for place, name in enumerate(self._kept) if name in row_of]
        known = [row_of[name] for _, name in kept]
        fresh = sorted(set(row_of.values()).difference(known))
        parts, caches = [], []
        if known:
            places = torch.tensor([place for place, _ in kept], device=at.device)
            cache = self._cache if len(kept) == len(self._kept) else self._cache.rows(places)
            rows = torch.tensor(known, device=at.device)
            active = self._active(at[rows], [self._kept[name] for _, name in kept], sequence.shape[1])
            parts.append(
                self._denoiser(sequence[rows], mask_of(rows), at=at[rows], cache=cache, active=active)
            )
            caches.append(cache)
        if fresh:
            rows = torch.tensor(fresh, device=at.device)
            hidden, cache = self._whole(sequence[rows], mask_of(rows), at[rows])
            parts.append(hidden)
            caches.append(cache)
        self._kept = {names[row]: starts[row] for row in [*known, *fresh]}
        self._cache = caches[0] if len(caches) == 1 else KVCache.joined(caches)
        in_order = torch.tensor([*known, *fresh], device=at.device).argsort()
        return Hidden.joined(parts)[in_order]


class WithinBlocks(BlockCache):
    """Approximate: keys and values outside the active block are those of the block's first step."""

    def __init__(self, denoiser: Denoiser, scope: CacheScope):
        super().__init__(denoiser)
        self._scope = scope

    def _name(self, of: Try, start: int) -> Hashable:
        return of, start

    def _active(self, at: Int[Tensor, "B K"], since: Sequence[int], width: int) -> Int[Tensor, "B _"]:
        """The block (dual), or all from its start (prefix; short rows repeat the last column)."""
        if self._scope == "dual":
            return at
        longest = torch.arange(width - int(at.min()), device=at.device)
        return (at[:, :1] + longest).clamp(max=width - 1)

    def _whole(
        self, sequence: Int[Tensor, "B S"], attention_mask: Bool[Tensor, "B S"] | None, at: Int[Tensor, "B K"]
    ) -> tuple[Hidden, KVCache]:
        cache = KVCache()
        return self._denoiser(sequence, attention_mask, at=at, cache=cache), cache


class OverBlocks(BlockCache):
    """Exact where blocks see nothing behind them: what stands before the active block never changes again.

    A new row has no columns behind its block. The first step of the next block computes the finished one once more,
    which was last seen with masks in it.
    """

    def _name(self, of: Try, start: int) -> Hashable:
        return of

    def _active(self, at: Int[Tensor, "B K"], since: Sequence[int], width: int) -> Int[Tensor, "B _"]:
        """The block, and before it as many columns as any row has finished since it was last read.

        For other rows these are columns that have not changed, or column 0 again.
        """
        finished = max(start - last for start, last in zip(at[:, 0].tolist(), since, strict=True))
        longest = torch.arange(finished + at.shape[1], device=at.device)
        return (at[:, :1] - finished + longest).clamp(min=0)

    def _whole(
        self, sequence: Int[Tensor, "B S"], attention_mask: Bool[Tensor, "B S"] | None, at: Int[Tensor, "B K"]
    ) -> tuple[Hidden, KVCache]:
        end, cache = int(at.max()) + 1, KVCache()
        mask = None if attention_mask is None else attention_mask[:, :end]
        hidden = self._denoiser(sequence[:, :end], mask, at=at, cache=cache)
        return hidden, cache.widened(sequence.shape[1] - end)


def block_cache(denoiser: Denoiser, name: CacheName) -> BlockCache:
    """The cache of that name."""
    return OverBlocks(denoiser) if name == "exact" else WithinBlocks(denoiser, name)


def check_blocks(cache: CacheName | None, block_length: int, *, of_network: int | None) -> None:
    """Raises ValueError where a network whose blocks have so many tokens (None: it has none) cannot be decoded so."""
    if of_network is None:
        if cache == "exact":
            raise ValueError(
                "cache=exact: needs a block-causal network, in this one all columns see each other"
            )
        return
    if cache in ("prefix", "dual"):
        raise ValueError(f"cache={cache}: this network is block-causal, use exact or null")
    if block_length % of_network:
        raise ValueError(
            f"block_length={block_length}: must be a multiple of {of_network}, the length of this network's blocks"
        )
