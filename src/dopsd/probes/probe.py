"""What a probe is given, and what it leaves: figures for a file, a table, a drawing."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from matplotlib.figure import Figure

from dopsd.chat import Chat
from dopsd.diffusion.denoiser import Denoiser
from dopsd.diffusion.prompts import Prompts
from dopsd.diffusion.sampler import BlockSampler
from dopsd.rollout import Rollout, RolloutBatch
from dopsd.stream import Draw
from dopsd.task import Example, Task


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A model, the network it was before training (the same, without a checkpoint), and prompts of a task."""

    student: Denoiser
    untrained: Callable[[], AbstractContextManager[Denoiser]]
    task: Task
    chat: Chat
    examples: Sequence[Example]
    batch_size: int
    seed: int
    device: torch.device | str = "cpu"
    on_progress: Callable[[int], None] = lambda done: None

    def batches(self) -> Iterator[list[Draw]]:
        """All prompts, `batch_size` at a time; a prompt's place in the split names its random streams."""
        for start in range(0, len(self.examples), self.batch_size):
            examples = self.examples[start : start + self.batch_size]
            yield [Draw(example=example, number=start + i) for i, example in enumerate(examples)]
            self.on_progress(len(examples))

    def ask(self, rollout: Rollout, draws: Sequence[Draw]) -> RolloutBatch:
        """The student's tries at some prompts."""
        prompts = self.prompts(draws)
        return rollout.collect(self.student, draws, prompts, chat=self.chat, task=self.task, seed=self.seed)

    def prompts(
        self, draws: Sequence[Draw], message: Callable[[Example], str] = lambda example: example.prompt
    ) -> Prompts:
        """Tokenized, on the device."""
        return self.chat.prompts_of(message(draw.example) for draw in draws).to(self.device)


class Finding(ABC):
    """What came of a probe."""

    @abstractmethod
    def figures(self) -> dict[str, Any]:
        """All numbers, with 95 % intervals, for a JSON file; `asked` is how many prompts the model was given."""

    @abstractmethod
    def table(self) -> tuple[list[str], list[list[str]]]:
        """The same to read: column names, rows."""

    @abstractmethod
    def draw(self, figure: Figure, title: str) -> None:
        """The same to look at, on an empty figure."""


class NothingFoundError(ValueError):
    """The model gave nothing that could be measured; the message says what was missing."""


class Probe(ABC):
    """A measurement of a model on a task."""

    title: str
    """In a few words."""
    reads_solutions: bool = False
    """Whether every example must have a reference solution."""

    @property
    def samplers(self) -> Mapping[str, BlockSampler]:
        """The ways in which it samples, by what it calls them, if they are of its own."""
        return {}

    @abstractmethod
    def run(self, subject: Subject) -> Finding:
        """Measure; the result does not depend on the batch size. Raises NothingFoundError."""
