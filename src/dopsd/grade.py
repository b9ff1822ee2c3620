"""Grades generations made by anything: `python -m dopsd.grade task=gsm8k generations=FILE.jsonl grader=field`."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from dopsd.config.build import build, prepare_top_level
from dopsd.config.errors import UserError
from dopsd.entry.command import command
from dopsd.entry.composing import CONF, refuse_unknown_appended
from dopsd.evaluation.generations import (
    GenerationVerdicts,
    Grades,
    grade_file,
    is_by_id,
    is_right,
    own_verdicts,
    response_of,
)
from dopsd.evaluation.interval import Interval
from dopsd.setting import setting
from dopsd.task.grading.graders import GRADER_NAMES, GRADERS, GraderName

_LISTED = 20  # rows named in a line
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
        places = _listed([graded.problem for graded in grades.unreadable])
        yield f"no gold answer in {len(grades.unreadable)} rows (field: wrong, strict: left out): {places}"
    if grades.empty:
        places = _listed([graded.row.where for graded in grades.empty])
        yield f"no generation in {len(grades.empty)} rows (counted as no answer): {places}"
    listed = "" if request.disagreements or not grades.disagreements else " (disagreements=true lists them)"
    yield f"the graders differ on {len(grades.disagreements)} rows{listed}"
    if request.disagreements:
        yield from map(_disagreement, grades.disagreements)


def _listed(places: Sequence[str]) -> str:
    more = f"; and {len(places) - _LISTED} more" if len(places) > _LISTED else ""
    return "; ".join(places[:_LISTED]) + more


def _figures(grades: Grades, grader: GraderName) -> str:
    if grades.task != "sudoku":
        return _percent(grades.accuracy(grader))
    solved = sum(graded.verdicts[grader].extra["exact"] == 1 for graded in grades.readable)
    return (
        f"solved {_percent(Interval.of(solved, len(grades.readable)))}, "
        f"cells {_percent(grades.cells(grader))}, chance (one digit 16 times) {100 * grades.chance:.2f} % of the cells"
    )


def _percent(share: Interval) -> str:
    return f"{100 * share.accuracy:.2f} % [{100 * share.low:.2f}, {100 * share.high:.2f}] of {share.n}"


def _disagreement(graded: GenerationVerdicts) -> str:
    accepted_by = next(grader for grader, verdict in graded.verdicts.items() if is_right(verdict))
    end = " ".join(response_of(graded.row).partition("<|")[0].split())[-_SHOWN:]
    return f"{graded.row.where}: only {accepted_by} accepts; gold {_gold(graded)}; ... {end}"


def _gold(graded: GenerationVerdicts) -> str:
    return str(graded.gold if is_by_id(graded.row) else graded.row.get("ground_truth"))


def _graded(config: DictConfig, request: Request, task: str) -> Grades:
    try:
        return grade_file(task, Path(request.generations), lambda: build(config, "task"))
    except ValueError as error:
        raise UserError(f"generations={request.generations}: {error}") from error


def _report(config: DictConfig, request: Request, task: str, overrides: Sequence[str]) -> Iterator[str]:
    grades = _graded(config, request, task)
    for override in overrides:
        if override.startswith("task.") and not is_by_id(grades.rows[0].row):
            raise UserError(f"{override}: is read only for rows with an id and no ground_truth")
    return report(grades, request)


def _own_report(config: DictConfig, request: Request) -> Iterator[str]:
    """The lines for a task from outside, which knows no other grader than its own verdict."""
    task = build(config, "task")
    try:
        verdicts = own_verdicts(task, Path(request.generations))
    except ValueError as error:
        raise UserError(f"generations={request.generations}: {error}") from error
    accuracy = Interval.of(sum(verdict.accepted for verdict in verdicts), len(verdicts))
    yield f"{task.name}: {len(verdicts)} rows of {request.generations}"
    yield f"accuracy: {_percent(accuracy)}, by the task's own verdict"


@hydra.main(version_base="1.3", config_path=CONF, config_name="grade")
def _entry(config: DictConfig) -> None:
    task = HydraConfig.get().runtime.choices["task"]
    is_ours = str(OmegaConf.select(config, "task._target_") or "dopsd.").startswith("dopsd.")
    if task not in GRADERS and is_ours:
        raise UserError(f"task={task or 'null'}: must be one of {', '.join(GRADERS)}")
    overrides = HydraConfig.get().overrides.task
    refuse_unknown_appended(config, overrides, "grade")
    request = prepare_top_level(config, Request)()
    lines = _report(config, request, task, overrides) if is_ours else _own_report(config, request)
    for line in lines:
        sys.stdout.write(
            line.encode(errors="backslashreplace").decode() + "\n"
        )  # half a character is no text


def main() -> None:
    """The console script."""
    command(_entry, "grade")


if __name__ == "__main__":
    main()
