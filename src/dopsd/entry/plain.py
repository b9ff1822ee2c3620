"""The command line of an entry that has no config: words and `key=value`, no Hydra."""

import sys
from collections.abc import Callable, Sequence

from dopsd.config.errors import EXIT_CODE, UserError


def plain_command(job: Callable[[Sequence[str]], str], *, manual: str, needs_arguments: bool = False) -> None:
    """Prints what the job says of its arguments, the manual where it is asked for, a UserError as one line."""
    arguments = sys.argv[1:]
    if {"-h", "--help"} & set(arguments) or (needs_arguments and not arguments):
        sys.stdout.write(manual)
        return
    try:
        sys.stdout.write(f"{job(arguments)}\n")
    except UserError as error:
        sys.stderr.write(f"dopsd: {error.message}\n")
        sys.exit(EXIT_CODE)
