"""One run, from its config to its figures: `python -m dopsd.train task=countdown divergence=fkl rho=0.1`."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

from dopsd.entry.command import command

if TYPE_CHECKING:
    from hydra.conf import HydraConf
    from omegaconf import DictConfig


def train(config: "DictConfig", directory: Path) -> None:
    """Plan, load, measure, train, measure again, and leave everything in the directory."""
    from dopsd import job  # noqa: PLC0415  (slow to import: --help and a misspelt key answer without it)

    started, git = time.perf_counter(), job.git_revision()
    plan = job.Plan.of(config)
    plan.hardware.join()
    with job.EarlyWarnings() as early:
        student = job.Student.load(plan)
        method = student.method()
    run = job.RunDirectory.open(directory, config)
    with (
        job.Display(log=run.log, before=early.records) as display,
        run.interruptible(),
        job.opened_logger(plan, run, config, display) as loggers,
    ):
        for line in job.start_block(student, run, config):
            display.say(line)
        for line in job.forecast(method, student, run):
            display.say(line)
        if ways := plan.approximate_rollouts:
            display.say(
                f"rollouts are approximate ({' '.join(ways)}); probe=drift of dopsd.probe measures how much"
            )
        for line in method.notes:
            display.say(line)
        examiner = job.Examiner(plan=plan, display=display)
        with job.shared_base(run, config, display):
            base = run.base_scores(lambda: examiner(student, "test", "base, test"))
        fitted = job.fit(method, student, run, examiner, loggers=loggers, started=started)
        tested = job.test_weights(student, run, examiner, base=base, fitted=fitted)
        summary = job.summarise(config, tested=tested, fitted=fitted, git=git)
        run.write_json("summary.json", summary)
        job.log_results(loggers, summary)
        if complaint := fitted.learning.complaint:
            display.say(f"WARNING: {complaint}")
    job.draw_curve(
        run,
        title=job.title_of(config),
        history=fitted.history,
        test=tested.accuracies,
        over=plan.settings.curve_over,
    )
    notes = [complaint] if complaint else []
    job.show_table(tested.title(config.command.arms.task), *tested.table(), notes=notes, where=run.path)


def _job(config: "DictConfig", hydra: "HydraConf") -> float:
    """The best accuracy on dev, for a sweeper that looks for it."""
    from dopsd.config.saved import planned  # noqa: PLC0415
    from dopsd.entry.processes import on_every_process  # noqa: PLC0415
    from dopsd.job import RunDirectory  # noqa: PLC0415

    directory = Path(config.resume or hydra.runtime.output_dir)
    on_every_process(train, planned(config, hydra), directory)
    return RunDirectory(directory).best_on_dev


def main() -> None:
    """The console script."""
    command(_job, "train")


if __name__ == "__main__":
    main()
