"""4x4 Sudoku: complete the grid; every generated puzzle has exactly one solution."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import numpy as np

from dopsd.task.answer import read_answer, write_response
from dopsd.task.sudoku_grids import blank_sets, grid_indices_of, grids, is_solved, is_unique
from dopsd.task.task import Example, Split, Task, Verdict, check_integer, check_share, check_split

INSTRUCTION = (
    "Complete this 4x4 Sudoku so that every row, every column and every 2x2 box holds 1, 2, 3 and 4 once. "
    "The 16 cells are given row by row, 0 is a blank. Work it out between <reasoning> and </reasoning>, "
    "then give only the 16 digits of the completed grid as <answer>\\boxed{grid}</answer>."
)
MAX_BLANKS = 12  # fewer than four givens never leave one solution
SCORES = ("exact", "cells")
_SEPARATORS = re.compile(r"[\s,;|\[\]&\\-]+")
_GRID = re.compile(r"[0-9]{16}")
_CHUNK = 4096


@dataclass(frozen=True, kw_only=True, slots=True)
class SudokuGold:
    """What a response is judged by: the puzzle (0 is a blank) and one solution, 16 digits row by row."""

    puzzle: str
    solution: str


class Sudoku(Task):
    """Generated puzzles, split by solution whatever the seed.

    `score="exact"` is 1 for any valid completion, else 0. `score="cells"` is the share of blanks filled
    right, and `accept_score=0.25` then the field's threshold; but a constant digit fills 25 % of the blanks
    right on average and passes on seven puzzles of ten: that threshold hardly tells an answer from chance.
    """

    name = "sudoku"

    def __init__(
        self,
        *,
        seed: int = 0,
        blanks: int | Sequence[int] = 8,
        train: int = 20_000,
        dev: int = 512,
        test: int = 1024,
        score: str = "exact",
        accept_score: float = 1.0,
    ) -> None:
        """Raises ValueError for a value out of range; `blanks` is a number or the two ends of a range."""
        check_integer("task.seed", seed, 0)
        for key, size in (("train", train), ("dev", dev), ("test", test)):
            check_integer(f"task.{key}", size, 1)
        if score not in SCORES:
            raise ValueError(f"task.score={score!r}: must be one of {', '.join(SCORES)}")
        check_share("task.accept_score", accept_score)
        if accept_score == 0:
            raise ValueError(f"task.accept_score={accept_score!r}: must be above 0 and at most 1")
        self.seed, self.score, self.accept_score = seed, score, float(accept_score)
        self.blank_counts = _blank_counts(blanks)
        self.sizes = {"train": train, "dev": dev, "test": test}
        self._examples: dict[str, list[Example]] = {}

    def examples(self, split: Split) -> list[Example]:
        """The puzzles of one split, in an order drawn from the seed; ValueError where there are too few."""
        check_split(split)
        if split not in self._examples:
            self._examples[split] = [self._example(split, *pair) for pair in self._generate(split)]
        return self._examples[split]

    def verdict(self, example: Example, response: str) -> Verdict:
        """Accepted from `accept_score` on; `extra` has exact solve and cell accuracy over the blanks."""
        exact, cells = judge(example.gold, response)
        score = exact if self.score == "exact" else cells
        extra = {"exact": exact, "cells": cells}
        return Verdict(accepted=score >= self.accept_score, score=score, extra=extra)

    def prompt(self, puzzle: str) -> str:
        """The user's message for one puzzle."""
        return f"{INSTRUCTION}\nPuzzle: {puzzle}"

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

    def _example(self, split: Split, puzzle: str, solution: str) -> Example:
        return Example(
            id=f"{self.name}/{split}/{puzzle}",
            prompt=self.prompt(puzzle),
            solution=write_response(solution, solution),
            gold=SudokuGold(puzzle=puzzle, solution=solution),
        )


def judge(gold: SudokuGold, response: str) -> tuple[float, float]:
    """Whether any string completes the puzzle by the rules, and the share of blanks filled right."""
    grid = _SEPARATORS.sub("", read_answer(response) or "")
    if not _GRID.fullmatch(grid):
        return 0.0, 0.0
    keeps_givens = all(given in ("0", digit) for given, digit in zip(gold.puzzle, grid, strict=True))
    if keeps_givens and is_solved(grid):
        return 1.0, 1.0
    blanks = [cell for cell, given in enumerate(gold.puzzle) if given == "0"]
    right = sum(grid[cell] == gold.solution[cell] for cell in blanks)
    return 0.0, right / max(len(blanks), 1)


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
