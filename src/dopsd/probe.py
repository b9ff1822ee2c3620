"""The paper's probes of a run's weights, or of a plain model: `python -m dopsd.probe probe=toy_verification`."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

from dopsd.entry.command import command

if TYPE_CHECKING:
    from hydra.conf import HydraConf
    from omegaconf import DictConfig


def probe(config: "DictConfig", directory: Path) -> None:
    """Plan, load, measure, and leave numbers, a table and a drawing."""
    from matplotlib.figure import Figure  # noqa: PLC0415  (slow to import: --help answers without them)

    from dopsd import job  # noqa: PLC0415
    from dopsd.files import written_whole  # noqa: PLC0415

    started, git = time.perf_counter(), job.git_revision()
    plan = job.Plan.of(config)
    chosen = job.Selection.of(config)
    chosen_probe = job.prepare_probe(config, plan, chosen)
    base = job.Student.load(plan)
    with job.Display() as display:
        finding = job.run_probe(chosen_probe, base, chosen, display)
    run = job.RunDirectory.open(directory, config)
    arms, figures = config.command.arms, finding.figures()
    said = {"probe": arms.probe, **job.circumstances(config, chosen)}
    made = {
        "wall_s": round(time.perf_counter() - started, 3),
        "versions": job.versions(),
        "git": git,
    }
    run.write_json("probe.json", {**said, **figures, **made})
    n, weights = figures["asked"], f", {chosen.title} weights" if chosen.checkpoint else ""
    what = f"{chosen_probe.title}, model={arms.model}{weights}, task={arms.task} ({chosen.split}, n = {n})"
    figure = Figure(layout="constrained")
    finding.draw(figure, what)
    with written_whole(run.path / "probe.png") as part:
        figure.savefig(part, dpi=150, format="png")
    with (
        job.Display() as display,
        job.opened_logger(plan, run, config, display, job_type="probe") as loggers,
    ):
        job.log_probe(loggers, figures, run.path / "probe.png")
    columns, rows = finding.table()
    run.write("probe.md", job.markdown(columns, rows))
    job.show_table(f"{what}; 95 % intervals", columns, rows, where=run.path)


def _job(config: "DictConfig", hydra: "HydraConf") -> None:
    from dopsd.config.of_a_probe import probed  # noqa: PLC0415
    from dopsd.job import memory_explained  # noqa: PLC0415

    directory = Path(hydra.runtime.output_dir)
    whole = probed(config, hydra)
    with memory_explained(whole, directory):
        probe(whole, directory)


def main() -> None:
    """The console script."""
    command(_job, "probe")


if __name__ == "__main__":
    main()
