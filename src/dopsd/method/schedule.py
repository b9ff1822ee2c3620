"""The learning rate over a run."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Literal

from pydantic import Field
from torch.optim import Optimizer

from dopsd.setting import setting


@setting
class Schedule:
    """A linear warm-up, then a constant rate, or a straight line or a cosine down to `final` of it."""

    warmup_steps: Annotated[int, Field(ge=0)] = 0
    decay: Literal["constant", "linear", "cosine"] = "constant"
    final: Annotated[float, Field(ge=0, le=1)] = 0.0

    def factor(self, step: int, max_steps: int) -> float:
        """What the learning rate is multiplied with in a training step (counted from 0)."""
        if step < self.warmup_steps:
            return (step + 1) / (self.warmup_steps + 1)
        if self.decay == "constant":
            return 1.0
        progress = min((step - self.warmup_steps) / max(max_steps - self.warmup_steps, 1), 1.0)
        left = 1 - progress if self.decay == "linear" else (1 + math.cos(math.pi * progress)) / 2
        return self.final + (1 - self.final) * left


@contextmanager
def rate_zero(optimizer: Optimizer) -> Iterator[None]:
    """Inside, the optimizer remembers gradients and moves nothing."""
    rates = [group["lr"] for group in optimizer.param_groups]
    try:
        for group in optimizer.param_groups:
            group["lr"] = 0.0
        yield
    finally:
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
