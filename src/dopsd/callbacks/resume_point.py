"""A point from which a run can go on: trained weights, optimizer and data order, not the frozen base."""

import pickle
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from dopsd.files import written_whole

_PARTS = ("state_dict", "loops", "callbacks", "optimizer_states")


class ResumePoint(L.Callback):
    """Replaces one file every N training steps and after the last one; must be the last callback."""

    def __init__(self, file: Path, *, every: int, last: int):
        self._file, self._every, self._last = file, every, last

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Frozen weights are not in the file, so loading must not ask for them."""
        pl_module.strict_loading = False
        trainer.strategy.checkpoint_io = _WholeFiles()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Writes the file in one move, so that a crash leaves the last one whole."""
        step = batch_idx + 1
        if step % self._every == 0 or step == self._last or trainer.should_stop:
            trainer.save_checkpoint(self._file)

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Leaves out the frozen weights."""
        frozen = {name for name, weight in pl_module.named_parameters() if not weight.requires_grad}
        weights = checkpoint["state_dict"]
        checkpoint["state_dict"] = {name: weights[name] for name in weights if name not in frozen}

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Raises ValueError where trained weights are missing; a run given more steps goes on beyond its last one."""
        trained = {name for name, weight in pl_module.named_parameters() if weight.requires_grad}
        missing = sorted(trained - checkpoint["state_dict"].keys())
        if missing:
            raise ValueError(
                f"{self._file}: {len(missing)} trained weights are missing: {', '.join(missing[:3])}"
            )
        progress = _progress(checkpoint)
        if progress["current"]["ready"] < self._last:
            progress["is_last_batch"] = False


class _WholeFiles(TorchCheckpointIO):
    """Lightning writes to the directory for temporary files, which may be another disk, and moves from there."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        with written_whole(Path(path)) as part, part.open("wb") as file:
            torch.save(checkpoint, file)


def steps_done(file: Path) -> int:
    """The training steps before a resume point; raises ValueError where it is torn, or something else."""
    try:
        checkpoint = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
        if missing := [part for part in _PARTS if part not in checkpoint]:
            raise ValueError(f"without {', '.join(missing)}")
        return int(_progress(checkpoint)["current"]["ready"])
    except (
        OSError,
        EOFError,
        RuntimeError,
        ValueError,
        TypeError,
        LookupError,
        pickle.UnpicklingError,
    ) as error:
        why = str(error).splitlines()[0][:100] if str(error) else type(error).__name__
        raise ValueError(
            f"{file.name} is torn or no resume point ({why}); without it the run starts anew"
        ) from error


def _progress(checkpoint: dict[str, Any]) -> dict[str, Any]:
    return checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]
