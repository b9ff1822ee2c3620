"""Training examples as one endless, numbered stream: draw n is the same whatever the batch size or the world size."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.utils.data import Dataset

from dopsd.diffusion.noise import Purpose, generator_seed
from dopsd.task import Example


@dataclass(frozen=True, kw_only=True)
class Draw:
    """One example of the stream; `number` seeds all randomness spent on it."""

    example: Example
    number: int


class TrainingStream(Dataset):
    """`length` draws from shuffled passes over the examples, each pass a new permutation of its own seed."""

    def __init__(self, examples: Sequence[Example], *, length: int, seed: int):
        if not len(examples):
            raise ValueError("the training split holds 0 examples, at least 1 is needed")
        self.examples, self.length, self.seed = examples, length, seed
        self._pass, self._order = -1, torch.empty(0, dtype=torch.int64)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, number: int) -> Draw:
        wanted, offset = divmod(number, len(self.examples))
        if wanted != self._pass:
            generator = torch.Generator().manual_seed(generator_seed(Purpose.SHUFFLE, self.seed, wanted))
            self._pass, self._order = wanted, torch.randperm(len(self.examples), generator=generator)
        return Draw(example=self.examples[int(self._order[offset])], number=number)
