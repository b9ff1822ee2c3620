"""Running out of memory or of disk, in the user's words: which setting to lower, to what, and how to go on."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from omegaconf import DictConfig

from dopsd.config.errors import UserError
from dopsd.config.paths import resume_command
from dopsd.config.saved import FREE_ON_RESUME, RESUME_POINT, key_of
from dopsd.files import WritingError
from dopsd.memory import TooLargeError
from dopsd.task import VerifierError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


@contextmanager
def memory_explained(config: DictConfig, directory: Path) -> Iterator[None]:
    """Inside, running out of memory raises UserError; so does a file that cannot be written, or a broken verifier."""
    try:
        yield
    except TooLargeError as error:
        raise UserError(_line(error, config, directory)) from error
    except (WritingError, VerifierError) as error:
        raise UserError(str(error)) from error
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise UserError(f"{error.filename or directory}: cannot be written ({error.strerror})") from error
    except torch.OutOfMemoryError as error:
        raise UserError(f"out of memory: {error}") from error


def _line(error: TooLargeError, config: DictConfig, directory: Path) -> str:
    typed = _typed(error.key, config)
    line = f"{typed}={error.value}: out of memory in {error.during}; "
    if error.smaller is None:
        needs_less = "model.activation_checkpointing=true, model.quantization=nf4 and trainer=fsdp need less"
        return f"{line}it cannot be lower, but {needs_less}"
    line += f"try {typed}={error.smaller}"
    if error.key in FREE_ON_RESUME and (directory / RESUME_POINT).exists():
        line += f" ({resume_command(directory, f'{error.key}={error.smaller}')} goes on with this run)"
    return line


def _typed(key: str, config: DictConfig) -> str:
    """The key, or that of the method, which may have been given past it."""
    of_the_method = f"method.{key}"
    return of_the_method if of_the_method in map(key_of, config.command.overrides) else key
