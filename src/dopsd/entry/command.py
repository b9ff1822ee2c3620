"""Runs a Hydra entry so that every mistake of the user ends in one line on stderr and exit code 2."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from dopsd.entry import before
from dopsd.entry.composing import explain, refuse_unknown_flags
from dopsd.config.errors import EXIT_CODE, Interrupted, UserError

_PACKAGE = Path(__file__).parents[1]
CONF = str(next(p for p in (_PACKAGE / "conf", _PACKAGE.parents[1] / "conf") if p.is_dir()))
"""The config tree: inside the package where it was installed from a wheel, else in the checkout."""

_INTERRUPTED = 128 + signal.SIGINT


def command(entry: Callable[[], None], config_name: str) -> None:
    """Runs `entry`, a function decorated with hydra.main; exits with 2 for a mistake, with 130 for Ctrl-C.

    With HYDRA_FULL_ERROR=1 in the environment errors keep their tracebacks.
    """
    wants_tracebacks = os.environ.get("HYDRA_FULL_ERROR") == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then leaves the reporting to us
    try:
        refuse_unknown_flags(sys.argv[1:])
        entry()
    except (UserError, HydraException, OmegaConfBaseException) as error:
        before.remove_what_is_empty()
        if wants_tracebacks:
            raise
        _exit(explain(error, sys.argv[1:], CONF, config_name), EXIT_CODE)
    except KeyboardInterrupt as interrupt:
        before.remove_what_is_empty()
        _exit(interrupt.message if isinstance(interrupt, Interrupted) else "interrupted", _INTERRUPTED)


def _exit(line: str, code: int) -> None:
    sys.stderr.write(f"dopsd: {line}\n")
    sys.exit(code)
