"""How many answers were sampled and how fast, beside each training step's metrics."""

import time
from typing import Any

import lightning as L

from dopsd.memory import peak_memory_gb


def logged_now(trainer: L.Trainer) -> dict[str, float]:
    """What this training step has logged so far; `trainer.callback_metrics` keeps values of earlier steps."""
    assert trainer._results is not None
    return {name: float(value) for name, value in trainer._results.metrics(on_step=True)["callback"].items()}


class Measures(L.Callback):
    """Counts completions and the seconds of training steps (evaluation left out); must be the first callback."""

    def __init__(self, *, started: float):
        self._started = started
        self.completions, self.seconds = 0, 0.0

    @property
    def wall_s(self) -> float:
        """Seconds since the run started (`started` of time.perf_counter), those before a resume included."""
        return time.perf_counter() - self._started

    @property
    def trajectories_per_s(self) -> float:
        """Completions sampled in a second of training."""
        return self.completions / self.seconds if self.seconds else 0.0

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Forgets the last step's metrics: Lightning would log them again where a step has none of its own."""
        assert trainer._results is not None
        trainer._results.reset()
        self._start = time.perf_counter()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Logs the speed, and the number of this training step, counted from 1, as the loggers' step."""
        seconds = time.perf_counter() - self._start
        completions = round(logged_now(trainer).get("rollout/attempts", 0.0) * len(batch))
        self.seconds += seconds
        self.completions += completions
        measured = {
            "step": float(batch_idx + 1),
            "train/lr": trainer.optimizers[0].param_groups[0]["lr"],
            "perf/trajectories_per_s": completions / seconds,
            "perf/step_s": seconds,
            "perf/peak_memory_gb": peak_memory_gb(),
        }
        pl_module.log_dict(measured, on_step=True, on_epoch=False, batch_size=1)

    def state_dict(self) -> dict[str, float]:
        """The counts so far."""
        return {"completions": self.completions, "seconds": self.seconds, "wall_s": self.wall_s}

    def load_state_dict(self, state_dict: dict[str, float]) -> None:
        """Counts on."""
        self.completions, self.seconds = int(state_dict["completions"]), state_dict["seconds"]
        self._started -= state_dict["wall_s"]
