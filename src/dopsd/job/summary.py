"""summary.json: a run in figures."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from omegaconf import DictConfig

from dopsd import ranks
from dopsd.evaluation.interval import Interval
from dopsd.job.examiner import Examiner
from dopsd.job.fitting import TrainingResult
from dopsd.job.run_directory import RunDirectory
from dopsd.job.student import Student
from dopsd.memory import peak_memory_gb
from dopsd.report.manifest import versions


@dataclass(frozen=True, kw_only=True)
class WeightsAccuracy:
    """The test accuracy of the weights after a training step."""

    step: int
    accuracy: Interval

    def as_dict(self) -> dict[str, Any]:
        """Flat, as it stands in the summary."""
        return {**asdict(self.accuracy), "step": self.step}


def test_weights(
    student: Student, run: RunDirectory, examiner: Examiner, *, base: Interval, fitted: TrainingResult
) -> tuple[WeightsAccuracy, WeightsAccuracy]:
    """The best weights (chosen on dev) and the final ones, each scored on test; final weights and samples are saved."""
    student.save(run.weights("final"))
    last = fitted.last_step
    evaluation = examiner(student, "test", f"final (step {last}), test")
    run.write_samples(evaluation.samples)
    final = WeightsAccuracy(step=last, accuracy=evaluation.accuracy)
    if fitted.best_step == last:
        return final, final
    if fitted.best_step == 0:
        return WeightsAccuracy(step=0, accuracy=base), final
    best = student.with_weights(run.weights("best"))
    evaluation = examiner(best, "test", f"best (step {fitted.best_step}), test")
    return WeightsAccuracy(step=fitted.best_step, accuracy=evaluation.accuracy), final


def summarise(
    config: DictConfig,
    *,
    base: Interval,
    best: WeightsAccuracy,
    final: WeightsAccuracy,
    fitted: TrainingResult,
) -> dict[str, Any]:
    """What summary.json holds; accuracies are on the test split, `best` was chosen on dev."""
    arms: Mapping[str, str | None] = config.command.arms
    return {
        **{group: arms[group] for group in ("task", "model", "method")},
        "arms": dict(arms),
        "overrides": list(config.command.overrides),
        "seed": config.seed,
        "optimizer_steps": fitted.optimizer_steps,
        "training_steps": final.step,
        "stopped_early": final.step < config.max_steps,
        "completions": fitted.measures.completions,
        "learnt_from": fitted.learning.examples,
        "nothing_learnt": fitted.learning.complaint,
        "base": asdict(base),
        "best": best.as_dict(),
        "final": final.as_dict(),
        "processes": ranks.count(),
        "wall_s": round(fitted.measures.wall_s, 3),
        "training_s": round(fitted.measures.seconds, 3),
        "trajectories_per_s": round(fitted.measures.trajectories_per_s, 3),
        "peak_memory_gb": round(peak_memory_gb(), 3),
        "versions": versions(),
    }


def title_of(config: DictConfig) -> str:
    """A run in one line: what it was and what was changed."""
    arms = config.command.arms
    return " ".join([f"{arms.method}, {arms.model}, {arms.task}", *config.command.overrides])
