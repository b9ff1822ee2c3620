"""What a rollout took: completions, and what the network computed for them."""

from dataclasses import dataclass
from typing import Any

from jaxtyping import Int
from torch import Tensor

from dopsd.diffusion.denoiser import Denoiser


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Finished completions, those refused included; rows of denoising forwards, and columns computed in them.

    Tries that were given up count as far as they came. Guidance has two rows for one, padding counts, and with a
    cache only the active columns do.
    """

    completions: int = 0
    denoising_forwards: int = 0
    denoising_columns: int = 0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            completions=self.completions + other.completions,
            denoising_forwards=self.denoising_forwards + other.denoising_forwards,
            denoising_columns=self.denoising_columns + other.denoising_columns,
        )


class CountedDenoiser:
    """A denoiser that remembers what it was asked for."""

    def __init__(self, denoiser: Denoiser):
        self._denoiser, self._rows, self._columns = denoiser, 0, 0

    def __call__(
        self,
        sequence: Int[Tensor, "B S"],
        *given: Any,
        active: Int[Tensor, "B Q"] | None = None,
        **asked: Any,
    ) -> Any:
        self._rows += len(sequence)
        self._columns += (sequence if active is None else active).numel()
        if active is not None:
            asked["active"] = active
        return self._denoiser(sequence, *given, **asked)

    def cost(self, completions: int) -> Cost:
        """That of so many completions: all that was computed until now."""
        return Cost(completions=completions, denoising_forwards=self._rows, denoising_columns=self._columns)
