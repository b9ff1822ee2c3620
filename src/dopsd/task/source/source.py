"""What a source is: rows for train, dev and test."""

from abc import ABC, abstractmethod
from typing import Literal

from dopsd.task.source.row import Record
from dopsd.task.task import Split

Part = Literal["train", "test"]


class Source(ABC):
    """Rows of three splits that have nothing in common."""

    @abstractmethod
    def rows(self, split: Split) -> list[Record]:
        """The rows of one split, always the same; raises ValueError where it has none."""


class PublishedData(ABC):
    """A data set as people publish it: train, test or both, and no dev."""

    @abstractmethod
    def parts(self) -> list[Part]:
        """The parts there are."""

    @abstractmethod
    def rows(self, part: Part) -> list[Record]:
        """The rows of one part, always the same; raises ValueError where there is no such part."""
