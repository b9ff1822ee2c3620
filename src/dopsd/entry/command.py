"""Runs a Hydra entry so that every mistake of the user ends in one line on stderr and exit code 2."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from dopsd.config.errors import EXIT_CODE, ElsewhereError, Interruption, UserError
from dopsd.entry import before
from dopsd.entry.composing import explain, refuse_what_hydra_cannot_explain

_INTERRUPTED = 128 + signal.SIGINT
_is_here = False  # whether `command` is what runs in this process


def command(entry: Callable[[], None], config_name: str) -> None:
    """Runs `entry`, a function decorated with hydra.main; exits with 2 for a mistake, with 130 for Ctrl-C.

    With HYDRA_FULL_ERROR=1 in the environment errors keep their tracebacks.
    """
    global _is_here  # noqa: PLW0603
    _is_here = True
    wants_tracebacks = os.environ.get("HYDRA_FULL_ERROR") == "1"
    try:
        with _hydra_raises():
            refuse_what_hydra_cannot_explain(sys.argv[1:])
            entry()
    except (UserError, ElsewhereError, HydraException, OmegaConfBaseException) as error:
        before.remove_what_is_empty()
        if wants_tracebacks:
            raise
        _exit(explain(error, sys.argv[1:], config_name), EXIT_CODE)
    except KeyboardInterrupt as interrupt:
        before.remove_what_is_empty()
        _exit(interrupt.message if isinstance(interrupt, Interruption) else "interrupted", _INTERRUPTED)
    finally:
        before.leave_sweep_table()


@contextmanager
def carried_back() -> Iterator[None]:
    """Inside a job that a launcher has taken to another process, a UserError becomes one that Hydra carries back."""
    try:
        yield
    except UserError as error:
        if _is_here:
            raise
        raise ElsewhereError(error.message) from None


@contextmanager
def _hydra_raises() -> Iterator[None]:
    """Inside, Hydra leaves the reporting of errors to us."""
    before_us = os.environ.get("HYDRA_FULL_ERROR")
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        yield
    finally:
        del os.environ["HYDRA_FULL_ERROR"]
        if before_us is not None:
            os.environ["HYDRA_FULL_ERROR"] = before_us


def _exit(line: str, code: int) -> None:
    sys.stderr.write(f"dopsd: {line}\n")
    sys.exit(code)
