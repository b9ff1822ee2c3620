"""A training run as a report sees it: what was typed, how far it came, what it reached."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from dopsd.evaluation.interval import Interval
from dopsd.report.answers import OF_A_RUN, Answers

WEIGHTS = ("base", "best", "final")
State = Literal["done", "nothing learnt", "running", "stopped", "failed", "not started", "refused"]
ENDED = ("done", "nothing learnt")


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run; `results` are its figures on test by weights, empty where it has not ended.

    `typed` are the values that were typed but for the seed, and what changes nothing. `note` says where a run stands
    that has not ended, why it was refused, or why nothing was learnt. `curve` has the rows of metrics.csv.
    """

    directory: Path
    arms: Mapping[str, str | None]
    typed: Mapping[str, str]
    seed: str
    state: State
    note: str = ""
    metric: str = "correct"
    results: Mapping[str, Interval] = field(default_factory=dict)
    curve: Sequence[Mapping[str, float]] = ()

    @property
    def has_ended(self) -> bool:
        """Whether there are results."""
        return self.state in ENDED

    def answers(self, weights: str) -> Answers | None:
        """The answers of these weights on test; None where the run has kept none."""
        file = self.directory / OF_A_RUN / f"{weights}.jsonl"
        return Answers.read(file, weights) if file.is_file() else None

    def shares(self, weights: str) -> Mapping[str, float]:
        """By the example's id, the reported metric of the answers; empty where the run has kept none."""
        answers = self.answers(weights)
        return {} if answers is None else answers.scores.shares[answers.scores.metric]


@dataclass(frozen=True, kw_only=True)
class ProbeResult:
    """What a probe has left in probe.json."""

    directory: Path
    content: Mapping[str, Any]
