"""Pairs of a better and a worse answer that somebody has made."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, NoReturn

import torch
from pydantic import Field

from dopsd.chat import Chat
from dopsd.diffusion.noise import Purpose, derive, example_keys, uniform
from dopsd.diffusion.trajectory import Trajectory
from dopsd.method.pair_source import Answers, PairSource
from dopsd.policy.pairs import Pairs
from dopsd.rollout import Rollout, RolloutBatch
from dopsd.setting import setting
from dopsd.stream import Draw
from dopsd.task import Task
from dopsd.task.source.files import read_rows
from dopsd.task.source.row import Record, RowError, text_of

AtLeastOne = Annotated[int, Field(ge=1)]


@setting
class FilePairs(PairSource):
    """Rows with the id of a training example and two texts, `chosen` and `rejected`; one row of several is drawn."""

    path: str
    gen_length: AtLeastOne
    block_length: AtLeastOne
    writer = None
    has_texts = True

    @cached_property
    def by_id(self) -> dict[str, list[tuple[str, str]]]:
        """All pairs by the id of their example; raises ValueError for what cannot be read or used."""
        found: dict[str, list[tuple[str, str]]] = {}
        try:
            for row in read_rows(Path(self.path).expanduser()):
                example, pair = _read(row)
                found.setdefault(example, []).append(pair)
        except ValueError as error:
            self._refuse(str(error))
        return found

    def check(self, task: Task, rollout: Rollout | None) -> None:
        """Every id is that of a training example."""
        known = {example.id for example in task.examples("train")}
        unknown = [example for example in self.by_id if example not in known]
        if unknown:
            more = f" (and {len(unknown) - 1} more)" if len(unknown) > 1 else ""
            self._refuse(f"no training example of task={task.name} has the id {unknown[0]!r}{more}")

    def canvas(self, rollout: Rollout | None) -> int:
        """Tokens of an answer."""
        return self.gen_length

    def answers(
        self, batch: Sequence[Draw], rollout: RolloutBatch | None, *, chat: Chat, seed: int
    ) -> Answers:
        """The texts of one pair after the other."""
        drawn = [
            (row, chat.canvases(self._drawn(draw, seed), self.gen_length)[0])
            for row, draw in enumerate(batch)
            if draw.example.id in self.by_id
        ]
        fitting = [(row, pair) for row, pair in drawn if len(pair) == 2]
        prompt = [row for row, _ in fitting for _ in range(2)]
        canvases = torch.cat(
            [torch.empty(0, self.gen_length, dtype=torch.int64), *(pair for _, pair in fitting)]
        )
        is_refused = torch.arange(len(prompt)) % 2
        return Answers(
            trajectory=Trajectory.given(canvases, self.block_length),
            prompt=torch.tensor(prompt, dtype=torch.int64),
            keys=example_keys(seed, [batch[row].number for row in prompt], is_refused),
            pairs=Pairs(
                chosen=(is_refused == 0).nonzero()[:, 0],
                refused=is_refused.nonzero()[:, 0],
                prompts_without=len(batch) - len(fitting),
            ),
            too_long=len(drawn) - len(fitting),
        )

    def _drawn(self, draw: Draw, seed: int) -> tuple[str, str]:
        there = self.by_id[draw.example.id]
        chance = uniform(derive(example_keys(seed, [draw.number]), Purpose.PAIR))
        return there[int(chance * len(there))]

    def _refuse(self, message: str) -> NoReturn:
        raise ValueError(f"pairs.path={self.path!r}: {message}")


def _read(row: Record) -> tuple[str, tuple[str, str]]:
    try:
        example, chosen, rejected = (text_of(row.get(name), name) for name in ("id", "chosen", "rejected"))
    except RowError as error:
        raise ValueError(f"{row.where}: {error}") from error
    if chosen == rejected:
        raise ValueError(f"{row.where}: chosen and rejected are the same text")
    return example, (chosen, rejected)
