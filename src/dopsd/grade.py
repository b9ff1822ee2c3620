"""Grades generations made by anything: `python -m dopsd.grade task=gsm8k generations=FILE.jsonl grader=field`."""

import sys
from collections.abc import Iterator
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from dopsd.config.build import build, prepare_top_level
from dopsd.config.errors import UserError
from dopsd.entry.command import command
from dopsd.entry.composing import CONF, refuse_unknown_appended
from dopsd.evaluation.generations import (
    GenerationVerdicts,
    Grades,
    grade_file,
    is_by_id,
    response_of,
)
from dopsd.evaluation.interval import Interval
from dopsd.setting import setting
from dopsd.task.grading.graders import GRADER_NAMES, GRADERS, GraderName

_LISTED = 20  # rows without a gold answer
_SHOWN = 160  # characters of a response


@setting
class Request:
    """What the command is asked for."""

    generations: str
    grader: GraderName
    disagreements: bool


def report(grades: Grades, request: Request) -> Iterator[str]:
    """The lines of the report: the figure asked for, both graders side by side, the rows on which they differ."""
    yield f"{grades.task}: {len(grades.rows)} rows of {request.generations}"
    yield f"accuracy: {_percent(grades.accuracy(request.grader))}, grader={request.grader}"
    for grader in GRADER_NAMES:
        yield f"  {grader:7}{_figures(grades, grader)}"
    if grades.unreadable:
        places = "; ".join(graded.problem for graded in grades.unreadable[:_LISTED])
        places += f"; and {len(grades.unreadable) - _LISTED} more" if len(grades.unreadable) > _LISTED else ""
        yield f"no gold answer in {len(grades.unreadable)} rows (field: wrong, strict: left out): {places}"
    listed = "" if request.disagreements or not grades.disagreements else " (disagreements=true lists them)"
    yield f"the graders differ on {len(grades.disagreements)} rows{listed}"
    if request.disagreements:
        yield from map(_disagreement, grades.disagreements)


def _figures(grades: Grades, grader: GraderName) -> str:
    if grades.task != "sudoku":
        return _percent(grades.accuracy(grader))
    solved = sum(graded.verdicts[grader].correct for graded in grades.readable)
    return (
        f"solved {_percent(Interval.of(solved, len(grades.readable)))}, "
        f"cells {_percent(grades.cells(grader))}, chance (one digit 16 times) {100 * grades.chance:.2f} % of the cells"
    )


def _percent(share: Interval) -> str:
    return f"{100 * share.accuracy:.2f} % [{100 * share.low:.2f}, {100 * share.high:.2f}] of {share.n}"


def _disagreement(graded: GenerationVerdicts) -> str:
    accepted_by = next(grader for grader, verdict in graded.verdicts.items() if verdict.correct)
    end = " ".join(response_of(graded.row).partition("<|")[0].split())[-_SHOWN:]
    return f"{graded.row.where}: only {accepted_by} accepts; gold {_gold(graded)}; ... {end}"


def _gold(graded: GenerationVerdicts) -> str:
    return str(graded.gold if is_by_id(graded.row) else graded.row.get("ground_truth"))


def _graded(config: DictConfig, request: Request, task: str) -> Grades:
    try:
        return grade_file(task, Path(request.generations), lambda: build(config, "task"))
    except ValueError as error:
        raise UserError(f"generations={request.generations}: {error}") from error


@hydra.main(version_base="1.3", config_path=CONF, config_name="grade")
def _entry(config: DictConfig) -> None:
    task = HydraConfig.get().runtime.choices["task"]
    if task not in GRADERS:
        raise UserError(f"task={task or 'null'}: must be one of {', '.join(GRADERS)}")
    overrides = HydraConfig.get().overrides.task
    refuse_unknown_appended(config, overrides, "grade")
    request = prepare_top_level(config, Request)()
    grades = _graded(config, request, task)
    for override in overrides:
        if override.startswith("task.") and not is_by_id(grades.rows[0].row):
            raise UserError(f"{override}: is read only for rows with an id and no ground_truth")
    sys.stdout.write("".join(f"{line}\n" for line in report(grades, request)))


def main() -> None:
    """The console script."""
    command(_entry, "grade")


if __name__ == "__main__":
    main()
