"""Caps on the divergence, so that no single vocabulary entry or position dominates a step (Table 9)."""

from abc import ABC, abstractmethod
from typing import Annotated

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


@setting
class NoClip(Clip):
    """The plain divergence."""

    def total(self, entries: Float[Tensor, "*shape V"]) -> Float[Tensor, "*shape"]:
        """The sum of all entries."""
        return entries.sum(-1)


@setting
class PointwiseClip(Clip):
    """Every entry is capped from above (paper, released code): no divergence any more, negative entries stay."""

    maximum: Positive = 0.05

    def total(self, entries: Float[Tensor, "*shape V"]) -> Float[Tensor, "*shape"]:
        """The sum of the capped entries, which can be negative."""
        return entries.clamp(max=self.maximum).sum(-1)


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
        return entries.sum(-1).clamp(max=self.maximum)
