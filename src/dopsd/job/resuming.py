"""Whether a run can be taken up again: known before anything of it is changed."""

from pathlib import Path

from omegaconf import DictConfig

from dopsd.callbacks.resume_point import steps_done
from dopsd.config.errors import UserError
from dopsd.config.saved import RESUME_POINT


def check_resume_point(config: DictConfig) -> None:
    """Raises UserError where a resumed run's state cannot be read, or is beyond the steps that are asked for."""
    if config.resume is None or not (Path(config.resume) / RESUME_POINT).exists():
        return
    try:
        done = steps_done(Path(config.resume) / RESUME_POINT)
    except ValueError as error:
        raise UserError(f"resume={config.resume}: {error}") from error
    if isinstance(config.max_steps, int) and config.max_steps < done:
        raise UserError(
            f"max_steps={config.max_steps}: the run has done {done} steps, must be at least {done}"
        )
