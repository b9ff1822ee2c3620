"""4x4 Sudoku: complete the grid."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from dopsd.task.graders import GraderName
from dopsd.task.published_data import SourceName, open_source
from dopsd.task.row_task import RowTask
from dopsd.task.source.row import Record
from dopsd.task.sudoku.gold import SudokuGold, sudoku_gold
from dopsd.task.sudoku.grading import FIELD_ACCEPTS, GRADERS, constant_digit_accuracy
from dopsd.task.sudoku.puzzles import SudokuPuzzles
from dopsd.task.task import Example, check_share
from dopsd.task.verdict import Verdict

INSTRUCTION = (
    "Complete this 4x4 Sudoku so that every row, every column and every 2x2 box holds 1, 2, 3 and 4 once. "
    "The 16 cells are given row by row, 0 is a blank. Work it out between <reasoning> and </reasoning>, "
    "then give only the 16 digits of the completed grid as <answer>\\boxed{grid}</answer>."
)
METRICS = ("exact", "cells")


class Sudoku(RowTask):
    """Puzzles from a generator (with worked solutions) or from files with the columns puzzle and solution.

    `exact` is 1 for any valid completion, else 0; `cells` is the share of blanks filled right. One of them, `metric`,
    is reported and chosen by; an answer is learnt from where one of them, `score`, is at least `accept_score`. The
    field's threshold is 0.25 of the cells; but a constant digit fills 25 % of the blanks right on average and passes
    on seven puzzles of ten: that hardly tells an answer from chance.
    """

    name = "sudoku"
    fields = ("puzzle",)
    graders = GRADERS

    def __init__(
        self,
        *,
        source: SourceName = "generated",
        path: str | None = None,
        limit: int | None = None,
        grader: GraderName = "strict",
        prompt_template: str | None = None,
        seed: int = 0,
        blanks: int | Sequence[int] = 8,
        train: int = 20_000,
        dev: int = 512,
        test: int = 1024,
        metric: Literal["exact", "cells"] | None = None,
        score: Literal["exact", "cells"] | None = None,
        accept_score: float | None = None,
    ) -> None:
        """Raises ValueError for a value out of range or data that cannot be read.

        `blanks` (a number or the two ends of a range), `train` and `test` are of the generator, `dev` is of every
        source. `metric=None`, `score=None` and `accept_score=None` are those of the grader: exact, exact and 1, or
        cells, cells and 0.25.
        """
        grade = GRADERS.named("task.grader", grader)
        puzzles = SudokuPuzzles(seed=seed, blanks=blanks, train=train, dev=dev, test=test)
        self.seed, self.blank_counts, self.sizes = seed, puzzles.blank_counts, puzzles.sizes
        usual = "cells" if grader == "field" else "exact"
        self.metric: str = _one_of_the_metrics("task.metric", metric or usual)
        self.score = _one_of_the_metrics("task.score", score or usual)
        self.accept_score = _accept_score(accept_score, self.score)
        opened = open_source(
            source,
            path=path,
            dev=dev,
            columns=(("puzzle",), ("solution",)),
            key=lambda row: self.gold(row).puzzle,
            others={"generated": lambda: puzzles},
        )
        super().__init__(opened, limit=limit, grade=grade, prompt_template=prompt_template)

    def verdict(self, example: Example, response: str) -> Verdict:
        """Accepted from `accept_score` on; the metrics are exact solve and cell accuracy over the blanks."""
        verdict = super().verdict(example, response)
        score = verdict.metrics[self.score]
        return replace(verdict, accepted=score >= self.accept_score, score=score)

    def chance(self, examples: Sequence[Example]) -> dict[str, float]:
        """The mean cell accuracy of one digit, the best, 16 times."""
        return {"cells": constant_digit_accuracy([example.gold for example in examples], pooled=False)}

    def gold(self, row: Record) -> SudokuGold:
        """The puzzle and one solution."""
        return sudoku_gold(row.get("puzzle"), row.get("solution"))

    def prompt_fields(self, row: Record, gold: SudokuGold) -> Mapping[str, object]:
        """The 16 cells."""
        return {"puzzle": gold.puzzle}

    def default_prompt(self, fields: Mapping[str, object]) -> str:
        """The user's message for one puzzle."""
        return f"{INSTRUCTION}\nPuzzle: {fields['puzzle']}"

    def prompt(self, puzzle: str) -> str:
        """The user's message for one puzzle."""
        return self.prompt_with({"puzzle": puzzle})

    def stem(self, row: Record, gold: SudokuGold) -> str:
        """The puzzle."""
        return gold.puzzle

    def solution(self, row: Record, gold: Any) -> str | None:
        """The grid, where the puzzle was generated with a worked response."""
        return row.values.get("worked")


def _one_of_the_metrics(key: str, value: str) -> str:
    if value not in METRICS:
        raise ValueError(f"{key}={value!r}: must be one of {', '.join(METRICS)}")
    return value


def _accept_score(accept_score: float | None, score: str) -> float:
    if accept_score is None:
        return FIELD_ACCEPTS if score == "cells" else 1.0
    check_share("task.accept_score", accept_score)
    if accept_score == 0:
        raise ValueError(f"task.accept_score={accept_score!r}: must be above 0 and at most 1")
    return float(accept_score)
