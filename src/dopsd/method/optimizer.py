"""The optimizer, as a recipe that waits for the weights."""

from collections.abc import Iterable
from typing import Annotated

import torch
from pydantic import Field
from torch import nn

from dopsd.setting import setting

Momentum = Annotated[float, Field(ge=0, lt=1)]


@setting
class AdamW:
    """Adam with decoupled weight decay."""

    lr: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    betas: tuple[Momentum, Momentum] = (0.9, 0.99)
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.1

    def __call__(self, parameters: Iterable[nn.Parameter]) -> torch.optim.AdamW:
        """The optimizer over these weights."""
        return torch.optim.AdamW(parameters, lr=self.lr, betas=self.betas, weight_decay=self.weight_decay)
