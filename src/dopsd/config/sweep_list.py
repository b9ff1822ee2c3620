"""The list of a sweep's jobs, which stays in its directory: what a resume and a report go by."""

from collections.abc import Sequence
from pathlib import Path

import yaml

from dopsd.config.errors import UserError
from dopsd.config.paths import SWEEP
from dopsd.files import write_text


def write_jobs(directory: Path, jobs: Sequence[tuple[str, Sequence[str]]]) -> None:
    """Leaves the list of a sweep's jobs, each with its directory and its overrides."""
    content = [{"directory": name, "overrides": list(overrides)} for name, overrides in jobs]
    write_text(directory / SWEEP, yaml.safe_dump(content, allow_unicode=True, sort_keys=False, width=1000))


def read_jobs(directory: Path, key: str) -> list[tuple[str, list[str]]]:
    """The directory and the overrides of each job; raises UserError, of the key that named the directory."""
    try:
        jobs = yaml.safe_load((directory / SWEEP).read_text(encoding="utf-8"))
        return [(str(job["directory"]), [str(o) for o in job["overrides"]]) for job in jobs]
    except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError) as error:
        raise UserError(f"{key}={directory}: {SWEEP} cannot be read ({error})") from error
