"""The progress of training steps."""

from collections.abc import Callable
from typing import Any

import lightning as L

from dopsd.callbacks.measures import logged_now


class TrainingBar(L.Callback):
    """Moves a bar on after each training step and notes the step in a line; within a step it tells how far that is."""

    def __init__(
        self,
        advance: Callable[..., None],
        *,
        part: Callable[[str, int, int], None],
        note: Callable[[str], None],
    ):
        self._advance, self._part, self._note = advance, part, note
        self.step = 0  # training steps done

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """The method tells how far a step is."""
        pl_module.on_progress = self._part  # pyright: ignore[reportArgumentType]

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """One step further (or, in a resumed run, at once to where it is)."""
        step, values = batch_idx + 1, logged_now(trainer)
        figures = [f"loss {values['train/loss']:.3f}" if "train/loss" in values else "nothing learnt"]
        if "rollout/accepted" in values:
            figures.append(f"accepted {100 * values['rollout/accepted']:.0f} %")
        self._advance(step - self.step, ", ".join(figures))
        self.step = step
        seconds = f"{values['perf/step_s']:.1f} s"
        self._note(f"step {step}/{trainer.num_training_batches}: {', '.join((*figures, seconds))}")
