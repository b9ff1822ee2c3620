"""Accuracy and a few answers on the dev split, before training and every N training steps; the best weights stay."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import lightning as L

from dopsd.callbacks.sample_tables import log_samples
from dopsd.evaluation.decode import Evaluation
from dopsd.evaluation.interval import Interval
from dopsd.model import dropout_off, save_weights

_LOGGED = 8  # answers to the first examples, at every evaluation


@dataclass(frozen=True, kw_only=True)
class DevAccuracy:
    """The dev accuracy after one training step."""

    step: int
    accuracy: Interval


class DevEvaluation(L.Callback):
    """Evaluates on dev with `evaluate_dev`, and saves the weights whenever they are the best so far."""

    def __init__(
        self,
        *,
        evaluate_dev: Callable[[], Evaluation],
        every: int,
        best_directory: Path,
        patience: int | None = None,
    ):
        """`patience`: training ends after so many evaluations without a better one (None: never early)."""
        if every < 1:
            raise ValueError(f"eval_every={every} must be at least 1")
        self._evaluate, self._every, self._directory = evaluate_dev, every, best_directory
        self._patience = patience
        self.history: list[DevAccuracy] = []

    @property
    def best(self) -> DevAccuracy:
        """The highest dev accuracy; the earliest of equals."""
        return max(self.history, key=lambda checked: (checked.accuracy.accuracy, -checked.step))

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Dev accuracy of the weights that training starts from (not again on resume)."""
        if not self.history:
            self._check(trainer, pl_module, 0)
        trainer.should_stop |= self._is_exhausted

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: object,
        batch: Sequence,
        batch_idx: int,
    ) -> None:
        """Dev accuracy every N training steps, and after the last one."""
        step = batch_idx + 1
        if step % self._every == 0 or step == trainer.num_training_batches:
            self._check(trainer, pl_module, step)
            trainer.should_stop |= self._is_exhausted

    @property
    def _is_exhausted(self) -> bool:
        since_best = sum(checked.step > self.best.step for checked in self.history)
        return self._patience is not None and since_best >= self._patience

    def _check(self, trainer: L.Trainer, module: L.LightningModule, step: int) -> None:
        with dropout_off(module.network):  # pyright: ignore
            evaluation = self._evaluate()
        for logger in trainer.loggers:
            log_samples(logger, evaluation.samples[:_LOGGED], step)
        accuracy = evaluation.accuracy
        self.history.append(DevAccuracy(step=step, accuracy=accuracy))
        module.log_dict(
            {"eval/accuracy": accuracy.accuracy, "eval/low": accuracy.low, "eval/high": accuracy.high},
            batch_size=1,
        ) if step else None
        if self.best.step == step:
            save_weights(module.network, self._directory)  # pyright: ignore

    def state_dict(self) -> dict:
        """The history, so that a resumed run knows its best."""
        return {"history": [(c.step, vars(c.accuracy)) for c in self.history]}

    def load_state_dict(self, state_dict: dict) -> None:
        """Takes the history back."""
        self.history = [DevAccuracy(step=s, accuracy=Interval(**a)) for s, a in state_dict["history"]]
