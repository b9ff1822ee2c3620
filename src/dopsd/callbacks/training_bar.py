"""The progress of training steps."""

from collections.abc import Callable
from typing import Any

import lightning as L


class TrainingBar(L.Callback):
    """Moves a bar on after each training step, with the loss and the share of accepted answers beside it."""

    def __init__(self, advance: Callable[..., None]):
        self._advance = advance
        self.step = 0  # training steps done

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """One step further (or, in a resumed run, at once to where it is)."""
        values = trainer.callback_metrics
        notes = [f"loss {float(values['train/loss']):.3f}"] if "train/loss" in values else []
        if "rollout/accepted" in values:
            notes.append(f"accepted {100 * float(values['rollout/accepted']):.0f} %")
        self._advance(batch_idx + 1 - self.step, ", ".join(notes))
        self.step = batch_idx + 1
