"""What happens before Hydra makes a directory: every job of the command is checked from end to end."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hydra import compose
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, read_write
from omegaconf.errors import OmegaConfBaseException

from dopsd.entry.composing import refuse_unknown_appended
from dopsd.config.errors import UserError
from dopsd.config.saved import resumed

_made_by_this_command: list[Path] = []


class BeforeAnything(Callback):
    """Checks the job, or each job of a sweep, and its output directory."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """One job; a resumed one goes on in its own directory."""
        _check(config, kwargs["config_name"])
        if config.resume is not None:
            with read_write(config):
                config.hydra.run.dir = config.resume
        _claim(config, "hydra.run.dir")

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """All jobs of a sweep, before the first one starts."""
        for overrides in _jobs(config):
            _check(compose(kwargs["config_name"], overrides, return_hydra_config=True), kwargs["config_name"])
        _claim(config, "hydra.sweep.dir")


def remove_what_is_empty() -> None:
    """Removes the directories that this command made and left empty."""
    for directory in _made_by_this_command:
        try:
            directory.rmdir()
        except OSError:
            return


def _check(config: DictConfig, config_name: str) -> None:
    from dopsd.job.plan import Plan  # noqa: PLC0415  (heavy; not needed for --help or a misspelt key)

    refuse_unknown_appended(config, config.hydra.overrides.task, config_name)
    Plan.of(resumed(config, config.hydra.overrides.task))


def _jobs(config: DictConfig) -> Iterator[list[str]]:
    """The overrides of each job of Hydra's own sweeper; other sweepers choose as they go."""
    if not str(config.hydra.sweeper._target_).endswith(".BasicSweeper"):
        return
    typed = OmegaConf.to_container(config.hydra.overrides.task, resolve=False)
    fixed = [f"{key}={value}" for key, value in (config.hydra.sweeper.params or {}).items()]
    overrides = OverridesParser.create().parse_overrides([*fixed, *typed])  # pyright: ignore
    for batch in BasicSweeper.split_arguments(overrides, max_batch_size=None):
        yield from batch


def _claim(config: DictConfig, key: str) -> None:
    """Notes which directories are new; raises UserError where they cannot be made."""
    try:
        directory = Path(OmegaConf.select(config, key)).absolute()
    except OmegaConfBaseException as error:
        raise UserError(f"{key}: {str(error).splitlines()[0]}") from error
    new = [path for path in (directory, *directory.parents) if not path.exists()]
    existing = directory if not new else new[-1].parent
    try:
        Path(tempfile.mkdtemp(dir=existing)).rmdir()
    except OSError as error:
        raise UserError(f"{key}={directory}: must be a writable directory ({error.strerror})") from error
    _made_by_this_command[:] = new
