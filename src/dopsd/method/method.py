"""What all training methods share: the student, its optimizer, and what an update needs."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, ClassVar, cast

import lightning as L
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.optim import Optimizer

from dopsd import ranks
from dopsd.chat import Chat
from dopsd.diffusion.noise import Purpose, generator_seed
from dopsd.diffusion.prompts import Prompts
from dopsd.method.budget import Budget, Flop, Forwards
from dopsd.method.clock import Clock
from dopsd.method.micro_batches import MicroBatches
from dopsd.method.schedule import Schedule
from dopsd.method.spending import Spending, Workload
from dopsd.method.teacher_weights import AttachedWeights
from dopsd.method.update import Update
from dopsd.stream import Draw
from dopsd.task import Example, Task

OptimizerFactory = Callable[[Iterable[nn.Parameter]], Optimizer]


class Method(L.LightningModule, ABC):
    """A training method; subclasses turn a batch of draws into gradients."""

    structures: ClassVar[tuple[str, ...]] = ("all", "block_causal")
    """Whose networks it trains, by who sees whom in them."""
    takes_refused: ClassVar[str | None] = None
    """What is typed for it to learn from refused answers, too; None where it cannot, or need not be asked."""
    learns_with_dropout: ClassVar[bool] = True
    """Whether LoRA's dropout is on in its training forwards."""
    has_autoregressive_teacher: ClassVar[bool] = False
    """Whether its teacher's weights are read as those of an autoregressive model."""

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
        self.clock, self.budget = Clock(), Budget(Flop.of(network))
        self.on_progress: Callable[[str, int, int], None] = lambda part, done, total: None
        self._optimizer, self._schedule, self._gradient_clip = optimizer, schedule, gradient_clip
        self.lr_scale = 1.0  # lower where a training was taken back
        self.other_weights: AttachedWeights | None = None  # a teacher's or a reference's

    @property
    def notes(self) -> Sequence[str]:
        """What is to be said before training."""
        return ()

    @staticmethod
    def check(*, task: Task) -> None:
        """Raises ValueError, before anything is loaded, where a method with these arguments could not train.

        A method's own check names those of its arguments that it wants to see.
        """

    def training_examples(self) -> Sequence[Example]:
        """What a training draws its examples from."""
        return self.task.examples("train")

    @abstractmethod
    def training_step(self, batch: Sequence[Draw], batch_idx: int) -> None:
        """Learn from one batch of draws."""

    @property
    def tries_per_prompt(self) -> tuple[int, ...]:
        """The fewest and the most tries that a prompt takes; 0 where nothing is sampled."""
        return (0,)

    @abstractmethod
    def most_spent(self, load: Workload) -> Spending:
        """What a training step spends at most: no answer ends early, and all that may be learnt from is learnt from."""

    def shown(self, examples: Sequence[Example]) -> Prompts:
        """The prompts that a teacher is given: the student's, unless it is told more."""
        return self.chat.prompts(examples)

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
            factor = self._schedule.factor(batch_idx, self.max_steps)
            group["lr"] = optimizer.defaults["lr"] * factor * self.lr_scale

    def update(self, *, rows: int, width: int, of: Forwards) -> Update:
        """An optimizer step on so many rows, each at most `width` tokens wide: this rank's share `of` those of all."""
        return Update(
            network=self.network,
            optimizer=cast(Optimizer, self.optimizers()),
            manual_backward=self.manual_backward,
            gradient_clip=self._gradient_clip,
            micro_batches=self.micro_batches,
            rows=rows,
            width=width,
            of=of,
            clock=self.clock,
            budget=self.budget,
            on_progress=self.on_progress,
        )

    def log_step(self, values: dict[str, float | Tensor]) -> None:
        """Write one row of metrics for this training step."""
        self.log_dict({k: float(v) for k, v in values.items()}, on_step=True, on_epoch=False, batch_size=1)

    def on_train_start(self) -> None:
        """Train mode switches LoRA's dropout on: a loaded network comes in evaluation mode."""
        self.network.train()
