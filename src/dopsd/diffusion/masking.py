"""Random masks: an exact number of a row's positions, or each position by itself.

They depend on the rows' keys and on what may be masked, never on the other rows or on padding.
"""

from dataclasses import replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dopsd.diffusion.choose import choose
from dopsd.diffusion.noise import Purpose, derive, uniform
from dopsd.diffusion.prompts import Prompts

LEAST_RATIO = 1e-3
"""e, which keeps 1/t finite (LLaDA)."""


def exact_count_mask(keys: Int[Tensor, "B"], among: Bool[Tensor, "B L"]) -> Bool[Tensor, "B L"]:
    """k ~ U{1..|among|} of each row's positions in `among`: every k is as likely, and so is every set of k."""
    return mask_of(keys, among=among, count=masked_count(keys, among))


def exact_count(
    keys: Int[Tensor, "B"], among: Bool[Tensor, "B L"]
) -> tuple[Bool[Tensor, "B L"], Float[Tensor, "B"]]:
    """The same mask, and the weight 1/k of what it masks in each row."""
    masked = exact_count_mask(keys, among)
    return masked, 1 / masked.sum(1).double()


def masked_count(keys: Int[Tensor, "B"], among: Bool[Tensor, "B L"]) -> Int[Tensor, "B"]:
    """How many positions of each row are masked: U{1..|among|}."""
    return (uniform(derive(keys, Purpose.MASKED_COUNT)) * among.sum(1)).long() + 1


def mask_of(
    keys: Int[Tensor, "B"], *, among: Bool[Tensor, "B L"], count: Int[Tensor, "B"]
) -> Bool[Tensor, "B L"]:
    """`count` of each row's positions in `among`, without replacement (all of them where there are fewer)."""
    columns = torch.arange(among.shape[1], device=keys.device)
    score = uniform(derive(derive(keys, Purpose.MASKED_POSITION)[:, None], columns))
    return choose(score, among=among, count=count)


def independent_mask(
    keys: Int[Tensor, "B"], probability: float | Float[Tensor, "B"], length: int
) -> Bool[Tensor, "B {length}"]:
    """Each of `length` positions with a probability, which is one for all rows or one for each."""
    drawn = uniform(derive(keys[:, None], torch.arange(length, device=keys.device)))
    return drawn < (probability[:, None] if isinstance(probability, Tensor) else probability)


def random_ratio_mask(
    keys: Int[Tensor, "B"], among: Bool[Tensor, "B L"]
) -> tuple[Bool[Tensor, "B L"], Float[Tensor, "B"]]:
    """Each of a row's positions in `among` with its row's probability t = (1 - e) u + e, u ~ U(0, 1); also t."""
    t = (1 - LEAST_RATIO) * uniform(derive(keys, Purpose.MASKED_RATIO)) + LEAST_RATIO
    return among & independent_mask(derive(keys, Purpose.MASKED_POSITION), t, among.shape[1]), t


def mask_prompts(prompts: Prompts, keys: Int[Tensor, "B"], probability: float, mask_id: int) -> Prompts:
    """Every prompt token becomes [MASK] with this probability; positions are counted from the prompt's end."""
    width = prompts.tokens.shape[1]
    drawn = independent_mask(derive(keys, Purpose.MASKED_PROMPT), probability, width).flip(1)
    return replace(prompts, tokens=prompts.tokens.masked_fill(drawn & prompts.attention_mask, mask_id))
