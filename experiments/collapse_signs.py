"""What warns of a fall: signals before it in runs that fall, beside the same in runs that do not."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from scipy.stats import mannwhitneyu

from dopsd.job.metrics_file import STEP
from dopsd.report.runs.run import Run

LANDMARKS, AHEAD, BETWEEN = (5, 15, 30), 30, 5  # training steps; the last: how often runs are evaluated
SIGNALS = {
    "distill/entropy": "entropy of the student",
    "distill/divergence": "divergence from the teacher",
    "distill/negative_share": "positions with negative loss",
    "distill/clip_ratio": "clipped share of entries",
    "distill/top_k_overlap": "top-k overlap with the teacher",
    "train/gradient_norm": "gradient norm",
    "rollout/length": "tokens of an answer",
    "rollout/no_end": "answers without an end",
    "rollout/accepted": "accepted share",
    "eval/accuracy": "dev accuracy",
}


@dataclass(frozen=True, kw_only=True)
class Fate:
    """How a run went; `setting` is what it shares with other seeds."""

    setting: str
    run: Run

    @property
    def falls(self) -> list[int]:
        """The training steps at whose evaluation the guard saw it fallen."""
        return [int(row[STEP]) for row in self.run.curve if row.get("guard/fell")]

    @property
    def on_dev(self) -> dict[int, float]:
        """Accuracy by training step."""
        return {int(row[STEP]): row["eval/accuracy"] for row in self.run.curve if "eval/accuracy" in row}

    def falls_after(self, step: int) -> bool | None:
        """Whether it falls within AHEAD steps; None where it has fallen before, or was not seen so long."""
        until = step + AHEAD
        if step not in self.on_dev or max(self.on_dev) < until or any(fall <= step for fall in self.falls):
            return None
        return any(fall <= until for fall in self.falls)

    def signal(self, name: str, step: int) -> float | None:
        """Its mean over the last steps until this one; None where it is not logged."""
        values = [row[name] for row in self.run.curve if name in row and step - BETWEEN < row[STEP] <= step]
        return sum(values) / len(values) if values else None


@dataclass(frozen=True, kw_only=True)
class Sign:
    """How well a signal tells the runs that will fall: above 0.5 it is higher in them; p of Mann and Whitney's test.

    `within` compares seeds of one setting alone, so many `pairs`: else a signal may tell settings apart and no more.
    """

    auc: float
    p: float
    falling: int
    others: int
    within: float | None
    pairs: int

    @classmethod
    def of(cls, fates: Sequence[Fate], name: str, step: int) -> "Sign | None":
        """At a step; None where the signal is the same everywhere, or all runs fall, or none."""
        seen = [(fate, value) for fate in fates if (value := fate.signal(name, step)) is not None]
        falling, others = ([(f, x) for f, x in seen if f.falls_after(step) is it] for it in (True, False))
        if not falling or not others or len({x for _, x in (*falling, *others)}) == 1:
            return None
        tested = mannwhitneyu([x for _, x in falling], [x for _, x in others])
        pairs = [
            (x > y) + (x == y) / 2 for (f, x), (o, y) in product(falling, others) if f.setting == o.setting
        ]
        return cls(
            auc=float(tested.statistic) / (len(falling) * len(others)),
            p=float(tested.pvalue),
            falling=len(falling),
            others=len(others),
            within=sum(pairs) / len(pairs) if pairs else None,
            pairs=len(pairs),
        )

    def __str__(self) -> str:
        within = "" if self.within is None else f"; within settings {self.within:.2f} ({self.pairs} pairs)"
        return f"{self.auc:.2f}, p {self.p:.2g} (n {self.falling} + {self.others}){within}"


def signs_of(fates: Sequence[Fate]) -> dict[str, list[Sign | None]]:
    """Of every signal, at every landmark; runs that are rolled back go like their twins until they fall."""
    once = [fate for fate in fates if fate.run.typed.get("callbacks.action") != "roll_back"]
    return {name: [Sign.of(once, name, step) for step in LANDMARKS] for name in SIGNALS}
