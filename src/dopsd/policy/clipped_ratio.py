"""The clipped ratio of PPO, for each token (diffu-GRPO) or each completion (ESPO), with a KL term."""

from typing import Annotated, Literal

import torch
from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor

from dopsd.policy.surrogate import Normalisation, Surrogate, Valuation, Values
from dopsd.setting import setting

NonNegative = Annotated[float, Field(ge=0)]


@setting
class ClippedRatio(Surrogate):
    """-min(rho A, clip(rho, 1 - clip_low, 1 + clip_high) A) + beta KL, with rho = exp((v - v_old) / n).

    `ratio=token` has one rho a token and n = 1 (diffu-GRPO, eq. 4), `ratio=sequence` one a completion; its n is
    `divided_by`: nothing, the counted tokens, or the canvas (ESPO). KL is estimated from d = v_ref - v:
    k3 = (exp(d) - d - 1) / n, k2 = d^2 / (2 n).
    """

    ratio: Literal["token", "sequence"]
    divided_by: Literal["nothing", "counted", "canvas"]
    clip_low: Annotated[float, Field(ge=0, le=1)]
    clip_high: NonNegative
    beta: NonNegative
    kl: Literal["k2", "k3"]
    normalisation: Normalisation

    def __post_init__(self) -> None:
        if self.ratio == "token" and self.divided_by != "nothing":
            raise ValueError(f"divided_by={self.divided_by}: must be nothing with ratio=token")

    @property
    def needs_tokens(self) -> bool:
        """Whether the likelihood must give a value for each token."""
        return self.ratio == "token"

    @property
    def reads_old(self) -> bool:
        """Whether values under the weights that wrote the completions are read: always."""
        return True

    @property
    def reads_reference(self) -> bool:
        """Whether values under the reference weights are read."""
        return self.beta > 0

    @property
    def learns_without_advantage(self) -> bool:
        """Whether a completion of advantage 0 has a gradient: that of the KL term."""
        return self.beta > 0

    def loss(self, valuation: Valuation) -> tuple[Float[Tensor, ""], dict[str, Tensor]]:
        """The weighted sum over tokens or completions; figures are means over those, without the weights."""
        assert valuation.old is not None
        weight = valuation.token_weight(self.normalisation)
        if self.ratio == "token":
            read, advantage, real = (
                valuation.of_tokens,
                valuation.advantage.double()[:, None],
                valuation.counted,
            )
        else:
            read, advantage, weight = valuation.of_completions, valuation.advantage.double(), weight.sum(1)
            real = torch.ones_like(weight, dtype=torch.bool)
        value, length = read(valuation.value), self._length(valuation.counted)
        rho = ((value - read(valuation.old).detach()) / length).exp()
        low, high = 1 - self.clip_low, 1 + self.clip_high
        terms = -torch.minimum(rho * advantage, rho.clamp(low, high) * advantage)
        figures = {
            "policy/ratio": rho[real].mean(),
            "policy/clipped_low": ((rho < low) & (advantage < 0))[real].double().mean(),
            "policy/clipped_high": ((rho > high) & (advantage > 0))[real].double().mean(),
        }
        if self.beta:
            assert valuation.reference is not None
            kl = self._kl(read(valuation.reference).detach() - value) / length
            terms = terms + self.beta * kl
            figures["policy/kl"] = kl[real].mean()
        return (weight * terms).sum(), {name: figure.detach() for name, figure in figures.items()}

    def _length(self, counted: Bool[Tensor, "N L"]) -> Float[Tensor, "N"] | float:
        if self.divided_by == "counted":
            return counted.sum(1).clamp(min=1).double()
        return float(counted.shape[1]) if self.divided_by == "canvas" else 1.0

    def _kl(self, d: Values) -> Values:
        # expm1 keeps the digits that exp(d) - 1 loses near 0, where KL is about d^2 / 2.
        return d.expm1() - d if self.kl == "k3" else d.square() / 2
