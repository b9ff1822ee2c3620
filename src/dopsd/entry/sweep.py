"""The jobs of a sweep: their directories, and how a sweep is resumed."""

import logging
import re
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from dopsd.config.errors import UserError
from dopsd.config.paths import SWEEP, spelled
from dopsd.config.saved import CONFIG, key_of
from dopsd.config.sweep_list import read_jobs

log = logging.getLogger(__name__)
_LONGEST = 100  # bytes in the name of a job's directory
_DONE = "summary.json"


def job_directory(differing: str) -> str:
    """A directory's name for the overrides in which a job differs: a part and a digest where they do not fit."""
    name = re.sub(r"[/\\\s'\"]+", "-", differing)
    if name == differing and len(name.encode()) <= _LONGEST:
        return name
    digest = sha256(differing.encode()).hexdigest()[:8]
    return f"{name.encode()[: _LONGEST - 9].decode(errors='ignore')}~{digest}"


OmegaConf.register_new_resolver("job_directory", job_directory, replace=True)


def commands_of(arguments: Sequence[str], entry: str) -> Iterator[list[str]]:
    """The arguments; or one list for each unfinished job of the sweep that is to be resumed; raises UserError."""
    sweep = _resumed_sweep(arguments) if entry == "train" else None
    if sweep is None:
        yield list(arguments)
        return
    more = [argument for argument in arguments if key_of(argument) != "resume"]
    for job in read_jobs(sweep, "resume"):
        if job.refused:
            log.warning("%s is left out (%s)", sweep / job.directory, job.refused)
        else:
            yield from _unfinished(sweep / job.directory, job.overrides, more)


def is_of_a_sweep(arguments: Sequence[str], entry: str) -> bool:
    """Whether these arguments resume a sweep."""
    return entry == "train" and _resumed_sweep(arguments) is not None


def leave_table(arguments: Sequence[str], entry: str) -> None:
    """The table of the sweep that these arguments resume, if they do."""
    sweep = _resumed_sweep(arguments) if entry == "train" else None
    if sweep is not None:
        from dopsd.job.sweep import leave_sweep_table  # noqa: PLC0415  (slow to import)

        leave_sweep_table(sweep, read_jobs(sweep, "resume"))


def _unfinished(run: Path, overrides: Sequence[str], more: Sequence[str]) -> Iterator[list[str]]:
    if not more and (run / _DONE).is_file():
        log.warning("%s is finished", run)
    elif (run / CONFIG).is_file():
        yield [f"resume={spelled('resume', str(run))}", *more]
    else:
        yield [*overrides, *more, f"hydra.run.dir={spelled('hydra.run.dir', str(run))}"]


def _resumed_sweep(arguments: Sequence[str]) -> Path | None:
    """The directory of the sweep that `resume` names; None for a run's; raises UserError for one without a list."""
    values = [argument for argument in arguments if key_of(argument) == "resume"]
    if not values:
        return None
    directory = Path(str(OverridesParser.create().parse_override(values[-1]).value()))
    if (directory / CONFIG).is_file():
        return None
    if (directory / SWEEP).is_file():
        return directory
    if any(directory.glob(f"*/{CONFIG}")):
        raise UserError(
            f"resume={directory}: must be a run's directory, or that of a sweep with its {SWEEP}; a search that was "
            f"cut off goes on with its own command and hydra.sweep.dir={directory}, if hydra.sweeper.storage keeps it"
        )
    return None
