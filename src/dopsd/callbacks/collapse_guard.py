"""What to do where dev accuracy falls for sure: warn, end the training, or take it back to its best weights."""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal

import lightning as L
from pydantic import Field
from scipy.stats import wilcoxon

from dopsd.callbacks.dev_evaluation import DevEvaluation


class CollapseGuard(L.Callback):
    """Compares every evaluation with the best one so far, puzzle by puzzle; must come after the evaluations.

    A fall has a p of at most `significance` in Wilcoxon's signed-rank test (1945) on the reported metric. The best of
    several is by itself too good, so that 0.05 would see a fall in every long run. `roll_back` puts the best weights
    back, forgets the optimizer's moments and halves the learning rate, each time again. Logs `guard/p`, `guard/fell`.
    """

    def __init__(
        self,
        *,
        action: Literal["warn", "stop", "roll_back"],
        significance: Annotated[float, Field(gt=0, lt=1)],
        held_out: DevEvaluation,
        restore_best: Callable[[], None],
        say: Callable[[str], None],
    ):
        """`restore_best` puts the best weights into the network that is trained."""
        self._action, self._significance = action, significance
        self._held_out, self._restore_best, self._say = held_out, restore_best, say
        self._best: Mapping[str, float] = {}
        self._rollbacks = 0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Takes the evaluation before the first step as the best; a resumed run has its learning rate."""
        self._slow_down(pl_module)
        if not self._best:
            self._best = self._held_out.shares

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: object,
        batch: Sequence,
        batch_idx: int,
    ) -> None:
        """Looks at the evaluation of this training step, where there is one."""
        latest, best = self._held_out.history[-1], self._held_out.best
        if latest.training_step != batch_idx + 1:
            return
        if best is latest:
            self._best = self._held_out.shares
        p = self._p()
        has_fallen = p <= self._significance
        pl_module.log_dict({"guard/p": p, "guard/fell": float(has_fallen)}, batch_size=1)
        if has_fallen:
            fell = (
                f"dev accuracy fell from {100 * best.accuracy.accuracy:.1f} % (step {best.training_step}) to "
                f"{100 * latest.accuracy.accuracy:.1f} % (step {latest.training_step}), p = {p:.1g}"
            )
            self._act(fell, trainer, pl_module)

    def _p(self) -> float:
        """Of a fall at least as large by chance; 1 where no puzzle's share is another."""
        before, after = zip(
            *((self._best[i], share) for i, share in self._held_out.shares.items()), strict=True
        )
        if before == after:
            return 1.0
        return float(wilcoxon(before, after, alternative="greater").pvalue)  # pyright: ignore

    def _act(self, fell: str, trainer: L.Trainer, module: L.LightningModule) -> None:
        if self._action == "warn":
            self._say(f"WARNING: {fell}")
        elif self._action == "stop":
            trainer.should_stop = True
            self._say(f"training ends: {fell}")
        else:
            self._rollbacks += 1
            self._restore_best()
            module.optimizers(use_pl_optimizer=False).state.clear()  # pyright: ignore
            self._slow_down(module)
            self._say(
                f"WARNING: {fell}; back to the best weights, learning rate times {0.5**self._rollbacks:g}"
            )

    def _slow_down(self, module: L.LightningModule) -> None:
        module.lr_scale = 0.5**self._rollbacks  # pyright: ignore

    def state_dict(self) -> dict[str, Any]:
        """What later evaluations are compared with, and how often the run was taken back."""
        return {"best": dict(self._best), "rollbacks": self._rollbacks}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on from there."""
        self._best, self._rollbacks = state_dict["best"], state_dict["rollbacks"]
