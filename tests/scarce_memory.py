"""A device whose memory runs out at chosen forwards; as a script, training in which rank 1 has such a one."""

import os
from collections.abc import Callable
from typing import Any

import torch

from dopsd.model import MaskedDiffusionLM
from dopsd.train import main

_forward = MaskedDiffusionLM.forward


def out_of_memory_at(
    *forwards: int, from_: float = float("inf"), with_gradients: bool = True
) -> Callable[..., Any]:
    """A forward in place of the network's: the n-th of those with gradients (or without), or all from one on, fail."""
    count = 0

    def forward(self: MaskedDiffusionLM, *args: Any, **kwargs: Any) -> Any:
        nonlocal count
        if torch.is_grad_enabled() == with_gradients:
            count += 1
            if count in forwards or count >= from_:
                raise torch.OutOfMemoryError("CUDA out of memory.")
        return _forward(self, *args, **kwargs)

    return forward


if __name__ == "__main__":
    if os.environ["RANK"] == "1":
        MaskedDiffusionLM.forward = out_of_memory_at(1)
    main()
