"""A loss whose gradient is a policy gradient, from the value (log-likelihood) of each completion."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

from jaxtyping import Bool, Float, Int
from torch import Tensor

Values = Float[Tensor, "N L"] | Float[Tensor, "N"]
Normalisation = Literal["tokens", "groups", "completions", "length"]


@dataclass(frozen=True, kw_only=True)
class Valuation:
    """What is known of N completions, and of how many in all (N and those that were left out) the loss is a mean.

    A value stands for a token (N, L), of which only the counted ones matter, or for a completion (N,).
    """

    value: Values
    old: Values | None
    reference: Values | None
    advantage: Float[Tensor, "N"]
    counted: Bool[Tensor, "N L"]
    group_tokens: Int[Tensor, "N"]  # counted ones of all completions of its group
    completions: int
    groups: int
    tokens: int

    def token_weight(self, normalisation: Normalisation) -> Float[Tensor, "N L"]:
        """What each counted token weighs: 1 over `tokens` (all there are), or groups * (tokens of its group),
        or completions * (tokens of its completion), or completions * L.
        """
        counted = self.counted.double()
        if normalisation == "tokens":
            return counted / self.tokens
        if normalisation == "groups":
            return counted / self.group_tokens[:, None].clamp(min=1) / self.groups
        if normalisation == "completions":
            return counted / counted.sum(1, keepdim=True).clamp(min=1) / self.completions
        return counted / counted.shape[1] / self.completions

    def of_tokens(self, values: Values) -> Float[Tensor, "N L"]:
        """Values of tokens in float64, 0 where a token is not counted."""
        assert values.shape == self.counted.shape, "this likelihood has no value for each token"
        return values.double().where(self.counted, 0.0)

    def of_completions(self, values: Values) -> Float[Tensor, "N"]:
        """Values of completions in float64: the sum over the counted tokens where each token has its own."""
        return values.double() if values.ndim == 1 else self.of_tokens(values).sum(1)


class Surrogate(ABC):
    """A loss of all completions of an update at once, and what to log of it."""

    @property
    def needs_tokens(self) -> bool:
        """Whether the likelihood must give a value for each token."""
        return False

    @property
    def reads_old(self) -> bool:
        """Whether values under the weights that wrote the completions are read."""
        return False

    @property
    def reads_reference(self) -> bool:
        """Whether values under the reference weights are read."""
        return False

    @property
    def learns_without_advantage(self) -> bool:
        """Whether a completion of advantage 0 has a gradient; if not, it may be left out of the N."""
        return False

    @abstractmethod
    def loss(self, valuation: Valuation) -> tuple[Float[Tensor, ""], dict[str, Tensor]]:
        """The loss in float64, with the gradient of the values, and figures by their name."""
