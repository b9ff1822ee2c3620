"""What was spent and how fast, beside each training step's metrics; training ends when enough is spent."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import torch

from dopsd import ranks
from dopsd.memory import peak_memory_gb
from dopsd.method.budget import Budget, StopAt


def logged_now(trainer: L.Trainer) -> dict[str, float]:
    """What this training step has logged so far; `trainer.callback_metrics` keeps values of earlier steps."""
    assert trainer._results is not None
    return {name: float(value) for name, value in trainer._results.metrics(on_step=True)["callback"].items()}


def spent_before(resume_point: Path) -> dict[str, int | float]:
    """What a run had spent by its resume point, by name."""
    checkpoint = torch.load(resume_point, map_location="cpu", weights_only=True, mmap=True)
    return checkpoint["callbacks"][Measures.__qualname__]["spent"]


class Measures(L.Callback):
    """Counts training steps and their seconds (evaluation left out) into a budget; must be the first callback."""

    def __init__(self, budget: Budget, stop_at: StopAt | None, *, started: float, say: Callable[[str], None]):
        self._budget, self._stop_at, self._started, self._say = budget, stop_at, started, say

    @property
    def wall_s(self) -> float:
        """Seconds since the run started (`started` of time.perf_counter), those before a resume included."""
        return time.perf_counter() - self._started

    @property
    def trajectories_per_s(self) -> float:
        """Completions sampled in a second of training."""
        seconds = self.spent["device_seconds"]
        return self.spent["completions"] / seconds if seconds else 0.0

    @property
    def spent(self) -> dict[str, int | float]:
        """All that was spent so far, by name."""
        return self._budget.spent

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """A resumed run may have spent enough; another one begins with nothing."""
        if not self.spent["training_steps"]:
            for logger in trainer.loggers:
                logger.log_metrics(self._logged, 0)
        self._stop_if_spent(trainer)

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Forgets the last step's metrics: Lightning would log them again where a step has none of its own."""
        assert trainer._results is not None
        trainer._results.reset()
        self._start, self._completions = time.perf_counter(), self.spent["completions"]

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Logs the speed, what is spent, and the number of this training step, from 1, as the loggers' step."""
        seconds = ranks.of_first(time.perf_counter() - self._start)
        self._budget.training_step(seconds)
        measured = {
            "step": float(batch_idx + 1),
            "train/lr": trainer.optimizers[0].param_groups[0]["lr"],
            "perf/trajectories_per_s": (self.spent["completions"] - self._completions) / seconds,
            "perf/step_s": seconds,
            "perf/peak_memory_gb": peak_memory_gb(),
        }
        exact = {name: torch.tensor(value, dtype=torch.float64) for name, value in self._logged.items()}
        pl_module.log_dict({**measured, **exact}, on_step=True, on_epoch=False, batch_size=1)
        self._stop_if_spent(trainer)

    @property
    def _logged(self) -> dict[str, int | float]:
        return {f"budget/{name}": value for name, value in self.spent.items()}

    def _stop_if_spent(self, trainer: L.Trainer) -> None:
        for name in () if self._stop_at is None else self._stop_at.reached(self.spent):
            self._say(f"training ends: {name} {self.spent[name]:,.0f} of stop_at.{name}")
            trainer.should_stop = True

    def state_dict(self) -> dict[str, Any]:
        """The counts so far."""
        return {"spent": dict(self.spent), "wall_s": self.wall_s}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Counts on."""
        self.spent.update(state_dict["spent"])
        self._started -= state_dict["wall_s"]
