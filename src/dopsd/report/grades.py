"""What the grade command says: the figure asked for, the graders side by side, the rows on which they differ."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from dopsd.evaluation.generations import (
    GenerationVerdicts,
    Grades,
    grade_file,
    is_by_id,
    own_verdicts,
    response_of,
)
from dopsd.evaluation.interval import Interval
from dopsd.setting import setting
from dopsd.task import Graders, Task
from dopsd.task.graders import GraderName

_LISTED = 20  # rows named in a line
_SHOWN = 160  # characters of a response


T = TypeVar("T")


@setting
class Request:
    """What the command is asked for."""

    generations: str
    grader: GraderName
    disagreements: bool


def report(
    task: str, graders: Graders, request: Request, open_task: Callable[[], Task], overrides: Sequence[str]
) -> Iterator[str]:
    """The lines of the report on a task with graders; raises ValueError for a file that cannot be graded."""
    if request.grader not in graders.by_name:
        raise ValueError(f"grader={request.grader}: must be one of {', '.join(graders.by_name)}")
    grades: Grades = _of_the_file(request, lambda file: grade_file(task, graders, file, open_task))
    for override in overrides:
        if override.startswith("task.") and not is_by_id(grades.rows[0].row):
            raise ValueError(f"{override}: is read only for rows with an id and no ground_truth")
    yield f"{grades.task}: {len(grades.rows)} rows of {request.generations}"
    yield f"accuracy: {_percent(grades.accuracy(request.grader))}, grader={request.grader}"
    for grader in graders.by_name:
        yield f"  {grader:7}{_figures(grades, grader)}"
    yield from _not_graded(grades)
    if len(graders.by_name) == 1:
        return
    listed = "" if request.disagreements or not grades.disagreements else " (disagreements=true lists them)"
    yield f"the graders differ on {len(grades.disagreements)} rows{listed}"
    if request.disagreements:
        yield from map(_disagreement, grades.disagreements)


def own_report(task: Task, request: Request) -> Iterator[str]:
    """The lines for a task that knows no other grader than its own verdict."""
    verdicts = _of_the_file(request, lambda file: own_verdicts(task, file))
    accuracy = Interval.of(sum(verdict.correct for verdict in verdicts), len(verdicts))
    yield f"{task.name}: {len(verdicts)} rows of {request.generations}"
    yield f"accuracy: {_percent(accuracy)}, by the task's own verdict"


def _of_the_file(request: Request, read: Callable[[Path], T]) -> T:
    try:
        return read(Path(request.generations))
    except ValueError as error:
        raise ValueError(f"generations={request.generations}: {error}") from error


def _not_graded(grades: Grades) -> Iterator[str]:
    if grades.unreadable:
        places = _listed([graded.problem for graded in grades.unreadable])
        yield f"no gold answer in {len(grades.unreadable)} rows (field: wrong, strict: left out): {places}"
    if grades.empty:
        places = _listed([graded.row.where for graded in grades.empty])
        yield f"no generation in {len(grades.empty)} rows (counted as no answer): {places}"


def _listed(places: Sequence[str]) -> str:
    more = f"; and {len(places) - _LISTED} more" if len(places) > _LISTED else ""
    return "; ".join(places[:_LISTED]) + more


def _figures(grades: Grades, grader: GraderName) -> str:
    parts = grades.graders.parts
    if parts is None:
        return _percent(grades.accuracy(grader))
    solved = sum(graded.verdicts[grader].correct for graded in grades.readable)
    return (
        f"solved {_percent(Interval.of(solved, len(grades.readable)))}, "
        f"{parts.metric} {_percent(grades.in_part(grader, parts))}, "
        f"chance ({parts.guess}) {100 * grades.chance(parts):.2f} % of the {parts.metric}"
    )


def _percent(share: Interval) -> str:
    return f"{100 * share.accuracy:.2f} % [{100 * share.low:.2f}, {100 * share.high:.2f}] of {share.n}"


def _disagreement(graded: GenerationVerdicts) -> str:
    accepted_by = next(grader for grader, verdict in graded.verdicts.items() if verdict.correct)
    end = " ".join(response_of(graded.row).partition("<|")[0].split())[-_SHOWN:]
    return f"{graded.row.where}: only {accepted_by} accepts; gold {_gold(graded)}; ... {end}"


def _gold(graded: GenerationVerdicts) -> str:
    return str(graded.gold if is_by_id(graded.row) else graded.row.get("ground_truth"))
