"""Grades generations made by anything: `python -m dopsd.grade task=gsm8k generations=FILE.jsonl grader=field`."""

import sys
from typing import TYPE_CHECKING

from dopsd.entry.command import command

if TYPE_CHECKING:
    from hydra.conf import HydraConf
    from omegaconf import DictConfig


def _job(config: "DictConfig", hydra: "HydraConf") -> None:
    from omegaconf import OmegaConf  # noqa: PLC0415  (slow to import: --help answers without them)

    from dopsd.config.build import build, prepare_top_level  # noqa: PLC0415
    from dopsd.config.errors import UserError  # noqa: PLC0415
    from dopsd.config.saved import typed_overrides  # noqa: PLC0415
    from dopsd.entry.composing import refuse_unknown_appended  # noqa: PLC0415
    from dopsd.report.grades import Request, own_report, report  # noqa: PLC0415
    from dopsd.task.grading.graders import GRADERS  # noqa: PLC0415

    task = hydra.runtime.choices["task"]
    is_ours = str(OmegaConf.select(config, "task._target_") or "dopsd.").startswith("dopsd.")
    if task not in GRADERS and is_ours:
        raise UserError(f"task={task or 'null'}: must be one of {', '.join(GRADERS)}")
    overrides = typed_overrides(hydra)
    refuse_unknown_appended(config, overrides, "grade")
    request = prepare_top_level(config, Request)()
    try:
        if is_ours:
            lines = list(report(task, request, lambda: build(config, "task"), overrides))
        else:
            lines = list(own_report(build(config, "task"), request))
    except ValueError as error:
        raise UserError(str(error)) from error
    for line in lines:  # half a character is no text
        sys.stdout.write(line.encode(errors="backslashreplace").decode() + "\n")


def main() -> None:
    """The console script."""
    command(_job, "grade")


if __name__ == "__main__":
    main()
