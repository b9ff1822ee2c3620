"""How much better a completion is than the others to its prompt."""

from typing import Annotated, Literal

from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor

from dopsd.setting import setting


@setting
class Advantage:
    """A = r - baseline, divided by (std + `std_eps`) of the group's rewards on demand.

    The baseline is the mean of the whole group (diffu-GRPO) or of the others only (`leave_one_out`, which alone has the
    expected gradient of the reward itself: the group's mean gives (1 - 1/G) of it).
    """

    baseline: Literal["mean", "leave_one_out"]
    divide_by_std: bool
    std_eps: Annotated[float, Field(gt=0)]

    def of(self, rewards: Float[Tensor, "B G"]) -> tuple[Float[Tensor, "B G"], Bool[Tensor, "B"]]:
        """The advantages, in float64, and which groups have any; those of equal rewards have exactly 0."""
        rewards = rewards.double()
        size = rewards.shape[1]
        assert size > 1, "a group of one completion has no advantage"
        has_signal = rewards.amin(1) < rewards.amax(1)
        advantages = rewards - rewards.mean(1, keepdim=True)
        if self.baseline == "leave_one_out":
            advantages = advantages * (size / (size - 1))
        if self.divide_by_std:
            advantages = advantages / (rewards.std(1, keepdim=True) + self.std_eps)
        # A mean of equal numbers can differ from them by rounding, which a small std would blow up.
        return advantages.where(has_signal[:, None], 0.0), has_signal
