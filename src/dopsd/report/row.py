"""One row of a report: the figures of one evaluation."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any, get_args

from dopsd.evaluation.decode import Evaluation, Sample
from dopsd.evaluation.differing import differing
from dopsd.evaluation.interval import Interval
from dopsd.evaluation.paired import PairedComparison
from dopsd.evaluation.pass_at_k import pass_at
from dopsd.report.answers import Answers, weights_title
from dopsd.task import VerdictWord

_BINS = 16


@dataclass(frozen=True, kw_only=True)
class Repetition:
    """One of several trainings: those with the same `of` differ by nothing but the seed."""

    of: str
    seed: int


@dataclass(frozen=True, kw_only=True)
class BatchEffect:
    """What the batch does to the answers where numbers are rounded: some were decoded one at a time as well."""

    dtype: str
    examples: int
    tokens_that_differ: float

    @classmethod
    def of(cls, dtype: str, evaluation: Evaluation, alone: Evaluation) -> "BatchEffect":
        """Compares the first answer to each of the examples in `alone`, which are the first of the evaluation."""
        one_by_one = [sample.answer for sample in alone.samples]
        in_batches = [sample.answer for sample in evaluation.samples if sample.attempt == 0]
        share = differing(in_batches[: len(one_by_one)], one_by_one)
        return cls(dtype=dtype, examples=len(one_by_one), tokens_that_differ=share)


@dataclass(frozen=True, kw_only=True)
class BesideExact:
    """What approximate decoding changes: `row` decodes the same examples exactly."""

    row: str
    comparison: PairedComparison
    tokens_that_differ: float
    speedup: float


@dataclass(frozen=True, kw_only=True)
class ReportRow:
    """An evaluation with what it was asked for (`settings`, as JSON) and how long it took in seconds.

    `name` tells it from other rows; `run` is what tells its run from other runs, `weights` are best, final or
    model, and `decoding` says in which way it is approximate where one is. `too_long` counts prompts that leave no
    room for an answer, `unusable` the data's rows that are no examples; `chance` are the task's own figures of blind
    answers.
    """

    name: str
    run: str
    weights: str
    training_step: int | None
    decoding: str
    evaluation: Evaluation
    seconds: float
    too_long: int
    unusable: int
    chance: Mapping[str, float]
    fingerprint: str
    arms: Mapping[str, str]
    settings: Mapping[str, Any]
    repetition: Repetition | None = None
    baseline: Answers | None = None
    comparison: PairedComparison | None = None
    batch_effect: BatchEffect | None = None
    exact: "ReportRow | None" = None

    def as_dict(self) -> dict[str, Any]:
        """The row in evaluation.json."""
        samples = self.evaluation.samples
        metrics = {name: asdict(interval) for name, interval in self.evaluation.scores.metrics.items()}
        return {
            "name": self.name,
            "title": self.title,
            "run": self.run,
            "checkpoint": self.settings["checkpoint"],
            "weights": self.weights,
            "training_step": self.training_step,
            "training_seed": None if self.repetition is None else self.repetition.seed,
            "decoding": self.decoding,
            "task": self.arms["task"],
            "model": self.arms["model"],
            "grader": self.settings["task"].get("grader"),
            **{key: self.settings[key] for key in _SETTINGS_IN_FRONT},
            "metric": self.evaluation.metric,
            **metrics[self.evaluation.metric],
            "metrics": metrics,
            "pass_at_k": {str(k): asdict(interval) for k, interval in self.pass_at_k.items()},
            "accepted": fmean(sample.accepted for sample in samples),
            "chance": dict(self.chance),
            "verdicts": {word: count for word, count in _counted(samples).items() if count},
            "mean_tokens": fmean(sample.tokens for sample in samples),
            "mean_forwards": fmean(sample.forwards for sample in samples),
            "length_histogram": length_histogram([sample.tokens for sample in samples], self.gen_length),
            "seconds": round(self.seconds, 3),
            "samples_per_s": self.samples_per_s,
            "long_prompts_left_out": self.too_long,
            "dataset": {
                "n": len(self.evaluation.problems),
                "unusable_rows": self.unusable,
                "fingerprint": self.fingerprint,
            },
            "baseline": None if self.baseline is None else self.baseline.as_dict(),
            "comparison": None if self.comparison is None else asdict(self.comparison),
            "batch_effect": None if self.batch_effect is None else asdict(self.batch_effect),
            "beside_exact": None if self.exact is None else asdict(self.beside(self.exact)),
            "settings": self.settings,
        }

    @property
    def title(self) -> str:
        """Whose answers they are, and how they were decoded."""
        return ", ".join(
            filter(None, (self.run, weights_title(self.weights, self.training_step), self.decoding))
        )

    @property
    def pass_at_k(self) -> dict[int, Interval]:
        """pass@k with its interval, where there are several samples."""
        problems = list(self.evaluation.problems.values())
        return pass_at(problems) if len(problems[0]) > 1 else {}

    @property
    def samples_per_s(self) -> float:
        """Answers decoded and graded in a second."""
        return len(self.evaluation.samples) / self.seconds

    def beside(self, exact: "ReportRow") -> BesideExact:
        """This row beside another way of decoding the same examples."""
        answers, exact_answers = (
            [sample.answer for sample in row.evaluation.samples] for row in (self, exact)
        )
        return BesideExact(
            row=exact.name,
            comparison=exact.evaluation.scores.compared(self.evaluation.scores),
            tokens_that_differ=differing(answers, exact_answers),
            speedup=self.samples_per_s / exact.samples_per_s,
        )

    @property
    def gen_length(self) -> int:
        """Tokens in the response canvas."""
        return self.settings["gen_length"]


_SETTINGS_IN_FRONT = (
    *("split", "gen_length", "block_length", "denoising_steps", "temperature", "samples", "seed"),
)


def length_histogram(tokens: Iterable[int], gen_length: int) -> dict[str, Any]:
    """Answers by length: bin i counts those of i * width to (i + 1) * width - 1 tokens."""
    width = -(-(gen_length + 1) // _BINS)
    counted = Counter(length // width for length in tokens)
    return {"width": width, "counts": [counted[i] for i in range(gen_length // width + 1)]}


def _counted(samples: Sequence[Sample]) -> dict[str, int]:
    counted = Counter(sample.verdict for sample in samples)
    return {word: counted[word] for word in get_args(VerdictWord)}
