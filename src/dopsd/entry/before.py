"""What happens before Hydra makes a directory: every job of the command is checked from end to end."""

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra import compose
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, read_write
from omegaconf.errors import OmegaConfBaseException

from dopsd import ranks
from dopsd.config.errors import EscapingError, UserError
from dopsd.config.of_a_probe import probed
from dopsd.config.paths import SWEEP, literal, quoted, resume_command
from dopsd.config.rows import rows_of
from dopsd.config.saved import CONFIG, planned, typed_overrides
from dopsd.config.sweep_list import SweepJob, jobs_there, write_jobs
from dopsd.entry.composing import explain, refuse_unknown_appended
from dopsd.files import WritingError, missing_directories

if TYPE_CHECKING:
    from dopsd.job import Hardware

_made_by_this_command: list[Path] = []
_sweep: list[tuple[Path, list[SweepJob]]] = []  # its directory and its jobs


class BeforeAnything(Callback):
    """Checks the job, or each job of a sweep, and its output directory."""

    _jobs: Sequence[SweepJob] = ()

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """One job; a resumed one goes on in its own directory."""
        with _explained(kwargs["config_name"]):
            hardware = _check(config, kwargs["config_name"])
            if config.resume is not None:
                with read_write(config.hydra):
                    config.hydra.run.dir = literal(config.resume)
            _agree_on_directory(hardware, config, "hydra.run.dir")
            _claim(config, "hydra.run.dir")

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """All jobs of a sweep, before the first one starts; those sent elsewhere look at their hardware there.

        A training that cannot be is noted in the list of jobs and left out, unless none can be.
        """
        with _explained(kwargs["config_name"]):
            if config.resume is not None:
                raise UserError(f"resume={config.resume}: a run is resumed alone, without --multirun")
            is_here = str(config.hydra.launcher._target_).endswith(".BasicLauncher")
            _name_jobs_by_what_differs(config)
            entry = kwargs["config_name"]
            jobs = _checked_jobs(config, entry, is_here=is_here)
            _claim(config, "hydra.sweep.dir")
            self._jobs = jobs
            if entry == "train":
                _leave_list(Path(config.hydra.sweep.dir), jobs)

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Notes the directory of a job in a sweep, and says which job it is."""
        if config.hydra.mode == RunMode.MULTIRUN:
            _made_by_this_command.insert(0, Path(config.hydra.runtime.output_dir))
            if ranks.is_first():
                sys.stderr.write(f"\n{_header(config, self._jobs)}\n")


def interrupted() -> str:
    """What is said after Ctrl-C between the runs of a sweep, or before the first."""
    if not _sweep:
        return "interrupted"
    sweep, jobs = _sweep[0]
    ways = resume_command(sweep) if jobs else f"the same command and hydra.sweep.dir={sweep}"
    return f"interrupted; go on with: {ways}"


def leave_sweep_table() -> None:
    """One table over the jobs of a sweep, where the command was one and a job has begun, however it ended."""
    for directory, planned_jobs in _sweep:
        jobs = planned_jobs or jobs_there(directory)
        if ranks.is_first() and any((directory / job.directory / CONFIG).exists() for job in jobs):
            from dopsd.job.sweep import leave_sweep_table  # noqa: PLC0415

            write_jobs(directory, jobs)
            leave_sweep_table(directory, jobs)
    _sweep.clear()


def remove_what_is_empty() -> None:
    """Removes the directories that this command made and left empty (but for the notes on a sweep)."""
    for directory in _made_by_this_command:
        with suppress(OSError):
            there = [file.name for file in directory.iterdir()]
            if {"multirun.yaml", SWEEP}.issuperset(there):
                for name in there:
                    (directory / name).unlink()
                directory.rmdir()


@contextmanager
def _explained(config_name: str) -> Iterator[None]:
    """Hydra turns a callback's exceptions into warnings; what is no Exception gets through."""
    logging.disable(logging.WARNING)  # the job itself warns of the same
    try:
        yield
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(explain(error, sys.argv[1:], config_name)) from error
    except Exception as error:
        raise EscapingError(error) from error
    finally:
        logging.disable(logging.NOTSET)


def _check(config: DictConfig, config_name: str, *, is_here: bool = True) -> "Hardware | None":
    from dopsd.job import (  # noqa: PLC0415  (heavy; --help and a misspelt key need none)
        Plan,
        ReportOptions,
        Selection,
        check_resume_point,
        prepare_probe,
    )

    refuse_unknown_appended(config, typed_overrides(config.hydra), config_name)
    if ".." in Path(str(config.name)).parts:
        raise UserError(f"name={config.name}: must be a text without ..")
    match config_name:
        case "evaluate":
            ReportOptions.of(config)
            asked = list(rows_of(config, config.hydra).values())
        case "probe":
            asked = [probed(config, config.hydra)]
        case _:
            asked = [planned(config, config.hydra)]
            check_resume_point(asked[0])
    plans = [Plan.of(each, is_here=is_here) for each in asked]
    if config_name == "probe":
        prepare_probe(asked[0], plans[0], Selection.of(asked[0]))
    return plans[0].hardware if plans else None


def _checked_jobs(config: DictConfig, entry: str, *, is_here: bool) -> list[SweepJob]:
    """The jobs of a sweep; raises UserError for one that cannot be run, of a training only where none can."""
    jobs, refusals = [], []
    for overrides in _jobs(config):
        job = compose(entry, [*overrides, *config.hydra.overrides.hydra], return_hydra_config=True)
        refused = ""
        try:
            hardware = _check(job, entry, is_here=is_here)
            _agree_on_directory(hardware, config, "hydra.sweep.dir")
        except UserError as error:
            if entry != "train":
                raise
            refusals.append(error)
            refused = error.message
        jobs.append(SweepJob(directory=str(job.hydra.sweep.subdir), overrides=overrides, refused=refused))
    if refusals and len(refusals) == len(jobs):
        raise refusals[0]
    return jobs


def _agree_on_directory(hardware: "Hardware | None", config: DictConfig, key: str) -> None:
    """Processes that torchrun or srun has started take the directory of the first: the time in its name differs."""
    if hardware is None or not hardware.is_launched or hardware.processes == 1:
        return
    hardware.join()
    directory = ranks.of_first(str(OmegaConf.select(config, key)))
    with read_write(config.hydra):
        OmegaConf.update(config, key, literal(directory))
        config.hydra.overrides.hydra.append(f"{key}={quoted(literal(directory))}")


def _header(config: DictConfig, jobs: Sequence[SweepJob]) -> str:
    from dopsd.report.runs.arms import common_overrides  # noqa: PLC0415

    typed, common = typed_overrides(config.hydra), common_overrides([job.overrides for job in jobs])
    which = f"job {config.hydra.job.num + 1}" + (f" of {len(jobs)}" if jobs else "")
    differing = " ".join(override for override in typed if override not in common)
    return f"{which}: {differing} ({config.hydra.runtime.output_dir})"


def _jobs(config: DictConfig) -> Iterator[list[str]]:
    """The overrides of each job of Hydra's own sweeper; other sweepers choose as they go."""
    if not str(config.hydra.sweeper._target_).endswith(".BasicSweeper"):
        return
    try:
        batches = BasicSweeper.split_arguments(_parsed(config), max_batch_size=None)
    except ValueError as error:
        raise UserError(f"--multirun: {error}") from error
    if not any(batches):
        raise UserError("--multirun: there is nothing in " + " ".join(_swept(config)))
    for batch in batches:
        yield from batch


def _name_jobs_by_what_differs(config: DictConfig) -> None:
    """A job's directory leaves out what all jobs have in common."""
    common = [o.key_or_group for o in _parsed(config) if not o.is_sweep_override()]
    excluded = ",".join(
        f"'{key}'" for key in [*common, *config.hydra.job.config.override_dirname.exclude_keys]
    )
    with read_write(config.hydra):
        config.hydra.overrides.hydra.append(f"hydra.job.config.override_dirname.exclude_keys=[{excluded}]")


def _swept(config: DictConfig) -> list[str]:
    return [str(override.input_line) for override in _parsed(config) if override.is_sweep_override()]


def _parsed(config: DictConfig) -> list[Override]:
    fixed = [f"{key}={value}" for key, value in (config.hydra.sweeper.params or {}).items()]
    return OverridesParser.create().parse_overrides([*fixed, *typed_overrides(config.hydra)])


def _claim(config: DictConfig, key: str) -> None:
    """Notes which directories are new; raises UserError where they cannot be made."""
    if not ranks.is_first():
        return
    directory = Path(OmegaConf.select(config, key)).absolute()
    try:
        _made_by_this_command[:] = missing_directories(directory)
    except WritingError as error:
        raise UserError(f"{key}={directory}: {error}") from error


def _leave_list(sweep: Path, jobs: list[SweepJob]) -> None:
    """Writes the jobs into the sweep's directory, where they are known before it starts."""
    if not ranks.is_first():
        return
    sweep.mkdir(parents=True, exist_ok=True)
    try:
        if jobs:
            write_jobs(sweep, jobs)
    except WritingError as error:
        raise UserError(str(error)) from error
    _sweep[:] = [(sweep, jobs)]
