"""Sudoku answers: a grid that keeps the givens and the rules, and how many blanks are right."""

import re
from collections.abc import Sequence
from functools import partial

from dopsd.task.answer import END_TOKENS, read_answer
from dopsd.task.graders import Graders, Parts
from dopsd.task.grading.field_reading import without_tail
from dopsd.task.grading.wrapping import unwrapped
from dopsd.task.sudoku.gold import SudokuGold, gold_of_row
from dopsd.task.sudoku.grids import CELLS, is_solved
from dopsd.task.verdict import Verdict

_BORDERS = re.compile(
    r"\\(?:begin\{(?:array|[pb]?matrix)\}(?:\{[lcr|]*\})?|end\{\w+\}|\\|(?![a-z]))|(?<=\d)-+|-+(?!\d)"
    r"|[\s,;|\[\](){}&+*`$\"\u2500-\u257f]+"
)
_GRID = re.compile(r"[0-9]{16}")
_FENCED = re.compile(r"```([0-9\s]{1,200})```")
_CLOSING = re.compile("|".join(map(re.escape, (*END_TOKENS, "</answer>"))))
_ENDING = re.compile("|".join(map(re.escape, END_TOKENS)))
_LONE_GRID = re.compile(r"\b[0-9]{16}\b")
FIELD_ACCEPTS = 0.25  # the score from which the field trains on an answer; one digit 16 times reaches it
_MAX_ANSWER = 2000  # characters
_MAX_GAP = 200  # characters


def strict(gold: SudokuGold, response: str) -> Verdict:
    """Judge the last answer by the rules: any valid completion is right; the share of blanks stands beside."""
    answer = read_answer(response)
    grid = _BORDERS.sub("", unwrapped(answer or ""))
    if not _GRID.fullmatch(grid):
        exact = cells = 0.0
    else:
        exact = float(_is_completion(gold, grid))
        cells = exact or _cell_accuracy(gold, grid)
    metrics = {"exact": exact, "cells": cells}
    return Verdict(accepted=exact == 1, score=exact, metrics=metrics, answered=bool(answer), answer=answer)


def field(gold: SudokuGold, response: str) -> Verdict:
    """Score the first answer, cut or filled up to 16 cells, by the share of blanks that agree with the solution."""
    answer = "".join(_field_grid(without_tail(response))[:_MAX_ANSWER].split())[:CELLS]
    grid = answer.ljust(CELLS, "0")
    cells = _cell_accuracy(gold, grid)
    metrics = {"exact": float(cells == 1), "cells": cells}
    accepted = cells >= FIELD_ACCEPTS
    return Verdict(
        accepted=accepted, score=cells, metrics=metrics, answered=bool(answer), answer=answer or None
    )


def constant_digit_accuracy(golds: Sequence[SudokuGold], *, pooled: bool) -> float:
    """Chance level: the cell accuracy of the best answer that is one digit 16 times.

    It is the mean over the puzzles, or that over all their blanks (`pooled`).
    """
    weights = [len(gold.blanks) if pooled else 1 for gold in golds]
    weighted = list(zip(weights, golds, strict=True))
    right = [
        sum(weight * _cell_accuracy(gold, digit * CELLS) for weight, gold in weighted) for digit in "1234"
    ]
    return max(right) / max(sum(weights), 1)


def _is_completion(gold: SudokuGold, grid: str) -> bool:
    keeps_givens = all(given in ("0", digit) for given, digit in zip(gold.puzzle, grid, strict=True))
    return keeps_givens and is_solved(grid)


def _cell_accuracy(gold: SudokuGold, grid: str) -> float:
    blanks = gold.blanks
    return sum(grid[cell] == gold.solution[cell] for cell in blanks) / max(len(blanks), 1)


def _field_grid(response: str) -> str:
    """A fenced block in the answer, else the answer, else what follows it, else 16 digits anywhere."""
    _, opened, inside = response.partition("<answer>")
    fenced = _FENCED.search(inside)
    if fenced and fenced[1].strip():
        return fenced[1]
    answer = _CLOSING.split(inside, maxsplit=1)[0].strip()
    if opened and answer:
        return answer
    _, _, behind = response.partition("</answer>")
    behind = _ENDING.split(behind, maxsplit=1)[0].strip()
    if behind:
        return behind
    return _grid_before_closing(response) or "".join(_LONE_GRID.findall(response)[:1])


def _grid_before_closing(response: str) -> str | None:
    closed = response.find("</answer>")
    while closed >= 0:
        grid = response[max(closed - _MAX_GAP, 0) : closed].rstrip()[-CELLS:]
        if _GRID.fullmatch(grid):
            return grid
        closed = response.find("</answer>", closed + 1)
    return None


GRADERS = Graders(
    strict=strict,
    field=field,
    gold=gold_of_row,
    parts=Parts(
        metric="cells",
        count=lambda gold: len(gold.blanks),
        chance=partial(constant_digit_accuracy, pooled=True),
        guess="one digit 16 times",
    ),
)
