"""The accuracy of a run's weights, or of a plain model: `python -m dopsd.evaluate checkpoint=runs/train/<time>`."""

from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from dopsd.config.saved import planned
from dopsd.entry.command import command
from dopsd.entry.composing import CONF
from dopsd.entry.processes import on_every_process


def evaluate(config: DictConfig, directory: Path) -> None:
    """Plan, load, decode and grade, and leave everything in the directory."""
    from dopsd import job  # noqa: PLC0415  (slow to import: --help and a misspelt key answer without it)

    plan = job.Plan.of(config)
    plan.hardware.join()
    chosen = job.Chosen.of(config)
    student = job.Student.load(plan)
    if chosen.directory is not None:
        student = student.with_weights(chosen.directory)
    run = job.RunDirectory.open(directory, config)
    with job.Display() as display:
        evaluation = job.Examiner(plan=plan, display=display)(student, chosen.split, chosen.title)
    run.write_samples(evaluation.samples)
    run.write_json("evaluation.json", job.report(config, chosen, evaluation))
    display.result(
        f"{config.command.arms.task}, accuracy on {chosen.split}",
        {chosen.title: evaluation.accuracy},
        where=run.path,
    )


@hydra.main(version_base="1.3", config_path=CONF, config_name="evaluate")
def _entry(config: DictConfig) -> None:
    hydra_config = HydraConfig.get()
    on_every_process(evaluate, planned(config, hydra_config), Path(hydra_config.runtime.output_dir))


def main() -> None:
    """The console script."""
    command(_entry, "evaluate")


if __name__ == "__main__":
    main()
