"""A job of a sweep: where it fails, the others go on; one that cannot be is left out."""

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dopsd import ranks
from dopsd.config.errors import ElsewhereError, EscapingError, UserError
from dopsd.config.sweep_list import refused


def is_left_out(directory: Path) -> bool:
    """Whether the job of this directory, made for it, cannot be run: then it says why, and takes the directory away."""
    why = refused(directory)
    if why:
        sys.stderr.write(f"dopsd: left out, it cannot be run: {why}\n")
        with suppress(OSError):
            directory.rmdir()
    return bool(why)


@contextmanager
def failing_alone(directory: Path) -> Iterator[None]:
    """Inside, whatever ends a job becomes an exception that Hydra collects; the job's log says why.

    Ctrl-C ends the sweep, and so does a job that runs in several processes of torchrun or srun: the others would wait.
    """
    from dopsd.job.display import note_end  # noqa: PLC0415  (slow to import)

    try:
        yield
        return
    except (Exception, SystemExit, EscapingError) as raised:
        if ranks.count() > 1:
            raise
        error = raised.error if isinstance(raised, EscapingError) else raised
    if isinstance(error, UserError | ElsewhereError):
        line = str(error)
    elif isinstance(error, SystemExit):
        line = "the processes of the job have ended"
    else:
        traceback.print_exception(error)
        line = " ".join(f"{type(error).__name__}: {error}".split())
    note_end(directory / "train.log", error)
    sys.stderr.write(f"dopsd: {line}; the sweep goes on\n")
    raise ElsewhereError(line)
