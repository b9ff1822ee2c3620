"""summary.json: a run in figures."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from omegaconf import DictConfig

from dopsd import ranks
from dopsd.evaluation.interval import Interval
from dopsd.evaluation.paired import PairedComparison
from dopsd.evaluation.scores import Scores
from dopsd.job.examiner import Examiner
from dopsd.job.fitting import TrainingResult
from dopsd.job.run_directory import RunDirectory
from dopsd.job.student import Student
from dopsd.memory import peak_memory_gb
from dopsd.report.answers import weights_title
from dopsd.report.manifest import versions
from dopsd.report.report import by_chance


@dataclass(frozen=True, kw_only=True)
class WeightsScores:
    """What the base, the best or the final weights of a run reach on test."""

    weights: str
    training_step: int
    scores: Scores

    def as_dict(self) -> dict[str, Any]:
        """As it stands in the summary: the reported metric flat, then all of them by name."""
        metrics = {name: asdict(interval) for name, interval in self.scores.metrics.items()}
        return {"training_step": self.training_step, **metrics[self.scores.metric], "metrics": metrics}

    @property
    def title(self) -> str:
        """Which weights they are."""
        return weights_title(self.weights, self.training_step)


@dataclass(frozen=True, kw_only=True)
class TestResult:
    """A run's weights on test: before training, the best on dev, and the last; with the answers on disk."""

    __test__ = False  # pytest takes the name for a test's

    base: WeightsScores
    best: WeightsScores
    final: WeightsScores
    chance: Mapping[str, float]

    def as_dict(self) -> dict[str, Any]:
        """As it stands in the summary, with the paired difference to the base weights."""
        metric = self.base.scores.metric
        return {"metric": metric, "chance": dict(self.chance), "base": self.base.as_dict()} | {
            it.weights: it.as_dict() | {"against_base": asdict(self._against_base(it))}
            for it in (self.best, self.final)
        }

    @property
    def accuracies(self) -> dict[str, Interval]:
        """The reported metric of each of the weights."""
        return {it.weights: it.scores.accuracy for it in (self.base, self.best, self.final)}

    def title(self, task: str) -> str:
        """Of the table."""
        accuracy = self.base.scores.accuracy
        metric = self.base.scores.metric
        named = "accuracy" if metric == "correct" else metric
        return f"{task}, {named} on test (n = {accuracy.n}, 95 % intervals)"

    def table(self) -> tuple[list[str], list[list[str]]]:
        """A line for each of the weights: all metrics, and how far the reported one is from the base weights'."""
        metrics = self.base.scores.metrics
        rows = [
            [it.title, *map(str, it.scores.metrics.values()), self._against_base(it).points]
            for it in (self.base, self.best, self.final)
        ]
        rows[0][-1] = ""
        names = (
            ["accuracy"]
            if len(metrics) == 1
            else [f"{name}{by_chance(self.chance.get(name))}" for name in metrics]
        )
        return ["weights", *names, "against base"], rows

    def _against_base(self, of: WeightsScores) -> PairedComparison:
        return self.base.scores.compared(of.scores)


def test_weights(
    student: Student, run: RunDirectory, examiner: Examiner, *, base: Scores, fitted: TrainingResult
) -> TestResult:
    """The best weights (chosen on dev) and the final ones on test; final weights and all answers are saved."""

    def examined(student: Student, weights: str, step: int) -> WeightsScores:
        evaluation = examiner(student, "test", f"{weights_title(weights, step)}, test")
        run.write_samples(evaluation, weights=weights, training_step=step, file=run.answers(weights))
        return WeightsScores(weights=weights, training_step=step, scores=evaluation.scores)

    student.save(run.weights("final"))
    before = WeightsScores(weights="base", training_step=0, scores=base)
    final = examined(student, "final", fitted.last_step)
    same = {it.training_step: it for it in (before, final)}.get(fitted.best_step)
    if same is None:
        best = examined(student.with_weights(run.weights("best")), "best", fitted.best_step)
    else:
        best = replace(same, weights="best")
        run.repeat_samples(same.weights, under="best")
    chance = student.plan.task.chance(examiner.examples(student, "test"))
    return TestResult(base=before, best=best, final=final, chance=chance)


def summarise(
    config: DictConfig, *, tested: TestResult, fitted: TrainingResult, git: Mapping[str, Any] | None
) -> dict[str, Any]:
    """What summary.json holds; accuracies are on the test split, `best` was chosen on dev.

    `git` is the checkout that the process began with, as git_revision names it.
    """
    arms: Mapping[str, str | None] = config.command.arms
    return {
        **{group: arms[group] for group in ("task", "model", "method")},
        "arms": dict(arms),
        "overrides": list(config.command.overrides),
        "seed": config.seed,
        **fitted.measures.spent,
        "stopped_early": fitted.last_step < config.max_steps,
        "learnt_from": fitted.learning.examples,
        "nothing_learnt": fitted.learning.complaint,
        **tested.as_dict(),
        "processes": ranks.count(),
        "wall_s": round(fitted.measures.wall_s, 3),
        "trajectories_per_s": round(fitted.measures.trajectories_per_s, 3),
        "peak_memory_gb": round(peak_memory_gb(), 3),
        "versions": versions(),
        "git": git,
    }


def title_of(config: DictConfig) -> str:
    """A run in one line: what it was and what was changed."""
    arms = config.command.arms
    return " ".join([f"{arms.method}, {arms.model}, {arms.task}", *config.command.overrides])
