"""A point from which a run can go on: trained weights, optimizer and data order, not the frozen base."""

import os
from pathlib import Path
from typing import Any

import lightning as L


class ResumePoint(L.Callback):
    """Replaces one file every N training steps and after the last one; must be the last callback."""

    def __init__(self, file: Path, *, every: int, last: int):
        self._file, self._every, self._last = file, every, last

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Frozen weights are not in the file, so loading must not ask for them."""
        pl_module.strict_loading = False

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Writes the file in one move, so that a crash leaves the last one whole."""
        step = batch_idx + 1
        if step % self._every and step != self._last:
            return
        part = self._file.with_name(f".{self._file.name}.part")
        trainer.save_checkpoint(part)
        if trainer.is_global_zero:
            os.replace(part, self._file)

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
        progress = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]
        if progress["current"]["ready"] < self._last:
            progress["is_last_batch"] = False
