"""Accuracy of runs' weights, or of a plain model: `python -m dopsd.evaluate checkpoint=runs/train/<time>`."""

from pathlib import Path
from typing import TYPE_CHECKING

from dopsd.entry.command import command

if TYPE_CHECKING:
    from hydra.conf import HydraConf
    from omegaconf import DictConfig


def evaluate(config: "DictConfig", directory: Path) -> None:
    """Plan, load, decode and grade each row of `put_together` configs, and leave the report in the directory."""
    from dopsd import job  # noqa: PLC0415  (slow to import: --help and a misspelt key answer without it)
    from dopsd.config.rows import taken_apart  # noqa: PLC0415

    wanted = job.ReportOptions.of(config)
    asked = [job.EvaluationPlan.of(name, row) for name, row in taken_apart(config).items()]
    asked[0].plan.hardware.join()
    with job.Display() as display:
        evaluate_row = job.RowEvaluator(display=display, directory=directory)
        evaluated = [evaluate_row(row) for row in asked]
        first, run = asked[0], job.RunDirectory(directory)
        with job.opened_logger(first.plan, run, first.config, display, job_type="evaluate") as loggers:
            job.log_evaluation(loggers, evaluated, evaluate_row.shown)
    job.leave_report(evaluated, wanted, config=config, device=first.plan.device, directory=directory)


def compare(config: "DictConfig", directory: Path) -> None:
    """Compare two evaluations; no model is loaded."""
    from dopsd import job  # noqa: PLC0415

    job.compare(job.ReportOptions.of(config), directory)


def _job(config: "DictConfig", hydra: "HydraConf") -> None:
    from dopsd.config.rows import put_together, rows_of  # noqa: PLC0415
    from dopsd.entry.processes import on_every_process  # noqa: PLC0415

    directory = Path(hydra.runtime.output_dir)
    rows = rows_of(config, hydra)
    if rows:
        on_every_process(evaluate, put_together(rows), directory)
    else:
        compare(config, directory)


def main() -> None:
    """The console script."""
    command(_job, "evaluate")


if __name__ == "__main__":
    main()
