"""What collapses, when, and what warns of it: `python experiments/collapse.py` (typed again, it goes on).

Each sweep conf/experiment/collapse_*.yaml changes one thing of collapse.yaml; a run that several share is made once. A
fall is what callbacks=collapse_guard calls one: dev accuracy below the best of the run beyond chance. Table, figure and
results.json go to experiments/collapse.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from itertools import chain
from pathlib import Path

from collapse_signs import LANDMARKS, SIGNALS, Fate, signs_of
from curves import draw_curve
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from results import HERE, summaries, write_results
from study import Study, all_ended, run_missing

from dopsd.entry.composing import CONF
from dopsd.figure import entitle, plain
from dopsd.job.table import markdown
from dopsd.report.runs.arms import Arm
from dopsd.report.runs.run import Run

PREFIX = "collapse_"
ACROSS = 5  # panels
HEAD = [
    "changed",
    "setting",
    "dev: best, last, first fall, of each seed",
    "test, %: before",
    "best on dev",
    "last",
]


def main() -> None:
    """Runs what is missing; leaves what there is."""
    files = sorted((Path(CONF) / "experiment").glob(f"{PREFIX}*.yaml"))
    known = [file.stem.removeprefix(PREFIX) for file in files]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=known, default=known, help="run these alone")
    parser.add_argument("--runs", type=Path, default=Path("runs/collapse"))
    parser.add_argument("--workers", type=int, default=2, help="runs at a time, one thread each")
    given = parser.parse_args()
    studies = {name: Study(name=f"{PREFIX}{name}", runs=given.runs.absolute()) for name in known}
    failures = run_missing([studies[name] for name in given.only], workers=given.workers)
    leave({name: labelled(study.arms) for name, study in studies.items()}, HERE / "collapse")
    sys.exit("\n".join(failures) or None)


def labelled(arms: Sequence[Arm]) -> list[Arm]:
    """With what was typed as their names, also where there is but one."""
    return [replace(arm, label=" ".join(arm.setting)) for arm in arms]


def leave(studies: Mapping[str, Sequence[Arm]], where: Path) -> None:
    """table.md, results.json and figure.png of all runs that have ended."""
    fates = list(fates_of(studies).values())
    signs = signs_of(fates)
    settings = [row(name, arm) for name, arms in studies.items() for arm in arms]
    warnings = [
        [SIGNALS[signal], *("" if it is None else str(it) for it in of)] for signal, of in signs.items()
    ]
    columns = ["signal: AUC of a fall to come", *(f"at step {step}" for step in LANDMARKS)]
    where.mkdir(parents=True, exist_ok=True)
    (where / "table.md").write_text(f"{markdown(HEAD, settings)}\n{markdown(columns, warnings)}")
    write_results(
        where,
        "python experiments/collapse.py",
        summaries(it.run.directory / "summary.json" for it in fates),
        runs=[
            {"setting": it.setting, "seed": it.run.seed, "falls": it.falls, "dev": it.on_dev} for it in fates
        ],
        landmarks=LANDMARKS,
        signs={signal: [it and asdict(it) for it in of] for signal, of in signs.items()},
    )
    draw(studies, where / "figure.png")


def fates_of(studies: Mapping[str, Sequence[Arm]]) -> dict[Path, Fate]:
    """Of every run that has ended, once, under the first setting that has it."""
    found: dict[Path, Fate] = {}
    for name, arms in studies.items():
        for arm in arms:
            for run in arm.ended:
                found.setdefault(run.directory, Fate(setting=f"{name}: {arm.label}", run=run))
    return found


def row(name: str, arm: Arm) -> list[str]:
    """Of the table: accuracy on test only where every seed has ended."""
    tested = [str(of) if all_ended(arm) else "" for of in arm.pooled.values()]
    return [name, arm.label, ", ".join(map(story, arm.runs)), *tested]


def story(run: Run) -> str:
    """How a run went on dev, in percent, and after which training step it first fell."""
    if not run.has_ended:
        return run.state
    fate = Fate(setting="", run=run)
    dev = [f"{100 * accuracy:.0f}" for accuracy in (max(fate.on_dev.values()), [*fate.on_dev.values()][-1])]
    fell = [f"(step {step})" for step in fate.falls[:1]]
    return " ".join([*dev, *fell, *filter(None, [run.state.removeprefix("done")])])


def draw(studies: Mapping[str, Sequence[Arm]], file: Path) -> None:
    """Dev accuracy over training steps, a panel a study that has begun; a cross at the first fall of a run."""
    begun = {name: done for name, arms in studies.items() if (done := [arm for arm in arms if arm.ended])}
    columns = max(1, min(ACROSS, len(begun)))
    rows = max(1, -(-len(begun) // columns))
    figure = Figure(figsize=(4.2 * columns, 3.8 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False).flat
    for axes in panels[len(begun) :]:
        axes.remove()
    for axes, (name, done) in zip(panels, begun.items(), strict=False):
        draw_curve(axes, done, "eval/accuracy")
        for run in chain.from_iterable(arm.ended for arm in done):
            fate = Fate(setting="", run=run)
            axes.plot(
                fate.falls[:1], [fate.on_dev[step] for step in fate.falls[:1]], "x", color="black", zorder=3
            )
        entitle(axes, name)
        axes.legend(fontsize=8, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.18))
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        plain(axes)
    figure.savefig(file, dpi=110, format="png")


if __name__ == "__main__":
    main()
