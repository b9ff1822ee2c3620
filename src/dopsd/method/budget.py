"""What a method has spent, under the same names for every method, so that methods compare at equal cost."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated

from pydantic import Field
from torch import nn

from dopsd.diffusion.prompts import Prompts
from dopsd.diffusion.views import Views
from dopsd.rollout.cost import Cost
from dopsd.setting import setting

Limit = Annotated[float, Field(ge=1, allow_inf_nan=False)] | None


@setting
class StopAt:
    """How much of what ends a training, after the first training step by which it is spent (null: no limit).

    Forwards and backwards count rows, those of all ranks and none that is only there to keep step: of denoising, of
    training (with gradients), and without gradients (the teacher, old and reference weights). Tokens are the columns
    of all these forwards, prompts included, padding not. Device seconds are the first device's in training steps.
    What is computed a second time to save memory, evaluations, and what is only logged do not count.
    Another model's forwards count as many FLOP a token as the student's.
    """

    completions: Limit
    denoising_forwards: Limit
    denoising_columns: Limit
    training_forwards: Limit
    training_backwards: Limit
    no_gradient_forwards: Limit
    tokens: Limit
    flop: Limit
    device_seconds: Limit
    training_steps: Limit
    optimizer_steps: Limit

    @property
    def limits(self) -> dict[str, float]:
        """Those that are set."""
        return {name: limit for name, limit in vars(self).items() if name in BUDGET and limit is not None}

    def reached(self, spent: Mapping[str, int | float]) -> list[str]:
        """The names of those that are spent."""
        return [name for name, limit in self.limits.items() if spent[name] >= limit]


BUDGET = tuple(field.name for field in fields(StopAt))
"""All that is counted, by name."""
OF_ROLLOUTS = ("completions", "denoising_forwards", "denoising_columns")
"""What only rollouts spend."""


@dataclass(frozen=True, kw_only=True)
class Flop:
    """Floating-point operations of one token, the usual estimate from the N weights of all linear layers.

    Forward 2 N; backward 2 N for the gradients of activations, which go through frozen weights as well, and 2 for each
    weight that is trained: 4 N where all are, about 2 N with adapters. Not counted: attention's products with keys and
    values, embeddings, element-wise work. The head counts at every token, though it is read at fewer.
    """

    forward: int
    backward: int

    @classmethod
    def of(cls, network: nn.Module) -> "Flop":
        """That of a network as it is trained; layers of four bits count their weights, not their bytes."""
        linear = [layer for layer in network.modules() if isinstance(layer, nn.Linear)]
        every, trained = (
            sum(layer.in_features * layer.out_features for layer in layers)
            for layers in (linear, [layer for layer in linear if layer.weight.requires_grad])
        )
        return cls(forward=2 * every, backward=2 * (every + trained))


@dataclass(frozen=True, kw_only=True)
class Forwards:
    """Rows that take one forward each, those of all ranks, and their tokens without padding."""

    rows: int | float
    tokens: int | float

    @classmethod
    def of_width(cls, rows: int | float, width: int | float) -> "Forwards":
        """So many rows of so many tokens, where both may be means."""
        return cls(rows=rows, tokens=rows * width)

    @classmethod
    def of(cls, prompts: Prompts, canvas: int) -> "Forwards":
        """A canvas of so many tokens behind each of the prompts; waits for the device."""
        return cls(rows=len(prompts), tokens=int(prompts.attention_mask.sum()) + len(prompts) * canvas)

    @classmethod
    def of_views(cls, views: Views) -> "Forwards":
        """Those of views, all of them, before the ranks take their shares."""
        return cls.of(views.prompts, views.canvas.shape[1])


class Budget:
    """What has been spent since the first training step, by the names of BUDGET; the same on all ranks."""

    def __init__(self, flop: Flop):
        self.spent: dict[str, int | float] = dict.fromkeys(BUDGET, 0)
        self.flop = flop

    def roll_out(self, cost: Cost) -> None:
        """Completions, sampled by denoising forwards."""
        self._add(
            completions=cost.completions,
            denoising_forwards=cost.denoising_forwards,
            denoising_columns=cost.denoising_columns,
            tokens=cost.denoising_columns,
            flop=cost.denoising_columns * self.flop.forward,
        )

    def forward(self, of: Forwards) -> None:
        """Forwards without gradients that train: those of a teacher, of old weights, of a reference."""
        self._add(no_gradient_forwards=of.rows, tokens=of.tokens, flop=of.tokens * self.flop.forward)

    def update(self, of: Forwards) -> None:
        """An optimizer step, and the forwards and backwards of its rows."""
        self._add(
            training_forwards=of.rows,
            training_backwards=of.rows,
            tokens=of.tokens,
            flop=of.tokens * (self.flop.forward + self.flop.backward),
            optimizer_steps=1,
        )

    def training_step(self, seconds: float) -> None:
        """A training step that took so long."""
        self._add(training_steps=1, device_seconds=seconds)

    def _add(self, **amounts: int | float) -> None:
        for name, amount in amounts.items():
            self.spent[name] += amount
