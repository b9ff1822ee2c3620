"""Approximate decoding: keys and values outside the active block are those of the block's first step (Fast-dLLM)."""

from collections.abc import Sequence
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


class BlockCache:
    """Reads the active blocks of the tries in flight: exact at a block's first step, cheaper at the others.

    Rows do not depend on each other: each is computed in full when it enters a block, whatever the others do.
    """

    def __init__(self, denoiser: Denoiser, scope: CacheScope):
        self._denoiser, self._scope = denoiser, scope
        self._kept: list[tuple[Try, int]] = []
        self._cache = KVCache()

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

        row_of = {key: row for row, key in enumerate(zip(tries, at[:, 0].tolist(), strict=True))}
        places = [place for place, key in enumerate(self._kept) if key in row_of]
        known = [row_of[self._kept[place]] for place in places]
        fresh = sorted(set(row_of.values()).difference(known))
        parts, caches = [], []
        if known:
            everything = len(places) == len(self._kept)
            cache = self._cache if everything else self._cache.rows(torch.tensor(places, device=at.device))
            rows = torch.tensor(known, device=at.device)
            active = self._active(at[rows], sequence.shape[1])
            parts.append(
                self._denoiser(sequence[rows], mask_of(rows), at=at[rows], cache=cache, active=active)
            )
            caches.append(cache)
        if fresh:
            rows, cache = torch.tensor(fresh, device=at.device), KVCache()
            parts.append(self._denoiser(sequence[rows], mask_of(rows), at=at[rows], cache=cache))
            caches.append(cache)
        keys = list(row_of)
        self._kept = [keys[row] for row in [*known, *fresh]]
        self._cache = caches[0] if len(caches) == 1 else KVCache.joined(caches)
        in_order = torch.tensor([*known, *fresh], device=at.device).argsort()
        return Hidden.joined(parts)[in_order]

    def _active(self, at: Int[Tensor, "B K"], width: int) -> Int[Tensor, "B Q"]:
        """The columns to compute: the block (dual), or all from its start (prefix; short rows repeat the last one)."""
        if self._scope == "dual":
            return at
        longest = torch.arange(width - int(at.min()), device=at.device)
        return (at[:, :1] + longest).clamp(max=width - 1)
