"""Grading what anything else generated: rows of question, generation and gold answer."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dopsd.evaluation.interval import Interval
from dopsd.task.grading.gold import GoldError
from dopsd.task.grading.graders import GRADER_NAMES, GRADERS, GraderName
from dopsd.task.grading.sudoku import SudokuGold, constant_digit_accuracy
from dopsd.task.source.files import read_rows
from dopsd.task.source.row import Record
from dopsd.task.task import SPLITS, Example, Task, Verdict


@dataclass(frozen=True, kw_only=True)
class GenerationVerdicts:
    """One row with the verdicts of both graders; without a readable gold answer there is none."""

    row: Record
    gold: Any = None
    verdicts: dict[GraderName, Verdict]
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class Grades:
    """All rows of a file."""

    task: str
    rows: Sequence[GenerationVerdicts]

    @property
    def readable(self) -> list[GenerationVerdicts]:
        """The rows with a gold answer."""
        return [graded for graded in self.rows if not graded.problem]

    @property
    def unreadable(self) -> list[GenerationVerdicts]:
        """The rows whose gold answer cannot be read: the field counts them as wrong, we leave them out."""
        return [graded for graded in self.rows if graded.problem]

    @property
    def empty(self) -> list[GenerationVerdicts]:
        """The rows in which nothing was generated: no answer, for both graders."""
        return [graded for graded in self.rows if not response_of(graded.row)]

    @property
    def disagreements(self) -> list[GenerationVerdicts]:
        """The rows that one grader accepts and the other does not (for Sudoku: solved or not)."""
        return [
            graded
            for graded in self.readable
            if len({verdict.correct for verdict in graded.verdicts.values()}) > 1
        ]

    def accuracy(self, grader: GraderName) -> Interval:
        """What this grader reports: the field's Sudoku figure is about cells, all others about answers."""
        if self.task == "sudoku" and grader == "field":
            return self.cells(grader)
        right = sum(graded.verdicts[grader].correct for graded in self.readable)
        return Interval.of(right, len(self.rows if grader == "field" else self.readable))

    def cells(self, grader: GraderName) -> Interval:
        """Sudoku: the share of all blanks that are filled right."""
        blanks = [len(graded.gold.blanks) for graded in self.readable]
        shares = [graded.verdicts[grader].metrics["cells"] for graded in self.readable]
        return Interval.of(
            sum(round(n * share) for n, share in zip(blanks, shares, strict=True)), sum(blanks)
        )

    @property
    def chance(self) -> float:
        """Sudoku: the cell accuracy of the best single digit."""
        golds = [g.gold for g in self.readable if isinstance(g.gold, SudokuGold)]
        return constant_digit_accuracy(golds, pooled=True)


def grade_file(task: str, file: Path, open_task: Callable[[], Task]) -> Grades:
    """Grade every row of a file with both graders; raises ValueError for a file that is not of this kind.

    Rows hold question, generation and ground_truth; or an example's id and a response, as evaluations write
    them, and then the gold answers are those of `open_task()`.
    """
    rows = _rows(file)
    examples = _examples_by_id(rows, open_task()) if is_by_id(rows[0]) else None
    golds = None if examples is None else {identity: it.gold for identity, it in examples.items()}
    grades = Grades(task=task, rows=[_graded(task, row, golds) for row in rows])
    if not grades.readable:
        first = grades.rows[0].problem
        raise ValueError(f"{file.name}: no row has a gold answer of {task}; the first: {first}")
    return grades


def own_verdicts(task: Task, file: Path) -> list[Verdict]:
    """The task's own verdict on each row of a file with its examples' ids; raises ValueError for another file."""
    rows = _rows(file)
    examples = _examples_by_id(rows, task)
    return [task.verdict(examples[str(row.get("id"))], response_of(row)) for row in rows]


def is_by_id(row: Record) -> bool:
    """Whether the gold answer of a row is to be looked up in the task."""
    return "ground_truth" not in row.values and "id" in row.values


def response_of(row: Record) -> Any:
    """What was generated; nothing at all (null) is an empty text, which is no answer."""
    response = row.get("generation", "response")
    return "" if response is None else response


def _rows(file: Path) -> list[Record]:
    rows = read_rows(file)
    for row in rows:
        response = response_of(row)
        if not isinstance(response, str):
            raise ValueError(f"{row.where}: the generation must be a text, not {type(response).__name__}")
    return rows


def _examples_by_id(rows: Sequence[Record], task: Task) -> dict[str, Example]:
    """The examples of the splits that the ids name; raises ValueError where an id is not there."""
    ids = {str(row.get("id")): row for row in rows}
    named = {identity.split("/")[1] for identity in ids if identity.count("/") > 1} & set(SPLITS)
    examples = {it.id: it for split in SPLITS if split in named or not named for it in task.examples(split)}
    unknown = [identity for identity in ids if identity not in examples]
    if unknown:
        raise ValueError(
            f"{ids[unknown[0]].where}: no example of task={task.name} has the id {unknown[0]!r} "
            f"({len(unknown)} of {len(ids)} ids are unknown): is this the task, its source and its settings?"
        )
    return examples


def _graded(task: str, row: Record, golds: Mapping[str, Any] | None) -> GenerationVerdicts:
    graders = GRADERS[task]
    try:
        if golds is not None:
            gold = golds[str(row.get("id"))]
        else:
            gold = graders.gold({name: row.get(name) for name in ("question", "ground_truth")})
    except GoldError as error:
        return GenerationVerdicts(row=row, verdicts={}, problem=f"{row.where}: {error}")
    verdicts: dict[GraderName, Verdict] = {
        grader: graders.verdict(grader, gold, response_of(row)) for grader in GRADER_NAMES
    }
    return GenerationVerdicts(row=row, gold=gold, verdicts=verdicts)
