"""What a rollout took: completions, and what the network computed for them."""

from dataclasses import dataclass
from typing import Any

from jaxtyping import Bool, Int
from torch import Tensor

from dopsd.diffusion.denoiser import Denoiser
from dopsd.diffusion.sampler import BlockSampler


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Finished completions, those refused included; rows of denoising forwards, and columns computed in them.

    Tries that were given up count as far as they came. Guidance has two rows for one, padding does not count, and with
    a cache only the active columns do.
    """

    completions: int = 0
    denoising_forwards: int = 0
    denoising_columns: int | float = 0

    @classmethod
    def at_most(cls, sampler: BlockSampler, completions: int, *, prompt_tokens: float) -> "Cost":
        """That of so many completions which take every step, behind prompts of so many tokens each (a mean).

        With cache=exact a step computes its block, and that before it, in place of the whole; the approximate caches
        compute less than is said here.
        """
        block, canvas = sampler.block_length, sampler.gen_length
        columns = sampler.most_forwards * (prompt_tokens + canvas)
        if sampler.cache == "exact":
            columns = prompt_tokens + block + (sampler.most_forwards - 1) * min(2 * block, canvas)
        return cls(
            completions=completions,
            denoising_forwards=completions * sampler.most_forwards,
            denoising_columns=completions * columns,
        )

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            completions=self.completions + other.completions,
            denoising_forwards=self.denoising_forwards + other.denoising_forwards,
            denoising_columns=self.denoising_columns + other.denoising_columns,
        )


class CountedDenoiser:
    """A denoiser that remembers what it was asked for."""

    def __init__(self, denoiser: Denoiser):
        self._denoiser, self._rows = denoiser, 0
        self._columns: int | Tensor = 0

    def __call__(
        self,
        sequence: Int[Tensor, "B S"],
        attention_mask: Bool[Tensor, "B S"] | None = None,
        active: Int[Tensor, "B Q"] | None = None,
        **asked: Any,
    ) -> Any:
        self._rows += len(sequence)
        if active is not None:
            asked["active"] = active
            self._columns += active.numel()
        else:  # a sum stays where the mask is until the cost is wanted
            self._columns += sequence.numel() if attention_mask is None else attention_mask.sum()
        return self._denoiser(sequence, attention_mask, **asked)

    def cost(self, completions: int) -> Cost:
        """That of so many completions: all that was computed until now."""
        return Cost(
            completions=completions, denoising_forwards=self._rows, denoising_columns=int(self._columns)
        )
