"""Where metrics go beside metrics.csv."""

import netrc
import os
from collections.abc import Sequence

from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.loggers.logger import Logger


def wandb_logger(*, project: str, save_dir: str) -> WandbLogger:
    """Weights & Biases: as WANDB_MODE says, else online where an account is logged in, else offline."""
    mode = os.environ.get("WANDB_MODE") or ("online" if _is_logged_in() else "offline")
    return WandbLogger(project=project, save_dir=save_dir, mode=mode)


def close(loggers: Sequence[Logger]) -> None:
    """Ends what a logger would keep open into the next job of a sweep."""
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            logger.experiment.finish()


def _is_logged_in() -> bool:
    if os.environ.get("WANDB_API_KEY"):
        return True
    try:
        return netrc.netrc().authenticators("api.wandb.ai") is not None
    except (OSError, netrc.NetrcParseError):
        return False
