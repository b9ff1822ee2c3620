"""Held-out accuracy during a job: the same examples, decoded greedily, with a progress bar."""

from collections.abc import Sequence
from dataclasses import dataclass

from dopsd import ranks
from dopsd.evaluation.decode import Evaluation, evaluate
from dopsd.job.display import Display
from dopsd.job.plan import Plan
from dopsd.job.student import Student
from dopsd.model import dropout_off, in_step
from dopsd.task import Example, Split


@dataclass(frozen=True, kw_only=True)
class Examiner:
    """Decodes splits of the plan's task."""

    plan: Plan
    display: Display

    def __call__(self, student: Student, split: Split, title: str) -> Evaluation:
        """Decodes one split (or its first `eval_limit` examples), a part on each rank, and shows the accuracy."""
        examples = self._examples(split)
        mine = examples[ranks.this() :: ranks.count()]
        network = student.network
        with (
            self.display.bar(title, len(mine)) as advance,
            dropout_off(network),
            in_step(network) as denoiser,
        ):
            part = evaluate(
                denoiser,
                task=self.plan.task,
                examples=mine,
                chat=student.chat,
                sampler=self.plan.greedy,
                batch_size=self.plan.settings.eval_batch_size,
                seed=self.plan.settings.seed,
                device=self.plan.device,
                on_progress=advance,
            )
        evaluation = Evaluation(samples=ranks.dealt_back(part.samples))
        self.display.say(f"{title}: {evaluation.accuracy}")
        return evaluation

    def _examples(self, split: Split) -> Sequence[Example]:
        return self.plan.task.examples(split)[: self.plan.settings.eval_limit]
