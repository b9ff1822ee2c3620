"""The processes of a run and what they tell each other; a run of one process is rank 0 of 1 and talks to nobody."""

from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

T = TypeVar("T")


def count() -> int:
    """Processes in this run."""
    return dist.get_world_size() if dist.is_initialized() else 1


def this() -> int:
    """The number of this process, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def is_first() -> bool:
    """Whether this process writes the files and talks to the user."""
    return this() == 0


def gathered(value: T) -> list[T]:
    """What each rank gave, in the order of ranks; every rank must call it."""
    if count() == 1:
        return [value]
    values: list[T | None] = [None] * count()
    dist.all_gather_object(values, value)
    return values  # pyright: ignore[reportReturnType]


def of_first(value: T) -> T:
    """What rank 0 gave; every rank must call it."""
    if count() == 1:
        return value
    values = [value]
    dist.broadcast_object_list(values)
    return values[0]


def dealt_back(mine: list[T]) -> list[T]:
    """The whole of which every rank has `whole[this() :: count()]`."""
    parts = gathered(mine)
    return [parts[i % count()][i // count()] for i in range(sum(map(len, parts)))]


def meet() -> None:
    """Waits until every rank has come here."""
    of_first(None)


def add_up(*tensors: Tensor) -> None:
    """Replaces each tensor by its sum over ranks; every rank must call it, with the same shapes."""
    if count() == 1:
        return
    for work in [dist.all_reduce(tensor, async_op=True) for tensor in tensors]:
        assert work is not None
        work.wait()


def equal_share(rows: int) -> tuple[Tensor, Tensor]:
    """The indices of this rank's rows, and which of them are its own.

    Every rank gets as many, so that all take the same number of forwards; where they do not divide, the last rows
    of some ranks are only there to keep step.
    """
    mine = torch.arange(this(), this() + count() * -(-rows // count()), count())
    return mine.clamp(max=rows - 1), mine < rows
