"""Held-out accuracy during a job: the same examples, decoded in the same way, with a progress bar."""

from dataclasses import dataclass

from dopsd import ranks
from dopsd.evaluation.decode import Evaluation, evaluate
from dopsd.job.context import fitting
from dopsd.job.display import Display
from dopsd.job.plan import Plan
from dopsd.job.student import Student
from dopsd.memory import needing
from dopsd.model import sampling
from dopsd.task import Split


@dataclass(frozen=True, kw_only=True)
class Examiner:
    """Decodes splits of the plan's task."""

    plan: Plan
    display: Display

    def __call__(self, student: Student, split: Split, title: str, *, samples: int = 1) -> Evaluation:
        """Decodes one split, each example as often as asked, a part on each rank, and shows the accuracy."""
        examples = fitting(self.plan, split, student.chat.tokenizer, context=student.context)
        mine = examples[ranks.this() :: ranks.count()]
        at_once = self.plan.settings.eval_batch_size
        with (
            needing(
                "eval_batch_size", at_once, during=f"an evaluation ({title})", smaller=at_once // 2 or None
            ),
            self.display.bar(title, samples * len(mine)) as advance,
            sampling(student.network) as denoiser,
        ):
            part = evaluate(
                denoiser,
                task=self.plan.task,
                examples=mine,
                chat=student.chat,
                sampler=self.plan.greedy,
                batch_size=at_once,
                attempts=samples,
                seed=self.plan.settings.seed,
                device=self.plan.device,
                on_progress=advance,
            )
        of_examples = [part.samples[i : i + samples] for i in range(0, len(part.samples), samples)]
        evaluation = Evaluation(samples=[it for group in ranks.dealt_back(of_examples) for it in group])
        self.display.say(f"{title}: {evaluation.accuracy}")
        return evaluation
