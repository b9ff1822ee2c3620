"""What all training methods share: the student, its optimizer, and one update from accumulated gradients."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, cast

import lightning as L
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from torch.optim import Optimizer

from dopsd import ranks
from dopsd.chat import Chat
from dopsd.diffusion.noise import Purpose, generator_seed
from dopsd.finite import NotFiniteError
from dopsd.method.clock import Clock
from dopsd.method.micro_batches import MicroBatches
from dopsd.method.schedule import Schedule
from dopsd.model import whole
from dopsd.stream import Draw
from dopsd.task import Task

OptimizerFactory = Callable[[Iterable[nn.Parameter]], Optimizer]
Losses = Callable[[Sequence[slice]], Iterable[tuple[Tensor, Tensor]]]
"""For micro-batches, given as slices of the rows: the loss of each, and figures that add up to what is logged."""


class Method(L.LightningModule, ABC):
    """A training method; subclasses turn a batch of draws into gradients."""

    def __init__(
        self,
        *,
        network: nn.Module,
        chat: Chat,
        task: Task,
        optimizer: OptimizerFactory,
        schedule: Schedule,
        gradient_clip: Annotated[float, Field(gt=0)],
        micro_batch_tokens: Annotated[int, Field(ge=1)],
        max_steps: int,
        seed: int,
    ):
        super().__init__()
        self.automatic_optimization = False
        self.network = network
        self.chat, self.task, self.seed = chat, task, seed
        self.max_steps, self.micro_batches = max_steps, MicroBatches(micro_batch_tokens)
        self.clock = Clock()
        self.on_progress: Callable[[str, int, int], None] = lambda part, done, total: None
        self._optimizer, self._schedule, self._gradient_clip = optimizer, schedule, gradient_clip

    @abstractmethod
    def training_step(self, batch: Sequence[Draw], batch_idx: int) -> None:
        """Learn from one batch of draws."""

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Draws are text: they become tensors, on this device, only in the step."""
        return batch

    def configure_optimizers(self) -> Optimizer:
        """The optimizer over the trainable weights."""
        return self._optimizer(p for p in self.network.parameters() if p.requires_grad)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """The schedule and dropout's seed follow from the training step, so neither has a state to resume.

        Dropout draws from torch's own generator, on each rank other numbers; everything else has streams of its own.
        """
        torch.manual_seed(generator_seed(Purpose.DROPOUT, self.seed, batch_idx, ranks.this()))
        optimizer = cast(Optimizer, self.optimizers(use_pl_optimizer=False))
        for group in optimizer.param_groups:
            group["lr"] = optimizer.defaults["lr"] * self._schedule.factor(batch_idx, self.max_steps)

    def update(self, losses: Losses, *, rows: int, width: int) -> tuple[Tensor, Tensor]:
        """One optimizer step on the sum of the micro-batches' losses, those of all ranks; rows are `width` tokens wide.

        Returns the gradient norm before clipping, and the figures (the loss first), added up. Gradients are added up
        over ranks once, after the last micro-batch, so that every rank steps like the others. Until then a rank may do
        its part again for lack of memory, unless others take part in its forwards. Raises TooLargeError, and, before a
        weight is changed, NotFiniteError.
        """
        optimizer = cast(Optimizer, self.optimizers())
        is_sharded = isinstance(self.network, FSDPModule)

        def accumulate(micro_batches: Sequence[slice]) -> Tensor:
            optimizer.zero_grad()
            figures = []
            for loss, logged in losses(micro_batches):
                with self.clock("backward"):
                    self.manual_backward(loss)
                figures.append(logged)
                self.on_progress("update", len(figures), len(micro_batches))
            return torch.stack(figures).sum(0)

        figures = self.micro_batches.done_in(accumulate, rows=rows, width=width, may_repeat=not is_sharded)
        ranks.add_up(figures)
        with self.clock("optimizer"):
            parameters = [p for p in self.network.parameters() if p.grad is not None]
            gradients = [p.grad for p in parameters if p.grad is not None]
            if not is_sharded:  # else they are added up already
                ranks.add_up(*gradients)
            norm, loss = whole(nn.utils.get_total_norm(gradients)), figures.flatten()[0]
            if not torch.isfinite(norm + loss):
                raise NotFiniteError(f"the gradient norm is {float(norm)}, the loss {float(loss)}")
            nn.utils.clip_grads_with_norm_(parameters, self._gradient_clip, norm)
            optimizer.step()
        return norm, figures

    def log_step(self, values: dict[str, float | Tensor]) -> None:
        """Write one row of metrics for this training step."""
        self.log_dict({k: float(v) for k, v in values.items()}, on_step=True, on_epoch=False, batch_size=1)

    def on_train_start(self) -> None:
        """Train mode switches LoRA's dropout on: a loaded network comes in evaluation mode."""
        self.network.train()
