"""Held-out accuracy during a job: the same examples, decoded in the same way, with a progress bar."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dopsd import ranks
from dopsd.evaluation.decode import Evaluation, evaluate
from dopsd.evaluation.interval import Interval
from dopsd.finite import NotFiniteError
from dopsd.job.context import fitting
from dopsd.job.display import Display
from dopsd.job.plan import Plan
from dopsd.job.student import Student
from dopsd.memory import needing
from dopsd.model import sampling
from dopsd.task import Example, Split


@dataclass(frozen=True, kw_only=True)
class Examiner:
    """Decodes splits of the plan's task."""

    plan: Plan
    display: Display

    def __call__(self, student: Student, split: Split, title: str, *, samples: int = 1) -> Evaluation:
        """Decodes one split, each example as often as asked, and shows the accuracy."""
        examples = self.examples(student, split)
        batch_size = self.plan.settings.eval_batch_size
        evaluation = self._decoded(student, examples, title, samples=samples, batch_size=batch_size)
        self.display.say(f"{title}: {in_words(evaluation.scores.metrics)}")
        return evaluation

    def one_at_a_time(self, student: Student, split: Split, title: str, *, first: int) -> Evaluation:
        """Decodes the first examples of a split, once, each in a batch of its own."""
        examples = self.examples(student, split)[:first]
        return self._decoded(student, examples, f"{title}, one at a time", samples=1, batch_size=1)

    def examples(self, student: Student, split: Split) -> Sequence[Example]:
        """What is decoded of a split: less the prompts that are too long, where these are skipped."""
        return fitting(self.plan, split, student.chat.tokenizer, context=student.context)

    def _decoded(
        self, student: Student, examples: Sequence[Example], title: str, *, samples: int, batch_size: int
    ) -> Evaluation:
        """Each rank decodes a part, all get the whole."""
        mine = examples[ranks.this() :: ranks.count()]
        budget = self.plan.settings.eval_batch_tokens
        key, value = ("eval_batch_tokens", budget) if budget else ("eval_batch_size", batch_size)
        try:
            with (
                needing(key, value, during=f"an evaluation ({title})", smaller=value // 2 or None),
                self.display.bar(title, samples * len(mine)) as advance,
                sampling(student.network) as denoiser,
            ):
                part = evaluate(
                    denoiser,
                    task=self.plan.task,
                    examples=mine,
                    chat=student.chat,
                    sampler=self.plan.evaluation_sampler,
                    put=self.plan.evaluation_prompts,
                    batch_size=batch_size,
                    batch_tokens=self.plan.settings.eval_batch_tokens,
                    attempts=samples,
                    seed=self.plan.settings.seed,
                    device=self.plan.device,
                    on_progress=advance,
                )
        except NotFiniteError as error:
            raise student.blamed_for(error, title) from error
        of_examples = [part.samples[i : i + samples] for i in range(0, len(part.samples), samples)]
        whole = [sample for group in ranks.dealt_back(of_examples) for sample in group]
        return Evaluation(samples=whole, metric=self.plan.task.metric)


def in_words(metrics: Mapping[str, Interval]) -> str:
    """An accuracy, or several metrics by name."""
    if len(metrics) == 1:
        return str(*metrics.values())
    return ", ".join(f"{name} {interval}" for name, interval in metrics.items())
