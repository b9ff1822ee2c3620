"""A rank's part of what all ranks know."""

from dataclasses import replace

from jaxtyping import Int
from torch import Tensor

from dopsd import ranks
from dopsd.diffusion.views import Views


def share_of(views: Views) -> tuple[Views, Int[Tensor, "M"]]:
    """This rank's views, and which of all they are; those that are only there to keep step weigh nothing."""
    mine, is_mine = ranks.equal_share(len(views))
    views = views[mine]
    return replace(views, weight=views.weight * is_mine.to(views.weight.device)[:, None]), mine
