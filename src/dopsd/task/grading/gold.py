"""The gold answers of records and of generation files, in the form that the graders want."""

import math
import re
from fractions import Fraction

from dopsd.task.grading.countdown import CountdownGold
from dopsd.task.grading.sudoku import SudokuGold
from dopsd.task.source.row import RowError, is_encodable, short
from dopsd.task.sudoku_grids import grids

_PUZZLE = re.compile(r"(?<!\d)[0-4]{16}(?!\d)")
_MAX_LENGTH = 300  # characters
_MAX_NUMBERS = 20


class GoldError(RowError):
    """A gold answer that cannot be read: such a row cannot be graded."""


def number_gold(value: object) -> Fraction:
    """A number, or a text that ends in `#### number` or is one; thousands commas and a dollar sign are dropped."""
    text = str(value).rpartition("####")[2].strip().replace(",", "").removeprefix("$")
    if value is None or isinstance(value, bool) or len(text) > _MAX_LENGTH or "e" in text.lower():
        raise GoldError(f"{short(value)} is not a number")
    try:
        return Fraction(text)
    except (ValueError, ZeroDivisionError) as error:
        raise GoldError(f"{short(value)} is not a number") from error


def math_gold(value: object) -> str:
    """A mathematical answer in LaTeX."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    text = str(value).strip() if isinstance(value, str) or is_number else ""
    if text.casefold() in ("", "nan") or len(text) > _MAX_LENGTH or not is_encodable(text):
        raise GoldError(f"{short(value)} is not an answer")
    return text


def countdown_gold(numbers: object, target: object, operations: str = "+-*/") -> CountdownGold:
    """Numbers as a list or a text with commas, and a target."""
    parts = re.split(r"[,\s]+", numbers.strip(" []")) if isinstance(numbers, str) else numbers
    try:
        if not isinstance(parts, list | tuple) or not 0 < len(parts) <= _MAX_NUMBERS:
            raise ValueError("not some numbers")
        values = tuple(map(_integer, parts))
        return CountdownGold(numbers=values, target=_integer(target), operations=operations)
    except ValueError as error:
        raise GoldError(f"numbers {short(numbers)} and target {short(target)} are no puzzle") from error


def sudoku_gold(puzzle: object, solution: object) -> SudokuGold:
    """A puzzle of 16 digits (0 is a blank) and a solved grid that it leads to."""
    given, solved = _cells(puzzle), _cells(solution)
    fits = len(given) == len(solved) == 16 and all(a in ("0", b) for a, b in zip(given, solved, strict=True))
    if not fits or not set(given) <= set("01234") or solved not in grids():
        raise GoldError(f"{short(puzzle)} with solution {short(solution)} is no puzzle")
    return SudokuGold(puzzle=given, solution=solved)


def puzzle_in(question: str) -> str:
    """The first 16 cells written in a question."""
    found = _PUZZLE.search(question)
    if found is None:
        raise GoldError(f"no puzzle of 16 cells stands in {short(question)}")
    return found[0]


def _integer(value: object) -> int:
    text = str(value).strip().removesuffix(".0")
    if not re.fullmatch(r"-?[0-9]{1,15}", text):
        raise ValueError(text)
    return int(text)


def _cells(value: object) -> str:
    """The cells as text; a table may have read them as a number and lost zeros in front."""
    if isinstance(value, float) and value.is_integer():  # a column of numbers with one missing
        value = int(value)
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return f"{value:016d}" if is_number else re.sub(r"\s", "", str(value))
