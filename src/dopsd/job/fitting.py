"""The training itself: Lightning's loop around a method, with held-out accuracy and a resume point beside it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import lightning as L
from lightning.pytorch.loggers.logger import Logger
from torchdata.stateful_dataloader import StatefulDataLoader

from dopsd.callbacks.dev_evaluation import DevAccuracy, DevEvaluation
from dopsd.callbacks.learning_check import LearningCheck, LearningCounts
from dopsd.callbacks.measures import Measures
from dopsd.callbacks.resume_point import ResumePoint
from dopsd.callbacks.training_bar import TrainingBar
from dopsd.config.errors import UserError
from dopsd.finite import NotFiniteError
from dopsd.job.examiner import Examiner
from dopsd.job.metrics_file import MetricsFile
from dopsd.job.plan import Plan
from dopsd.job.run_directory import RunDirectory
from dopsd.job.student import Student
from dopsd.method.method import Method
from dopsd.stream import TrainingStream


@dataclass(frozen=True, kw_only=True)
class TrainingResult:
    """What training leaves besides the weights."""

    last_step: int
    history: Sequence[DevAccuracy]
    best_step: int
    measures: Measures
    learning: LearningCounts


def fit(
    method: Method,
    student: Student,
    run: RunDirectory,
    examiner: Examiner,
    *,
    loggers: Sequence[Logger],
    started: float,
) -> TrainingResult:
    """Trains the student in place, from the run's resume point where it has one."""
    plan = student.plan
    settings = plan.settings
    display = examiner.display
    measures = Measures(method.budget, plan.stop_at, started=started, say=display.say)
    learning = LearningCheck(display.say, takes_refused=method.takes_refused)
    metrics_file = MetricsFile(run.metrics, seconds=lambda: measures.wall_s)
    resume_point = ResumePoint(run.resume_point, every=settings.eval_every, last=settings.max_steps)
    with display.bar("training", settings.max_steps) as advance:
        bar = TrainingBar(advance, part=display.part, note=display.note)
        held_out = DevEvaluation(
            evaluate_dev=lambda: examiner(student, "dev", f"dev, step {bar.step}"),
            every=settings.eval_every,
            best_directory=run.weights("best"),
            chat=student.chat,
            patience=settings.early_stopping,
        )
        callbacks: list[L.Callback] = [measures, bar, learning, held_out]
        if plan.guard is not None:
            restore = partial(student.take_back, run.weights("best"))
            callbacks.append(plan.guard(held_out=held_out, restore_best=restore, say=display.say))
        callbacks.append(resume_point)
        trainer = plan.make_trainer(callbacks=callbacks, logger=[metrics_file, *loggers])
        try:
            _run(trainer, method, _loader(plan, method), run)
        except NotFiniteError as error:
            raise student.blamed_for(error, f"training step {bar.step + 1}") from error
    student.network.to(plan.device)  # Lightning takes it back to the CPU
    return TrainingResult(
        last_step=held_out.history[-1].training_step,
        history=held_out.history,
        best_step=held_out.best.training_step,
        measures=measures,
        learning=learning.counts,
    )


def _run(
    trainer: L.Trainer, method: L.LightningModule, loader: StatefulDataLoader, run: RunDirectory
) -> None:
    ckpt_path = run.resume_point if run.resume_point.exists() else None
    try:
        trainer.fit(method, loader, ckpt_path=ckpt_path, weights_only=True)
    except UserError:
        raise
    except SystemExit:
        if trainer.interrupted:  # Lightning's own way of leaving after Ctrl-C; it says so of any error
            raise KeyboardInterrupt from None
        raise


def _loader(plan: Plan, method: Method) -> StatefulDataLoader:
    settings = plan.settings
    length = settings.max_steps * settings.prompts_per_step
    stream = TrainingStream(method.training_examples(), length=length, seed=settings.seed)
    return StatefulDataLoader(stream, batch_size=settings.prompts_per_step, collate_fn=list)
