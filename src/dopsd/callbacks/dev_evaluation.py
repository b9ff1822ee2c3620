"""Accuracy and a few answers on the dev split, before training and every N training steps; the best weights stay."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import lightning as L

from dopsd.callbacks.sample_tables import log_samples, sample_rows
from dopsd.chat import Chat
from dopsd.evaluation.decode import Evaluation
from dopsd.evaluation.interval import Interval
from dopsd.model import dropout_off, save_weights

_LOGGED = 8  # answers to the first examples, at every evaluation


@dataclass(frozen=True, kw_only=True)
class DevAccuracy:
    """All metrics on dev after one training step, the reported one first."""

    training_step: int
    metrics: Mapping[str, Interval]

    @property
    def accuracy(self) -> Interval:
        """The reported metric."""
        return next(iter(self.metrics.values()))


class DevEvaluation(L.Callback):
    """Evaluates on dev with `evaluate_dev`, and saves the weights whenever they are the best so far."""

    def __init__(
        self,
        *,
        evaluate_dev: Callable[[], Evaluation],
        every: int,
        best_directory: Path,
        chat: Chat,
        patience: int | None = None,
    ):
        """`patience`: training ends after so many evaluations without a better one (None: never early)."""
        if every < 1:
            raise ValueError(f"eval_every={every} must be at least 1")
        self._evaluate, self._every, self._directory = evaluate_dev, every, best_directory
        self._patience, self._chat = patience, chat
        self.history: list[DevAccuracy] = []
        self.shares: Mapping[str, float] = {}  # of the last evaluation: the reported metric by example

    @property
    def best(self) -> DevAccuracy:
        """The highest dev accuracy; the earliest of equals."""
        return max(self.history, key=lambda checked: (checked.accuracy.accuracy, -checked.training_step))

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
        """Dev accuracy every N training steps, and after the last one, also where an earlier callback ends training."""
        step = batch_idx + 1
        if step % self._every == 0 or step == trainer.num_training_batches or trainer.should_stop:
            self._check(trainer, pl_module, step)
            trainer.should_stop |= self._is_exhausted

    @property
    def _is_exhausted(self) -> bool:
        since_best = sum(checked.training_step > self.best.training_step for checked in self.history)
        return self._patience is not None and since_best >= self._patience

    def _check(self, trainer: L.Trainer, module: L.LightningModule, step: int) -> None:
        with dropout_off(module.network):  # pyright: ignore
            evaluation = self._evaluate()
        rows = sample_rows(evaluation.samples[:_LOGGED], self._chat)
        for logger in trainer.loggers:
            log_samples(logger, rows, step)
        checked = DevAccuracy(training_step=step, metrics=evaluation.scores.metrics)
        self.history.append(checked)
        self.shares = evaluation.scores.shares[evaluation.scores.metric]
        if step:
            module.log_dict(_logged(checked), batch_size=1)
        else:  # before the first step, Lightning has no row yet
            for logger in trainer.loggers:
                logger.log_metrics(_logged(checked), step)
        if self.best is checked:
            save_weights(module.network, self._directory)  # pyright: ignore

    def state_dict(self) -> dict:
        """The history, so that a resumed run knows its best."""
        return {
            "history": [
                (c.training_step, {name: vars(interval) for name, interval in c.metrics.items()})
                for c in self.history
            ]
        }

    def load_state_dict(self, state_dict: dict) -> None:
        """Takes the history back."""
        self.history = [
            DevAccuracy(training_step=step, metrics={name: Interval(**it) for name, it in metrics.items()})
            for step, metrics in state_dict["history"]
        ]


def _logged(checked: DevAccuracy) -> dict[str, float]:
    """The reported metric as the accuracy, with its interval, and every metric under its name."""
    accuracy = checked.accuracy
    reported = {"eval/accuracy": accuracy.accuracy, "eval/low": accuracy.low, "eval/high": accuracy.high}
    return reported | {f"eval/{name}": interval.accuracy for name, interval in checked.metrics.items()}
