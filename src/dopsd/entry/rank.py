"""One process of a job, started by `dopsd.entry.processes`: `python -m dopsd.entry.rank NAME DIRECTORY NOTES`."""

import os
import sys
import threading
import traceback
from contextlib import suppress
from importlib import import_module
from pathlib import Path

from dopsd.config.errors import Interruption, UserError

CONFIG, MISTAKE, INTERRUPTION, FAILURE = "config.yaml", "mistake", "interruption", "failure"


def main(name: str, directory: Path, notes: Path) -> int:
    """Calls `dopsd.NAME.NAME` with the config in NOTES; how it failed is noted there, by the first rank that does."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        from omegaconf import DictConfig, OmegaConf  # noqa: PLC0415  (Ctrl-C during an import is noted, too)

        config = OmegaConf.load(notes / CONFIG)
        assert isinstance(config, DictConfig)
        from dopsd.job import memory_explained  # noqa: PLC0415  (what fails to import is noted, too)

        with memory_explained(config, directory):
            getattr(import_module(f"dopsd.{name}"), name)(config, directory)
    except UserError as error:
        return _note(notes / MISTAKE, error.message)
    except Interruption as interrupt:
        return _note(notes / INTERRUPTION, interrupt.message)
    except BaseException:
        return _note(notes / FAILURE, f"rank {os.environ['LOCAL_RANK']}: {traceback.format_exc()}")
    return 0


def _note(file: Path, text: str) -> int:
    with suppress(FileExistsError), file.open("x", encoding="utf-8") as opened:
        opened.write(text)
    return 1


def _end_with_parent() -> None:
    os.read(0, 1)  # returns when the other end is closed
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])))
