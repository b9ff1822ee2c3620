"""Losses without a ratio: each completion's value times a number that its advantage gives (SPG, wd1)."""

from jaxtyping import Float
from torch import Tensor

from dopsd.policy.surrogate import Normalisation, Surrogate, Valuation
from dopsd.setting import setting


@setting
class PlainGradient(Surrogate):
    """-A v, without a ratio (SPG, whose value of a completion is a mean over tokens, normalised by tokens)."""

    normalisation: Normalisation

    def loss(self, valuation: Valuation) -> tuple[Float[Tensor, ""], dict[str, Tensor]]:
        """-sum A v w, where a completion weighs as much as its tokens together."""
        weight, advantage = valuation.token_weight(self.normalisation), valuation.advantage.double()
        if valuation.value.ndim == 1:
            return -(weight.sum(1) * advantage * valuation.value.double()).sum(), {}
        return -(weight * advantage[:, None] * valuation.of_tokens(valuation.value)).sum(), {}


@setting
class SoftmaxWeights(Surrogate):
    """sum (w- - w+) v over completions, w+ and w- the softmax of A and of -A over the whole batch (wd1).

    The loss is 0 where all advantages are equal; else a completion of advantage 0 is learnt from too, and every prompt
    changes the weights of the others, as published.
    """

    @property
    def learns_without_advantage(self) -> bool:
        """Whether a completion of advantage 0 has a gradient: through the softmax it has."""
        return True

    def loss(self, valuation: Valuation) -> tuple[Float[Tensor, ""], dict[str, Tensor]]:
        """The weights sum to 1 over the batch: nothing else is normalised."""
        assert len(valuation.advantage) == valuation.completions, "the softmax is over all completions"
        advantage = valuation.advantage.double()
        weight = (-advantage).softmax(0) - advantage.softmax(0)
        return (weight * valuation.of_completions(valuation.value)).sum(), {}
