"""What a Sudoku answer is judged by."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dopsd.task.source.row import GoldError, short
from dopsd.task.sudoku.grids import grids

_PUZZLE = re.compile(r"(?<!\d)[0-4]{16}(?!\d)")


@dataclass(frozen=True, kw_only=True, slots=True)
class SudokuGold:
    """What a response is judged by: the puzzle (0 is a blank) and one solution, 16 digits row by row."""

    puzzle: str
    solution: str

    def __str__(self) -> str:
        return self.solution

    @property
    def blanks(self) -> list[int]:
        """The cells to fill."""
        return [cell for cell, given in enumerate(self.puzzle) if given == "0"]


def sudoku_gold(puzzle: object, solution: object) -> SudokuGold:
    """A puzzle of 16 digits (0 is a blank) and a solved grid that it leads to."""
    given, solved = _cells(puzzle), _cells(solution)
    fits = len(given) == len(solved) == 16 and all(a in ("0", b) for a, b in zip(given, solved, strict=True))
    if not fits or not set(given) <= set("01234") or solved not in grids():
        raise GoldError(f"{short(puzzle)} with solution {short(solution)} is no puzzle")
    return SudokuGold(puzzle=given, solution=solved)


def gold_of_row(row: Mapping[str, Any]) -> SudokuGold:
    """The gold answer of a generation: the first 16 cells in its question, and the solution."""
    question = str(row["question"])
    found = _PUZZLE.search(question)
    if found is None:
        raise GoldError(f"no puzzle of 16 cells stands in {short(question)}")
    return sudoku_gold(found[0], row["ground_truth"])


def _cells(value: object) -> str:
    """The cells as text; a table may have read them as a number and lost zeros in front."""
    if isinstance(value, float) and value.is_integer():  # a column of numbers with one missing
        value = int(value)
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return f"{value:016d}" if is_number else re.sub(r"\s", "", str(value))
