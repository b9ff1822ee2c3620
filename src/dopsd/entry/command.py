"""Runs a Hydra entry so that every mistake of the user ends in one line on stderr and exit code 2.

What is slow is imported inside, so that Ctrl-C is heard from the first moment.
"""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dopsd.config.errors import EXIT_CODE, ElsewhereError, EscapingError, Interruption, UserError

if TYPE_CHECKING:
    from hydra.conf import HydraConf
    from omegaconf import DictConfig

    Job = Callable[[DictConfig, HydraConf], object]

_INTERRUPTED, _BROKEN_PIPE = 128 + signal.SIGINT, 128 + signal.SIGPIPE
_is_here = False  # whether `command` is what runs in this process


def command(job: "Job", entry: str) -> None:
    """Runs a job with the config of this name; exits with 2 for a mistake, with 130 for Ctrl-C.

    With HYDRA_FULL_ERROR=1 in the environment errors keep their tracebacks.
    """
    global _is_here  # noqa: PLW0603
    _is_here = True
    wants_tracebacks = os.environ.get("HYDRA_FULL_ERROR") == "1"
    try:
        with _hydra_raises():
            _run(job, entry)
        sys.stdout.flush()
    except EscapingError as escaping:
        _tidy()
        raise escaping.error from None
    except KeyboardInterrupt as interrupt:
        _tidy()
        _exit(interrupt.message if isinstance(interrupt, Interruption) else _interrupted(), _INTERRUPTED)
    except BrokenPipeError:  # `--help | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(_BROKEN_PIPE)
    except (Exception, UserError) as error:
        _tidy()
        # a job's own errors have escaped: what is left is Hydra's, some of it plain ValueErrors and OSErrors
        if wants_tracebacks or not isinstance(error, (*_of_the_user(), ValueError, OSError)):
            raise
        from dopsd.entry.composing import explain  # noqa: PLC0415

        _exit(explain(error, sys.argv[1:], entry), EXIT_CODE)
    finally:
        if before := sys.modules.get("dopsd.entry.before"):
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


def _run(job: "Job", entry: str) -> None:
    import hydra  # noqa: PLC0415
    from hydra.core.hydra_config import HydraConfig  # noqa: PLC0415
    from hydra.types import RunMode  # noqa: PLC0415

    from dopsd.entry.arguments import read_arguments  # noqa: PLC0415
    from dopsd.entry.composing import CONF, explain  # noqa: PLC0415
    from dopsd.entry.one_of_several import failing_alone, is_left_out  # noqa: PLC0415
    from dopsd.entry.sweep import commands_of, is_of_a_sweep, leave_table  # noqa: PLC0415

    def task(config: Any) -> object:
        hydra_config = HydraConfig.get()
        directory = Path(config.get("resume") or hydra_config.runtime.output_dir)
        if entry != "train" or not (is_resumed or hydra_config.mode == RunMode.MULTIRUN):
            return one(config, hydra_config)
        if is_left_out(directory):
            return None
        with failing_alone(directory):
            return one(config, hydra_config)

    def one(config: Any, hydra_config: Any) -> object:
        with carried_back():
            try:
                return job(config, hydra_config)
            except Exception as error:
                if not _is_here:
                    raise
                if isinstance(error, _of_the_user()):  # Hydra would add a line of its own
                    raise UserError(explain(error, sys.argv[1:], entry)) from error
                raise EscapingError(error) from error

    typed = read_arguments(sys.argv[1:], entry)
    is_resumed = is_of_a_sweep(typed, entry)
    failed: list[str] = []
    try:
        for arguments in commands_of(typed, entry):
            sys.argv[1:] = arguments
            try:
                hydra.main(version_base="1.3", config_path=CONF, config_name=entry)(task)()
            except (UserError, ElsewhereError) as error:
                if not is_resumed:
                    raise
                failed.append(str(error))
    finally:
        leave_table(typed, entry)
    if failed:
        raise UserError(f"{len(failed)} jobs of the sweep failed, the first: {failed[0]}")


def _of_the_user() -> tuple[type[BaseException], ...]:
    """What a mistake in the config raises."""
    from hydra.errors import HydraException  # noqa: PLC0415
    from omegaconf.errors import OmegaConfBaseException  # noqa: PLC0415

    return UserError, ElsewhereError, HydraException, OmegaConfBaseException


def _tidy() -> None:
    if before := sys.modules.get("dopsd.entry.before"):
        before.remove_what_is_empty()


def _interrupted() -> str:
    before = sys.modules.get("dopsd.entry.before")
    return before.interrupted() if before else "interrupted"


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
