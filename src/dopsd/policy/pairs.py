"""Pairs of a better and a worse answer to the same prompt, for preference optimisation."""

from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dopsd.diffusion.choose import best_of_each
from dopsd.diffusion.noise import Purpose, derive, uniform
from dopsd.setting import setting


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """Rows of completions, P pairs ordered by prompt, and how many prompts have none."""

    chosen: Int[Tensor, "P"]
    refused: Int[Tensor, "P"]
    prompts_without: int

    def __len__(self) -> int:
        return len(self.chosen)

    def to(self, device: torch.device) -> "Pairs":
        """The same pairs on another device."""
        return replace(self, chosen=self.chosen.to(device), refused=self.refused.to(device))


@setting
class PairChoice:
    """One pair a prompt: any of the candidates, or one of those whose lengths differ least, drawn by the rows' keys."""

    match: Literal["random", "closest_length"]

    def pairs(
        self,
        prompt: Int[Tensor, "N"],
        *,
        better: Bool[Tensor, "N"],
        worse: Bool[Tensor, "N"],
        lengths: Int[Tensor, "N"],
        keys: Int[Tensor, "N"],
    ) -> Pairs:
        """A `better` and a `worse` row for each prompt that has both; `prompt` says what each row answers.

        A row can be a completion, a solution or an answer from a file. Which pair a prompt gets depends on its own rows
        only, not on where they stand.
        """
        chosen, refused = ((prompt[:, None] == prompt) & better[:, None] & worse).nonzero(as_tuple=True)
        chance = uniform(derive(derive(keys, Purpose.PAIR)[chosen], keys[refused]))
        gap = (lengths[chosen] - lengths[refused]).abs() if self.match == "closest_length" else 0
        best = best_of_each(prompt[chosen], chance - gap)
        return Pairs(
            chosen=chosen[best],
            refused=refused[best],
            prompts_without=len(prompt.unique()) - len(best),
        )


def best_and_worst(
    prompt: Int[Tensor, "N"], score: Float[Tensor, "N"]
) -> tuple[Bool[Tensor, "N"], Bool[Tensor, "N"]]:
    """The rows of highest and those of lowest score of each prompt; none where all are equal."""
    _, group = prompt.unique(return_inverse=True)
    highest = score[best_of_each(group, score)][group]
    lowest = score[best_of_each(group, -score)][group]
    differ = lowest < highest
    return (score == highest) & differ, (score == lowest) & differ
