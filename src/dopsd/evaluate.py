"""Accuracy of runs' weights, or of a plain model: `python -m dopsd.evaluate checkpoint=runs/train/<time>`."""

import sys
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from dopsd.config.rows import put_together, rows_of, taken_apart
from dopsd.entry.command import carried_back, command
from dopsd.entry.composing import CONF
from dopsd.entry.lists import with_lists
from dopsd.entry.processes import on_every_process


def evaluate(config: DictConfig, directory: Path) -> None:
    """Plan, load, decode and grade each row of `put_together` configs, and leave the report in the directory."""
    from dopsd import job  # noqa: PLC0415  (slow to import: --help and a misspelt key answer without it)

    wanted = job.ReportOptions.of(config)
    asked = [job.EvaluationPlan.of(name, row) for name, row in taken_apart(config).items()]
    asked[0].plan.hardware.join()
    with job.Display() as display:
        evaluate_row = job.RowEvaluator(display=display, directory=directory)
        evaluated = [evaluate_row(row) for row in asked]
    job.leave_report(evaluated, wanted, config=config, device=asked[0].plan.device, directory=directory)


def compare(config: DictConfig, directory: Path) -> None:
    """Compare two evaluations; no model is loaded."""
    from dopsd import job  # noqa: PLC0415

    job.compare(job.ReportOptions.of(config), directory)


@hydra.main(version_base="1.3", config_path=CONF, config_name="evaluate")
def _entry(config: DictConfig) -> None:
    with carried_back():
        hydra_config = HydraConfig.get()
        directory = Path(hydra_config.runtime.output_dir)
        rows = rows_of(config, hydra_config)
        if rows:
            on_every_process(evaluate, put_together(rows), directory)
        else:
            compare(config, directory)


def main() -> None:
    """The console script."""
    sys.argv[1:] = with_lists(sys.argv[1:])
    command(_entry, "evaluate")


if __name__ == "__main__":
    main()
