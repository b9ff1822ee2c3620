"""Grading what anything else generated: rows of question, generation and gold answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dopsd.evaluation.interval import Interval
from dopsd.task.grading.gold import GoldError
from dopsd.task.grading.graders import GRADER_NAMES, GRADERS, GraderName
from dopsd.task.grading.sudoku import SudokuGold, constant_digit_accuracy
from dopsd.task.source.files import read_rows
from dopsd.task.source.row import Row
from dopsd.task.task import Verdict


@dataclass(frozen=True, kw_only=True)
class Graded:
    """One row with the verdicts of both graders; without a readable gold answer there is none."""

    row: Row
    gold: Any = None
    verdicts: dict[GraderName, Verdict]
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class Grades:
    """All rows of a file."""

    task: str
    rows: Sequence[Graded]

    @property
    def readable(self) -> list[Graded]:
        """The rows with a gold answer."""
        return [graded for graded in self.rows if not graded.problem]

    @property
    def unreadable(self) -> list[Graded]:
        """The rows whose gold answer cannot be read: the field counts them as wrong, we leave them out."""
        return [graded for graded in self.rows if graded.problem]

    @property
    def disagreements(self) -> list[Graded]:
        """The rows that one grader accepts and the other does not (for Sudoku: solved or not)."""
        return [
            graded for graded in self.readable if len({is_right(v) for v in graded.verdicts.values()}) > 1
        ]

    def accuracy(self, grader: GraderName) -> Interval:
        """What this grader reports: the field's Sudoku figure is about cells, all others about answers."""
        if self.task == "sudoku" and grader == "field":
            return self.cells(grader)
        right = sum(is_right(graded.verdicts[grader]) for graded in self.readable)
        return Interval.of(right, len(self.rows if grader == "field" else self.readable))

    def cells(self, grader: GraderName) -> Interval:
        """Sudoku: the share of all blanks that are filled right."""
        blanks = [len(graded.gold.blanks) for graded in self.readable]
        shares = [graded.verdicts[grader].extra["cells"] for graded in self.readable]
        return Interval.of(
            sum(round(n * share) for n, share in zip(blanks, shares, strict=True)), sum(blanks)
        )

    @property
    def chance(self) -> float:
        """Sudoku: the cell accuracy of the best single digit."""
        return constant_digit_accuracy([g.gold for g in self.readable if isinstance(g.gold, SudokuGold)])


def grade_file(task: str, file: Path) -> Grades:
    """Grade every row of a file with both graders; raises ValueError for a file that is not of this kind."""
    rows = read_rows(file)
    for row in rows:
        for column in ("question", "generation", "ground_truth"):
            row.get(column)
        if not isinstance(row.get("generation"), str):
            raise ValueError(
                f"{row.where}: generation must be a text, not {type(row.get('generation')).__name__}"
            )
    grades = Grades(task=task, rows=[_graded(task, row) for row in rows])
    if not grades.readable:
        raise ValueError(
            f"{file.name}: no row has a gold answer of {task}; the first: {grades.rows[0].problem}"
        )
    return grades


def _graded(task: str, row: Row) -> Graded:
    graders = GRADERS[task]
    try:
        gold = graders.gold({"question": str(row.get("question")), "ground_truth": row.get("ground_truth")})
    except GoldError as error:
        return Graded(row=row, verdicts={}, problem=f"{row.where}: {error}")
    response = row.get("generation")
    verdicts: dict[GraderName, Verdict] = {
        grader: graders.verdict(grader, gold, response) for grader in GRADER_NAMES
    }
    return Graded(row=row, gold=gold, verdicts=verdicts)


def is_right(verdict: Verdict) -> bool:
    """Whether a response is right as a whole, where its score may be a share."""
    return verdict.extra.get("exact", verdict.score) == 1
