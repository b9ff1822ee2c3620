"""Which saved weights a path names: those of a run, or of all runs below a directory."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dopsd.config.errors import UserError
from dopsd.config.saved import CONFIG, WEIGHTS

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Weights:
    """Weights of a run (None: a model as it is), and a name that tells them from others."""

    name: str
    run: Path | None
    which: str


def weights_at(checkpoint: object, which: str, *, key: str = "checkpoint") -> Sequence[Weights]:
    """A run, its directory of weights, one of these, or a directory of runs; raises UserError where there is none."""
    if checkpoint is None:
        return [Weights("", None, which)]
    directory = Path(str(checkpoint))
    if _is_run(directory):
        return [Weights("", directory, which)]
    if directory.name == WEIGHTS and _is_run(directory.parent):
        found = sorted(child.name for child in directory.iterdir() if child.is_dir() and child.name[0] != ".")
        return [Weights(name, directory.parent, name) for name in found]
    if directory.parent.name == WEIGHTS and directory.is_dir() and _is_run(directory.parents[1]):
        return [Weights("", directory.parents[1], directory.name)]
    return _of_runs_below(directory, which, key)


def _of_runs_below(directory: Path, which: str, key: str) -> list[Weights]:
    there = sorted(file.parent for file in directory.rglob(CONFIG))
    with_weights = [run for run in there if (run / WEIGHTS / which).is_dir()]
    if not with_weights:
        raise UserError(
            f"{key}={directory}: must be a run's directory, or one with runs in it that have {which} weights"
        )
    if len(with_weights) < len(there):
        left_out = ", ".join(str(run.relative_to(directory)) for run in there if run not in with_weights)
        log.warning("%s=%s: left out for want of %s weights: %s", key, directory, which, left_out)
    return [Weights(str(run.relative_to(directory)), run, which) for run in with_weights]


def _is_run(directory: Path) -> bool:
    return (directory / CONFIG).is_file()
