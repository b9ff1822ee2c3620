"""The runs of a sweep in one table: a row for each setting, seeds pooled, and what did not end is named."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dopsd.config.sweep_list import SweepJob
from dopsd.job.found_runs import read_job
from dopsd.job.run_directory import RunDirectory
from dopsd.job.table import markdown, show_table
from dopsd.report.runs.arms import Arm, arms_of, common_overrides
from dopsd.report.runs.run import WEIGHTS, Run


def leave_sweep_table(directory: Path, jobs: Sequence[SweepJob]) -> None:
    """sweep.json, sweep.md and a table on stdout, with a line under it for whatever has no results."""
    read = [read_job(directory, job, {}) for job in jobs]
    arms = arms_of(read)
    common = common_overrides([arm.setting for arm in arms])
    rows = [_row(arm, common) for arm in arms]
    columns, cells = ["setting", "seeds", *WEIGHTS], [_cells(*of) for of in zip(rows, arms, strict=True)]
    states = [_state(run, job) for run, job in zip(read, jobs, strict=True)]
    notes = [f"{of.directory.name}: {of.state}; {of.note}" for of in read if not of.has_ended and of.note]
    run = RunDirectory(directory)
    run.write_json("sweep.json", {"common": sorted(common), "settings": rows, "jobs": states})
    run.write("sweep.md", markdown(columns, cells) + "".join(f"\n{note}\n" for note in notes))
    title = f"{len(jobs)} jobs, accuracy on test, mean over seeds and problems [95 % interval]"
    show_table(title, columns, cells, notes=notes, where=directory)


def _row(arm: Arm, common: Collection[str]) -> dict[str, Any]:
    return {
        "setting": " ".join(override for override in arm.setting if override not in common),
        "seeds": [run.seed for run in arm.ended],
        "not_done": arm.not_done,
        **{weights: None if of is None else asdict(of) for weights, of in arm.pooled.items()},
    }


def _state(run: Run, job: SweepJob) -> dict[str, Any]:
    note = {"note": run.note} if run.note else {}
    return {"overrides": list(job.overrides), "directory": job.directory, "state": run.state, **note}


def _cells(row: Mapping[str, Any], arm: Arm) -> list[str]:
    not_done = [f"{seed}: {state}" for seed, state in arm.not_done.items()]
    return [
        row["setting"] or "as it is",
        ", ".join([run.seed for run in arm.runs if run.state == "done"] + not_done),
        *("-" if of is None else str(of) for of in arm.pooled.values()),
    ]
