"""The list of a sweep's jobs, which stays in its directory: what a resume and a report go by."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from dopsd.config.errors import UserError
from dopsd.config.paths import SWEEP
from dopsd.config.saved import CONFIG, read_saved
from dopsd.files import write_text


@dataclass(frozen=True, kw_only=True)
class SweepJob:
    """The name of a job's directory, what was typed for it, and why it cannot be run where that is so."""

    directory: str
    overrides: Sequence[str]
    refused: str = ""

    def as_dict(self) -> dict[str, object]:
        """In the list."""
        refused = {"refused": self.refused} if self.refused else {}
        return {"directory": self.directory, "overrides": list(self.overrides), **refused}


def write_jobs(directory: Path, jobs: Iterable[SweepJob]) -> None:
    """Leaves the list; raises WritingError."""
    content = [job.as_dict() for job in jobs]
    write_text(directory / SWEEP, yaml.safe_dump(content, allow_unicode=True, sort_keys=False, width=1000))


def read_jobs(directory: Path, key: str) -> list[SweepJob]:
    """The list in a sweep's directory; raises UserError, of the key that named the directory."""
    try:
        jobs = yaml.safe_load((directory / SWEEP).read_text(encoding="utf-8"))
        return [
            SweepJob(
                directory=str(job["directory"]),
                overrides=[str(override) for override in job["overrides"]],
                refused=str(job.get("refused", "")),
            )
            for job in jobs
        ]
    except (OSError, ValueError, TypeError, KeyError, AttributeError, yaml.YAMLError) as error:
        raise UserError(f"{key}={directory}: {SWEEP} cannot be read ({error})") from error


def jobs_there(sweep: Path) -> list[SweepJob]:
    """The jobs that have begun, where a sweeper has chosen them as it went; raises UserError."""
    directories = sorted(file.parent for file in sweep.glob(f"*/{CONFIG}"))
    return [
        SweepJob(directory=it.name, overrides=list(read_saved(it, "hydra.sweep.dir").command.overrides))
        for it in directories
    ]


def refused(job: Path) -> str:
    """Why the job of a sweep in this directory cannot be run; empty where it can, or is of no sweep."""
    if not (job.parent / SWEEP).is_file():
        return ""
    jobs = read_jobs(job.parent, "hydra.sweep.dir")
    return next((each.refused for each in jobs if each.directory == job.name), "")
