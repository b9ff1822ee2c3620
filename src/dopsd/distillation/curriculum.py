"""How much is masked, how long a block is (d3LLM) or an answer (OPDLM), as training goes on: of the step alone."""

import math
from typing import Annotated

from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from dopsd.diffusion.noise import Purpose, derive, uniform
from dopsd.setting import setting

Share = Annotated[float, Field(ge=0, le=1)]


@setting
class MaskRatio:
    """t ~ U[r_s, maximum] for each row, with r_s = minimum + (s / S) (maximum - minimum) at training step s of S."""

    minimum: Share
    maximum: Share

    def __post_init__(self) -> None:
        if self.minimum > self.maximum:
            raise ValueError(f"minimum={self.minimum}: must be at most maximum={self.maximum}")

    def least(self, step: int, max_steps: int) -> float:
        """r_s."""
        return self.minimum + step / max_steps * (self.maximum - self.minimum)

    def draw(self, step: int, max_steps: int, keys: Int[Tensor, "B"]) -> Float[Tensor, "B"]:
        """t of each row, in float64."""
        least = self.least(step, max_steps)
        return least + (self.maximum - least) * uniform(derive(keys, Purpose.REGION_RATIO))


@setting
class BlockLength:
    """Lengths with equal shares of the training; inside a share linear from its entry to the next, floored."""

    lengths: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)]

    def at(self, step: int, max_steps: int) -> int:
        """b_s at training step s of S; the last entry stays."""
        entry, rest = divmod(step * len(self.lengths), max_steps)
        if entry + 1 >= len(self.lengths):
            return self.lengths[-1]
        return self.lengths[entry] + (self.lengths[entry + 1] - self.lengths[entry]) * rest // max_steps


@setting
class LengthLimit:
    """n = first + (whole - first) (1 - cos(pi/2 min(s/S, 1))) tokens at training step s, in whole blocks, at least one.

    `first` is a share of the whole; the whole is reached after S = `growing_steps`, with 0 of them at once.
    """

    first: Share
    growing_steps: Annotated[int, Field(ge=0)]

    def at(self, step: int, *, whole: int, block_length: int) -> int:
        """n, rounded to the nearest multiple of `block_length`, which divides the whole."""
        grown = 1.0 if step >= self.growing_steps else 1 - math.cos(math.pi / 2 * step / self.growing_steps)
        length = whole * (self.first + (1 - self.first) * grown)
        return max(1, round(length / block_length)) * block_length
