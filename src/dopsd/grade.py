"""Grades generations made by anything: `python -m dopsd.grade task=gsm8k generations=FILE.jsonl grader=field`."""

import sys
from typing import TYPE_CHECKING

from dopsd.entry.command import command

if TYPE_CHECKING:
    from hydra.conf import HydraConf
    from omegaconf import DictConfig


def _job(config: "DictConfig", hydra: "HydraConf") -> None:
    from pathlib import Path  # noqa: PLC0415  (slow to import: --help answers without them)

    from dopsd.config.build import build, prepare_top_level  # noqa: PLC0415
    from dopsd.config.errors import UserError  # noqa: PLC0415
    from dopsd.config.saved import typed_overrides  # noqa: PLC0415
    from dopsd.entry.composing import refuse_unknown_appended  # noqa: PLC0415
    from dopsd.evaluation.generations import grade_file, is_by_id  # noqa: PLC0415
    from dopsd.report.grades import Request, report  # noqa: PLC0415
    from dopsd.task.grading.graders import GRADERS  # noqa: PLC0415

    task = hydra.runtime.choices["task"]
    if task not in GRADERS:
        raise UserError(f"task={task or 'null'}: must be one of {', '.join(GRADERS)}")
    overrides = typed_overrides(hydra)
    refuse_unknown_appended(config, overrides, "grade")
    request = prepare_top_level(config, Request)()
    try:
        grades = grade_file(task, Path(request.generations), lambda: build(config, "task"))
    except ValueError as error:
        raise UserError(f"generations={request.generations}: {error}") from error
    for override in overrides:
        if override.startswith("task.") and not is_by_id(grades.rows[0].row):
            raise UserError(f"{override}: is read only for rows with an id and no ground_truth")
    sys.stdout.write("".join(f"{line}\n" for line in report(grades, request)))


def main() -> None:
    """The console script."""
    command(_job, "grade")


if __name__ == "__main__":
    main()
