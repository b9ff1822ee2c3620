"""Grades generations made by anything: `python -m dopsd.grade task=gsm8k generations=FILE.jsonl grader=field`."""

import sys
from typing import TYPE_CHECKING

from dopsd.entry.command import command

if TYPE_CHECKING:
    from hydra.conf import HydraConf
    from omegaconf import DictConfig


def _job(config: "DictConfig", hydra: "HydraConf") -> None:
    from omegaconf import OmegaConf  # noqa: PLC0415  (slow to import: --help answers without them)

    from dopsd.config.build import build, locate, prepare_top_level  # noqa: PLC0415
    from dopsd.config.errors import UserError  # noqa: PLC0415
    from dopsd.config.saved import typed_overrides  # noqa: PLC0415
    from dopsd.entry.composing import arms, refuse_unknown_appended  # noqa: PLC0415
    from dopsd.report.grades import Request, own_report, report  # noqa: PLC0415

    target = OmegaConf.select(config, "task._target_")
    if target is None:
        raise UserError(f"task=null: must be one of {', '.join(arms('task'))}")
    overrides = typed_overrides(hydra)
    refuse_unknown_appended(config, overrides, "grade")
    request = prepare_top_level(config, Request)()
    try:
        graders = getattr(locate(target, "task"), "graders", None)  # a function that makes a task has none
        if graders is None:
            lines = list(own_report(build(config, "task"), request))
        else:
            name = str(hydra.runtime.choices["task"])
            lines = list(report(name, graders, request, lambda: build(config, "task"), overrides))
    except ValueError as error:
        raise UserError(str(error)) from error
    for line in lines:  # half a character is no text
        sys.stdout.write(line.encode(errors="backslashreplace").decode() + "\n")


def main() -> None:
    """The console script."""
    command(_job, "grade")


if __name__ == "__main__":
    main()
