"""Grading what anything else generated: rows of question, generation and gold answer."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dopsd.evaluation.interval import Interval
from dopsd.task import SPLITS, Example, Graders, Task, Verdict
from dopsd.task.graders import GraderName, Parts
from dopsd.task.source.files import read_rows
from dopsd.task.source.row import GoldError, Record


@dataclass(frozen=True, kw_only=True)
class GenerationVerdicts:
    """One row with the verdicts of the graders; without a readable gold answer there is none."""

    row: Record
    gold: Any = None
    verdicts: Mapping[str, Verdict]
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class Grades:
    """All rows of a file."""

    task: str
    graders: Graders
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
        """The rows in which nothing was generated: no answer, for every grader."""
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
        """What this grader reports: the field's figure is about parts of answers where there are any, ours is not."""
        if self.graders.parts is not None and grader == "field":
            return self.in_part(grader, self.graders.parts)
        right = sum(graded.verdicts[grader].correct for graded in self.readable)
        return Interval.of(right, len(self.rows if grader == "field" else self.readable))

    def in_part(self, grader: GraderName, parts: Parts) -> Interval:
        """The share of all parts that are right."""
        counts = [parts.count(graded.gold) for graded in self.readable]
        shares = [graded.verdicts[grader].metrics[parts.metric] for graded in self.readable]
        return Interval.of(
            sum(round(n * share) for n, share in zip(counts, shares, strict=True)), sum(counts)
        )

    def chance(self, parts: Parts) -> float:
        """The share of all parts that the best guess has right."""
        return parts.chance([graded.gold for graded in self.readable])


def grade_file(task: str, graders: Graders, file: Path, open_task: Callable[[], Task]) -> Grades:
    """Grade every row of a file with all graders; raises ValueError for a file that is not of this kind.

    Rows hold question, generation and ground_truth; or an example's id and a response, as evaluations write
    them, and then the gold answers are those of `open_task()`.
    """
    rows = _rows(file)
    examples = _examples_by_id(rows, open_task()) if is_by_id(rows[0]) else None
    golds = None if examples is None else {identity: it.gold for identity, it in examples.items()}
    grades = Grades(task=task, graders=graders, rows=[_graded(graders, row, golds) for row in rows])
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


def _graded(graders: Graders, row: Record, golds: Mapping[str, Any] | None) -> GenerationVerdicts:
    try:
        if golds is not None:
            gold = golds[str(row.get("id"))]
        else:
            gold = graders.gold({name: row.get(name) for name in ("question", "ground_truth")})
    except GoldError as error:
        return GenerationVerdicts(row=row, verdicts={}, problem=f"{row.where}: {error}")
    verdicts = {name: grade(gold, response_of(row)) for name, grade in graders.by_name.items()}
    return GenerationVerdicts(row=row, gold=gold, verdicts=verdicts)
