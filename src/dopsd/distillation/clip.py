"""Caps on the divergence, so that no single vocabulary entry or position dominates a step (Table 9)."""

from abc import ABC, abstractmethod
from typing import Annotated

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from dopsd.setting import setting

Positive = Annotated[float, Field(gt=0)]


class Clip(ABC):
    """Turns the vocabulary entries' contributions into one loss value for each position."""

    wants_nonnegative: bool = False
    """Whether the contributions must come in their non-negative form."""

    @abstractmethod
    def total(self, entries: Float[Tensor, "*shape V"]) -> Float[Tensor, "*shape"]:
        """The position's loss."""

    def clipped_share(self, entries: Float[Tensor, "*shape V"]) -> Float[Tensor, "*shape"]:
        """The share of a position's entries that the cap changes (of a whole position's cap: all of them, or none)."""
        return entries.new_zeros(entries.shape[:-1])


@setting
class NoClip(Clip):
    """The plain divergence."""

    def total(self, entries: Float[Tensor, "*shape V"]) -> Float[Tensor, "*shape"]:
        """The sum of all entries."""
        return _sum(entries)


@setting
class PointwiseClip(Clip):
    """Every entry is capped from above (paper, released code): no divergence any more, negative entries stay."""

    maximum: Positive = 0.05

    def total(self, entries: Float[Tensor, "*shape V"]) -> Float[Tensor, "*shape"]:
        """The sum of the capped entries, which can be negative."""
        return _sum(entries.clamp(max=self.maximum))

    def clipped_share(self, entries: Float[Tensor, "*shape V"]) -> Float[Tensor, "*shape"]:
        """The entries above the cap."""
        return (entries > self.maximum).float().mean(-1)


@setting
class NonnegativeClip(PointwiseClip):
    """The same cap on the non-negative form of each entry: still 0 only where student and teacher agree."""

    wants_nonnegative = True


@setting
class TokenClip(Clip):
    """A whole position's divergence is capped, so a position beyond the cap gives no gradient."""

    maximum: Positive = 1.0

    def total(self, entries: Float[Tensor, "*shape V"]) -> Float[Tensor, "*shape"]:
        """The sum, capped."""
        return _sum(entries).clamp(max=self.maximum)

    def clipped_share(self, entries: Float[Tensor, "*shape V"]) -> Float[Tensor, "*shape"]:
        """1 where the sum is above the cap."""
        return (_sum(entries) > self.maximum).float()


def _sum(entries: Float[Tensor, "*shape V"]) -> Float[Tensor, "*shape"]:
    """In float32 whatever they are in."""
    return entries.sum(-1, dtype=torch.float32)
