"""SFT on texts: reference solutions, or responses of a file."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from dopsd.diffusion.prompts import Prompts
from dopsd.diffusion.responses import Responses
from dopsd.method.sft import SFT
from dopsd.method.solutions import solutions
from dopsd.method.spending import Spending, Workload
from dopsd.setting import setting
from dopsd.stream import Draw
from dopsd.task import Example, Task
from dopsd.task.source.files import read_rows
from dopsd.task.source.row import Record, RowError, text_of


class Texts(ABC):
    """Where the texts come from."""

    @abstractmethod
    def check(self, task: Task) -> None:
        """Raises ValueError where there are none."""

    @abstractmethod
    def examples(self, task: Task) -> Sequence[Example]:
        """Training examples whose solution is what is learnt."""


@setting
class Solutions(Texts):
    """The task's own reference solutions."""

    def check(self, task: Task) -> None:
        """The task has them."""
        if task.examples("train")[0].solution is None:
            raise ValueError(f"source=solutions: needs reference solutions, which task={task.name} has not")

    def examples(self, task: Task) -> Sequence[Example]:
        """The task's examples as they are."""
        return task.examples("train")


@setting
class ResponseFile(Texts):
    """A file with the id of a training example and a response to it in each row; an example may have several."""

    path: str | None

    def check(self, task: Task) -> None:
        """The file can be read, and its ids are those of training examples."""
        self.examples(task)

    def examples(self, task: Task) -> Sequence[Example]:
        """One example for each row, in their order; raises ValueError for a row that cannot be used."""
        if self.path is None:
            raise ValueError("source.path=null: must be a file (jsonl, csv, parquet) with id and response")
        try:
            rows = [(row, *_id_and_response(row)) for row in read_rows(Path(self.path).expanduser())]
            known = {example.id: example for example in task.examples("train")}
            for row, identity, _ in rows:
                if identity not in known:
                    raise ValueError(
                        f"{row.where}: no training example of task={task.name} has the id {identity!r}"
                    )
        except ValueError as error:
            raise ValueError(f"source.path={self.path!r}: {error}") from error
        return [replace(known[identity], solution=response) for _, identity, response in rows]


class TextSFT(SFT):
    """SFT on texts that stand in the training examples as their solutions."""

    def __init__(self, *, source: Texts, gen_length: Annotated[int, Field(ge=1)], **shared: Any):
        super().__init__(**shared)
        self.source, self.gen_length = source, gen_length

    @staticmethod
    def check(*, task: Task, source: Texts) -> None:
        """There must be texts."""
        source.check(task)

    def training_examples(self) -> Sequence[Example]:
        """Those of the source."""
        return self.source.examples(self.task)

    def responses(self, batch: Sequence[Draw], prompts: Prompts) -> Responses:
        """The texts that fit into the canvas; the others are counted and left out."""
        fitting = solutions(batch, prompts, chat=self.chat, seed=self.seed, length=self.gen_length)
        self.log_step({"sft/too_long": float(len(batch) - len(fitting))})
        return fitting

    def most_spent(self, load: Workload) -> Spending:
        """Every text fits."""
        return Spending(updates=self._most_rows(load, load.prompts, self.gen_length))


def _id_and_response(row: Record) -> tuple[str, str]:
    try:
        identity, response = (text_of(row.get(name), name) for name in ("id", "response"))
    except RowError as error:
        raise ValueError(f"{row.where}: {error}") from error
    return identity, response
