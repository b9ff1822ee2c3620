"""The paper's tables and figures on the embedded model: `python experiments/paper.py table5 figure3 ...` (or `paper`).

Most are the sweep of an experiment (conf/experiment): a run that several of them share is made once, one that was
stopped goes on, and what fails is named at the end while the others go on. Table, figure and results.json of each go
to experiments/paper/NAME.
"""

import argparse
import itertools
import json
import os
import re
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from omegaconf import OmegaConf

from dopsd.config.sweep_list import SweepJob
from dopsd.entry.composing import CONF
from dopsd.figure import entitle, plain
from dopsd.job.found_runs import read_job
from dopsd.job.metrics_file import STEP
from dopsd.job.table import markdown, show_table
from dopsd.report.runs.arms import Arm, arms_of
from dopsd.report.runs.bars import bars_size, draw_bars
from dopsd.report.runs.run import Run
from dopsd.report.runs.svg import COLORS

HERE = Path(__file__).parent
PUBLISHED = HERE / "paper" / "published.yaml"  # percent, LLaDA-8B on GSM8K at length 256, one seed
ELSEWHERE = {  # what has a script and a folder of its own
    "table1": ("main_table.py",),
    "table2": ("main_table.py",),
    "figure1": ("main_table.py",),
    "table3": ("probes.py", "toy_verification"),
    "figure3": ("probes.py", "overlap"),
}
NOT_OF_THE_RUN = {"name", "paths"}


def sweeps() -> dict[str, str]:
    """`table5` -> `table5_divergence`; tables before figures."""
    found = (
        re.fullmatch(r"((table|figure)(\d+))_.*", file.stem) for file in (Path(CONF) / "experiment").iterdir()
    )
    ordered = sorted(filter(None, found), key=lambda name: (name[2] != "table", int(name[3])))
    return {name[1]: name[0] for name in ordered}


@dataclass(frozen=True, kw_only=True)
class Study:
    """The sweep of one experiment over runs that it may share with others."""

    name: str
    runs: Path

    @property
    def jobs(self) -> list[tuple[str, ...]]:
        """The overrides of each, as `--multirun` would make them."""
        swept = self._content["hydra"]["sweeper"]["params"]
        values = [[f"{key}={value}" for value in str(swept[key]).split(",")] for key in swept]
        return list(itertools.product(*values))

    @property
    def title(self) -> str:
        """The first line of the experiment's file that says something."""
        lines = (Path(CONF) / "experiment" / f"{self.name}.yaml").read_text().splitlines()
        return lines[1].removeprefix("# ")

    @property
    def _content(self) -> Mapping[str, Any]:
        return yaml.safe_load((Path(CONF) / "experiment" / f"{self.name}.yaml").read_text())

    def directory(self, job: tuple[str, ...]) -> Path:
        """Equal settings have the same, whatever they are called."""
        return self.runs / digest((f"experiment={self.name}", *job))

    @property
    def arms(self) -> list[Arm]:
        """Its settings with their seeds, whatever came of them."""
        jobs = [SweepJob(directory=self.directory(job).name, overrides=job) for job in self.jobs]
        return arms_of(read_job(self.runs, job, {}) for job in jobs)

    def leave(self) -> None:
        """Its table, figure and numbers; a setting without all its seeds is named there and has none."""
        arms, where = self.arms, HERE / "paper" / self.name
        published = yaml.safe_load(PUBLISHED.read_text()).get(self.name, {})
        table = [row(arm, published.get(arm.label)) for arm in arms]
        where.mkdir(parents=True, exist_ok=True)
        numbers = [result(arm, published.get(arm.label)) for arm in arms]
        whole = {"command": self.command, "revision": revision(), "settings": numbers}
        (where / "results.json").write_text(json.dumps(whole, indent=1) + "\n")
        (where / "table.md").write_text(f"`{self.command}`\n\n{markdown(HEAD, table)}")
        if done := [arm for arm in arms if all_ended(arm)]:
            self._draw(done, where / "figure.png")
        show_table(self.title, HEAD, table, where=where)

    def _draw(self, arms: Sequence[Arm], file: Path) -> None:
        is_table = self.name.startswith("table")
        size = bars_size(arms) if is_table else (4 * len(CURVES), 3.6)
        figure = Figure(figsize=size, layout="constrained")
        draw_bars(figure, arms) if is_table else draw_curves(figure, arms)
        entitle(figure.axes[0], self.title)
        figure.savefig(file, dpi=130, format="png")

    @property
    def command(self) -> str:
        """What gives the same, alone."""
        return f"python -m dopsd.train --multirun experiment={self.name}"


@cache
def digest(overrides: tuple[str, ...]) -> str:
    """Of all that a run reads."""
    with initialize_config_dir(CONF, version_base="1.3"):
        config = compose("train", list(overrides))
    whole = OmegaConf.to_container(OmegaConf.masked_copy(config, [*config.keys() - NOT_OF_THE_RUN]))
    return sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()[:12]


HEAD = ["setting", "paper, %", "before", "best on dev", "last", "seeds, best"]


def all_ended(arm: Arm) -> bool:
    """Whether its figures are those of every seed; one that learnt nothing has ended too."""
    return all(run.has_ended for run in arm.runs)


def row(arm: Arm, paper: float | None) -> list[str]:
    """Of the table; figures only where every seed has ended."""
    figures = [str(of) if all_ended(arm) else "" for of in arm.pooled.values()]
    return [arm.label, "" if paper is None else f"{paper:.1f}", *figures, ", ".join(map(of_seed, arm.runs))]


def of_seed(run: Run) -> str:
    """A seed's best accuracy in percent, and its state where it is not simply done."""
    best = f"{100 * run.results['best'].accuracy:.1f}" if run.has_ended else ""
    return " ".join([f"{run.seed}:", *filter(None, (best, run.state.removeprefix("done")))])


def result(arm: Arm, paper: float | None) -> dict[str, Any]:
    """Of results.json; figures only where every seed has ended."""
    figures = {of: asdict(pooled) for of, pooled in arm.pooled.items() if pooled} if all_ended(arm) else {}
    seeds = {"seeds": [run.seed for run in arm.ended], "not_done": arm.not_done}
    return {"setting": arm.label, **seeds, "paper": paper, **figures}


CURVES = {  # metrics.csv: what is read beside it
    "eval/accuracy": "dev accuracy",
    "rollout/length": "tokens of an answer",
    "distill/entropy": "entropy, nats",
    "distill/clipped_fraction": "clipped share",
}


def draw_curves(figure: Figure, arms: Sequence[Arm]) -> None:
    """What was logged over training steps: a thin line a seed, their mean thick."""
    panels = figure.subplots(1, len(CURVES))
    for axes, (column, label) in zip(panels, CURVES.items(), strict=True):
        draw_curve(axes, arms, column)
        axes.set_ylabel(label)
    panels[0].legend(fontsize=8, frameon=False)
    plain(*panels)


def draw_curve(axes: Axes, arms: Sequence[Arm], column: str) -> None:
    """One thing that was logged, of arms of which runs have ended."""
    for number, arm in enumerate(arms):
        seeds = [{of[STEP]: of[column] for of in run.curve if column in of} for run in arm.ended]
        for seed in seeds:
            axes.plot(seed.keys(), seed.values(), color=COLORS[number], alpha=0.3, linewidth=0.8)
        steps = [step for step in seeds[0] if all(step in seed for seed in seeds)]
        means = [statistics.mean(seed[step] for seed in seeds) for step in steps]
        axes.plot(steps, means, color=COLORS[number], linewidth=2, label=arm.label)
    axes.set_xlabel("training step")


def revision() -> str:
    """Of the code, as git names it."""
    asked = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    return subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()


def run_missing(studies: Sequence[Study], *, workers: int) -> list[str]:
    """Each run of some studies once; says what failed."""
    jobs = {
        study.directory(job): (f"experiment={study.name}", *job) for study in studies for job in study.jobs
    }
    with ThreadPoolExecutor(workers) as pool:
        return [said for said in pool.map(train, jobs, jobs.values()) if said]


def train(directory: Path, overrides: Sequence[str]) -> str | None:
    """A run, or what is left of it; what it said last where it failed."""
    if (directory / "summary.json").exists():
        return None
    begun = (directory / "config.yaml").exists()
    typed = (f"resume={directory}",) if begun else (*overrides, f"hydra.run.dir={directory}")
    ran = subprocess.run(
        [sys.executable, "-m", "dopsd.train", *typed],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    return None if ran.returncode == 0 else f"{' '.join(overrides)}: {ran.stderr.strip().splitlines()[-1:]}"


def main() -> None:
    """What is asked for, in the paper's order."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    known = [*ELSEWHERE, *sweeps()]
    parser.add_argument("asked", nargs="+", choices=[*known, "paper"], metavar="NAME", help=", ".join(known))
    parser.add_argument("--runs", type=Path, default=Path("runs/paper"))
    parser.add_argument("--workers", type=int, default=2, help="runs at a time, one thread each")
    given = parser.parse_args()
    asked = known if "paper" in given.asked else given.asked
    for command in dict.fromkeys(ELSEWHERE[name] for name in asked if name in ELSEWHERE):
        subprocess.run([sys.executable, str(HERE / command[0]), *command[1:]], check=True)
    studies = [Study(name=sweeps()[name], runs=given.runs.absolute()) for name in asked if name in sweeps()]
    failures = run_missing(studies, workers=given.workers)
    for study in studies:
        study.leave()
    sys.exit("\n".join(failures) or None)


if __name__ == "__main__":
    main()
