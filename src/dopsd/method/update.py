"""One update, read downwards: forward and backward of each micro-batch, then gradients of all ranks, clip, step."""

import gc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from torch.optim import Optimizer

from dopsd import ranks
from dopsd.finite import NotFiniteError
from dopsd.method.budget import Budget, Forwards
from dopsd.method.clock import Clock
from dopsd.method.micro_batches import MicroBatches
from dopsd.model import whole


@dataclass(kw_only=True)
class Update:
    """An optimizer step on the sum of micro-batches' losses, those of all ranks.

    Iterating gives slices of the rows. Each is worked on inside `with update:`, where running out of memory is no error
    yet: once a run, all of it starts again with smaller slices and the same random numbers, so that the result is that
    of a run which had the smaller budget from its beginning. Not where other ranks take part in this one's forwards.
    Raises TooLargeError, and, before a weight is changed, NotFiniteError.
    """

    network: nn.Module
    optimizer: Optimizer
    manual_backward: Callable[[Tensor], None]
    gradient_clip: float
    micro_batches: MicroBatches
    rows: int
    width: int
    of: Forwards
    clock: Clock
    budget: Budget
    on_progress: Callable[[str, int, int], None]
    _figures: list[Tensor] = field(default_factory=list)
    _is_short_of_memory: bool = False

    def __iter__(self) -> Iterator[slice]:
        random = _random_states()
        while True:
            self._is_short_of_memory = False
            self.optimizer.zero_grad()
            self._figures.clear()
            slices = self.micro_batches.of(self.rows, self.width)
            for number, rows in enumerate(slices, start=1):
                yield rows
                if self._is_short_of_memory:
                    break
                self.on_progress("update", number, len(slices))
            else:
                return
            self.micro_batches.halve(self.rows, self.width, may_repeat=not self._is_sharded)
            _set_random_states(random)
            gc.collect()
            torch.cuda.empty_cache()

    def __enter__(self) -> None:
        """A micro-batch."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        """What the attempt has made is only free when its traceback is gone: here nothing else may be kept of it."""
        self._is_short_of_memory = isinstance(error, torch.OutOfMemoryError)
        return self._is_short_of_memory

    def backward(self, loss: Tensor, figures: Tensor) -> None:
        """Adds to the gradients, and to the figures that are logged (the first of them the loss)."""
        with self.clock("backward"):
            self.manual_backward(loss)
        self._figures.append(figures)

    def step(self) -> tuple[Tensor, Tensor]:
        """Moves the weights; the gradient norm before clipping, and the figures added up over micro-batches and ranks.

        Gradients are added up over ranks once, here, so that every rank steps like the others.
        """
        figures = torch.stack(self._figures).sum(0)
        ranks.add_up(figures)
        with self.clock("optimizer"):
            parameters = [p for p in self.network.parameters() if p.grad is not None]
            gradients = [p.grad for p in parameters if p.grad is not None]
            if not self._is_sharded:  # else they are added up already
                ranks.add_up(*gradients)
            norm, loss = whole(nn.utils.get_total_norm(gradients)), figures.flatten()[0]
            if not torch.isfinite(norm + loss):
                raise NotFiniteError(f"the gradient norm is {float(norm)}, the loss {float(loss)}")
            nn.utils.clip_grads_with_norm_(parameters, self.gradient_clip, norm)
            self.optimizer.step()
        self.budget.update(self.of)
        return norm, figures

    def step_without_gradient(self) -> None:
        """Moves the weights by what the optimizer remembers, and by weight decay: every gradient is 0."""
        for parameter in self.network.parameters():
            if parameter.requires_grad:
                parameter.grad = torch.zeros_like(parameter)
        with self.clock("optimizer"):
            self.optimizer.step()
        self.budget.update(self.of)

    @property
    def _is_sharded(self) -> bool:
        return isinstance(self.network, FSDPModule)


def _random_states() -> list[Tensor]:
    return [torch.get_rng_state(), *([torch.cuda.get_rng_state()] if torch.cuda.is_initialized() else [])]


def _set_random_states(states: Sequence[Tensor]) -> None:
    cpu, *gpu = states
    torch.set_rng_state(cpu)
    for state in gpu:
        torch.cuda.set_rng_state(state)
