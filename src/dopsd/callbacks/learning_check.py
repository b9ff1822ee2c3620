"""Whether anything is learnt: a run of which nothing is must not look like one that works."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from math import isfinite
from typing import Any

import lightning as L

from dopsd.callbacks.measures import logged_now

_EARLY = 3  # training steps
_ROUNDING = 1e-5  # a gradient norm below it


@dataclass
class LearningCounts:
    """What training steps have learnt from: `examples` are those that the weights have moved for.

    `takes_refused` is what is typed to learn from refused answers, too, where the method can.
    """

    steps: int = 0
    examples: int = 0
    accepted: int = 0
    too_long: int = 0
    too_short: int = 0
    without_pair: int = 0
    without_signal: int = 0
    without_scored: int = 0
    losses: int = 0
    finite_gradients: int = 0
    takes_refused: str | None = None

    @property
    def complaint(self) -> str | None:
        """That nothing was learnt so far, the likely cause, and what to change; None where something was."""
        if self.examples or not self.steps:
            return None
        return f"nothing was learnt in {self.steps} training steps: {self._cause}"

    @property
    def _cause(self) -> str:
        refused = f"; {self.takes_refused} learns from refused answers, too" if self.takes_refused else ""
        causes = (
            (
                self.finite_gradients,
                "every gradient was 0, the teacher says what the student says (try a higher rho)",
            ),
            (self.losses, "no gradient was finite (try a lower lr, or model.dtype=float32)"),
            (self.too_long, "no reference solution fits into the canvas (try a higher gen_length)"),
            (
                self.without_pair,
                "no prompt had a better and a worse answer (try a higher group_size, another temperature, "
                "pairs.compare=score, or pairs=solution_vs_refused)",
            ),
            (
                self.without_signal,
                "all completions of every prompt had the same reward (try more max_attempts, another temperature, "
                "another reward, or method=sft first)",
            ),
            (
                self.without_scored,
                "no answer had a masked token but its end (try end_token=included, another temperature, or a "
                "sft_share above 0)",
            ),
            (
                self.accepted and self.too_short,
                "accepted answers were too short to be cut into equal chunks (try a lower updates_per_rollout)",
            ),
            (
                self.accepted,
                "the teacher left nothing of the accepted answers to learn (try a lower rho)",
            ),
            (
                True,
                "no answer was accepted (try more max_attempts, another temperature or gen_length, an easier task, "
                f"or method=sft first{refused})",
            ),
        )
        return next(cause for holds, cause in causes if holds)


class LearningCheck(L.Callback):
    """Counts what is learnt from, and says after the first steps where that is nothing."""

    def __init__(self, say: Callable[[str], None], *, takes_refused: str | None = None):
        self._say, self.counts = say, LearningCounts(takes_refused=takes_refused)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Counts one training step."""
        values, counts = logged_now(trainer), self.counts
        gradient = values.get("train/gradient_norm", float("nan"))
        counts.steps += 1
        counts.accepted += round(values.get("rollout/accepted", 0.0) * len(batch))
        counts.too_long += round(sum(values.get(f"{of}/too_long", 0.0) for of in ("sft", "d3llm", "pairs")))
        counts.too_short += round(values.get("train/too_short", 0.0))
        counts.without_pair += round(values.get("pairs/without", 0.0))
        counts.without_signal += values.get("reward/groups_with_signal") == 0
        counts.without_scored += "opdlm/gen_length" in values and "train/loss" not in values
        counts.losses += "train/loss" in values
        counts.finite_gradients += isfinite(gradient)
        if isfinite(gradient) and gradient > _ROUNDING:
            counts.examples += round(values["train/examples"])
        if counts.steps == _EARLY and counts.complaint:
            self._say(f"WARNING: {counts.complaint}")

    def state_dict(self) -> dict[str, Any]:
        """The counts so far."""
        return asdict(self.counts)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Counts on."""
        self.counts = replace(self.counts, **state_dict)
