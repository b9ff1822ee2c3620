"""One selection serves all: the sampler unmasks with it, the teacher reveals with it, K_t is picked with it."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


def choose(
    score: Float[Tensor, "B L"], *, among: Bool[Tensor, "B L"], count: Int[Tensor, "B"]
) -> Bool[Tensor, "B L"]:
    """The `count` positions of highest score in each row, out of those in `among` (all of them where there are fewer).

    Equal scores go to the leftmost position, so the result does not depend on the sort's implementation.
    """
    score = score.clamp(min=torch.finfo(score.dtype).min).masked_fill(~among, -torch.inf)
    order = score.argsort(dim=-1, descending=True, stable=True)
    rank = order.argsort(dim=-1)
    return (rank < count[:, None]) & among


def columns_of(chosen: Bool[Tensor, "B L"], width: int) -> tuple[Int[Tensor, "B K"], Bool[Tensor, "B K"]]:
    """The chosen positions of each row as `width` column indices, left to right, and which of them are real.

    Rows with fewer than `width` chosen positions are filled up with columns that are not chosen.
    """
    columns = (~chosen).to(torch.uint8).argsort(dim=-1, stable=True)[:, :width]
    return columns, chosen.gather(1, columns)


def best_of_each(group: Int[Tensor, "N"], score: Float[Tensor, "N"]) -> Int[Tensor, "G"]:
    """The row of highest score in each group, ordered by group; equal scores go to the first row."""
    order = score.argsort(descending=True, stable=True)
    order = order[group[order].argsort(stable=True)]
    is_first = torch.ones_like(order, dtype=torch.bool)
    is_first[1:] = group[order][1:] != group[order][:-1]
    return order[is_first]
