"""One run, from its config to its figures: `python -m dopsd.train task=countdown divergence=fkl rho=0.1`."""

import time
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from dopsd.config.saved import planned
from dopsd.entry.command import carried_back, command
from dopsd.entry.composing import CONF
from dopsd.entry.processes import on_every_process


def train(config: DictConfig, directory: Path) -> None:
    """Plan, load, measure, train, measure again, and leave everything in the directory."""
    from dopsd import job  # noqa: PLC0415  (slow to import: --help and a misspelt key answer without it)

    started = time.perf_counter()
    plan = job.Plan.of(config)
    plan.hardware.join()
    student = job.Student.load(plan)
    method = student.method()
    run = job.RunDirectory.open(directory, config)
    with (
        job.Display(log=run.log) as display,
        run.interruptible(),
        job.opened_logger(plan, run, config, display) as loggers,
    ):
        for line in job.start_block(student, run, config):
            display.say(line)
        if ways := plan.approximate_rollouts:
            display.say(
                f"rollouts are approximate ({' '.join(ways)}); probe=drift of dopsd.probe measures how much"
            )
        examiner = job.Examiner(plan=plan, display=display)
        with job.shared_base(run, config, display):
            base = run.base_scores(lambda: examiner(student, "test", "base, test"))
        fitted = job.fit(method, student, run, examiner, loggers=loggers, started=started)
        tested = job.test_weights(student, run, examiner, base=base, fitted=fitted)
        summary = job.summarise(config, tested=tested, fitted=fitted)
        run.write_json("summary.json", summary)
        job.log_results(loggers, summary)
        complaints = [complaint] if (complaint := fitted.learning.complaint) else []
        for line in complaints:
            display.say(f"WARNING: {line}")
    job.draw_curve(run, title=job.title_of(config), history=fitted.history, test=tested.accuracies)
    title = tested.title(config.command.arms.task)
    job.show_table(title, *tested.table(), notes=complaints, where=run.path)


@hydra.main(version_base="1.3", config_path=CONF, config_name="train")
def _entry(config: DictConfig) -> None:
    with carried_back():
        hydra_config = HydraConfig.get()
        directory = Path(config.resume or hydra_config.runtime.output_dir)
        on_every_process(train, planned(config, hydra_config), directory)


def main() -> None:
    """The console script."""
    command(_entry, "train")


if __name__ == "__main__":
    main()
