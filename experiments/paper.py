"""The paper's tables and figures on the embedded model: `python experiments/paper.py table5 figure3 ...` (or `paper`).

Most are the sweep of an experiment (conf/experiment): a run that several of them share is made once, one that was
stopped goes on, and what fails is named at the end while the others go on. Table, figure and results.json of each go
to experiments/paper/NAME.
"""

import argparse
import csv
import itertools
import json
import os
import re
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from omegaconf import OmegaConf

from dopsd.entry.composing import CONF
from dopsd.evaluation.interval import Interval
from dopsd.figure import entitle, plain
from dopsd.job.sweep import leave_sweep_table
from dopsd.job.table import markdown

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

    def directory(self, job: Sequence[str]) -> Path:
        """Equal settings have the same, whatever they are called."""
        with initialize_config_dir(CONF, version_base="1.3"):
            config = compose("train", [f"experiment={self.name}", *job])
        whole = OmegaConf.to_container(OmegaConf.masked_copy(config, [*config.keys() - NOT_OF_THE_RUN]))
        settings = json.dumps(whole, sort_keys=True)
        return self.runs / sha256(settings.encode()).hexdigest()[:12]

    def leave(self) -> None:
        """Its table, figure and numbers; a setting without all its seeds is named there and has none."""
        table = self.runs / self.name
        table.mkdir(parents=True, exist_ok=True)
        leave_sweep_table(table, [(f"../{self.directory(job).name}", job) for job in self.jobs])
        settings = json.loads((table / "sweep.json").read_text())["settings"]
        published = yaml.safe_load(PUBLISHED.read_text()).get(self.name, {})
        where = HERE / "paper" / self.name
        where.mkdir(exist_ok=True)
        rows = [result(setting, published) for setting in settings]
        (where / "results.json").write_text(
            json.dumps({"command": self.command, "revision": revision(), "settings": rows}, indent=1) + "\n"
        )
        (where / "table.md").write_text(self._table(rows))
        done = [row for row in rows if row["best"]]
        if done and self.name.startswith("table"):
            draw(self.title, done, where / "figure.png")
        elif done:
            runs = {row["setting"]: self._runs_of(row["setting"]) for row in done}
            draw_curves(self.title, runs, where / "figure.png")

    def _runs_of(self, setting: str) -> list[Path]:
        """One a seed."""
        return [self.directory(job) for job in self.jobs if set(setting.split()) <= set(job)]

    @property
    def command(self) -> str:
        """What gives the same, alone."""
        return f"python -m dopsd.train --multirun experiment={self.name}"

    def _table(self, rows: Sequence[Mapping[str, Any]]) -> str:
        cells = [
            [
                f"`{row['setting']}`",
                "" if row["paper"] is None else f"{row['paper']:.1f}",
                *(shown(row[weights]) for weights in ("base", "best", "final")),
                ", ".join(row["seeds"])
                + "".join(f"; {seed}: {state}" for seed, state in row["not_done"].items()),
            ]
            for row in rows
        ]
        head = ["setting", "paper, %", "before", "best on dev", "last", "seeds"]
        return f"`{self.command}`\n\n{markdown(head, cells)}"


def result(setting: Mapping[str, Any], published: Mapping[str, float]) -> dict[str, Any]:
    """One row of results.json; figures only where every seed has ended."""
    done = not setting["not_done"]
    figures = {weights: setting[weights] if done else None for weights in ("base", "best", "final")}
    return {key: setting[key] for key in ("setting", "seeds", "not_done")} | {
        "paper": published.get(setting["setting"]),
        **figures,
    }


def shown(figures: Mapping[str, Any] | None) -> str:
    """`41.0 % [37.0, 45.0]`."""
    return "" if figures is None else str(Interval(**figures))


def draw(title: str, rows: Sequence[Mapping[str, Any]], file: Path) -> None:
    """A bar a setting for both checkpoints, with intervals, above the line of the model before training."""
    figure = Figure(figsize=(1.8 + 1.5 * len(rows), 3.6), layout="constrained")
    axes = figure.subplots()
    for beside, weights, label in ((-0.2, "best", "best on dev"), (0.2, "final", "last")):
        bars = [row[weights] for row in rows]
        errors = [
            [bar["accuracy"] - bar["low"] for bar in bars],
            [bar["high"] - bar["accuracy"] for bar in bars],
        ]
        xs = [x + beside for x in range(len(rows))]
        axes.bar(xs, [bar["accuracy"] for bar in bars], 0.36, yerr=errors, capsize=3, label=label)
    axes.axhline(rows[0]["base"]["accuracy"], color="#666666", linestyle="--", linewidth=1, label="before")
    axes.set_xticks(range(len(rows)), [row["setting"] for row in rows], fontsize=8)
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    entitle(axes, title)
    plain(axes)
    figure.savefig(file, dpi=130, format="png")


CURVES = {  # metrics.csv: what is read beside it
    "eval/accuracy": "dev accuracy",
    "rollout/length": "tokens of an answer",
    "distill/entropy": "entropy, nats",
    "distill/clipped_fraction": "clipped share",
}


def draw_curves(title: str, settings: Mapping[str, Sequence[Path]], file: Path) -> None:
    """What was logged over training steps: a thin line a seed, their mean thick."""
    figure = Figure(figsize=(4 * len(CURVES), 3.6), layout="constrained")
    panels = figure.subplots(1, len(CURVES))
    for axes, (column, label) in zip(panels, CURVES.items(), strict=True):
        for number, (setting, runs) in enumerate(settings.items()):
            seeds = [logged(run, column) for run in runs]
            for seed in seeds:
                axes.plot(seed.keys(), seed.values(), color=f"C{number}", alpha=0.3, linewidth=0.8)
            steps = [step for step in seeds[0] if all(step in seed for seed in seeds)]
            means = [statistics.mean(seed[step] for seed in seeds) for step in steps]
            axes.plot(steps, means, color=f"C{number}", linewidth=2, label=setting)
        axes.set_xlabel("training step")
        axes.set_ylabel(label)
    panels[0].legend(fontsize=8, frameon=False)
    entitle(panels[0], title)
    plain(*panels)
    figure.savefig(file, dpi=130, format="png")


def logged(run: Path, column: str) -> dict[int, float]:
    """A column of metrics.csv by training step, where it has a value."""
    with (run / "metrics.csv").open() as lines:
        return {int(float(row["step"])): float(row[column]) for row in csv.DictReader(lines) if row[column]}


def revision() -> str:
    """Of the code, as git names it."""
    asked = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    return subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()


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
    jobs = {
        study.directory(job): (f"experiment={study.name}", *job) for study in studies for job in study.jobs
    }
    with ThreadPoolExecutor(given.workers) as pool:
        failures = [said for said in pool.map(train, jobs, jobs.values()) if said]
    for study in studies:
        study.leave()
    sys.exit("\n".join(failures) or None)


if __name__ == "__main__":
    main()
