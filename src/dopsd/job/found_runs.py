"""The runs below some directories, finished or not, as they are found on disk; nothing of them is changed."""

import json
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Any

from dopsd.config.errors import UserError
from dopsd.config.paths import SWEEP
from dopsd.config.saved import CONFIG, key_of, read_saved
from dopsd.config.sweep_list import SweepJob, read_jobs
from dopsd.evaluation.interval import Interval
from dopsd.job.display import ENDED_BY
from dopsd.job.metrics_file import STEP, read_metrics
from dopsd.job.offline_wandb import OfflineRun, read_offline
from dopsd.job.run_directory import SUMMARY, RunDirectory
from dopsd.report.runs.run import WEIGHTS, ProbeResult, Run, State

_PROBE = "probe.json"
_SILENT_S = 900  # a run that has written nothing for so long has been stopped
_INTERRUPTIONS = ("KeyboardInterrupt", "Interruption")
_NOT_SETTINGS = ("seed", "name", "paths", "hydra", "resume", "logger", "curve_over")


@dataclass(frozen=True, kw_only=True)
class Found:
    """What some directories hold: runs of training, and what probes have left."""

    runs: Sequence[Run]
    probes: Sequence[ProbeResult]


def find_runs(directories: Sequence[Path]) -> Found:
    """Runs, sweeps with what they have not started yet, folders of these; W&B's own folders where nothing else is.

    Raises UserError for a directory that is not there, or has no run in it.
    """
    found = {directory: list(_below(directory)) for directory in directories}
    for directory, there in found.items():
        if not there:
            raise UserError(
                f"runs={directory}: has no runs in it (a run's folder has a {CONFIG}, W&B's a run-*.wandb)"
            )
    unique = {each.directory.resolve(): each for each in chain.from_iterable(found.values())}
    return Found(
        runs=[each for each in unique.values() if isinstance(each, Run)],
        probes=[each for each in unique.values() if isinstance(each, ProbeResult)],
    )


def read_run(directory: Path, arms: Mapping[str, str | None], overrides: Sequence[str]) -> Run:
    """A run of which its arms and overrides are known, whatever there is of it."""
    about = _about(arms, overrides)
    try:
        summary = RunDirectory(directory).summary
    except UserError as error:
        return Run(directory=directory, state="failed", note=error.message, **about)
    curve = read_metrics(RunDirectory(directory).metrics)
    if summary is None:
        state, note = _unfinished(directory, curve)
        return Run(directory=directory, state=state, note=note, curve=curve, **about)
    complaint = summary.get("nothing_learnt")
    return Run(
        directory=directory,
        state="nothing learnt" if complaint else "done",
        note=complaint or "",
        metric=summary.get("metric", "correct"),
        results={weights: _interval(summary[weights]) for weights in WEIGHTS},
        curve=curve,
        **about,
    )


def read_job(sweep: Path, job: SweepJob, arms: Mapping[str, str | None]) -> Run:
    """A job of a sweep, whatever there is of it."""
    run = read_run(sweep / job.directory, arms, job.overrides)
    return replace(run, state="refused", note=job.refused) if job.refused else run


def settings_of(overrides: Sequence[str]) -> dict[str, str]:
    """What was typed, by its key, but for the seed and for what changes nothing: what makes an arm."""
    return {
        key: value for key, value in _typed(overrides).items() if key.partition(".")[0] not in _NOT_SETTINGS
    }


def _about(arms: Mapping[str, str | None], overrides: Sequence[str]) -> dict[str, Any]:
    seed = _typed(overrides).get("seed", "default")
    return {"arms": arms, "typed": settings_of(overrides), "seed": seed}


def _typed(overrides: Sequence[str]) -> dict[str, str]:
    return {key_of(override): override.partition("=")[2] for override in overrides}


def _of_wandb(run: OfflineRun) -> Run:
    """Raises UserError for a run of another program."""
    command = run.config.get("command")
    if not isinstance(command, Mapping):
        raise UserError(f"runs={run.directory}: is not a run of dopsd.train (its config has no command)")
    about = _about(command["arms"], command["overrides"])
    curve, results = run.curve, run.results
    if results:
        return Run(directory=run.directory, state="done", results=results, curve=curve, **about)
    reached = f"step {curve[-1][STEP]:.0f}" if curve else "before the first step"
    silent: State = "stopped" if run.exit_code is not None else _silent_state(_written(run.directory))
    state = "failed" if run.exit_code else silent
    return Run(directory=run.directory, state=state, note=reached, curve=curve, **about)


def _below(directory: Path) -> Iterator[Run | ProbeResult]:
    """Raises UserError where there is no such directory."""
    if not directory.is_dir():
        raise UserError(f"runs={directory}: no such folder")
    if directory.name.startswith("offline-run-"):
        yield from map(_of_wandb, read_offline([directory]))
        return
    sweeps = []
    for path, names, files in os.walk(directory):
        here = Path(path)
        names.sort()
        if SWEEP in files:
            sweeps.append(here)
        if CONFIG in files:
            names.clear()
            yield from _at(here)
        elif offline := [here / name for name in names if name.startswith("offline-run-")]:
            names.clear()
            yield from map(_of_wandb, read_offline(offline))
    for sweep in sweeps:
        yield from _not_started(sweep)


def _at(directory: Path) -> Iterator[Run | ProbeResult]:
    """The run or the probe in a directory with a config; of an evaluation nothing."""
    if (directory / _PROBE).is_file():
        yield ProbeResult(directory=directory, content=_json(directory / _PROBE))
    elif command := _command(directory):
        yield read_run(directory, command["arms"], command["overrides"])


def _command(directory: Path) -> Mapping[str, Any] | None:
    """The arms and overrides of a run; None for an evaluation. A summary has them, and is read sooner."""
    if (directory / SUMMARY).is_file():
        return _json(directory / SUMMARY)
    saved = read_saved(directory, "runs")
    if "checkpoint" in saved:
        return None
    return {"arms": dict(saved.command.arms), "overrides": list(saved.command.overrides)}


def _json(file: Path) -> Mapping[str, Any]:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"runs={file.parent}: {file.name} cannot be read ({error})") from error


def _not_started(sweep: Path) -> Iterator[Run]:
    """The jobs of a sweep that have no directory yet; their arms as far as those that have one tell."""
    jobs = read_jobs(sweep, "runs")
    missing = [job for job in jobs if not (sweep / job.directory / CONFIG).is_file()]
    commands = [_command(sweep / job.directory) for job in jobs if job not in missing]
    started = [command for command in commands if command]
    for job in missing:
        of_it = {*job.overrides}
        like = max(started, key=lambda it: len({*it["overrides"]} & of_it), default={"arms": {}})
        typed = _typed(job.overrides).items()
        arms = like["arms"] | {key: value for key, value in typed if key in like["arms"]}
        yield read_job(sweep, job, arms)


def _unfinished(directory: Path, curve: Sequence[Mapping[str, float]]) -> tuple[State, str]:
    run = RunDirectory(directory)
    reached = f"step {curve[-1][STEP]:.0f}" if curve else "before the first step"
    last = run.log.read_text(encoding="utf-8").splitlines()[-1:] if run.log.exists() else []
    if ended := re.search(rf"{ENDED_BY} (\w+):? ?(.*)$", "".join(last)):
        state = "stopped" if ended[1] in _INTERRUPTIONS else "failed"
        return state, f"{reached}; {ended[2] or ended[1]}"
    if not (directory / CONFIG).exists():
        return "not started", ""
    written = _written(directory)
    return _silent_state(written), f"{reached}, last written {datetime.fromtimestamp(written):%Y-%m-%d %H:%M}"


def _written(directory: Path) -> float:
    """When any of its files was last written."""
    return max(file.stat().st_mtime for file in directory.iterdir() if file.is_file())


def _silent_state(written: float) -> State:
    return "running" if time.time() - written < _SILENT_S else "stopped"


def _interval(figures: Mapping[str, Any]) -> Interval:
    return Interval(**{field.name: figures[field.name] for field in fields(Interval)})
