"""A study of the paper: the sweep of an experiment, its runs, and what it leaves."""

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import yaml
from curves import CURVES, draw_curves
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from matplotlib.figure import Figure
from omegaconf import OmegaConf
from results import HERE, folder, published, summaries, write_results

from dopsd.config.saved import key_of
from dopsd.config.sweep_list import SweepJob
from dopsd.entry.composing import CONF
from dopsd.figure import entitle
from dopsd.job.found_runs import read_job
from dopsd.job.table import markdown, show_table
from dopsd.report.runs.arms import Arm, arms_of
from dopsd.report.runs.bars import bars_size, draw_bars
from dopsd.report.runs.run import Run

PAPER = HERE / "paper"
NOT_OF_THE_RUN = {"name", "paths"}


@dataclass(frozen=True, kw_only=True)
class Study:
    """The sweep of one experiment over runs that it may share with others; `typed` goes to each of them."""

    name: str
    runs: Path
    typed: tuple[str, ...] = ()

    @property
    def jobs(self) -> list[tuple[str, ...]]:
        """The overrides of each, as `--multirun` would make them; what is typed takes the place of what is swept."""
        return list(itertools.product(*self._values.values()))

    @property
    def title(self) -> str:
        """The first line of the experiment's file that says something."""
        lines = (Path(CONF) / "experiment" / f"{self.name}.yaml").read_text().splitlines()
        return lines[1].removeprefix("# ")

    @property
    def _swept(self) -> Mapping[str, Any]:
        content = yaml.safe_load((Path(CONF) / "experiment" / f"{self.name}.yaml").read_text())
        return content["hydra"]["sweeper"]["params"]

    @property
    def _values(self) -> Mapping[str, Sequence[str]]:
        """The overrides of each key."""
        swept = {key: [f"{key}={value}" for value in str(of).split(",")] for key, of in self._swept.items()}
        parsed = zip(self.typed, OverridesParser.create().parse_overrides(list(self.typed)), strict=True)
        return swept | {
            key_of(text): [f"{text.partition('=')[0]}={value}" for value in override.sweep_string_iterator()]
            if override.is_sweep_override()
            else [text]
            for text, override in parsed
        }

    def directory(self, job: tuple[str, ...]) -> Path:
        """Equal settings have the same, whatever they are called."""
        return self.runs / digest((f"experiment={self.name}", *job))

    @property
    def arms(self) -> list[Arm]:
        """Its settings with their seeds, whatever came of them, under what tells them apart."""
        jobs = [SweepJob(directory=self.directory(job).name, overrides=job) for job in self.jobs]
        keys = [key for key, of in self._values.items() if key in self._swept or len(of) > 1]
        found = arms_of(read_job(self.runs, job, {}) for job in jobs)
        return [
            replace(arm, label=" ".join(f"{key}={of[key]}" for key in keys if key in of))
            for arm in found
            for of in [arm.runs[0].typed]
        ]

    def leave(self) -> None:
        """Its table, figure and numbers; a setting without all its seeds is named there and has none."""
        arms, where = self.arms, PAPER / folder(self.name, *self.typed)
        paper = published(self.name)
        head = ["setting", *(f"paper, % ({of})" for of in paper), *HEAD]
        table = [row(arm, paper) for arm in arms]
        there = summaries(run.directory / "summary.json" for arm in arms for run in arm.ended)
        write_results(where, self.command, there, settings=[result(arm, paper) for arm in arms])
        (where / "table.md").write_text(f"`{self.command}`\n\n{markdown(head, table)}")
        if done := [arm for arm in arms if all_ended(arm)]:
            self._draw(done, where / "figure.png")
        show_table(self.title, head, table, where=where)

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
        return " ".join(["python experiments/paper.py", self.name.partition("_")[0], *self.typed])


@cache
def digest(overrides: tuple[str, ...]) -> str:
    """Of all that a run reads; raises what composing raises."""
    with initialize_config_dir(CONF, version_base="1.3"):
        config = compose("train", list(overrides))
    whole = OmegaConf.to_container(OmegaConf.masked_copy(config, [*config.keys() - NOT_OF_THE_RUN]))
    return sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()[:12]


HEAD = ["before", "best on dev", "last", "seeds, best"]
Paper = Mapping[str, Mapping[str, float]]  # by what was measured, then by setting; percent


def all_ended(arm: Arm) -> bool:
    """Whether its figures are those of every seed; one that learnt nothing has ended too."""
    return all(run.has_ended for run in arm.runs)


def row(arm: Arm, paper: Paper) -> list[str]:
    """Of the table; figures only where every seed has ended."""
    theirs = [f"{of[arm.label]:.1f}" if arm.label in of else "" for of in paper.values()]
    figures = [str(of) if all_ended(arm) else "" for of in arm.pooled.values()]
    return [arm.label, *theirs, *figures, ", ".join(map(of_seed, arm.runs))]


def of_seed(run: Run) -> str:
    """A seed's best accuracy in percent, and its state where it is not simply done."""
    best = f"{100 * run.results['best'].accuracy:.1f}" if run.has_ended else ""
    return " ".join([f"{run.seed}:", *filter(None, (best, run.state.removeprefix("done")))])


def result(arm: Arm, paper: Paper) -> dict[str, Any]:
    """Of results.json; figures only where every seed has ended."""
    figures = {of: asdict(pooled) for of, pooled in arm.pooled.items() if pooled} if all_ended(arm) else {}
    seeds = {"seeds": [run.seed for run in arm.ended], "not_done": arm.not_done}
    theirs = {name: of[arm.label] for name, of in paper.items() if arm.label in of}
    return {"setting": arm.label, **seeds, "paper": theirs, **figures}


def run_missing(studies: Sequence[Study], *, workers: int) -> list[str]:
    """Each run of some studies once, with a line on stderr for each; says what failed."""
    jobs = {
        study.directory(job): (f"experiment={study.name}", *job) for study in studies for job in study.jobs
    }
    missing = {there: typed for there, typed in jobs.items() if not (there / "summary.json").exists()}
    sys.stderr.write(f"{len(missing)} of {len(jobs)} runs are missing\n")
    failures = []
    with ThreadPoolExecutor(workers) as pool:
        running = {pool.submit(train, there, typed): " ".join(typed) for there, typed in missing.items()}
        for number, ended in enumerate(as_completed(running), 1):
            said = ended.result()
            failures += [f"{running[ended]}: {said}"] if said else []
            how = "failed" if said else "ended"
            sys.stderr.write(f"{number} of {len(missing)} {how}: {running[ended]}\n")
    return failures


def train(directory: Path, overrides: Sequence[str]) -> str:
    """A run, or what is left of it; what it said last where it failed."""
    begun = (directory / "config.yaml").exists()
    typed = (f"resume={directory}",) if begun else (*overrides, f"hydra.run.dir={directory}")
    ran = subprocess.run(
        [sys.executable, "-m", "dopsd.train", *typed],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        env={"OMP_NUM_THREADS": "1"} | os.environ,
    )
    said = [f"exit code {ran.returncode}", *ran.stderr.strip().splitlines()]
    return said[-1] if ran.returncode else ""
