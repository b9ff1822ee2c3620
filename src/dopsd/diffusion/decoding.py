"""Prompts that are decoded side by side: each row is at a step of its own, leaves when it is done, and makes room."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from dopsd.diffusion.prompts import Prompts
from dopsd.finite import NotFiniteError


class Try(NamedTuple):
    """One attempt at one prompt: what a row is called."""

    prompt: int
    attempt: int = 0


@dataclass(frozen=True, kw_only=True)
class CanvasRows:
    """Partly filled canvases: what is written, at which step it was, the step that is next, the random streams.

    `is_finite`: whether all logits were that led here.
    """

    tokens: Int[Tensor, "B L"]
    step_map: Int[Tensor, "B L"]
    step: Int[Tensor, "B"]
    keys: Int[Tensor, "B"]
    is_finite: Bool[Tensor, "B"]

    def __len__(self) -> int:
        return self.step.shape[0]

    def __getitem__(self, rows: Tensor) -> "CanvasRows":
        """Some of the rows."""
        return CanvasRows(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    @classmethod
    def joined(cls, parts: Sequence["CanvasRows"]) -> "CanvasRows":
        """The rows of all parts, in their order."""
        return cls(**{f.name: torch.cat([getattr(part, f.name) for part in parts]) for f in fields(cls)})


@dataclass(frozen=True, kw_only=True)
class Room:
    """How much may be in flight: so many rows, and so many tokens in one forward (None: no limit)."""

    rows: int | None = None
    tokens: int | None = None

    def entering(self, widths: Iterable[int], in_flight: int, width: int) -> int:
        """How many of the next rows, of so many tokens each, fit beside those in flight; at least one where none is.

        Every row is padded to the widest; those in flight have `width` tokens each.
        """
        entering = 0
        for rows, own in enumerate(widths, start=in_flight + 1):
            width = max(width, own)
            if rows > 1 and not self._holds(rows, rows * width):
                break
            entering += 1
        return entering

    def _holds(self, rows: int, tokens: int) -> bool:
        return (self.rows is None or rows <= self.rows) and (self.tokens is None or tokens <= self.tokens)


class Decoding:
    """The tries in flight.

    `advance(tries, steps, prompts, rows)` takes one denoising step of every row; `steps` is `rows.step` without asking
    the device. `is_done(rows)` says which need no more. Prompts lose the columns that are padding in all rows, unless
    `fixed_columns`.
    """

    def __init__(
        self,
        prompts: Prompts,
        *,
        advance: Callable[[Sequence[Try], Sequence[int], Prompts, CanvasRows], CanvasRows],
        is_done: Callable[[CanvasRows], Bool[Tensor, "B"]],
        fixed_columns: bool,
    ):
        self._prompts, self._advance, self._is_done = prompts, advance, is_done
        self._fixed_columns = fixed_columns
        self._tries: list[Try] = []
        self._steps: list[int] = []

    def __len__(self) -> int:
        return len(self._tries)

    @property
    def prompt_width(self) -> int:
        """Columns of the prompts in flight, padding included."""
        return self._shown.tokens.shape[1] if self._tries else 0

    def enter(self, tries: Sequence[Try], rows: CanvasRows) -> None:
        """More tries, each with the row that it starts from, before its first step."""
        assert len(tries) == len(rows)
        if tries:
            steps = [*self._steps, *(0 for _ in tries)]
            rows = CanvasRows.joined([self._rows, rows]) if self._tries else rows
            self._hold([*self._tries, *tries], steps, rows)

    def step(self) -> None:
        """One denoising step of every row."""
        self._rows = self._advance(self._tries, self._steps, self._shown, self._rows)
        self._steps = [step + 1 for step in self._steps]

    def leave(self) -> tuple[list[Try], CanvasRows]:
        """Takes out the tries that are done; raises NotFiniteError where logits were not finite."""
        is_done, is_finite = torch.stack([self._is_done(self._rows), self._rows.is_finite]).tolist()
        if not all(is_finite):
            raise NotFiniteError(
                f"logits at denoising step {self._steps[is_finite.index(False)]} are not finite"
            )
        leaving = [row for row, leaves in enumerate(is_done) if leaves]
        tries, rows = [self._tries[row] for row in leaving], self._rows[self._index(leaving)]
        self._keep([not leaves for leaves in is_done])
        return tries, rows

    def drop(self, prompts: Collection[int]) -> None:
        """Forgets every try at some prompts."""
        self._keep([t.prompt not in prompts for t in self._tries])

    def _keep(self, stays: Sequence[bool]) -> None:
        if not all(stays):
            kept = [row for row, is_kept in enumerate(stays) if is_kept]
            tries, steps = [self._tries[row] for row in kept], [self._steps[row] for row in kept]
            self._hold(tries, steps, self._rows[self._index(kept)])

    def _index(self, rows: Sequence[int]) -> Int[Tensor, "R"]:
        """Unlike a boolean index, one that nobody waits for."""
        return torch.tensor(rows, dtype=torch.int64, device=self._rows.step.device)

    def _hold(self, tries: list[Try], steps: list[int], rows: CanvasRows) -> None:
        self._tries, self._steps, self._rows = tries, steps, rows
        shown = torch.tensor([t.prompt for t in tries], dtype=torch.int64)
        self._shown = self._prompts.rows(shown) if self._fixed_columns else self._prompts[shown]
