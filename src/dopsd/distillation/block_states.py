"""One state of each block of a finished response, all blocks in one row (OPDLM)."""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dopsd.diffusion.masking import exact_count
from dopsd.diffusion.noise import Purpose, derive, uniform
from dopsd.diffusion.trajectory import NEVER


def visited_masks(
    keys: Int[Tensor, "B"], step_map: Int[Tensor, "B L"], *, block_length: int
) -> Bool[Tensor, "B L"]:
    """What the student saw as [MASK] at one of the steps that it took in each block, every one as likely.

    All of a block in which it took none.
    """
    times = step_map.unflatten(1, (-1, block_length))
    in_order = times.sort(-1).values
    is_new = torch.ones_like(in_order, dtype=torch.bool)
    is_new[..., 1:] = in_order[..., 1:] != in_order[..., :-1]
    is_new &= in_order != NEVER
    drawn = (uniform(block_keys(keys, times.shape[1])) * is_new.sum(-1)).long()
    is_drawn = is_new & (is_new.cumsum(-1) - 1 == drawn[..., None])
    step = in_order.where(is_drawn, NEVER).amin(-1, keepdim=True)
    return (times >= step).flatten(1)


def random_masks(
    keys: Int[Tensor, "B"], among: Bool[Tensor, "B L"], *, block_length: int
) -> Bool[Tensor, "B L"]:
    """k ~ U{1..n} of the n positions of each block that are in `among`, every set of k as likely.

    So many are masked where each is with probability t ~ U(0, 1), if any is.
    """
    masked, _ = masked_in_blocks(exact_count, keys, among, block_length=block_length)
    return masked


def masked_in_blocks(
    mask: Callable[..., tuple[Tensor, Tensor]],
    keys: Int[Tensor, "B"],
    among: Bool[Tensor, "B L"],
    *,
    block_length: int,
) -> tuple[Bool[Tensor, "B L"], Float[Tensor, "B L"]]:
    """Each block masked by itself, and what its masked positions weigh in a mean over all that are in `among`.

    `mask(keys, among)` says both of rows, here of blocks, whose own mean it is.
    """
    blocks = among.unflatten(1, (-1, block_length))
    masked, weight = mask(block_keys(keys, blocks.shape[1]).flatten(), blocks.flatten(0, 1))
    weight = weight.view(blocks.shape[:2]) * blocks.sum(2) / among.sum(1, keepdim=True)
    return masked.view_as(among), weight.repeat_interleave(block_length, 1)


def block_keys(keys: Int[Tensor, "B"], blocks: int) -> Int[Tensor, "B {blocks}"]:
    """A random stream for each block of each row."""
    return derive(derive(keys, Purpose.BLOCK_STATE)[:, None], torch.arange(blocks, device=keys.device))
