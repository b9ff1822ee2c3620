"""The runs of a sweep in one table: a row for each setting, seeds pooled, and what did not end is named."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from dopsd.config.saved import CONFIG, key_of
from dopsd.evaluation.interval import Interval
from dopsd.job.run_directory import RunDirectory
from dopsd.job.table import markdown, show_table
from dopsd.report.answers import Answers

WEIGHTS = ("base", "best", "final")


@dataclass(frozen=True, kw_only=True)
class SweepJob:
    """One job: what was typed for it and where it is; `summary` is None where it has not ended."""

    overrides: Sequence[str]
    directory: Path
    summary: Mapping[str, Any] | None

    @classmethod
    def read(cls, directory: Path, overrides: Sequence[str]) -> "SweepJob":
        """What the job has left so far."""
        return cls(overrides=overrides, directory=directory, summary=RunDirectory(directory).summary)

    @property
    def seed(self) -> str:
        """As it was typed."""
        return next((o.partition("=")[2] for o in self.overrides if key_of(o) == "seed"), "default")

    @property
    def setting(self) -> tuple[str, ...]:
        """All but the seed."""
        return tuple(override for override in self.overrides if key_of(override) != "seed")

    @property
    def state(self) -> str:
        """How far it came."""
        if self.summary is None:
            return "not finished" if (self.directory / CONFIG).exists() else "not started"
        return "nothing learnt" if self.summary.get("nothing_learnt") else "done"


def leave_sweep_table(directory: Path, jobs: Sequence[tuple[str, Sequence[str]]]) -> None:
    """sweep.json, sweep.md and a table on stdout, of jobs given by their directory's name and their overrides."""
    read = [SweepJob.read(directory / name, overrides) for name, overrides in jobs]
    settings: dict[tuple[str, ...], list[SweepJob]] = {}
    for job in read:
        settings.setdefault(job.setting, []).append(job)
    common = common_overrides(list(settings))
    rows = [_row(group, common) for group in settings.values()]
    columns, cells = ["setting", "seeds", *WEIGHTS], list(map(_cells, rows))
    run = RunDirectory(directory)
    states = [{"overrides": list(j.overrides), "directory": j.directory.name, "state": j.state} for j in read]
    run.write_json("sweep.json", {"common": sorted(common), "settings": rows, "jobs": states})
    run.write("sweep.md", markdown(columns, cells))
    title = f"{len(jobs)} jobs, accuracy on test, mean over seeds and problems [95 % interval]"
    show_table(title, columns, cells, where=directory)


def common_overrides(jobs: Sequence[Sequence[str]]) -> set[str]:
    """What was typed for all of several jobs."""
    return set.intersection(*map(set, jobs)) if len(jobs) > 1 else set()


def _row(group: Sequence[SweepJob], common: set[str]) -> dict[str, Any]:
    ended = [job for job in group if job.summary is not None]
    return {
        "setting": " ".join(override for override in group[0].setting if override not in common),
        "seeds": [job.seed for job in ended],
        "not_done": {job.seed: job.state for job in group if job.state != "done"},
        **{weights: _pooled(ended, weights) for weights in WEIGHTS},
    }


def _pooled(jobs: Sequence[SweepJob], weights: str) -> dict[str, Any] | None:
    """The mean over jobs that differ by their seed; an interval only where all have answered the same problems."""
    figures = [job.summary[weights] for job in jobs if job.summary is not None]
    if not figures:
        return None
    if len(figures) == 1:
        return {field.name: figures[0][field.name] for field in fields(Interval)}
    shares = [_shares(job, weights) for job in jobs]
    if len(shares[0]) > 1 and all(other.keys() == shares[0].keys() for other in shares):
        return vars(Interval.of_seeds([[of[identity] for identity in shares[0]] for of in shares]))
    mean = sum(figure["accuracy"] for figure in figures) / len(figures)
    return {"accuracy": mean, "low": None, "high": None, "n": figures[0]["n"]}


def _shares(job: SweepJob, weights: str) -> Mapping[str, float]:
    """By the example's id; empty where the run has kept no answers of these weights."""
    file = RunDirectory(job.directory).answers(weights)
    if not file.exists():
        return {}
    scores = Answers.read(file, weights).scores
    return scores.shares[scores.metric]


def _cells(row: Mapping[str, Any]) -> list[str]:
    not_done = [f"{seed}: {state}" for seed, state in row["not_done"].items()]
    return [
        row["setting"] or "as it is",
        ", ".join([seed for seed in row["seeds"] if seed not in row["not_done"]] + not_done),
        *(_cell(row[weights]) for weights in WEIGHTS),
    ]


def _cell(figures: Mapping[str, Any] | None) -> str:
    if figures is None:
        return "-"
    if figures["low"] is None:
        return f"{100 * figures['accuracy']:.1f} %"
    return str(Interval(**figures))
