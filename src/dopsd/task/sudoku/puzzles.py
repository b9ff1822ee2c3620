"""Generated 4x4 Sudoku puzzles, each with exactly one solution."""

from collections.abc import Sequence
from random import Random

import numpy as np

from dopsd.task.answer import write_response
from dopsd.task.source.row import Record
from dopsd.task.source.source import Source
from dopsd.task.sudoku.grids import blank_sets, grid_indices_of, grids, is_unique
from dopsd.task.task import Split, check_integer

MAX_BLANKS = 12  # fewer than four givens never leave one solution
_CHUNK = 4096


class SudokuPuzzles(Source):
    """Puzzles are split by solution, whatever the seed."""

    def __init__(self, *, seed: int, blanks: int | Sequence[int], train: int, dev: int, test: int) -> None:
        """Raises ValueError for a value out of range; `blanks` is a number or the two ends of a range."""
        check_integer("task.seed", seed, 0)
        for key, size in (("train", train), ("dev", dev), ("test", test)):
            check_integer(f"task.{key}", size, 1)
        self.seed, self.blank_counts = seed, _blank_counts(blanks)
        self.sizes = {"train": train, "dev": dev, "test": test}

    def rows(self, split: Split) -> list[Record]:
        """The puzzles of one split, in an order drawn from the seed; ValueError where there are too few."""
        return [
            Record(
                values={"puzzle": puzzle, "solution": solution, "worked": write_response(solution, solution)},
                where="generated",
            )
            for puzzle, solution in self._generate(split)
        ]

    def _generate(self, split: Split) -> list[tuple[str, str]]:
        counts, size = self.blank_counts, self.sizes[split]
        found: list[tuple[str, str]] = []
        for turn, count in enumerate(counts):
            share = size // len(counts) + (turn < size % len(counts))
            found += self._with_blanks(split, count, share)
        Random(f"sudoku {self.seed} {split}").shuffle(found)
        return found

    def _with_blanks(self, split: Split, count: int, size: int) -> list[tuple[str, str]]:
        """`size` different pairs (puzzle, solution) with `count` blanks, drawn without replacement."""
        solutions, blanks = np.array(grid_indices_of(split)), blank_sets(count)
        # the legacy generator's stream is frozen across numpy versions
        seed = Random(f"sudoku {self.seed} {split} {count}").getrandbits(32)
        draw = np.random.RandomState(seed).permutation(len(solutions) * len(blanks))
        found: list[tuple[str, str]] = []
        for start in range(0, len(draw), _CHUNK):
            which = draw[start : start + _CHUNK]
            solution, blank = solutions[which // len(blanks)], blanks[which % len(blanks)]
            kept = is_unique(solution, blank)
            found += map(_puzzle, solution[kept].tolist(), blank[kept].tolist())
            if len(found) >= size:
                return found[:size]
        raise ValueError(
            f"task.{split}={self.sizes[split]}: {split} has only {len(found)} puzzles with {count} blanks"
        )


def _blank_counts(blanks: int | Sequence[int]) -> tuple[int, ...]:
    ends = tuple(blanks) if isinstance(blanks, Sequence) else (blanks, blanks)
    if len(ends) != 2:
        raise ValueError(f"task.blanks={blanks!r}: must be one number or the two ends of a range")
    low, high = ends
    check_integer("task.blanks", low, 1, MAX_BLANKS)
    check_integer("task.blanks", high, low, MAX_BLANKS)
    return tuple(range(low, high + 1))


def _puzzle(grid_index: int, blanks: int) -> tuple[str, str]:
    solution = grids()[grid_index]
    return "".join("0" if blanks >> cell & 1 else digit for cell, digit in enumerate(solution)), solution
