"""The paper's probes of a run's weights, or of a plain model: `python -m dopsd.probe probe=toy_verification`."""

from collections.abc import Sequence
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from dopsd.config.of_a_probe import probed
from dopsd.entry.command import carried_back, command
from dopsd.entry.composing import CONF


def probe(config: DictConfig, directory: Path) -> None:
    """Plan, load, measure, and leave numbers, a table and a drawing."""
    from matplotlib.figure import Figure  # noqa: PLC0415  (slow to import: --help answers without them)

    from dopsd import job  # noqa: PLC0415

    plan = job.Plan.of(config)
    chosen = job.Selection.of(config)
    chosen_probe = job.prepare_probe(config, plan, chosen)
    base = job.Student.load(plan)
    with job.Display() as display:
        finding = job.run_probe(chosen_probe, base, chosen, display)
    run = job.RunDirectory.open(directory, config)
    arms, figures = config.command.arms, finding.figures()
    said = {"probe": arms.probe, **job.circumstances(config, chosen)}
    run.write_json("probe.json", {**said, **figures, "versions": job.versions()})
    n, weights = figures["asked"], f", {chosen.title} weights" if chosen.checkpoint else ""
    what = f"{chosen_probe.title}, model={arms.model}{weights}, task={arms.task} ({chosen.split}, n = {n})"
    figure = Figure(layout="constrained")
    finding.draw(figure, what)
    figure.savefig(run.path / "probe.png", dpi=150, format="png")
    columns, rows = finding.table()
    run.write("probe.md", _markdown(columns, rows))
    display.table(f"{what}; 95 % intervals", columns, rows, where=run.path)


def _markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The table for a report."""
    return "".join(f"| {' | '.join(row)} |\n" for row in (columns, ["---"] * len(columns), *rows))


@hydra.main(version_base="1.3", config_path=CONF, config_name="probe")
def _entry(config: DictConfig) -> None:
    with carried_back():
        from dopsd.job import memory_explained  # noqa: PLC0415

        hydra_config = HydraConfig.get()
        directory = Path(hydra_config.runtime.output_dir)
        whole = probed(config, hydra_config)
        with memory_explained(whole, directory):
            probe(whole, directory)


def main() -> None:
    """The console script."""
    command(_entry, "probe")


if __name__ == "__main__":
    main()
